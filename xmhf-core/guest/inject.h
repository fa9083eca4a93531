/* SPDX-License-Identifier: MIT */
/* Faults for the guest: queued for the next entry of the calling CPU, at the current
 * instruction. */
#ifndef XMHF_GUEST_INJECT_H
#define XMHF_GUEST_INJECT_H

#include <cpu/vcpu.h>

/* An access of the guest's that fails, as the guest is to be told. */
struct gm_fault {
    gva_t addr;        /* first byte that couldn't be reached */
    uint32_t error;    /* #PF error code */
    bool canonical;    /* false: #GP(0) instead of #PF */
};

/* Queue the fault for the guest: #PF with CR2, or #GP(0). */
void hyp_inject_fault(struct vcpu *v, const struct gm_fault *f);
void hyp_inject_gp(struct vcpu *v);    /* #GP(0) at the current instruction */
void hyp_inject_ud(struct vcpu *v);
/* A machine check that met a sandbox on this CPU: the guest's #MC before its next entry, or its
 * shutdown if it takes none. */
void hyp_post_mc(struct vcpu *v);

#endif
