/* SPDX-License-Identifier: MIT */
/*
 * The hypercall that registers a PAL: begins, goes on by steps (register_phases.c), and ends. Up to
 * TV_ATOMIC_PAGES the whole copy happens in one exit, and so do recheck and overwrite: an error or
 * a fault before has changed nothing. A larger PAL is overwritten in steps once all its pages were
 * seen writable.
 *
 * Between steps the caller's RDX holds a random token, so that the hypercall executed
 * again is told from a new one; RDX gets its value back at the end.
 */
#include "register.h"
#include "caller.h"
#include "check.h"
#include "check_image.h"
#include "check_module.h"
#include "collect.h"
#include "death.h"
#include "memory.h"
#include "owner.h"
#include "register_phases.h"
#include "registry.h"
#include "stubs.h"

/* --- steps ---------------------------------------------------------------------- */

uint64_t tv_budget;

static void go_live(struct tv_pal *pal)
{
    memory_ready(pal);
    pal->sandbox = (struct sandbox){
        .nested_root = space_nested_root(&pal->space),
        .cr3 = space_cr3(&pal->space),
        .mode = pal->image.mode == PAL_ID_MODE_64   ? SANDBOX_64
                : pal->image.mode == PAL_ID_MODE_32 ? SANDBOX_32 : SANDBOX_16,
        .tag = sandbox_new_tag(),
    };
    pal->image.ends_otherwise = pal->image.has_data || pal->image.stacks > 1
        || pal->image.converts;
    pal->budget = pal->image.budget != 0 ? pal->image.budget : tv_budget;
    pal->charge = (uint32_t)space_size(&pal->space) + memory_pages(&pal->image);
    registry_change(pal->slot, TV_REGISTERING, TV_LIVE);
}

/* How many pages may be wiped, or owners looked at, in an exit that has `spent` so many
 * instructions. */
static uint32_t affordable(uint32_t spent)
{
    uint32_t n = spent < BUDGET ? (BUDGET - spent) / COST_ROOM : 0;

    return n < 8 ? 8 : n;
}

/* The registration has failed: give the caller its RDX back, and end the PAL. */
static void discard(struct work *w)
{
    w->v->regs.gpr[GPR_RDX] = w->pal->reg.rdx;
    death_discard(w->v, w->pal->slot, affordable((uint32_t)(BUDGET - w->budget)));
}

/* Come again: the hypercall is executed once more, with the token. */
static enum hc_result come_again(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;

    w->v->regs.gpr[GPR_RDX] = reg->token;
    reg->last_step = clock_now();
    registry_put(w->pal->slot);
    return HC_AGAIN;
}

static enum hc_result pause_for_fault(struct work *w)
{
    enum hc_result r = HC_AGAIN;

    if (w->pal->reg.phase == PHASE_COPY && w->pal->image.pages <= TV_ATOMIC_PAGES) {
        /* There is nothing worth keeping yet, and the guest may never come back after the fault. */
        discard(w);
    } else {
        r = come_again(w);
    }
    hyp_inject_fault(w->v, &w->fault);
    return r;
}

/* Has nobody gone on with this registration for too long? For one at the same place that is soon:
 * a thread has abandoned it, by a signal handler, say. For one elsewhere it is later, since its
 * thread may only wait for a CPU; and latest for one that overwrites its owner's memory, whose
 * contents would be lost with it. */
static bool given_up(const struct tv_pal *pal, enum registry_answer why)
{
    return tv_quiet(pal, tv_overwrites(pal) ? TV_ABANDONED_TICKS
                         : why == REGISTRY_CONFLICT      ? TV_STALE_TICKS : TV_SLOW_TICKS);
}

/* A PAL of this process is in the way. Sort out whether it still means anything. */
static enum hc_result conflict(struct vcpu *v, enum registry_answer why, struct tv_slot *other,
                               uint64_t entry, uint32_t spent)
{
    uint64_t life = atomic_load(&other->life);
    enum tv_error e = other->pal->image.entry == entry ? TV_EXISTS : TV_OVERLAP;

    if (slot_state(life) == TV_REGISTERING) {
        if (slot_refs(life) == 1 && given_up(other->pal, why)) {
            registry_kill(other);
        }
    } else if (why == REGISTRY_CONFLICT && slot_state(life) != TV_DYING
        && !collect_if_gone(v, other)) {
        registry_put(other);
        return tv_done(v, e);
    }
    registry_put(other);
    death_reap(v, affordable(spent));
    return HC_AGAIN;
}

