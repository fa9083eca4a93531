/* SPDX-License-Identifier: MIT */
/* Memory of devices that the hypapp asked for (hyp_mmio): each access is taken apart, the hypapp
 * asked, and what it leaves to the core is carried out on the device. */
#include <debug/log.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/operand.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <insn/load.h>
#include <insn/write.h>
#include <mm/host_map.h>
#include <policy/regions.h>
#include <x86/cpu.h>

#define MMIO_PAGES 64u /* of all regions together */

/* The pages that were asked for, in no order, with who is asked about each. */
static struct mmio_page {
    uint64_t base;
    volatile uint8_t *device;
    hyp_mmio_fn *fn;
} pages[MMIO_PAGES];
static unsigned page_count;

static void mmio(struct vcpu *v, const struct exit *e);

/* All is known to fit before anything is changed. If table pages run out in the middle what was
 * done stays, but then the launch is refused. */
int hyp_mmio(gpa_t base, uint64_t size, unsigned access, hyp_mmio_fn *fn)
{
    const bool reads = access & ACCESS_READ;
    const struct region r = { base.a, size, ACCESS_WRITE | (reads ? ACCESS_READ | ACCESS_EXEC : 0u),
                              mmio };

    if (!fn || !(access & ACCESS_WRITE) || (access & ~(unsigned)(ACCESS_READ | ACCESS_WRITE))
        || size / PAGE_SIZE > MMIO_PAGES - page_count) {
        return -1;
    }
    for (unsigned i = 0; i < page_count; i++) {
        if (pages[i].base - base.a < size) {
            return -1;
        }
    }
    if (region_add(REGION_MEMORY, &r) != 0) {
        return -1;
    }
    for (uint64_t at = base.a; at < base.a + size; at += PAGE_SIZE) {
        if (guest_phys_device_rights(gpa(at), reads ? 0 : ACCESS_READ | ACCESS_EXEC) != 0) {
            return -1;
        }
        pages[page_count++] = (struct mmio_page){ at, host_map_mmio(at), fn };
    }
    return 0;
}

static const struct mmio_page *find_page(gpa_t g)
{
    const struct mmio_page *p = pages;

    while (p < pages + page_count && p->base != align_down(g.a, PAGE_SIZE)) {
        p++;
    }
    return p; /* a row of the table is there for each */
}

#define AS(type, p) (*(volatile type *)(volatile void *)(p))

/* Read from the device by one access of `size`, as the guest's own would be. */
static uint64_t device_read(volatile uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? AS(uint16_t, p) : size == 4 ? AS(uint32_t, p)
        : AS(uint64_t, p);
}

static void device_write(volatile uint8_t *p, unsigned size, uint64_t value)
{
    switch (size) {
    case 1: *p = (uint8_t)value; return;
    case 2: AS(uint16_t, p) = (uint16_t)value; return;
    case 4: AS(uint32_t, p) = (uint32_t)value; return;
    default: AS(uint64_t, p) = value; return;
    }
}

/* Ask the hypapp, and carry out what it leaves to the core. With HYP_DONE `m->value` is what a
 * read gave. */
static enum hyp_answer access(struct vcpu *v, struct hyp_mmio *m)
{
    const struct mmio_page *p = find_page(m->at);
    enum hyp_answer a = p->fn(v, m);

    if (a != HYP_CORE) {
        return a;
    }
    if (m->write) {
        device_write(p->device + (m->at.a & PAGE_MASK), m->size, m->value);
    } else {
        m->value = device_read(p->device + (m->at.a & PAGE_MASK), m->size);
    }
    return HYP_DONE;
}

static enum hyp_answer load(struct vcpu *v, gpa_t at, const struct insn_load *l)
{
    struct hyp_mmio m = { .at = at, .size = l->size };
    enum hyp_answer a = access(v, &m);
    unsigned up = 64 - 8u * l->size;

    if (a == HYP_DONE) {
        m.value = l->sign ? (uint64_t)((int64_t)(m.value << up) >> up)
                          : insn_low(m.value, 8u * l->size);
        insn_set_register(&v->regs.gpr[l->reg], l->shift, l->to_size, m.value);
    }
    return a;
}

/* An instruction that writes, and may read first. Registers and flags change when both accesses
 * are done. */
static enum hyp_answer store(struct vcpu *v, gpa_t at, const struct insn_write *w)
{
    const unsigned bits = 8u * w->size;
    uint64_t src = insn_low(w->has_imm ? w->imm : v->regs.gpr[w->reg] >> w->shift, bits);
    struct hyp_mmio m = { .at = at, .size = w->size };
    uint64_t flags = v->regs.rflags;
    enum hyp_answer a = w->op == WRITE_MOV ? HYP_DONE : access(v, &m);

    if (a != HYP_DONE) {
        return a;
    }
    const uint64_t old = insn_low(m.value, bits);
    m.write = true;
    m.value = insn_low(insn_write_result(w->op, w->size, old, src, &flags), bits);
    a = access(v, &m);
    if (a == HYP_DONE) {
        v->regs.rflags = flags;
        if (w->op == WRITE_XCHG || w->op == WRITE_XADD) {
            insn_set_register(&v->regs.gpr[w->reg], w->shift, w->size, old);
        }
    }
    return a;
}

struct string_mmio {
    const struct insn_write *w;
    struct guest_paging *p;
    uint64_t from, to;       /* linear */
    bool reads;              /* the device is the source, of MOVS */
};

/* Find where the string instruction's element lies. False: a fault is queued. */
static bool string_find(struct vcpu *v, struct string_mmio *s)
{
    const struct insn_write *w = s->w;

    return linear_address(v, s->p, SEG_ES, index_register(v, GPR_RDI, w->address_bits), w->size,
                          ACCESS_WRITE, &s->to)
        && (w->op == WRITE_STOS
            || linear_address(v, s->p, segment_of(w->segment, SEG_DS),
                              index_register(v, GPR_RSI, w->address_bits), w->size, ACCESS_READ,
                              &s->from));
}

