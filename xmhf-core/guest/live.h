/* SPDX-License-Identifier: MIT */
/* A CPU that is already running, as the state of a vCPU that goes on where it is. Pure. */
#ifndef XMHF_GUEST_LIVE_H
#define XMHF_GUEST_LIVE_H

#include <virt/state.h>
#include <xmhf/live.h>

/* What the CPU has, natively. */
struct live_state {
    struct live_cpu cpu;
    uint64_t efer, pat, debugctl, dr6, dr7;
    uint64_t fs_base, gs_base;
    struct syscall_msrs msrs;
};

/* What this CPU, and the policy, allow. */
struct live_limits {
    uint64_t cr4;    /* bits that the guest may set (policy/cr.h:cr4_visible) */
    uint64_t efer;   /* likewise, without LMA (efer_supported) */
    uint64_t beyond; /* bits that no physical address has (cpu/width.h) */
};

/* Copies `len` bytes of the CPU's own linear memory; false: it isn't there. */
typedef bool (*live_reader)(uint64_t linear, void *to, size_t len);

/*
 * Fill `s`: the CPU goes on at cpu.rip, with RAX 0. NULL, or what is in the way: a mode that the
 * core doesn't take, a feature in use that the guest can't have, a selector whose descriptor isn't
 * there any more. Hidden parts of segments are taken from the tables: those of a data segment with
 * no descriptor are those of a flat one, of a null TR those of a reset.
 */
const char *live_make_state(const struct live_state *l, const struct live_limits *limits,
                            live_reader read, struct vcpu_state *s);

#endif
