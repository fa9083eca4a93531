/* SPDX-License-Identifier: MIT */
/* Hardware task switches, carried out by software (SDM vol. 3, chapter 8; table 8-1 is the order
 * of the checks). */
#include <guest/descriptor.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <guest/task.h>
#include <guest/tss.h>
#include <util/string.h>
#include <virt/virt.h>
#include <x86/cpu.h>

#define RFLAGS_DEFINED 0x3f7fd7ULL
#define EXT 1u /* of an error code: while an event from outside the program was delivered (6.13) */

/* Guest-linear memory, in at most two pages, by core pointers: what was reached once can't fail. */
struct span {
    uint8_t *part[2];
    size_t len[2];
};

struct descriptor {
    uint32_t at;         /* linear */
    struct segment seg;
};

struct task {
    struct vcpu *v;
    struct guest_paging p;          /* for accesses of ring 0, as the CPU's own are */
    uint64_t gdt_base;
    uint32_t gdt_limit;
    uint32_t ext;                   /* EXT, or 0 */
    /* the new task returns to the old; the old one isn't busy any more */
    bool nested, leaves;
    struct segment old;             /* TR */
    struct descriptor tss;          /* the new one */
    bool is_32;                     /* the new TSS has 32 bits */
    uint8_t image[TSS32_SIZE];      /* of it */
    struct event fault;
    uint64_t cr2;
};

static bool fail(struct task *t, uint8_t vector, uint32_t error)
{
    t->fault = (struct event){ .vector = vector, .type = EVENT_EXCEPTION, .has_error = true,
                               .error = (error & 0xfffc) | t->ext };
    return false;
}

static bool fail_page(struct task *t, uint32_t at, uint32_t error)
{
    fail(t, EXC_PF, 0);
    t->fault.error = error;
    t->cr2 = at;
    return false;
}

/* Memory at `at` for the switch, or a fault. A guest has no tables in what isn't RAM: #GP. */
static bool reach(struct task *t, uint32_t at, size_t len, unsigned access, struct span *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->part); i++) {
        size_t room = PAGE_SIZE - (at & PAGE_MASK), n = len < room ? len : room;
        struct walk w;

        s->len[i] = n;
        if (n == 0) {
            continue;
        }
        enum walk_result r = guest_walk(&guest_phys_ops, &t->p, gva(at), access, &w);
        if (r != WALK_OK) {
            return r == WALK_FAULT ? fail_page(t, at, w.error) : fail(t, EXC_GP, 0);
        }
        s->part[i] = w.ptr;
        at += (uint32_t)n;
        len -= n;
    }
    return true;
}

static void get(const struct span *s, void *to)
{
    memcpy(to, s->part[0], s->len[0]);
    if (s->len[1]) {
        memcpy((uint8_t *)to + s->len[0], s->part[1], s->len[1]);
    }
}

static void put(const struct span *s, const void *from)
{
    memcpy(s->part[0], from, s->len[0]);
    if (s->len[1]) {
        memcpy(s->part[1], (const uint8_t *)from + s->len[0], s->len[1]);
    }
}

/* Find the descriptor of `selector` in the GDT, or in `ldt` if it says so (NULL: not allowed). If
 * it is in neither there is a fault `vector`. */
static bool find(struct task *t, uint16_t selector, const struct segment *ldt, uint8_t vector,
                 struct descriptor *d)
{
    uint32_t offset = selector & 0xfff8;
    bool local = selector & 4;
    struct span s;
    uint8_t bytes[8];

    if (local ? !ldt || !ldt->attr || offset + 7 > ldt->limit : offset + 7 > t->gdt_limit) {
        return fail(t, vector, selector);
    }
    d->at = (uint32_t)(local ? ldt->base : t->gdt_base) + offset;
    if (!reach(t, d->at, sizeof(bytes), ACCESS_READ, &s)) {
        return false;
    }
    get(&s, bytes);
    descriptor_parse(bytes, selector, &d->seg);
    return true;
}

