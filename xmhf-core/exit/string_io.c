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
    uint64_t at;             /* linear address of the element */
};

/* The instruction at RIP and where its element lies. False: a fault is queued. */
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
    const enum segment_index seg = e->io.in ? SEG_ES : segment_of(s->prefixes.segment, SEG_DS);
    return linear_address(v, &s->p, seg,
                          index_register(v, e->io.in ? GPR_RDI : GPR_RSI, s->address_bits),
                          e->io.size, e->io.in ? ACCESS_WRITE : ACCESS_READ, &s->at);
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

    /* A fault comes before the access. */
    if (!find(v, e, &s)
        || !(io.in ? linear_reach(v, &s.p, s.at, io.size, ACCESS_WRITE)
             : linear_read(v, &s.p, s.at, &io.value, io.size))) {
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
