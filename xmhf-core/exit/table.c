/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of the descriptor-table registers, which exit if the hypapp asked for the loads
 * (on VMX both do then). The CPU has looked at mode, CPL and UMIP (SDM vol. 3, 26.1.1; APM vol. 2,
 * table 15-7); all else is done here (SDM vol. 2, LGDT/LIDT, LLDT, LTR, SGDT, SIDT, SLDT, STR).
 */
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/operand.h>
#include <guest/descriptor.h>
#include <guest/inject.h>
#include <guest/tss.h>
#include <policy/asked.h>
#include <util/string.h>
#include <virt/virt.h>
#include <x86/cpu.h>

struct table_insn {
    struct vcpu *v;
    struct guest_paging p;
    struct insn_system i;
    bool store;
    enum hyp_table which;
};

static void fault(struct vcpu *v, uint8_t vector, uint32_t error)
{
    const struct event e = { .vector = vector, .type = EVENT_EXCEPTION, .has_error = true,
                             .error = error };

    virt->inject(v, &e);
}

/* 0F 00 /0 SLDT, /1 STR, /2 LLDT, /3 LTR; 0F 01 /0 SGDT, /1 SIDT, /2 LGDT, /3 LIDT. False: a fault
 * is queued, or it is another instruction by now: #GP. */
static bool decode(struct table_insn *t)
{
    uint8_t buf[INSN_MAX];
    unsigned n = exit_fetch(t->v, buf, &t->p);

    if (n == 0) {
        return false;
    }
    bool ok = insn_decode_system(buf, n, code_bits(t->p.mode), &t->i) && t->i.opcode <= 0x01
        && (t->i.field & 7) <= 3 && !(t->i.opcode == 0x01 && t->i.rm.is_reg);
    t->store = !(t->i.field & 2);
    if (!ok || (!t->store && t->p.cpl != 0)) {
        hyp_inject_gp(t->v);
        return false;
    }
    t->which = t->i.opcode == 0x01 ? (t->i.field & 1 ? HYP_IDT : HYP_GDT)
        : (t->i.field & 1 ? HYP_TR : HYP_LDT);
    return true;
}

/* The register's selector; to a register as wide as the operand. */
static bool store_selector(struct table_insn *t)
{
    struct segment s;
    uint64_t at, *r = &t->v->regs.gpr[t->i.rm.reg];

    virt->get_segment(t->v, t->which == HYP_TR ? SEG_TR : SEG_LDTR, &s);
    if (!t->i.rm.is_reg) {
        return operand_address(t->v, &t->p, &t->i.rm, t->i.len, 2, ACCESS_WRITE, &at)
            && linear_write(t->v, &t->p, at, &s.selector, sizeof(s.selector));
    }
    *r = t->i.operand_bits == 16 ? (*r & ~0xffffULL) | s.selector : s.selector;
    return true;
}

/* Limit and base: 10 bytes in 64-bit code, else 6. */
static unsigned pointer_size(const struct table_insn *t)
{
    return t->p.mode == MODE_LONG64 ? 10 : 6;
}

static bool store_pointer(struct table_insn *t)
{
    uint64_t base, at;
    uint32_t limit;
    uint8_t bytes[10];

    virt->get_table(t->v, t->which == HYP_IDT ? TABLE_IDTR : TABLE_GDTR, &base, &limit);
    memcpy(bytes, &limit, 2);
    memcpy(bytes + 2, &base, 8);
    return operand_address(t->v, &t->p, &t->i.rm, t->i.len, pointer_size(t), ACCESS_WRITE, &at)
        && linear_write(t->v, &t->p, at, bytes, pointer_size(t));
}

static enum hyp_answer ask(struct table_insn *t, uint64_t base, uint32_t limit)
{
    bool asked = asked_tables() & 1u << t->which; /* on VMX the others exit too */

    return asked && hypapp.table_write ? hypapp.table_write(t->v, t->which, base, limit) : HYP_CORE;
}

static enum hyp_answer load_pointer(struct table_insn *t)
{
    uint8_t bytes[10] = { 0 };
    uint64_t at, base = 0;
    uint16_t limit;

    if (!operand_address(t->v, &t->p, &t->i.rm, t->i.len, pointer_size(t), ACCESS_READ, &at)
        || !linear_read(t->v, &t->p, at, bytes, pointer_size(t))) {
        return HYP_SWITCHED;
    }
    memcpy(&limit, bytes, 2);
    memcpy(&base, bytes + 2, 8);
    if (t->p.mode != MODE_LONG64) {
        base &= t->i.operand_bits == 16 ? 0xffffff : 0xffffffff;
    } else if (!linear_canonical(base, &t->p)) {
        return HYP_REFUSE;
    }
    enum hyp_answer a = ask(t, base, limit);
    if (a == HYP_CORE) {
        virt->set_table(t->v, t->which == HYP_IDT ? TABLE_IDTR : TABLE_GDTR, base, limit);
        a = HYP_DONE;
    }
    return a;
}