static bool is_tss(const struct segment *s)
{
    return (s->attr & (SEG_ATTR_S | 5)) == 1; /* types 1, 3, 9, 11 */
}

/* Find and check the new TSS's descriptor (the first five rows of table 8-1). `back`: the old task
 * returns to it, so it must be busy. */
static bool check_tss(struct task *t, uint16_t selector, bool back)
{
    uint8_t vector = back ? EXC_TS : EXC_GP;
    const struct segment *s = &t->tss.seg;

    if (!(selector & 0xfffc)) {
        return fail(t, vector, selector);
    }
    if (!find(t, selector, NULL, vector, &t->tss)) {
        return false;
    }
    if (!is_tss(s) || !!(s->attr & TSS_BUSY) != back) {
        return fail(t, vector, selector);
    }
    if (!(s->attr & SEG_ATTR_P)) {
        return fail(t, EXC_NP, selector);
    }
    t->is_32 = s->attr & TSS_TYPE_32;
    return s->limit >= (t->is_32 ? TSS32_SIZE : TSS16_SIZE) - 1u || fail(t, EXC_TS, selector);
}

/* Setting or clearing the busy bit, as the CPU does it: locked, in the byte of the type. */
static void mark(uint8_t *type, bool busy)
{
    if (busy) {
        atomic_fetch_or((_Atomic uint8_t *)type, TSS_BUSY);
    } else {
        atomic_fetch_and((_Atomic uint8_t *)type, (uint8_t)~TSS_BUSY);
    }
}

static void save32(const struct task *t, uint8_t *part, uint64_t rip, uint64_t flags)
{
    static const enum segment_index order[] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };
    uint32_t *word = (uint32_t *)part;
    struct segment s;

    *word++ = (uint32_t)rip;
    *word++ = (uint32_t)flags;
    for (unsigned i = 0; i < 8; i++) {
        *word++ = (uint32_t)t->v->regs.gpr[i];
    }
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++, word++) {
        virt->get_segment(t->v, order[i], &s);
        *word = (*word & 0xffff0000) | s.selector;
    }
}

static void save16(const struct task *t, uint8_t *part, uint64_t rip, uint64_t flags)
{
    static const enum segment_index order[] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS };
    uint16_t *word = (uint16_t *)part;
    struct segment s;

    *word++ = (uint16_t)rip;
    *word++ = (uint16_t)flags;
    for (unsigned i = 0; i < 8; i++) {
        *word++ = (uint16_t)t->v->regs.gpr[i];
    }
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        virt->get_segment(t->v, order[i], &s);
        *word++ = s.selector;
    }
}

/*
 * All memory is reached before any is changed, then: the old state is saved, busy bits and the link
 * are set, and the new state read, in this order, for the two may be one. False: a fault in the old
 * task, and nothing has changed.
 */
static bool commit(struct task *t, const struct exit *e)
{
    const bool old_is_32 = t->old.attr & TSS_TYPE_32;
    const uint32_t first = old_is_32 ? TSS32_SAVED : TSS16_SAVED;
    const size_t saved = old_is_32 ? TSS32_SAVED_LEN : TSS16_SAVED_LEN;
    const uint32_t new = (uint32_t)t->tss.seg.base;
    struct span old, image, link, new_type, old_type;
    uint8_t part[TSS32_SAVED_LEN] __attribute__((aligned(4)));
    uint64_t flags = t->v->regs.rflags & ~(e->task.source == TASK_IRET ? RFLAGS_NT : 0);

    if (t->old.limit < first + saved - 1) {
        return fail(t, EXC_TS, t->old.selector);
    }
    if (!reach(t, (uint32_t)t->old.base + first, saved, ACCESS_WRITE, &old)
        || !reach(t, new, t->is_32 ? TSS32_SIZE : TSS16_SIZE, ACCESS_READ, &image)
        || !reach(t, new, 2, t->nested ? ACCESS_WRITE : ACCESS_READ, &link)
        || !reach(t, t->tss.at + 5, 1, ACCESS_WRITE, &new_type)
        || !reach(t, (uint32_t)t->gdt_base + (t->old.selector & 0xfff8) + 5, 1,
                  t->leaves ? ACCESS_WRITE : ACCESS_READ, &old_type)) {
        return false;
    }
    get(&old, part);
    (old_is_32 ? save32 : save16)(t, part, t->v->regs.rip + e->insn_len, flags);
    put(&old, part);
    if (t->leaves) {
        mark(old_type.part[0], false);
    }
    if (e->task.source != TASK_IRET) {
        mark(new_type.part[0], true);
    }
    if (t->nested) {
        put(&link, &t->old.selector);
    }
    get(&image, t->image);
    return true;
}

