/* SPDX-License-Identifier: MIT */
/* What the core does about a hypapp's answer. */
#ifndef XMHF_EXIT_ANSWER_H
#define XMHF_EXIT_ANSWER_H

#include <hypapp/ask.h>

/* The instruction runs again, interrupts first. */
void exit_again(struct vcpu *v);

/*
 * Do what `a` says about the instruction of `len` bytes at RIP. True: that was all. False: it was
 * HYP_CORE, and the core goes on.
 */
bool exit_answered(struct vcpu *v, enum hyp_answer a, unsigned len);

#endif
