/* SPDX-License-Identifier: MIT */
/* Segment registers of calls of 16-bit PALs. */
#include "segments.h"
#include "mode16.h"

/* LDTR's selector is told to nobody, since SLDT exits; not null, and not in an LDT (SDM vol. 3,
 * 27.3.1.2). */
#define LDTR_SELECTOR 8u

_Static_assert(MODE16_SEGMENTS == TV_SEGMENTS && SEG_LDTR == MODE16_SEGMENTS, "in their order");

static void parse(const struct tv_pal *pal, const uint16_t selector[MODE16_SEGMENTS],
                  struct segment seg[SANDBOX_OWN_SEGMENTS])
{
    for (unsigned i = 0; i < MODE16_SEGMENTS; i++) {
        ASSERT(mode16_segment(pal->space.ldt, selector[i], &seg[i]));
    }
    seg[SEG_LDTR] = (struct segment){ LDTR_SELECTOR, SEG_ATTR_LDT, PAGE_SIZE - 1, TV_LDT_VA };
}

void segments_ready(const struct tv_pal *pal, struct tv_activation *act, uint32_t stack)
{
    uint16_t selector[MODE16_SEGMENTS];

    mode16_selectors(&pal->image, pal->image.entries[0].va, stack, selector);
    parse(pal, selector, act->begins);
}

/* CODE has the whole of its segment, so that its limit tells. */
void segments_begin(const struct tv_pal *pal, struct tv_activation *act)
{
    struct segment *cs = &act->begins[SEG_CS];
    const uint64_t va = act->entry->va;

    if (va < cs->base || va - cs->base > cs->limit) {
        ASSERT(mode16_segment(pal->space.ldt, (uint16_t)(mode16_far(&pal->image, va) >> 16), cs));
    }
}

void segments_enter(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                    const struct vcpu_regs *regs, const void *xstate)
{
    struct segment kept[SANDBOX_OWN_SEGMENTS];
    struct sandbox sb = pal->sandbox;

    sb.segments = act->begins;
    if (regs == &act->regs) {
        parse(pal, act->selector, kept);
        sb.segments = kept;
    }
    sandbox_enter(v, &sb, regs, xstate);
}

void segments_keep(struct vcpu *v, const struct tv_pal *pal, struct tv_activation *act)
{
    struct segment s;

    if (!segments_own(pal)) {
        return;
    }
    for (unsigned i = 0; i < MODE16_SEGMENTS; i++) {
        hyp_get_segment(v, (enum segment_index)i, &s);
        act->selector[i] = s.selector;
        act->code_base = i == SEG_CS ? s.base : act->code_base;
    }
}

uint64_t segments_rip(struct vcpu *v, const struct tv_pal *pal)
{
    struct segment cs = { .base = 0 };

    if (segments_own(pal)) {
        hyp_get_segment(v, SEG_CS, &cs);
    }
    return cs.base + v->regs.rip;
}
