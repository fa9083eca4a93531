/* SPDX-License-Identifier: MIT */
/* Services for hypapps: isolated ring-3 contexts that run instead of the OS, and their nested
 * tables. */
#ifndef XMHF_HYPAPP_SANDBOX_H
#define XMHF_HYPAPP_SANDBOX_H

#include <virt/virt.h>

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
 * (which may be &v->regs) become v->regs (RFLAGS is forced to IF|reserved plus the arithmetic flags
 * and DF in regs->rflags); FPU state is loaded from `xstate`. What the OS's general registers are
 * to be afterwards is the hypapp's business: it keeps what it wants to give back.
 */
void sandbox_enter(struct vcpu *v, const struct sandbox *sb, const struct vcpu_regs *regs,
                   const void *xstate);
/*
 * Back to the OS: FPU restored, v->regs all zero: the hypapp sets RIP and the rest. If `regs`
 * isn't NULL the sandbox's registers and (`xstate`) FPU state are saved there first. No
 * sandbox value stays in any register.
 */
void sandbox_leave(struct vcpu *v, struct vcpu_regs *regs, void *xstate);
/* sandbox_leave for a hypapp that sets every register itself before it returns: v->regs keep the
 * sandbox's general registers and RIP. FPU state goes to `xstate`, or nowhere if that is NULL. */
void sandbox_leave_registers(struct vcpu *v, void *xstate);

/* A new, never used sandbox tag. */
uint64_t sandbox_new_tag(void);

/* Retire a sandbox's tag: forget all translations that the calling CPU has cached for it. Other
 * CPUs needn't, since no tag is ever used again. */
static inline void hyp_sandbox_forget(struct vcpu *v, uint64_t tag)
{
    virt->sandbox_forget(v, tag);
}

/* Entries of a sandbox's nested tables, in the CPU's own format (mm/nested.h). */
static inline uint64_t hyp_nested_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    return virt->nested->leaf(h, rights, type, level);
}

static inline uint64_t hyp_nested_table(hpa_t h, unsigned level)
{
    return virt->nested->table(h, level);
}

static inline hpa_t hyp_nested_addr(uint64_t entry)
{
    return virt->nested->addr(entry);
}

#endif
