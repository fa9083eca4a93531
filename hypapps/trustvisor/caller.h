/* SPDX-License-Identifier: MIT */
/* Who calls TrustVisor, what it can address, and how its hypercall ends. */
#ifndef TV_CALLER_H
#define TV_CALLER_H

#include <hypapp/hypapp.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>
#include <xmhf/trustvisor.h>

/* Which process: the number of its address space, that is what CR3 says about it under this kind
 * of paging. PAE's tables are aligned to 32 bytes only. A CR3 may be a dead process's
 * (notes/decisions/copied-nonce.md). */
static inline uint64_t tv_owner(const struct guest_paging *p)
{
    if (p->efer & EFER_LMA) {
        return (p->cr3 & CR3_ADDR) >> PAGE_SHIFT;
    }
    return p->cr4 & CR4_PAE ? BIT(40) | (p->cr3 & 0xffffffe0) >> 5
                            : BIT(41) | (p->cr3 & 0xfffff000) >> PAGE_SHIFT;
}

static inline bool tv_is_64(const struct hyp_caller *c) { return c->paging.mode == MODE_LONG64; }

/* Bytes of the caller's machine word. */
static inline uint32_t tv_word(const struct hyp_caller *c) { return tv_is_64(c) ? 8 : 4; }

/* What the caller's code sees in this register. */
static inline uint64_t tv_arg(const struct vcpu *v, const struct hyp_caller *c, enum gpr r)
{
    return tv_is_64(c) ? v->regs.gpr[r] : (uint32_t)v->regs.gpr[r];
}

/* Is it a command of the public ABI? */
bool tv_is_public(uint32_t cmd);
/* tv_caller_check for code that isn't 64-bit. */
enum tv_error tv_caller_check_32(struct vcpu *v, const struct hyp_caller *c);

/* TV_OK if the caller may have PALs: ring 3, with paging, and RIP, stack and pointers are
 * linear addresses. Each call of a PAL asks. */
static inline enum tv_error tv_caller_check(struct vcpu *v, const struct hyp_caller *c)
{
    return c->paging.cpl == 3 && tv_is_64(c) ? TV_OK : tv_caller_check_32(v, c);
}

/* Is [va, va + len) something that the caller's code can address? Else `f` becomes the #GP for it.
 * The page tables don't tell: behind what 32-bit code can address they may have 64-bit code's
 * memory. */
bool tv_reaches(const struct hyp_caller *c, uint64_t va, uint64_t len, struct gm_fault *f);

/* Copy `n` bytes; whole words are quick. */
static inline void tv_copy(void *to, const void *from, uint32_t n)
{
    hw_copy64(to, from, n / 8);
    if (n % 8 != 0) {
        memcpy((uint8_t *)to + n / 8 * 8, (const uint8_t *)from + n / 8 * 8, n % 8);
    }
}

/* A long buffer of the caller's, page by page: each is walked to once, however many pieces are
 * copied there. Begins with { .user = its address }. */
struct tv_stream {
    uint64_t user;        /* address of what comes next */
    uint8_t *at;          /* and where that is for us; */
    uint32_t room;        /* so much of its page is left, 0: not walked to */
};
/* Copy `n` bytes from there to `ours`, or the other way, and go on behind them. After a fault some
 * of them may have been copied. */
enum gm_result tv_stream_read(const struct hyp_caller *c, struct tv_stream *s, void *ours,
                              uint32_t n, struct gm_fault *f);
enum gm_result tv_stream_write(const struct hyp_caller *c, struct tv_stream *s, const void *ours,
                               uint32_t n, struct gm_fault *f);
/* Endings of a hypercall. */
enum hc_result tv_done(struct vcpu *v, enum tv_error e);
enum hc_result tv_fault(struct vcpu *v, const struct gm_fault *f);

#endif
