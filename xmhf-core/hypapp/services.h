/* SPDX-License-Identifier: MIT */
/* Services for hypapps at any time, each for the calling CPU's own vCPU in its exit path. */
#ifndef XMHF_HYPAPP_SERVICES_H
#define XMHF_HYPAPP_SERVICES_H

#include <cpu/clock.h>    /* ticks that the guest can't move: clock_now, clock_since */
#include <cpu/random.h>   /* of these: RANDOM_REFRESH_COST */
#include <guest/inject.h>
#include <hw/insn.h>      /* of these: hw_fill64, hw_copy64, hw_pause, hw_rdtsc */
#include <sha256/sha256.h>
#include <smp/spinlock.h>
#include <virt/virt.h>

/* --- the guest's registers: those that aren't in v->regs ------------------------ */

/* A segment register with its hidden part; of the sandbox while one is entered. */
static inline void hyp_get_segment(struct vcpu *v, enum segment_index i, struct segment *s)
{
    virt->get_segment(v, i, s);
}

/* IDTR of the OS. */
static inline void hyp_get_idtr(struct vcpu *v, uint64_t *base, uint32_t *limit)
{
    virt->get_table(v, TABLE_IDTR, base, limit);
}

/* And GDTR. */
static inline void hyp_get_gdtr(struct vcpu *v, uint64_t *base, uint32_t *limit)
{
    virt->get_table(v, TABLE_GDTR, base, limit);
}

/* What the OS has in an MSR that passes to it or that the VMCB or VMCS holds, EFER among them: as
 * it reads it, whatever the policy makes of others. False: there is none. */
bool hyp_msr_value(struct vcpu *v, uint32_t index, uint64_t *value);

/* After RIP was moved to other code: no STI or MOV-SS shadow is left. */
static inline void hyp_clear_shadow(struct vcpu *v)
{
    virt->clear_shadow(v);
}

/* The instruction that makes a hypercall on this CPU: VMCALL or VMMCALL. */
#define HYP_CALL_LEN 3u
static inline const uint8_t *hyp_call_insn(void)
{
    return virt->hypercall_insn;
}

/* --- hashing ------------------------------------------------------------------ */

/* The best block function of SHA-256 that the calling CPU has, for sha256_init. */
struct hyp_sha256 {
    sha256_blocks_fn *blocks;
    unsigned cost;     /* instructions for one block, at most; HYP_SHA256_COST_MAX at most */
};
#define HYP_SHA256_COST_MAX 3150u
struct hyp_sha256 hyp_sha256(void);

/* --- misc -------------------------------------------------------------------- */

/* `n` random bytes, good for keys. False: there is no entropy (notes/random.md), which doesn't
 * change while the guest runs, and nothing is written. */
__attribute__((warn_unused_result))
static inline bool hyp_random(void *out, size_t n) { return random_bytes(out, n); }

/* To be called now and then, where there is time for RANDOM_REFRESH_COST instructions, by who draws
 * random bytes: keeps this CPU's key fresh. True: it has taken so many. */
static inline bool hyp_random_refresh(void) { return random_refresh(); }

#endif