/* Another PAL is where this one is: as if it had never been linked. */
static enum hc_result gives_way(struct work *w)
{
    const uint64_t entry = w->pal->image.entry;

    discard(w);
    return conflict(w->v, REGISTRY_CONFLICT, w->other, entry, BUDGET);
}

/* The caller holds the only reference; it is given back here. `spent`: instructions so far. */
static enum hc_result steps(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                            uint32_t spent)
{
    struct work w = { .v = v, .c = c, .pal = pal, .budget = BUDGET - (int)spent };

    while (pal->reg.phase <= PHASE_OVERWRITE) {
        switch (register_phase(&w)) {
        case STEP_NEXT:
            if (++pal->reg.phase == PHASE_OVERWRITE) {
                owner_remember(pal);
            }
            pal->reg.page = 0;
            break;
        case STEP_AGAIN:
            return come_again(&w);
        case STEP_FAULT:
            return pause_for_fault(&w);
        case STEP_CONFLICT:
            return gives_way(&w);
        default:
            discard(&w);
            return tv_done(v, w.error);
        }
    }
    v->regs.gpr[GPR_RDX] = pal->reg.rdx;
    go_live(pal);
    registry_put(pal->slot);
    return tv_done(v, TV_OK);
}

/* --- the first step ------------------------------------------------------------- */

/* Read a count and that many entries of 16 bytes behind it: no more, since the object may
 * end with its page. Each byte is fetched once. `max` entries fit `out`. */
static enum gm_result read_list(const struct hyp_caller *c, uint64_t from, void *out,
                                uint32_t max, struct gm_fault *f)
{
    uint32_t *header = out;
    enum gm_result r = tv_reaches(c, from, 8, f) ? gm_read(c, gva(from), header, 8, f) : GM_FAULT;

    if (r != GM_OK || header[0] < 1 || header[0] > max) {
        return r;
    }
    return tv_reaches(c, from + 8, header[0] * 16, f)
               ? gm_read(c, gva(from + 8), header + 2, header[0] * 16, f) : GM_FAULT;
}

/* No slot is free, or this process has too much; dead processes may have left some of them,
 * those with its own CR3 included. */
static enum hc_result full(struct vcpu *v, enum registry_answer why, uint32_t spent)
{
    enum tv_error e = why == REGISTRY_QUOTA ? TV_QUOTA
                      : why == REGISTRY_QUOTA_PAGES ? TV_QUOTA_PAGES : TV_QUOTA_ALL;

    if (death_reap(v, affordable(spent)) || collect_look(v, affordable(spent)) != ROOM_NONE) {
        return HC_AGAIN;
    }
    return tv_done(v, e);
}

/* What an image's lists take to be read and checked, at most: others' are short. */
static uint32_t cost_of_check(const struct tv_image *im)
{
    return !im->image ? 0 : im->section_count * (COST_SECTION + im->entry_count * COST_LOOK)
           + im->param_count * COST_PARAM;
}

static enum hc_result add(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal)
{
    uint64_t entry = pal->image.entry;
    enum registry_answer answer;
    struct tv_slot *other;
    uint32_t spent;

