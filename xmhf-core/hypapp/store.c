/* SPDX-License-Identifier: MIT */
/* Stores of the guest to pages whose write right a hypapp has taken: what they write. */
#include <guest/map.h>
#include <guest/segment.h>
#include <hypapp/hypapp.h>
#include <insn/operand.h>
#include <insn/write.h>
#include <util/string.h>
#include <x86/cpu.h>

/* The CPU has fetched it, so the right to do so isn't asked for. */
static bool decode(struct vcpu *v, const struct hyp_caller *c, struct insn_write *w)
{
    uint64_t at = segment_linear(v, &c->paging, SEG_CS, v->regs.rip);
    size_t n = PAGE_SIZE - (at & PAGE_MASK);
    uint8_t code[INSN_MAX];
    struct gm_fault f;

    n = n < INSN_MAX ? n : INSN_MAX;
    if (gm_read_kernel(c, gva(at), code, n, &f) != GM_OK) {
        return false;
    }
    if (n < INSN_MAX && gm_read_kernel(c, gva(at + n), code + n, INSN_MAX - n, &f) == GM_OK) {
        n = INSN_MAX;
    }
    return insn_decode_write(code, n, code_bits(c->paging.mode), w);
}

/* Walk to `va` with the guest's own rights; nothing is set in its tables. */
static bool walk(const struct hyp_caller *c, uint64_t va, unsigned access, struct walk *w)
{
    return guest_walk(&guest_phys_ops, &c->paging, gva(va), access | ACCESS_NO_AD, w) == WALK_OK;
}

static bool read_source(const struct hyp_caller *c, uint64_t from, uint8_t *to, unsigned len)
{
    struct walk w;

    for (unsigned i = 0; i < len; i++) {
        if (!walk(c, from + i, ACCESS_READ, &w)) {
            return false;
        }
        to[i] = *(const uint8_t *)w.ptr;
    }
    return true;
}

/* How many bytes from `to` on, which is `g`, are consecutive guest-physical ones, up to `most`. */
static uint64_t room_at(const struct hyp_caller *c, uint64_t to, gpa_t g, uint64_t most)
{
    uint64_t first = PAGE_SIZE - (to & PAGE_MASK);
    struct walk w;

    if (first >= most || (walk(c, to + first, ACCESS_WRITE, &w) && w.gpa.a == g.a + first)) {
        return most;
    }
    return first;
}

/* MOVS or STOS, forwards, with REP as many elements as there is room for. */
static bool string(struct vcpu *v, const struct hyp_caller *c, const struct insn_write *w,
                   struct hyp_store *out)
{
    uint64_t to = segment_linear(v, &c->paging, SEG_ES,
                                 insn_low(v->regs.gpr[GPR_RDI], w->address_bits));
    uint64_t from = segment_linear(v, &c->paging, segment_of(w->segment, SEG_DS),
                           insn_low(v->regs.gpr[GPR_RSI], w->address_bits));
    uint64_t fit = room_at(c, to, out->gpa, sizeof(out->bytes)) / w->size;
    uint64_t count = w->rep ? insn_low(v->regs.gpr[GPR_RCX], w->address_bits) : 1;

    count = count < fit ? count : fit;
    if (count == 0 || (v->regs.rflags & RFLAGS_DF) || ((to ^ out->gpa.a) & PAGE_MASK)) {
        return false;
    }
    out->len = (unsigned)count * w->size;
    out->count = count;
    out->movs = w->op == WRITE_MOVS;
    out->address_bits = w->address_bits;
    out->rep = w->rep;
    for (unsigned i = 0; i < out->len && !out->movs; i++) {
        out->bytes[i] = (uint8_t)(v->regs.gpr[GPR_RAX] >> 8 * (i % w->size));
    }
    return !out->movs || read_source(c, from, out->bytes, out->len);
}

bool hyp_store(struct vcpu *v, const struct exit *e, struct hyp_store *out)
{
    struct hyp_caller c;
    struct insn_write w;

    if (e->fault.walk || virt->event_queued(v)) {
        return false; /* the address isn't the operand's of what is at RIP */
    }
    hyp_caller(v, &c);
    if (!decode(v, &c, &w)) {
        return false;
    }
    *out = (struct hyp_store){ .gpa = e->fault.addr, .len = w.size, .insn_len = w.len };
    if (w.op == WRITE_MOVS || w.op == WRITE_STOS) {
        return string(v, &c, &w, out);
    }
    uint64_t value = w.has_imm ? w.imm : v->regs.gpr[w.reg] >> w.shift;
    memcpy(out->bytes, &value, w.size);
    return w.op == WRITE_MOV;
}

/* An index or count register of that many bits moves on. */
static void advance(struct vcpu *v, const struct hyp_store *s, enum gpr reg, uint64_t by)
{
    uint64_t *r = &v->regs.gpr[reg], sum = *r + by;

    *r = s->address_bits == 64 ? sum : s->address_bits == 32 ? (uint32_t)sum
        : (*r & ~0xffffull) | (sum & 0xffff);
}

void hyp_store_done(struct vcpu *v, const struct hyp_store *s)
{
    struct guest_paging p;

    if (s->count != 0) {
        advance(v, s, GPR_RDI, s->len);
        advance(v, s, GPR_RSI, s->movs ? s->len : 0);
        advance(v, s, GPR_RCX, s->rep ? 0 - s->count : 0);
    }
    if (s->rep && insn_low(v->regs.gpr[GPR_RCX], s->address_bits) != 0) {
        return; /* it runs again for the rest */
    }
    virt->get_paging(v, &p);
    v->regs.rip += s->insn_len;
    v->regs.rip = p.mode == MODE_LONG64 ? v->regs.rip : (uint32_t)v->regs.rip;
    v->regs.rflags &= ~RFLAGS_RF;
    virt->clear_shadow(v);
}
