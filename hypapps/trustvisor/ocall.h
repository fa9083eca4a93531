/* SPDX-License-Identifier: MIT */
/*
 * Ocalls: a PAL asks its own program to do something (include/xmhf/image.h). Here is what is
 * copied, and whether it may be; call.c has what becomes of the call meanwhile. For the CPU that
 * owns the activation.
 */
#ifndef TV_OCALL_H
#define TV_OCALL_H

#include "marshal.h"

/* The PAL, with these registers, executes XMHF_HC_OCALL. TV_OK: `act->ocall` has what it wants.
 * Else nothing has changed, and the PAL is told so. */
enum tv_error ocall_begin(const struct tv_pal *pal, struct tv_activation *act,
                          const struct vcpu_regs *regs);
/* Write the request to the caller, under the token with which it is to come back; the structure,
 * which has the token, last. May be repeated. */
enum marshal_answer ocall_tell(const struct tv_pal *pal, const struct tv_activation *act,
                               const struct hyp_caller *c, const uint64_t token[2],
                               struct gm_fault *f);
/* Take the answer into the PAL's buffer: `*rax` is what the PAL gets for it, with MARSHAL_OK. May
 * be repeated. */
enum marshal_answer ocall_answer(const struct tv_pal *pal, const struct tv_activation *act,
                                 const struct hyp_caller *c, uint64_t *rax, struct gm_fault *f);
/* How the PAL is told of an error. */
static inline uint64_t ocall_error(enum tv_error e) { return 0 - (uint64_t)e; }

#endif
