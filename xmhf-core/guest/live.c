/* SPDX-License-Identifier: MIT */
/* The state of a CPU that is already running: descriptors, and what stands in the way. */
#include <guest/descriptor.h>
#include <guest/live.h>
#include <guest/tss.h>
#include <util/string.h>
#include <x86/cpu.h>

#define SELECTOR_TI   4u /* in the LDT */
#define SELECTOR_RPL  3u
#define TYPE_CODE     8u
#define TYPE_READABLE 2u /* of code; of data: writable */
#define TYPE_LDT      2u
#define TYPE_TSS64    9u /* available; busy is 11 (SDM vol. 3, table 3-2) */
#define TYPE_BITS     0xfu

static bool canonical(uint64_t a)
{
    return is_canonical(a, 48);
}

/* --- what the core doesn't take -------------------------------------------------------------- */

static const char *cr4_refused(uint64_t bits)
{
    static const struct { uint64_t bit; const char *why; } rows[] = {
        { CR4_LA57, "5-level paging (CR4.LA57) is on" },
        { CR4_VMXE, "VMX is in use already (CR4.VMXE)" },
        { CR4_SMXE, "SMX is in use (CR4.SMXE)" },
        { CR4_CET, "CET is in use (CR4.CET)" },
        { CR4_PKS, "protection keys for supervisor pages are in use (CR4.PKS)" },
        { CR4_UINTR, "user interrupts are in use (CR4.UINTR)" },
        { CR4_LAM_SUP, "LAM is in use (CR4.LAM_SUP)" },
        { CR4_FRED, "FRED is in use (CR4.FRED)" },
        { CR4_KL, "Key Locker is in use (CR4.KL)" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (bits & rows[i].bit) {
            return rows[i].why;
        }
    }
    return bits ? "CR4 has a bit that the guest can't have" : NULL;
}

static const char *mode_refused(const struct live_state *l, const struct live_limits *limits)
{
    const uint64_t cr0 = CR0_PE | CR0_PG, efer = EFER_LME | EFER_LMA;
    const struct live_cpu *c = &l->cpu;
    const char *why = cr4_refused(c->cr4 & ~limits->cr4);

    if (why) {
        return why;
    }
    if ((c->cr0 & cr0) != cr0 || (l->efer & efer) != efer || !(c->cr4 & CR4_PAE)
        || (c->selector[LIVE_CS] & SELECTOR_RPL)) {
        return "the CPU isn't in ring 0 of 64-bit mode";
    }
    if (l->efer & EFER_SVME) {
        return "SVM is in use already (EFER.SVME)";
    }
    if (l->efer & ~(limits->efer | EFER_LMA)) {
        return "EFER has a bit that the guest can't have";
    }
    if (c->cr3 & limits->beyond) {
        return "CR3 has bits beyond the width of addresses";
    }
    if (!canonical(c->rip) || !canonical(c->rsp) || !canonical(c->gdtr.base)
        || !canonical(c->idtr.base)) {
        return "an address of the CPU's state isn't canonical";
    }
    return NULL;
}

/* --- segments -------------------------------------------------------------------------------- */

struct tables {
    live_reader read;
    uint64_t gdt, ldt;
    uint32_t gdt_limit, ldt_limit; /* the last byte; of no LDT: 0 */
};

static bool is_null(uint16_t selector)
{
    return (selector & ~SELECTOR_RPL) == 0;
}

/* Its 8 or 16 bytes. False: beyond the table's limit, or not there. */
static bool read_descriptor(const struct tables *t, uint16_t selector, uint8_t *d, unsigned size)
{
    const bool ldt = selector & SELECTOR_TI;
    const uint32_t offset = selector & ~7u, limit = ldt ? t->ldt_limit : t->gdt_limit;
    const uint64_t at = (ldt ? t->ldt : t->gdt) + offset;

    return offset + size - 1 <= limit && canonical(at) && canonical(at + size - 1)
        && t->read(at, d, size);
}

/* LDTR or TR. False: the selector names no descriptor of `type` that is present. */
static bool system_segment(const struct tables *t, uint16_t selector, uint8_t type,
                           struct segment *s)
{
    uint8_t d[16];

    if ((selector & SELECTOR_TI) || !read_descriptor(t, selector, d, sizeof(d))) {
        return false;
    }
    descriptor_parse(d, selector, s);
    s->base |= (uint64_t)(d[8] | (uint32_t)d[9] << 8 | (uint32_t)d[10] << 16
                          | (uint32_t)d[11] << 24) << 32;
    return (s->attr & (SEG_ATTR_P | SEG_ATTR_S | TYPE_BITS)) == (SEG_ATTR_P | type)
        && canonical(s->base);
}

static const char *load_ldtr(struct tables *t, uint16_t selector, struct segment *s)
{
    *s = (struct segment){ .selector = selector };
    if (is_null(selector)) {
        return NULL;
    }
    if (!system_segment(t, selector, TYPE_LDT, s)) {
        return "LDTR names no LDT in the GDT";
    }
    t->ldt = s->base;
    t->ldt_limit = s->limit;
    return NULL;
}

/* A null TR is as a reset has left it: nobody can load that. */
static const char *load_tr(const struct tables *t, uint16_t selector, struct segment *s)
{
    *s = (struct segment){ selector, SEG_ATTR_TSS_BUSY, 0xffff, 0 };
    if (is_null(selector)) {
        return NULL;
    }
    /* Loading it made it busy, but for one in memory that can't be written. */
    if (!system_segment(t, selector, TYPE_TSS64 | TSS_BUSY, s)
        && !system_segment(t, selector, TYPE_TSS64, s)) {
        return "TR names no TSS in the GDT";
    }
    s->attr |= TSS_BUSY;
    return NULL;
}

static const char *load_cs(const struct tables *t, uint16_t selector, struct segment *s)
{
    const uint16_t want = SEG_ATTR_P | SEG_ATTR_S | TYPE_CODE | SEG_ATTR_L;
    uint8_t d[8];

    if (is_null(selector) || !read_descriptor(t, selector, d, sizeof(d))) {
        return "CS names no descriptor that can be read";
    }
    descriptor_parse(d, selector, s);
    s->attr |= SEG_ACCESSED;
    return (s->attr & (want | SEG_ATTR_DB | SEG_ATTR_DPL)) == want
        ? NULL : "CS names no 64-bit code of ring 0";
}

/* SS, which coming back natively loads again; so a descriptor that isn't there any more can't be
 * made up. */
static const char *load_ss(const struct tables *t, uint16_t selector, struct segment *s)
{
    const uint16_t want = SEG_ATTR_P | SEG_ATTR_S | TYPE_READABLE;
    uint8_t d[8];

    *s = (struct segment){ .selector = selector };
    if (is_null(selector)) {
        return selector ? "SS is null with a ring" : NULL;
    }
    if ((selector & SELECTOR_RPL) || !read_descriptor(t, selector, d, sizeof(d))) {
        return "SS names no descriptor that can be read";
    }
    descriptor_parse(d, selector, s);
    s->attr |= SEG_ACCESSED;
    return (s->attr & (want | TYPE_CODE | SEG_ATTR_DPL)) == want
        ? NULL : "SS names no data of ring 0";
}

/* 64-bit mode asks for nothing of these but the bases of FS and GS. */
static void load_data(const struct tables *t, uint16_t selector, struct segment *s)
{
    uint8_t d[8];

    *s = (struct segment){ .selector = selector };
    if (is_null(selector)) {
        return;
    }
    if (read_descriptor(t, selector, d, sizeof(d))) {
        descriptor_parse(d, selector, s);
        s->attr |= SEG_ACCESSED;
    }
    if ((s->attr & (SEG_ATTR_P | SEG_ATTR_S)) != (SEG_ATTR_P | SEG_ATTR_S)
        || (s->attr & (TYPE_CODE | TYPE_READABLE)) == TYPE_CODE) {
        *s = (struct segment){ selector, SEG_ATTR_DATA32, 0xffffffff, 0 };
    }
}

static const char *load_segments(const struct live_state *l, live_reader read,
                                 struct vcpu_state *s)
{
    const struct live_cpu *c = &l->cpu;
    struct tables t = { .read = read, .gdt = c->gdtr.base, .gdt_limit = c->gdtr.limit };
    const char *why = load_ldtr(&t, c->selector[LIVE_LDTR], &s->seg[SEG_LDTR]);

    why = why ? why : load_tr(&t, c->selector[LIVE_TR], &s->seg[SEG_TR]);
    why = why ? why : load_cs(&t, c->selector[LIVE_CS], &s->seg[SEG_CS]);
    why = why ? why : load_ss(&t, c->selector[LIVE_SS], &s->seg[SEG_SS]);
    load_data(&t, c->selector[LIVE_DS], &s->seg[SEG_DS]);
    load_data(&t, c->selector[LIVE_ES], &s->seg[SEG_ES]);
    load_data(&t, c->selector[LIVE_FS], &s->seg[SEG_FS]);
    load_data(&t, c->selector[LIVE_GS], &s->seg[SEG_GS]);
    s->seg[SEG_FS].base = l->fs_base;
    s->seg[SEG_GS].base = l->gs_base;
    return why;
}

/* --- all of it ------------------------------------------------------------------------------- */

const char *live_make_state(const struct live_state *l, const struct live_limits *limits,
                            live_reader read, struct vcpu_state *s)
{
    const struct live_cpu *c = &l->cpu;
    const char *why = mode_refused(l, limits);

    if (why) {
        return why;
    }
    memset(s, 0, sizeof(*s));
    s->regs.rip = c->rip;
    s->regs.gpr[GPR_RSP] = c->rsp;
    s->regs.rflags = RFLAGS_ONE;
    s->gdt_base = c->gdtr.base;
    s->gdt_limit = c->gdtr.limit;
    s->idt_base = c->idtr.base;
    s->idt_limit = c->idtr.limit;
    s->cr0 = c->cr0;
    s->cr2 = c->cr2;
    s->cr3 = c->cr3;
    s->cr4 = c->cr4;
    s->efer = l->efer;
    s->pat = l->pat;
    s->debugctl = l->debugctl;
    s->dr6 = l->dr6;
    s->dr7 = l->dr7;
    s->msrs = l->msrs;
    return load_segments(l, read, s);
}