/* --- LLDT and LTR ----------------------------------------------------------------------------- */

/* The descriptor of `s->selector`, and where it is. False: a fault is queued. Tables are read with
 * ring 0's rights. */
static bool find(struct table_insn *t, struct segment *s, uint64_t *at)
{
    const bool wide = t->p.efer & EFER_LMA;
    const uint32_t offset = s->selector & 0xfff8, size = wide ? 16 : 8;
    uint64_t gdt;
    uint32_t limit;
    uint8_t d[16] = { 0 };

    virt->get_table(t->v, TABLE_GDTR, &gdt, &limit);
    if ((s->selector & 4) || offset + size - 1 > limit) {
        fault(t->v, EXC_GP, s->selector & 0xfffc);
        return false;
    }
    *at = wide ? gdt + offset : (uint32_t)(gdt + offset);
    if (!linear_read(t->v, &t->p, *at, d, size)) {
        return false;
    }
    descriptor_parse(d, s->selector, s);
    if (wide) {
        uint32_t high;
        memcpy(&high, d + 8, 4);
        s->base |= (uint64_t)high << 32;
        if ((d[13] & 0x1f) || !linear_canonical(s->base, &t->p)) {
            fault(t->v, EXC_GP, s->selector & 0xfffc);
            return false;
        }
    }
    return true;
}

/* Is it an LDT, or for LTR a TSS that isn't busy, in long mode of 64 bits? */
static bool right_type(const struct table_insn *t, const struct segment *s)
{
    const unsigned type = s->attr & (SEG_ATTR_S | SEG_ATTR_TYPE);

    if (t->which == HYP_LDT) {
        return type == (SEG_ATTR_LDT & SEG_ATTR_TYPE);
    }
    return type == 9 || (type == 1 && !(t->p.efer & EFER_LMA));
}

/* The TSS is busy from now on, in its descriptor too, where it is set as the CPU does it:
 * locked. */
static bool mark_busy(struct table_insn *t, struct segment *s, uint64_t at)
{
    if (!linear_set_bits(t->v, &t->p, at + 5, TSS_BUSY)) {
        return false;
    }
    s->attr |= TSS_BUSY;
    return true;
}

static enum hyp_answer load_selector(struct table_insn *t)
{
    struct segment s = { 0 };
    uint64_t at;

    if (t->i.rm.is_reg) {
        s.selector = (uint16_t)t->v->regs.gpr[t->i.rm.reg];
    } else if (!operand_address(t->v, &t->p, &t->i.rm, t->i.len, 2, ACCESS_READ, &at)
               || !linear_read(t->v, &t->p, at, &s.selector, sizeof(s.selector))) {
        return HYP_SWITCHED;
    }
    if (!(s.selector & 0xfffc) && t->which == HYP_TR) {
        return HYP_REFUSE;
    }
    if (s.selector & 0xfffc) { /* null: no LDT */
        if (!find(t, &s, &at)) {
            return HYP_SWITCHED;
        }
        if (!right_type(t, &s) || !(s.attr & SEG_ATTR_P)) {
            fault(t->v, right_type(t, &s) ? EXC_NP : EXC_GP, s.selector & 0xfffc);
            return HYP_SWITCHED;
        }
    }
    enum hyp_answer a = ask(t, s.selector, 0);
    if (a == HYP_CORE) {
        if (t->which == HYP_TR && !mark_busy(t, &s, at)) {
            return HYP_SWITCHED;
        }
        virt->set_segment(t->v, t->which == HYP_TR ? SEG_TR : SEG_LDTR, &s);
        a = HYP_DONE;
    }
    return a;
}

void exit_table(struct vcpu *v, const struct exit *e)
{
    struct table_insn t = { .v = v };
    enum hyp_answer a;

    (void)e;
    if (!decode(&t)) {
        return;
    }
    if (t.store) {
        a = (t.i.opcode == 0x01 ? store_pointer(&t) : store_selector(&t)) ? HYP_DONE : HYP_SWITCHED;
    } else {
        a = t.i.opcode == 0x01 ? load_pointer(&t) : load_selector(&t);
    }
    (void)exit_answered(v, a, t.i.len);
}
