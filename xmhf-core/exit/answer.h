/* SPDX-License-Identifier: MIT */
/* What the core does about a hypapp's answer. */
#ifndef XMHF_EXIT_ANSWER_H
#define XMHF_EXIT_ANSWER_H

#include <hypapp/hypapp.h>

/* The instruction runs again, interrupts first. */
void exit_again(struct vcpu *v);

/*
 * Do what `a` says about the instruction of `len` bytes at RIP. True: that was all. False: it was
 * HYP_CORE, and the core goes on.
 */
bool exit_answered(struct vcpu *v, enum hyp_answer a, unsigned len);

/* Tell the hypapp what is about to happen. */
void exit_guest_event(struct vcpu *v, enum hyp_event what);
/* HYP_INIT, for ipi_on_init. */
void exit_init_event(struct vcpu *v);

#endif