    pal->reg.need = (uint32_t)space_need(&pal->image);
    pal->charge = pal->reg.need + memory_pages(&pal->image);
    if (pal->charge > pool_total()) {
        memory_free(pal);
        return tv_done(v, TV_NO_MEMORY);
    }
    pal->owner = c->paging;
    pal->owner.pkru = 0; /* a thread's, and of this moment */
    pal->reg.rdx = v->regs.gpr[GPR_RDX];
    pal->reg.last_step = clock_now();
    if (!hyp_random(&pal->reg.token, tv_is_64(c) ? 8 : 4) /* as much as RDX, or EDX, holds */
        || !hyp_random(pal->nonce, sizeof(pal->nonce))) {
        memory_free(pal);
        return tv_done(v, TV_NO_ENTROPY);
    }
    stubs_place(pal);
    spent = COST_RANDOM + cost_of_check(&pal->image);
    answer = registry_add(pal, tv_owner(&c->paging), (BUDGET - spent) / COST_COMPARE, &other);
    spent += pal->reg.compared * COST_COMPARE + pal->reg.beside * COST_BESIDE;
    if (answer == REGISTRY_ADDED) {
        return steps(v, c, pal, spent);
    }
    memory_free(pal);
    if (answer == REGISTRY_AGAIN) {
        return HC_AGAIN;
    }
    return other ? conflict(v, answer, other, entry, spent) : full(v, answer, spent);
}

/* A control page, after looking for room if need be. NULL: `*r` is what to do. */
static struct tv_pal *new_pal(struct vcpu *v, enum memory_kind kind, enum hc_result *r)
{
    const size_t pages = kind == MEMORY_IMAGE ? 4 : 3;
    enum room room = hyp_random_refresh() ? ROOM_AGAIN : collect_room(v, pages);
    struct tv_pal *pal = room == ROOM_FOUND ? memory_new(kind) : NULL;

    if (!pal) {
        *r = room == ROOM_NONE ? tv_done(v, TV_NO_MEMORY) : HC_AGAIN;
    }
    return pal;
}

/* `e`: what was found wrong with pal->image. */
static enum hc_result begin(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                            enum tv_error e)
{
    enum room room;

    if (e != TV_OK) {
        memory_free(pal);
        return tv_done(v, e);
    }
    if (!memory_attach(pal)) {
        uint32_t need = memory_pages(&pal->image);
        memory_free(pal);
        room = collect_room(v, need);
        return room == ROOM_NONE ? tv_done(v, TV_NO_MEMORY) : HC_AGAIN;
    }
    return add(v, c, pal);
}

enum hc_result tv_register(struct vcpu *v, const struct hyp_caller *c)
{
    struct tv_pal_sections sections;
    struct tv_pal_params params;
    struct tv_pal *pal;
    struct gm_fault f;
    enum hc_result answer = HC_AGAIN;
    enum gm_result r = read_list(c, tv_arg(v, c, GPR_RCX), &sections, TV_MAX_SECTIONS, &f);

    if (r == GM_OK) {
        r = read_list(c, tv_arg(v, c, GPR_RSI), &params, TV_MAX_PARAMS, &f);
    }
    if (r != GM_OK) {
        return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, TV_NOT_RAM);
    }
    pal = new_pal(v, MEMORY_PUBLIC, &answer);
    return !pal ? answer
           : begin(v, c, pal, tv_check(&sections, &params, tv_arg(v, c, GPR_RDI), tv_is_64(c),
                                       &pal->image));
}

/* Size and version, and the rest only if they are known: another version's may be shorter, and
 * end with its page. Each byte is fetched once. */
static enum gm_result read_module(const struct hyp_caller *c, uint64_t from, struct xmhf_module *d,
                               struct gm_fault *f)
{
    const uint32_t head = offsetof(struct xmhf_module, convention), rest = sizeof(*d) - head;
    enum gm_result r = tv_reaches(c, from, head, f) ? gm_read(c, gva(from), d, head, f) : GM_FAULT;

    if (r != GM_OK || !tv_known_struct(d)) {
        return r;
    }
    return tv_reaches(c, from + head, rest, f)
               ? gm_read(c, gva(from + head), (uint8_t *)d + head, rest, f) : GM_FAULT;
}

enum hc_result tv_register_module(struct vcpu *v, const struct hyp_caller *c)
{
    struct xmhf_module d;
    struct tv_pal *pal;
    struct gm_fault f;
    enum hc_result answer = HC_AGAIN;
    enum gm_result r = read_module(c, tv_arg(v, c, GPR_RCX), &d, &f);

    if (r != GM_OK) {
        return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, TV_NOT_RAM);
    }
    if (!tv_known_struct(&d)) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    pal = new_pal(v, MEMORY_MODULE, &answer);
    return !pal ? answer
           : begin(v, c, pal, tv_check_module(&d, tv_arg(v, c, GPR_RDI), tv_is_64(c), &pal->image));
}

