/* SPDX-License-Identifier: MIT */
/* Stores to a page in which some bytes stay as they are (guest/facs.h): carried out here, locked
 * ones as one locked access, because SMM and other CPUs use the same memory. */
#include <exit/dispatch.h>
#include <exit/guarded.h>
#include <exit/operand.h>
#include <debug/log.h>
#include <guest/facs.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <guest/segment.h>
#include <insn/write.h>
#include <policy/regions.h>
#include <virt/virt.h>
#include <x86/cpu.h>

/* A memory operand in a guarded page. */
struct operand {
    uint8_t *p;
    unsigned size;
    uint8_t keep; /* bit n: byte n is guarded */
};

static uint64_t load(const struct operand *o)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < o->size; i++) {
        value |= (uint64_t)o->p[i] << (8 * i);
    }
    return value;
}

#define SWAP(type) \
    { \
        type expected = (type)*old; \
        bool same = __atomic_compare_exchange_n((type *)(void *)o->p, &expected, (type)value, \
                                                false, \
                                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        *old = expected; \
        return same; \
    }

/* Compare and exchange: if memory still holds `*old` it becomes `value`; else `*old` becomes what
 * is there, and the answer is false. The operand is aligned. */
static bool swap(const struct operand *o, uint64_t *old, uint64_t value)
{
    switch (o->size) {
    case 1: SWAP(uint8_t)
    case 2: SWAP(uint16_t)
    case 4: SWAP(uint32_t)
    default: SWAP(uint64_t)
    }
}

/* What is to be written: `value`, but for guarded bytes, which keep what they have in `old`. */
static uint64_t merge(const struct operand *o, uint64_t old, uint64_t value)
{
    for (unsigned i = 0; i < o->size; i++) {
        uint64_t byte = 0xffULL << (8 * i);
        value = o->keep >> i & 1 ? (value & ~byte) | (old & byte) : value;
    }
    return insn_low(value, 8 * o->size);
}

/* A plain store that isn't aligned isn't one access on any CPU, so it may be done byte by byte. */
static void store_bytes(const struct operand *o, uint64_t value)
{
    for (unsigned i = 0; i < o->size; i++) {
        if (!(o->keep >> i & 1)) {
            *(volatile uint8_t *)(o->p + i) = (uint8_t)(value >> (8 * i));
        }
    }
}

static void exchange(struct vcpu *v, const struct insn_write *w, const struct operand *o,
                     uint64_t src)
{
    uint64_t old = load(o), value, flags;

    do {
        flags = v->regs.rflags;
        value = insn_write_result(w->op, o->size, old, src, &flags);
    } while (!swap(o, &old, merge(o, old, value)));
    v->regs.rflags = flags;
    if (w->op == WRITE_XCHG || w->op == WRITE_XADD) {
        insn_set_register(&v->regs.gpr[w->reg], w->shift, o->size, old);
    }
}

/* CMPXCHG, by which operating systems take the global lock in the FACS. */
static void compare(struct vcpu *v, const struct operand *o, uint64_t src)
{
    uint64_t acc = insn_low(v->regs.gpr[GPR_RAX], 8 * o->size), old = load(o);

    while (!swap(o, &old, old == acc ? merge(o, old, src) : old)) {
    }
    (void)insn_write_result(WRITE_SUB, o->size, acc, old, &v->regs.rflags);
    if (old != acc) {
        insn_set_register(&v->regs.gpr[GPR_RAX], 0, o->size, old);
    }
}

static void compare8(struct vcpu *v, const struct operand *o)
{
    uint64_t *r = v->regs.gpr, old = load(o);
    uint64_t acc = (uint32_t)r[GPR_RAX] | r[GPR_RDX] << 32;
    uint64_t src = (uint32_t)r[GPR_RBX] | r[GPR_RCX] << 32;

    while (!swap(o, &old, old == acc ? merge(o, old, src) : old)) {
    }
    if (old == acc) {
        v->regs.rflags |= RFLAGS_ZF;
    } else {
        v->regs.rflags &= ~RFLAGS_ZF;
        r[GPR_RAX] = (uint32_t)old;
        r[GPR_RDX] = old >> 32;
    }
}

/* --- strings -------------------------------------------------------------------------- */

/* What MOVS reads. False: it isn't all in the guest's RAM. */
static bool string_source(struct vcpu *v, const struct insn_write *w, const struct guest_paging *p,
                          uint64_t *value)
{
    uint64_t at = segment_linear(v, p, segment_of(w->segment, SEG_DS),
                                 index_register(v, GPR_RSI, w->address_bits));

    *value = 0;
    for (unsigned i = 0; i < w->size; i++) {
        struct walk walk;

        if (guest_walk(&guest_phys_ops, p, gva(at + i), ACCESS_READ, &walk) != WALK_OK) {
            return false;
        }
        *value |= (uint64_t)*(const uint8_t *)walk.ptr << (8 * i);
    }
    return true;
}

/* One element; the instruction runs again for the next. */
static bool string_store(struct vcpu *v, const struct insn_write *w, const struct guest_paging *p,
                         const struct operand *o, gpa_t g)
{
    uint64_t delta = v->regs.rflags & RFLAGS_DF ? 0 - (uint64_t)o->size : o->size;
    uint64_t value = v->regs.gpr[GPR_RAX];
    uint64_t to = segment_linear(v, p, SEG_ES, index_register(v, GPR_RDI, w->address_bits));

    if ((to & PAGE_MASK) != (g.a & PAGE_MASK)
        || (w->op == WRITE_MOVS && !string_source(v, w, p, &value))) {
        return false;
    }
    store_bytes(o, value);
    index_add(&v->regs.gpr[GPR_RDI], w->address_bits, delta);
    if (w->op == WRITE_MOVS) {
        index_add(&v->regs.gpr[GPR_RSI], w->address_bits, delta);
    }
    if (w->rep) {
        index_add(&v->regs.gpr[GPR_RCX], w->address_bits, ~0ULL);
    }
    if (!w->rep || index_register(v, GPR_RCX, w->address_bits) == 0) {
        exit_skip(v, w->len);
    }
    return true;
}

/* --- all of them ----------------------------------------------------------------------- */

static bool carry_out(struct vcpu *v, const struct insn_write *w, const struct guest_paging *p,
                      gpa_t g)
{
    struct operand o = { .size = w->size };
    uint64_t src = insn_low(w->has_imm ? w->imm : v->regs.gpr[w->reg] >> w->shift, 8u * w->size);

    if ((g.a & PAGE_MASK) + w->size > PAGE_SIZE || !(o.p = facs_bytes(g, w->size, &o.keep))) {
        return false;
    }
    if (w->op == WRITE_MOVS || w->op == WRITE_STOS) {
        return string_store(v, w, p, &o, g);
    }
    if (g.a % w->size && w->op == WRITE_MOV) {
        store_bytes(&o, src);
    } else if (g.a % w->size) {
        return false; /* a locked access across cache lines: a fault on some CPUs, even for us */
    } else if (w->op == WRITE_CMPXCHG) {
        compare(v, &o, src);
    } else if (w->op == WRITE_CMPXCHG8B) {
        compare8(v, &o);
    } else {
        exchange(v, w, &o, src);
    }
    exit_skip(v, w->len);
    return true;
}

void exit_guarded_write(struct vcpu *v, const struct exit *e)
{
    gpa_t g = e->fault.addr;
    static const uint8_t bits[] = { [MODE_REAL] = 16, [MODE_PROT16] = 16, [MODE_PROT32] = 32,
                                    [MODE_LONG64] = 64 };
    uint8_t buf[INSN_MAX];
    struct guest_paging p;
    struct insn_write w;
    unsigned n = exit_fetch(v, buf, &p);

    if (n == 0) {
        return;
    }
    if (!insn_decode_write(buf, n, bits[p.mode], &w) || !carry_out(v, &w, &p, g)) {
        log_line("a store that the page of the waking vectors doesn't support: %02x %02x %02x %02x",
                 buf[0], n > 1 ? buf[1] : 0, n > 2 ? buf[2] : 0, n > 3 ? buf[3] : 0);
        hyp_inject_gp(v);
    }
}

int exit_guarded_init(void)
{
    struct region r = { .size = PAGE_SIZE, .access = ACCESS_WRITE, .handle = exit_guarded_write };

    for (unsigned i = 0; facs_page(i, &r.base); i++) {
        if (region_add(REGION_MEMORY, &r) != 0) {
            return -1;
        }
    }
    return 0;
}