static uint32_t word_at(const struct task *t, unsigned offset)
{
    uint32_t value = 0;

    memcpy(&value, t->image + offset, t->is_32 ? 4 : 2);
    return value;
}

/* Registers and selectors of the new TSS; the segments' hidden parts are unusable so far. */
static void read_image(const struct task *t, struct task_state *n)
{
    const unsigned first = t->is_32 ? TSS32_SAVED : TSS16_SAVED, step = t->is_32 ? 4 : 2;
    static const enum segment_index order[] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

    n->regs = (struct vcpu_regs){ .rip = word_at(t, first) };
    n->regs.rflags = (word_at(t, first + step) & RFLAGS_DEFINED) | RFLAGS_ONE
        | (t->nested ? RFLAGS_NT : 0);
    for (unsigned i = 0; i < 8; i++) {
        n->regs.gpr[i] = word_at(t, first + (2 + i) * step);
    }
    for (unsigned i = 0; i < (t->is_32 ? 6 : 4); i++) {
        n->seg[order[i]].selector = (uint16_t)word_at(t, first + (10 + i) * step);
    }
    n->seg[SEG_LDTR].selector = (uint16_t)word_at(t, t->is_32 ? TSS32_LDT : TSS16_LDT);
    n->seg[SEG_TR] = t->tss.seg;
    n->seg[SEG_TR].attr |= TSS_BUSY;
    n->debug = t->is_32 && (t->image[TSS32_TRAP] & 1);
}

static bool load_ldt(struct task *t, struct task_state *n)
{
    const uint16_t selector = n->seg[SEG_LDTR].selector;
    struct descriptor d;

    if (!(selector & 0xfffc)) {
        return true;
    }
    if (!find(t, selector, NULL, EXC_TS, &d)) {
        return false;
    }
    if ((d.seg.attr & (SEG_ATTR_S | SEG_ATTR_TYPE | SEG_ATTR_P)) != SEG_ATTR_LDT) {
        return fail(t, EXC_TS, selector);
    }
    n->seg[SEG_LDTR] = d.seg;
    return true;
}

/* The CPU sets the accessed bit of a descriptor that it loads. Finds the byte with that bit, if it
 * isn't set yet. */
static bool reach_type(struct task *t, const struct descriptor *d, struct span *type)
{
    return (d->seg.attr & SEG_ACCESSED) || reach(t, d->at + 5, 1, ACCESS_WRITE, type);
}

static void take(const struct descriptor *d, const struct span *type, struct segment *s)
{
    if (!(d->seg.attr & SEG_ACCESSED)) {
        atomic_fetch_or((_Atomic uint8_t *)type->part[0], SEG_ACCESSED);
    }
    *s = d->seg;
    s->attr |= SEG_ACCESSED;
}

static bool accept(struct task *t, const struct descriptor *d, struct segment *s)
{
    struct span type;

    if (!reach_type(t, d, &type)) {
        return false;
    }
    take(d, &type, s);
    return true;
}

