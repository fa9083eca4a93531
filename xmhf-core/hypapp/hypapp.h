/* SPDX-License-Identifier: MIT */
/*
 * The hypapp interface: what an application of the hypervisor implements, and the
 * services it may use. One hypapp is linked in (configure --with-hypapp=NAME); it
 * defines `const struct hypapp hypapp`.
 *
 * All callbacks run on the CPU that caused them, in the exit path: no sleeping, no
 * unbounded loops, at most about 200,000 instructions. Long work is done in steps:
 * return HC_AGAIN and the guest executes the hypercall again, interrupts first.
 * Callbacks on different CPUs run at the same time; the hypapp locks its own data.
 */
#ifndef XMHF_HYPAPP_H
#define XMHF_HYPAPP_H

#include <cpu/vcpu.h>
#include <guest/inject.h>
#include <guest/rights.h>
#include <guest/trace.h>
#include <guest/walk.h>
#include <sha256/sha256.h>
#include <virt/exit.h>
#include <virt/virt.h>
#include <x86/cpuid.h>
#include <xmhf/types.h>

/* What a hypercall did. At the call v->regs.rip is still at the instruction. */
enum hc_result {
    HC_DONE,      /* the result is in RAX; go on after the instruction */
    HC_AGAIN,     /* run the instruction again (long work, or a #PF was injected), with
                     v->regs as they are now */
    HC_UNKNOWN,   /* not ours: the core answers (XMHF_HC_INFO) or gives #UD */
    HC_SWITCHED,  /* sandbox_enter was called, or an exception injected, or RIP set:
                     leave everything as it is */
};

struct hypapp {
    const char *name;
    /* Boot CPU, before the guest starts. 0, or -1 with a log line: launch is refused. */
    int (*init)(void);
    /* Each CPU, before it enters the guest. May be NULL. 0 or -1. */
    int (*cpu_init)(struct vcpu *v);
    /* May change what CPUID tells (`r` has the policy's answer). Runs for the OS and for
     * the sandbox (v->in_sandbox). True: ask at every CPUID with this leaf and subleaf.
     * False: the core may give the OS the same answer again without asking. May be NULL. */
    bool (*cpuid)(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r);
    /* A hypercall of the OS (any ring and mode; check with hyp_caller). `cmd` is EAX. */
    enum hc_result (*hypercall)(struct vcpu *v, uint32_t cmd);
    /* Any exit of the sandbox except CPUID and NMI. Afterwards the sandbox goes on,
     * unless sandbox_leave was called. On EXIT_INTR it must leave; the core says EXIT_INTR
     * too when it has to give the OS something else (a pending NMI, INIT). RIP is still at
     * the instruction that exited. */
    void (*sandbox_exit)(struct vcpu *v, const struct exit *e);
    /* Answer an XMHF_HC_INFO item that the core doesn't know; false if unknown too. */
    bool (*info)(struct vcpu *v, uint32_t which, uint64_t *value);
    /* Before a reset or in a panic, all other CPUs stopped: wipe secrets kept outside
     * the page pool (the core wipes the pool itself). No locks. May be NULL. */
    void (*wipe)(void);
};

extern const struct hypapp hypapp;

/* --- the caller ------------------------------------------------------------- */

/* Who made the hypercall. */
struct hyp_caller {
    struct guest_paging paging;   /* .cpl, .mode, .cr3 ... */
    bool interrupts_on;           /* RFLAGS.IF */
    bool event_queued;            /* something is to be injected at the next entry */
    bool no_ad;                   /* set no accessed bits: `paging` is remembered, and what
                                     were tables may be something else by now */
};
/* Always about the OS: not to be called before sandbox_leave. */
void hyp_caller(struct vcpu *v, struct hyp_caller *c);

/* --- guest memory (hypapp/guest_mem.c) -------------------------------------- */

enum gm_result {
    GM_OK = 0,
    GM_FAULT,      /* absent or forbidden: hyp_inject_fault, then HC_AGAIN/HC_SWITCHED */
    GM_NOT_RAM,    /* device, ROM, or memory of the hypervisor */
};

/* Copy between guest-virtual memory of the caller (rights as c says; ACCESS_USER is
 * forced) and the core. May cross pages. A copy to the guest checks all pages before
 * the first byte is written. */
