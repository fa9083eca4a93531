/* SPDX-License-Identifier: MIT */
/* TV_HC_REG, XMHF_HC_MODULE_REGISTER and XMHF_HC_IMAGE_REGISTER: registrations, in steps that the
 * guest repeats. */
#ifndef TV_REGISTER_H
#define TV_REGISTER_H

#include <hypapp/hypapp.h>

/* Of PALs that set no budget themselves: the option palbudget=. Not part of any identity. */
extern uint64_t tv_budget;

/* The next step of a registration, if the caller's registers tell of one. HC_UNKNOWN: not. */
enum hc_result tv_register_step(struct vcpu *v, const struct hyp_caller *c);
/* The first step, by the public ABI, by the module interface and of an image. */
enum hc_result tv_register(struct vcpu *v, const struct hyp_caller *c);
enum hc_result tv_register_module(struct vcpu *v, const struct hyp_caller *c);
enum hc_result tv_register_image(struct vcpu *v, const struct hyp_caller *c);

#endif