static unsigned dpl_of(const struct segment *s) { return s->attr >> 5 & 3; }

static bool check_code(struct task *t, const struct segment *s)
{
    unsigned rpl = s->selector & 3;
    bool conforming = s->attr & 4;

    if (!(s->attr & SEG_ATTR_S) || !(s->attr & 8)
        || (conforming ? dpl_of(s) > rpl : dpl_of(s) != rpl)) {
        return fail(t, EXC_TS, s->selector);
    }
    return (s->attr & SEG_ATTR_P) || fail(t, EXC_NP, s->selector);
}

static bool check_stack(struct task *t, const struct segment *s, unsigned cpl)
{
    if ((s->attr & (SEG_ATTR_S | 10)) != (SEG_ATTR_S | 2)) {
        return fail(t, EXC_TS, s->selector);
    }
    if (!(s->attr & SEG_ATTR_P)) {
        return fail(t, EXC_SS, s->selector);
    }
    return (dpl_of(s) == cpl && (s->selector & 3u) == cpl) || fail(t, EXC_TS, s->selector);
}

/* CS and SS are loaded together, so that the ring is one of both at any time; SS is looked at
 * first. */
static bool load_code_and_stack(struct task *t, struct task_state *n)
{
    const uint16_t cs = n->seg[SEG_CS].selector, ss = n->seg[SEG_SS].selector;
    struct descriptor code, stack;
    struct span code_type, stack_type;

    if (!(ss & 0xfffc) || !find(t, ss, &n->seg[SEG_LDTR], EXC_TS, &stack)) {
        return ss & 0xfffc ? false : fail(t, EXC_TS, ss);
    }
    if (!check_stack(t, &stack.seg, cs & 3)) {
        return false;
    }
    if (!(cs & 0xfffc) || !find(t, cs, &n->seg[SEG_LDTR], EXC_TS, &code)) {
        return cs & 0xfffc ? false : fail(t, EXC_TS, cs);
    }
    if (!check_code(t, &code.seg) || !reach_type(t, &code, &code_type)
        || !reach_type(t, &stack, &stack_type)) {
        return false;
    }
    take(&code, &code_type, &n->seg[SEG_CS]);
    take(&stack, &stack_type, &n->seg[SEG_SS]);
    return true;
}

static bool load_data(struct task *t, struct task_state *n, enum segment_index i)
{
    const uint16_t selector = n->seg[i].selector;
    const unsigned cpl = n->seg[SEG_CS].selector & 3u;
    struct descriptor d;

    if (!(selector & 0xfffc)) {
        return true; /* null: unusable */
    }
    if (!find(t, selector, &n->seg[SEG_LDTR], EXC_TS, &d)) {
        return false;
    }
    bool code = d.seg.attr & 8, conforming = code && (d.seg.attr & 4);
    if (!(d.seg.attr & SEG_ATTR_S) || (code && !(d.seg.attr & 2))
        || (!conforming && (dpl_of(&d.seg) < cpl || dpl_of(&d.seg) < (selector & 3u)))) {
        return fail(t, EXC_TS, selector);
    }
    return (d.seg.attr & SEG_ATTR_P) ? accept(t, &d, &n->seg[i]) : fail(t, EXC_NP, selector);
}

static void load_v86(struct task_state *n)
{
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        n->seg[i] = (struct segment){ n->seg[i].selector, SEG_ATTR_V86, 0xffff,
                                      (uint32_t)n->seg[i].selector << 4 };
    }
}

static bool load_segments(struct task *t, struct task_state *n)
{
    static const enum segment_index data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };

    if (!load_ldt(t, n)) {
        return false;
    }
    if (n->regs.rflags & RFLAGS_VM) {
        load_v86(n);
        return true;
    }
    if (!load_code_and_stack(t, n)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        if (!load_data(t, n, data[i])) {
            return false;
        }
    }
    return true;
}