static void string_step(struct vcpu *v, const struct insn_write *w)
{
    uint64_t by = v->regs.rflags & RFLAGS_DF ? 0 - (uint64_t)w->size : w->size;

    index_add(&v->regs.gpr[GPR_RDI], w->address_bits, by);
    if (w->op == WRITE_MOVS) {
        index_add(&v->regs.gpr[GPR_RSI], w->address_bits, by);
    }
    if (w->rep) {
        index_add(&v->regs.gpr[GPR_RCX], w->address_bits, ~0ULL);
    }
}

/* Do one element of a string instruction. If more are to come the instruction runs again. */
static enum hyp_answer string(struct vcpu *v, gpa_t at, struct string_mmio *s)
{
    const struct insn_write *w = s->w;
    struct hyp_mmio m = { .at = at, .size = w->size, .write = !s->reads,
                          .value = v->regs.gpr[GPR_RAX] };

    if (!string_find(v, s) || (s->reads && !linear_reach(v, s->p, s->to, w->size, ACCESS_WRITE))
        || (!s->reads && w->op == WRITE_MOVS
            && !linear_read(v, s->p, s->from, &m.value, w->size))) {
        return HYP_SWITCHED;
    }
    m.value = m.write ? insn_low(m.value, 8u * w->size) : 0;
    enum hyp_answer a = access(v, &m);
    if (a != HYP_DONE) {
        return a;
    }
    if (s->reads && !linear_write(v, s->p, s->to, &m.value, w->size)) {
        return HYP_SWITCHED;
    }
    string_step(v, w);
    return w->rep && index_register(v, GPR_RCX, w->address_bits) != 0 ? HYP_AGAIN : HYP_DONE;
}

static void unsupported(struct vcpu *v, const uint8_t *buf, unsigned n)
{
    log_line("an instruction that the hypapp's device memory doesn't support: %02x %02x %02x %02x",
             buf[0], n > 1 ? buf[1] : 0, n > 2 ? buf[2] : 0, n > 3 ? buf[3] : 0);
    hyp_inject_gp(v);
}

static bool is_string(const struct insn_write *w)
{
    return w->op == WRITE_MOVS || w->op == WRITE_STOS;
}

/* Does the operand lie at `at`, and may the guest write there? HYP_AGAIN: elsewhere by now.
 * HYP_SWITCHED: a fault is queued. */
static enum hyp_answer writable(struct vcpu *v, gpa_t at, const uint8_t *buf, unsigned n,
                                const struct guest_paging *p, const struct insn_write *w)
{
    struct insn_operand o;
    struct walk to;
    uint64_t linear;

    if (!insn_memory_operand(buf, n, code_bits(p->mode), &o)) {
        return HYP_REFUSE;
    }
    if (!operand_address(v, p, &o, w->len, w->size, ACCESS_WRITE, &linear)) {
        return HYP_SWITCHED;
    }
    if (guest_walk(&guest_phys_ops, p, gva(linear), ACCESS_WRITE, &to) == WALK_FAULT) {
        const struct gm_fault f = { gva(linear), to.error, to.canonical };
        hyp_inject_fault(v, &f);
        return HYP_SWITCHED;
    }
    return to.gpa.a == at.a ? HYP_DONE : HYP_AGAIN;
}

/* The CPU has asked the guest's tables for the access that it tells of, and for no other: another
 * CPU may have put another instruction in the place of the one that faulted. One that writes after
 * it has read may fault at its read. */
static enum hyp_answer write(struct vcpu *v, const struct exit *e, const uint8_t *buf, unsigned n,
                             const struct guest_paging *p, const struct insn_write *w)
{
    enum hyp_answer a = HYP_DONE;

    if (!(e->fault.access & ACCESS_WRITE)) {
        a = w->op == WRITE_MOV ? HYP_AGAIN : writable(v, e->fault.addr, buf, n, p, w);
    }
    return a == HYP_DONE ? store(v, e->fault.addr, w) : a;
}

static void mmio(struct vcpu *v, const struct exit *e)
{
    const bool writes = e->fault.access & ACCESS_WRITE;
    const gpa_t at = e->fault.addr;
    uint8_t buf[INSN_MAX];
    struct guest_paging p;
    struct insn_load l;
    struct insn_write w;
    unsigned n;

    if (e->fault.access & ACCESS_EXEC) {
        hyp_inject_gp(v); /* no place for code */
        return;
    }
    if ((n = exit_fetch(v, buf, &p)) == 0) {
        return;
    }
    const unsigned bits = code_bits(p.mode), room = (unsigned)(PAGE_SIZE - (at.a & PAGE_MASK));
    if (insn_decode_load(buf, n, bits, &l) && l.size <= room) {
        (void)exit_answered(v, writes ? HYP_AGAIN : load(v, at, &l), l.len);
    } else if (insn_decode_write(buf, n, bits, &w) && w.size <= room && is_string(&w)) {
        struct string_mmio s = { .w = &w, .p = &p, .reads = !writes };
        const bool other = !writes && w.op == WRITE_STOS;
        (void)exit_answered(v, other ? HYP_AGAIN : string(v, at, &s), w.len);
    } else if (insn_decode_write(buf, n, bits, &w) && w.size <= room && w.op != WRITE_CMPXCHG
               && w.op != WRITE_CMPXCHG8B) {
        (void)exit_answered(v, write(v, e, buf, n, &p, &w), w.len);
    } else {
        unsupported(v, buf, n);
    }
}