/* `n` bytes at `from`, which moves behind them. */
static enum gm_result read_next(const struct hyp_caller *c, uint64_t *from, void *out, uint64_t n,
                                struct gm_fault *f)
{
    enum gm_result r = n == 0 ? GM_OK : !tv_reaches(c, *from, n, f) ? GM_FAULT
                       : gm_read(c, gva(*from), out, n, f);

    *from += n;
    return r;
}

/* What comes before the lists, and the rest of it only if size and version are known. */
static enum gm_result read_head(const struct hyp_caller *c, uint64_t from, struct xmhf_image *d,
                                struct gm_fault *f)
{
    const uint64_t head = offsetof(struct xmhf_image, mode);
    enum gm_result r = read_next(c, &from, d, head, f);

    return r != GM_OK || !tv_known_image(d)
               ? r : read_next(c, &from, (uint8_t *)d + head, sizeof(*d) - head, f);
}

/* The lists, behind the head. Each byte is fetched once. */
static enum gm_result read_lists(const struct hyp_caller *c, uint64_t from, struct tv_descriptor *d,
                                 struct xmhf_image_param *params, struct gm_fault *f)
{
    enum gm_result r;

    from += sizeof(d->image);
    r = read_next(c, &from, d->sections, d->image.sections * sizeof(d->sections[0]), f);
    if (r == GM_OK) {
        r = read_next(c, &from, params, d->image.params * sizeof(*params), f);
    }
    return r != GM_OK ? r
           : read_next(c, &from, d->entries, d->image.entries * sizeof(d->entries[0]), f);
}

/* Read the lists and check all. The parameters are read to where they stay. A function of its own,
 * so that the lists don't stay on the stack. */
__attribute__((noinline))
static enum gm_result read_image(const struct vcpu *v, const struct hyp_caller *c,
                                 const struct xmhf_image *head, struct tv_pal *pal,
                                 enum tv_error *e, struct gm_fault *f)
{
    _Static_assert(sizeof(struct xmhf_image_param) == sizeof(*pal->params), "in place");
    struct xmhf_image_param *params = (struct xmhf_image_param *)pal->params;
    struct tv_descriptor d;
    enum gm_result r;

    d.image = *head;
    d.params = params;
    r = read_lists(c, tv_arg(v, c, GPR_RCX), &d, params, f);
    *e = r == GM_OK ? tv_check_image(&d, tv_is_64(c), &pal->image) : TV_NOT_RAM;
    return r;
}

enum hc_result tv_register_image(struct vcpu *v, const struct hyp_caller *c)
{
    struct xmhf_image d;
    struct tv_pal *pal;
    struct gm_fault f;
    enum hc_result answer = HC_AGAIN;
    enum gm_result r = read_head(c, tv_arg(v, c, GPR_RCX), &d, &f);
    enum tv_error e;

    if (r != GM_OK) {
        return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, TV_NOT_RAM);
    }
    e = tv_check_image_head(&d, tv_arg(v, c, GPR_RDI), tv_is_64(c));
    if (e != TV_OK) {
        return tv_done(v, e);
    }
    pal = new_pal(v, MEMORY_IMAGE, &answer);
    if (!pal) {
        return answer;
    }
    r = read_image(v, c, &d, pal, &e, &f);
    if (r == GM_FAULT) {
        memory_free(pal);
        return tv_fault(v, &f);
    }
    return begin(v, c, pal, e);
}

enum hc_result tv_register_step(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t entry = tv_arg(v, c, GPR_RDI);
    bool busy;
    struct tv_slot *s = registry_get_idle(tv_owner(&c->paging), entry, &busy);

    if (!s) {
        return busy ? HC_AGAIN : HC_UNKNOWN;
    }
    if (s->pal->reg.token == tv_arg(v, c, GPR_RDX) && s->pal->image.entry == entry
        && s->pal->image.caller_64 == tv_is_64(c)) {
        return steps(v, c, s->pal, 0);
    }
    registry_put(s);
    return HC_UNKNOWN;
}