/* Is [at, at+len) in a stack segment? Expand-down ones hold what is above their limit (3.4.5.1). */
static bool on_stack(const struct segment *ss, uint32_t at, uint32_t len)
{
    uint32_t last = at + len - 1, top = ss->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;

    if (last < at) {
        return false;
    }
    return (ss->attr & 12) == 4 ? at > ss->limit && last <= top : last <= ss->limit;
}

/* The error code goes to the new task's stack, as large as its TSS says (8.3). */
static bool push_error(struct task *t, const struct exit *e, struct task_state *n)
{
    const struct segment *ss = &n->seg[SEG_SS];
    const uint32_t len = t->is_32 ? 4 : 2, mask = ss->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff;
    uint64_t *rsp = &n->regs.gpr[GPR_RSP];
    uint32_t at = ((uint32_t)*rsp - len) & mask;
    struct span s;

    if (!e->task.has_error) {
        return true;
    }
    t->p.cpl = n->regs.rflags & RFLAGS_VM ? 3 : n->seg[SEG_CS].selector & 3;
    if (!on_stack(ss, at, len)) {
        return fail(t, EXC_SS, 0);
    }
    if (!reach(t, (uint32_t)ss->base + at, len, ACCESS_WRITE, &s)) {
        return false;
    }
    put(&s, &e->task.error);
    *rsp = (*rsp & ~(uint64_t)mask) | at;
    return true;
}

static bool (*may_load_cr3)(struct vcpu *v, uint64_t *value);

void task_on_cr3(bool (*may)(struct vcpu *v, uint64_t *value))
{
    may_load_cr3 = may;
}

static bool load_cr3(struct task *t, uint64_t value)
{
    if ((may_load_cr3 && !may_load_cr3(t->v, &value)) || !virt->set_cr3(t->v, value)) {
        return false;
    }
    t->p.cr3 = value;
    return true;
}

/* Behind the point of no return: what fails here is a fault of the new task. */
static bool enter(struct task *t, const struct exit *e, struct task_state *n)
{
    bool paging = t->is_32 && (t->p.cr0 & CR0_PG);
    bool good = true;

    read_image(t, n);
    n->nmi = e->task.source == TASK_IRET ? -1 : e->task.nmi ? 1 : 0;
    if (paging) {
        good = load_cr3(t, word_at(t, TSS32_CR3)) || fail(t, EXC_GP, 0);
    }
    good = good && load_segments(t, n) && push_error(t, e, n);
    virt->load_task(t->v, n);
    return good;
}

static void begin(struct task *t, struct vcpu *v, const struct exit *e)
{
    memset(t, 0, sizeof(*t));
    t->v = v;
    virt->get_paging(v, &t->p);
    t->p.cpl = 0;
    t->p.ac = false;
    virt->get_table(v, TABLE_GDTR, &t->gdt_base, &t->gdt_limit);
    virt->get_segment(v, SEG_TR, &t->old);
    t->ext = e->task.external ? EXT : 0;
    t->nested = e->task.source == TASK_CALL || e->task.source == TASK_EVENT;
    t->leaves = !t->nested;
}

static void inject_fault(const struct task *t)
{
    if (t->fault.vector == EXC_PF) {
        virt->set_cr2(t->v, t->cr2);
    }
    virt->inject(t->v, &t->fault);
}

void task_switch(struct vcpu *v, const struct exit *e)
{
    static const struct event trap = { .vector = EXC_DB, .type = EVENT_EXCEPTION };
    struct task_state n = { 0 };
    struct task t;

    begin(&t, v, e);
    if (!check_tss(&t, e->task.selector, e->task.source == TASK_IRET) || !commit(&t, e)
        || !enter(&t, e, &n)) {
        inject_fault(&t); /* an event that led here is queued still: it may become a double fault */
        return;
    }
    virt->event_done(v);
    if (n.debug) {
        virt->inject(v, &trap);
    }
}
