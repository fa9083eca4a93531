/* SPDX-License-Identifier: MIT */
/*
 * Segment registers of calls of 16-bit PALs: what they begin with, what is kept while the OS runs,
 * what an entry loads. What a selector means is fixed by the LDT (mode16.h), so selectors are all
 * that is kept. For the CPU that owns the activation.
 */
#ifndef TV_SEGMENTS_H
#define TV_SEGMENTS_H

#include "pal.h"

static inline bool segments_own(const struct tv_pal *pal)
{
    return pal->image.mode == PAL_ID_MODE_16;
}

/* Once, before the PAL goes live; `stack`: number of the activation's STACK section. */
void segments_ready(const struct tv_pal *pal, struct tv_activation *act, uint32_t stack);
/* A call of act->entry is about to begin: act->begins is for it. */
void segments_begin(const struct tv_pal *pal, struct tv_activation *act);
/* sandbox_enter: a call begins, or with `regs` == &act->regs goes on, with the segments that its
 * code had. */
void segments_enter(struct vcpu *v, const struct tv_pal *pal, const struct tv_activation *act,
                    const struct vcpu_regs *regs, const void *xstate);
/* The call is put aside: keep what its code has loaded. The PAL is in the sandbox still. */
void segments_keep(struct vcpu *v, const struct tv_pal *pal, struct tv_activation *act);
/* The PAL's own address of the instruction at RIP, of any PAL, which is in the sandbox still. */
uint64_t segments_rip(struct vcpu *v, const struct tv_pal *pal);

#endif
