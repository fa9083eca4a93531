/* SPDX-License-Identifier: MIT */
/* INS and OUTS at ports that the hypapp asked for. */
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <exit/operand.h>
#include <exit/string_io.h>
#include <guest/inject.h>
#include <insn/parts.h>
#include <x86/cpu.h>

/* SDM vol. 2, INS and OUTS: the override is of OUTS' source only. */
#define OPCODE_INSB 0x6c

struct string_io {
    struct guest_paging p;
    struct prefixes prefixes;
    unsigned len, address_bits;
    enum segment_index seg;  /* of the element */
    uint64_t at;             /* its linear address */
};

/* The instruction at RIP. False: a fault is queued. */
static bool find(struct vcpu *v, const struct exit *e, struct string_io *s)
{
    uint8_t buf[INSN_MAX];
    unsigned n = exit_fetch(v, buf, &s->p);

    if (n == 0) {
        return false;
    }
    const unsigned bits = code_bits(s->p.mode);
    if (!insn_prefixes(buf, n, bits, &s->prefixes) || s->prefixes.lock
        || (buf[s->prefixes.len] & ~1u) != OPCODE_INSB + (e->io.in ? 0u : 2u)) {
        hyp_inject_gp(v); /* the guest changed its code under us */
        return false;
    }
    s->len = s->prefixes.len + 1;
    s->address_bits = insn_address_bits(bits, s->prefixes.addrsize);
    s->seg = e->io.in ? SEG_ES : segment_of(s->prefixes.segment, SEG_DS);
    return true;
}

/* Where the element lies, and of OUTS what it is. False: a fault is queued; it comes before the
 * access to the port. */
static bool reach(struct vcpu *v, const struct exit *e, struct string_io *s, uint32_t *value)
{
    const unsigned access = e->io.in ? ACCESS_WRITE : ACCESS_READ;
    const uint64_t index = index_register(v, e->io.in ? GPR_RDI : GPR_RSI, s->address_bits);

    return linear_address(v, &s->p, s->seg, index, e->io.size, access, &s->at)
        && (e->io.in ? linear_reach(v, &s->p, s->at, e->io.size, access)
            : linear_read(v, &s->p, s->at, value, e->io.size));
}

/* One element is done. */
static void step(struct vcpu *v, const struct exit *e, const struct string_io *s)
{
    const uint64_t size = e->io.size;

    index_add(&v->regs.gpr[e->io.in ? GPR_RDI : GPR_RSI], s->address_bits,
              v->regs.rflags & RFLAGS_DF ? 0 - size : size);
    if (s->prefixes.rep) {
        index_add(&v->regs.gpr[GPR_RCX], s->address_bits, ~0ULL);
    }
    if (s->prefixes.rep && index_register(v, GPR_RCX, s->address_bits) != 0) {
        exit_again(v);
    } else {
        exit_skip(v, s->len);
    }
}

void exit_string_io(struct vcpu *v, const struct exit *e, hyp_io_fn *fn)
{
    struct hyp_io io = { .port = e->io.port, .size = e->io.size, .in = e->io.in };
    struct string_io s;

    if (!find(v, e, &s)) {
        return;
    }
    /* Nothing to do; an emulator (QEMU 7.2) exits before it looks. */
    if (s.prefixes.rep && index_register(v, GPR_RCX, s.address_bits) == 0) {
        exit_skip(v, s.len);
        return;
    }
    if (!reach(v, e, &s, &io.value)) {
        return;
    }
    enum hyp_answer a = fn(v, &io);
    if (a == HYP_CORE) {
        exit_io_carry_out(v, &io);
        a = HYP_DONE;
    }
    if (a != HYP_DONE) {
        (void)exit_answered(v, a, s.len);
    } else if (!io.in || linear_write(v, &s.p, s.at, &io.value, io.size)) {
        step(v, e, &s);
    }
}
