/* SPDX-License-Identifier: MIT */
/*
 * The hypapp interface: what an application of the hypervisor implements, and the
 * services it may use. One hypapp is linked in (configure --with-hypapp=NAME); it
 * defines `const struct hypapp hypapp`.
 *
 * All callbacks run on the CPU that caused them, in the exit path: no sleeping, no
 * unbounded loops, at most about 200,000 instructions. Long work is done in steps:
 * return HC_AGAIN (HYP_AGAIN) and the guest executes the instruction again, interrupts first.
 * Callbacks on different CPUs run at the same time; the hypapp locks its own data.
 */
#ifndef XMHF_HYPAPP_H
#define XMHF_HYPAPP_H

#include <cpu/vcpu.h>
#include <debug/log.h> /* lines are bounded, and rate-limited after guest start; no PAL's words */
#include <facts/options.h>
#include <hypapp/ask.h>
#include <hypapp/memory.h>
#include <hypapp/page_set.h>
#include <hypapp/rights_plan.h>
#include <hypapp/sandbox.h>
#include <hypapp/services.h>
#include <mm/pool.h>
#include <virt/exit.h>
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

enum hyp_event {
    HYP_INIT,       /* an INIT resets this CPU */
    HYP_RESET,      /* the guest resets the machine, by whichever way, triple faults among them */
    HYP_POWER_OFF,  /* S4 or S5 */
};

/* All but the name may be NULL; who enters sandboxes needs sandbox_exit. */
struct hypapp {
    const char *name;
    /* Boot CPU, before the guest starts; the services of hypapp/ask.h are for here. 0, or -1 with a
     * log line: launch is refused. */
    int (*init)(void);
    /* Words of the command line that are the hypapp's; the last one has no name. Their setters run
     * on the boot CPU, before `init`. */
    const struct option_more *options;
    /* Each CPU, before it enters the guest. 0 or -1. */
    int (*cpu_init)(struct vcpu *v);
    /* May change what CPUID tells (`r` has the policy's answer). Runs for the OS and for
     * the sandbox (v->in_sandbox). True: ask at every CPUID with this leaf and subleaf.
     * False: the core may give the OS the same answer again without asking. */
    bool (*cpuid)(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *r);
    /* A hypercall of the OS (any ring and mode; check with hyp_caller). `cmd` is EAX. */
    enum hc_result (*hypercall)(struct vcpu *v, uint32_t cmd);
    /* RDMSR or WRMSR of what hyp_msr_range asked for. `*value` is what is to be written, or with
     * HYP_DONE what was read. */
    enum hyp_answer (*msr)(struct vcpu *v, uint32_t index, bool write, uint64_t *value);
    /* A write of CR0, CR3 or CR4, that hyp_cr_bits asked for and the CPU would accept, whichever
     * instruction. `*value` is all of the register; with HYP_CORE a changed one that the CPU
     * wouldn't accept is #GP(0). */
    enum hyp_answer (*cr_write)(struct vcpu *v, unsigned cr, uint64_t *value);
    /* After hyp_trap_tables: what LGDT or LIDT is to load; of LLDT and LTR the selector, in `base`,
     * and no limit. */
    enum hyp_answer (*table_write)(struct vcpu *v, enum hyp_table which, uint64_t base,
                                   uint32_t limit);
    /* The guest has used a right of a page that hyp_rights took away. HYP_CORE and HYP_REFUSE are
     * both #GP(0), HYP_DONE and HYP_SWITCHED both leave everything as it is (hyp_store_done has
     * moved RIP), HYP_AGAIN but for the shadow of MOV SS or STI. */
    enum hyp_answer (*fault)(struct vcpu *v, const struct exit *e);
    /* What is about to happen to this CPU, or by this CPU to the machine; in the latter case
     * others may still run. It can't be helped any more. */
    void (*guest_event)(struct vcpu *v, enum hyp_event what);
    /* Any exit of the sandbox except CPUID and NMI. Afterwards the sandbox goes on,
     * unless sandbox_leave was called. On EXIT_INTR it must leave; the core says EXIT_INTR
     * too when it has to give the OS something else (a pending NMI, INIT). RIP is still at
     * the instruction that exited. */
    void (*sandbox_exit)(struct vcpu *v, const struct exit *e);
    /* Answer an XMHF_HC_INFO item that the core doesn't know; false if unknown too. */
    bool (*info)(struct vcpu *v, uint32_t which, uint64_t *value);
    /* Before a reset or in a panic, all other CPUs stopped: wipe secrets kept outside
     * the page pool (the core wipes the pool itself). No locks. */
    void (*wipe)(void);
};

extern const struct hypapp hypapp;

#endif
