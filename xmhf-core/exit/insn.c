/* SPDX-License-Identifier: MIT */
/* Finding the instruction that exited: fetch with the guest's rights, length, skipping. */
#include <exit/dispatch.h>
#include <guest/phys.h>
#include <guest/segment.h>
#include <hypapp/hypapp.h>
#include <insn/insn.h>
#include <util/string.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static void queue_walk_fault(struct vcpu *v, const struct walk *w, uint64_t va)
{
    const struct gm_fault f = { gva(va), w->error, w->canonical };

    hyp_inject_fault(v, &f);
}

unsigned exit_fetch(struct vcpu *v, uint8_t *buf, struct guest_paging *p)
{
    struct walk w;

    virt->get_paging(v, p);
    uint64_t va = segment_linear(v, p, SEG_CS, v->regs.rip);
    enum walk_result r = guest_walk(&guest_phys_ops, p, gva(va), ACCESS_EXEC, &w);
    if (r == WALK_FAULT) {
        queue_walk_fault(v, &w, va);
        return 0;
    }
    unsigned first = (unsigned)(PAGE_SIZE - (va & PAGE_MASK));
    unsigned n = first < INSN_MAX ? first : INSN_MAX;
    const uint8_t *page = r == WALK_OK ? guest_phys_ops.map(w.gpa, n)
                        : guest_phys_firmware(&w, ACCESS_EXEC);
    if (!page) {
        hyp_inject_gp(v); /* code in device memory: not supported */
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        buf[i] = page[i];
    }
    if (n < INSN_MAX
        && guest_walk(&guest_phys_ops, p, gva(va + n), ACCESS_EXEC, &w) == WALK_OK
        && (page = guest_phys_ops.map(w.gpa, INSN_MAX - n)) != NULL) {
        memcpy(buf + n, page, INSN_MAX - n);
        n = INSN_MAX;
    }
    return n;
}

/* Is this the same code page as last time, with the bare opcode at RIP? Then no walk is needed. */
static bool same_code(const struct vcpu *v, const struct guest_paging *p, const uint8_t *opcode,
                      size_t oplen)
{
    const uint8_t *code = known_code(&v->code, p->mode == MODE_LONG64, p->cr3, v->regs.rip,
                                     oplen);

    for (size_t i = 0; code && i < oplen; i++) {
        if (code[i] != opcode[i]) {
            return false;
        }
    }
    return code != NULL;
}

/* Remember the page of the instruction at RIP, if it is 64-bit code in RAM
 * (notes/decisions/code-page-cache.md). */
static void remember_code(struct vcpu *v, const struct guest_paging *p)
{
    struct walk w;
    uint64_t page = align_down(v->regs.rip, PAGE_SIZE);

    if (p->mode == MODE_LONG64
        && guest_walk(&guest_phys_ops, p, gva(page), ACCESS_EXEC, &w) == WALK_OK) {
        v->code.bytes = guest_phys_ops.map(w.gpa, PAGE_SIZE);
        v->code.page = page >> PAGE_SHIFT;
        v->code.cr3 = p->cr3;
    }
}

unsigned exit_insn_len(struct vcpu *v, const struct exit *e, const uint8_t *opcode, size_t oplen,
                       struct guest_paging *p)
{
    uint8_t buf[INSN_MAX];

    virt->get_paging(v, p);
    if (e->insn_len) {
        return e->insn_len;
    }
    if (same_code(v, p, opcode, oplen)) {
        return (unsigned)oplen;
    }
    unsigned n = exit_fetch(v, buf, p);
    if (n == 0) {
        return 0;
    }
    remember_code(v, p);
    unsigned len = insn_length_of(buf, n, code_bits(p->mode), opcode, oplen);
    if (len == 0) {
        hyp_inject_gp(v); /* the guest changed its code under us */
    }
    return len;
}

void exit_skip(struct vcpu *v, unsigned len)
{
    uint64_t next = v->regs.rip + len;

    if (next >> 32 && !(v->regs.rip >> 32)) { /* EIP wraps, RIP doesn't */
        struct guest_paging p;
        virt->get_paging(v, &p);
        next &= p.mode == MODE_LONG64 ? ~0ULL : 0xffffffff;
    }
    v->regs.rip = next;
    v->regs.rflags &= ~RFLAGS_RF;
    virt->clear_shadow(v);
}