enum gm_result gm_read(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                       struct gm_fault *f);
enum gm_result gm_write(const struct hyp_caller *c, gva_t to, const void *from, size_t len,
                        struct gm_fault *f);
/* gm_read of `n` words, at a place that is read again and again: the walk is remembered in `m`,
 * and confirmed the next time. */
enum gm_result gm_read_again(const struct hyp_caller *c, gva_t from, uint64_t *to, size_t n,
                             struct walk_memo *m, struct gm_fault *f);

/* The page at `va` (4 KiB aligned), for `access` (ACCESS_*): its GPA and a core pointer
 * to its 4096 bytes. The guest may remap it at any time; use the pointer at once. */
enum gm_result gm_page(const struct hyp_caller *c, gva_t va, unsigned access, void **page,
                       gpa_t *g, struct gm_fault *f);

/* What the tables of an address space that was remembered hold now (guest/trace.h); its paging is on. */
void gm_trace(const struct guest_paging *p, gva_t va, struct trace *t);
/* Do they lead to this CPU's TSS as the running process's do, as those of every process must? True too
 * if the running one's don't. Not to be called while a sandbox is entered. */
bool gm_same_kernel(struct vcpu *v, const struct guest_paging *p);

/* --- protected memory (mm/pool.c) ------------------------------------------- */

/* One 4 KiB page of the protected range, or NULL if none. A page from pool_alloc is
 * all zeros: pool_free takes only wiped pages (pool_free_dirty wipes first). Any CPU;
 * a spinlock inside, held for a few instructions. */
void *pool_alloc(void);
void pool_free(void *page);
void pool_free_dirty(void *page);
/* Take n pages or none: fills out[0..n). False if there aren't n. */
bool pool_alloc_many(void **out, size_t n);
size_t pool_free_count(void);
size_t pool_total(void);
/* Core memory to host-physical and back (protected range only). */
hpa_t core_hpa(const void *va);
void *core_va(hpa_t h);

/* --- sandbox (hypapp/sandbox.c) --------------------------------------------- */

/* In the sandbox: 4-level paging with EFER.NXE and CR0.WP set, no SMEP, SMAP, PKE, PCID; a PAT that
 * makes everything write-back, whatever the hypapp's PTEs say (virt/sandbox.h). */

/*
 * Save area for the FPU/SIMD state of one sandbox or of an interrupted one:
 * xstate_size() bytes, 64-byte aligned. xstate_init makes it the ABI's initial state
 * (x87 CW 0x37F, MXCSR 0x1F80, everything else zero).
 */
size_t xstate_size(void);
void xstate_init(void *area);

/*
 * Switch this CPU to the sandbox: the OS's FPU state goes to the CPU's own area; `regs`
 * (which may be &v->regs) become v->regs (RFLAGS is forced to IF|reserved plus the arithmetic flags and DF in
 * regs->rflags); FPU state is loaded from `xstate`. What the OS's general registers are to
 * be afterwards is the hypapp's business: it keeps what it wants to give back.
 */
void sandbox_enter(struct vcpu *v, const struct sandbox *sb, const struct vcpu_regs *regs,
                   const void *xstate);
/*
 * Back to the OS: FPU restored, v->regs all zero: the hypapp sets RIP and the rest. If `regs`
 * isn't NULL the sandbox's registers and (`xstate`) FPU state are saved there first. No
 * sandbox value stays in any register.
 */
void sandbox_leave(struct vcpu *v, struct vcpu_regs *regs, void *xstate);

/* A new, never used sandbox tag. */
uint64_t sandbox_new_tag(void);

/* --- hashing ------------------------------------------------------------------ */

/* The best block function of SHA-256 that the calling CPU has, for sha256_init. */
struct hyp_sha256 {
    sha256_blocks_fn *blocks;
    unsigned cost;     /* instructions for one block, at most; HYP_SHA256_COST_MAX at most */
};
#define HYP_SHA256_COST_MAX 3150u
struct hyp_sha256 hyp_sha256(void);

/* --- misc -------------------------------------------------------------------- */

/* Random bytes from RDRAND/RDSEED mixed with the TSC (notes/random.md says how much they
 * are worth). */
void hyp_random(void *out, size_t len);

/* Log lines: bounded, rate-limited after guest start; never print PAL words. */
#include <debug/log.h>

#endif
