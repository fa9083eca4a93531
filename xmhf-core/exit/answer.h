/* SPDX-License-Identifier: MIT */
/* What the core does about a hypapp's answer, and telling it of INITs, resets and power-offs. */
#ifndef XMHF_EXIT_ANSWER_H
#define XMHF_EXIT_ANSWER_H

#include <hypapp/hypapp.h>

/* Have the instruction run again, interrupts first. */
void exit_again(struct vcpu *v);

/*
 * Do what the hypapp's answer `a` says about the instruction of `len` bytes at RIP. True: there is
 * nothing left to do. False: the answer was HYP_CORE, and the core goes on as if the hypapp
 * weren't there.
 */
bool exit_answered(struct vcpu *v, enum hyp_answer a, unsigned len);

/* Tell the hypapp what is about to happen to this CPU or to the machine. */
void exit_guest_event(struct vcpu *v, enum hyp_event what);
/* exit_guest_event for an INIT, in the form that ipi_on_init takes. */
void exit_init_event(struct vcpu *v);

#endif
