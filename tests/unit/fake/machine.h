/* SPDX-License-Identifier: MIT */
/*
 * A machine made of data: CPUID and MSR maps, physical memory, ports. What real code
 * reaches by hw/insn.h it reaches here. An access that real hardware would answer with
 * an unexpected fault fails the test.
 */
#ifndef XMHF_TESTS_FAKE_MACHINE_H
#define XMHF_TESTS_FAKE_MACHINE_H

#include <policy/cpuid_policy.h>
#include <xmhf/types.h>

#define MACHINE_CPUID_MAX 512
#define MACHINE_MSR_MAX   512
#define MACHINE_XSTATE    4096
#define MACHINE_LOG_MAX   256

struct machine_cpuid { uint32_t leaf, sub; struct cpuid_regs r; };
struct machine_msr { uint32_t index; uint64_t value; };
struct machine_out {
    uint16_t port;
    uint8_t size;
    uint32_t value;
    unsigned wbinvds;                /* caches were written back so often before */
    bool gif;
};

/* How RDRAND or RDSEED behaves. */
enum machine_noise {
    NOISE_GOOD,
    NOISE_STUCK,                    /* always `stuck_at`, with success */
    NOISE_UNEVEN,                   /* 64 values, one after the other */
    NOISE_SELDOM,                   /* mostly nothing */
    NOISE_EMPTY,                    /* never anything */
};

struct machine {
    bool intel;                      /* leaves out of range show the highest basic leaf */
    unsigned cpuid_count, msr_count;
    struct machine_cpuid cpuid[MACHINE_CPUID_MAX];
    struct machine_msr msr[MACHINE_MSR_MAX];
    uint64_t cr0, cr2, cr3, cr4, dr6, xcr0, tsc, random;
    uint64_t jitter;                 /* the TSC goes on by 100, and less than so many more */
    enum machine_noise rdrand, rdseed;
    uint64_t stuck_at;
    unsigned noise_until;            /* after so many words all is stuck; 0: never */
    unsigned noise_words;            /* so far */
    uint32_t tsc_msr;                /* a write to this MSR sets `tsc`; 0: none */
    uint32_t pkru;
    uint8_t xstate[MACHINE_XSTATE];  /* the FPU and SIMD registers */
    bool x87_pointers_stay;          /* AMD: loading a state without an x87 exception leaves FOP,
                                        FIP and FDP as they are */
    uint8_t *mem;                    /* physical memory from 0 */
    uint64_t mem_size;
    uint32_t port[0x10000];          /* what IN gives */
    unsigned out_count;              /* OUTs so far; the first MACHINE_LOG_MAX are kept */
    struct machine_out out[MACHINE_LOG_MAX];
    bool gif;                        /* for tests that switch it */
    bool gif_at_in;                  /* what it was at the last IN */
    bool no_faults;                  /* an MSR access that faults fails the test, guarded or not */
    uint32_t may_fault;              /* but for this one, guarded */
    unsigned halts, invlpgs, cr3_loads, wbinvds;
    void (*on_wbinvd)(void);         /* called before it counts, if set */
    void (*on_out)(void);            /* called after an OUT, if set */
    void (*on_pause)(void);          /* called at a PAUSE, if set */
    void (*on_halt)(void);           /* called after a HLT counts, if set */
};

extern struct machine machine;

/* Forget everything; `mem_size` bytes of zeroed memory (0: none). */
void machine_reset(uint64_t mem_size);
/* Add what a capability dump says (tests/vectors/{svm,vmx}; see the README there). */
void machine_load(const char *path);

void machine_set_cpuid(uint32_t leaf, uint32_t sub, struct cpuid_regs r);
/* Add an MSR or change it. */
void machine_set_msr(uint32_t index, uint64_t value);
/* NULL if it doesn't exist: reading and writing it fault. */
uint64_t *machine_msr(uint32_t index);
/* Host pointer to [at, at+len), or NULL if not all of it is memory. */
void *machine_phys(uint64_t at, size_t len);

#endif
