/* SPDX-License-Identifier: MIT */
/* Arguments of a call, from the caller to the PAL and back. */
#ifndef TV_MARSHAL_H
#define TV_MARSHAL_H

#include "pal.h"

/* Result of touching the caller's memory. BAD_RETURN: its return address isn't canonical.
 * BAD_COUNT: an argument counts more than its POINTER is declared to have. BAD_VALUE: it doesn't
 * fit the PAL's machine word. With both all that a return needs is in `act`, and nothing else has
 * been touched. */
enum marshal_answer {
    MARSHAL_OK, MARSHAL_FAULT, MARSHAL_NOT_RAM, MARSHAL_BAD_RETURN, MARSHAL_BAD_COUNT,
    MARSHAL_BAD_VALUE,
};

static inline enum marshal_answer marshal_answer_of(enum gm_result r)
{
    return r == GM_OK ? MARSHAL_OK : r == GM_FAULT ? MARSHAL_FAULT : MARSHAL_NOT_RAM;
}

/* Take arguments and return address from the caller at the entry stub into `act`, and write
 * its stack and PARAM section. `regs`, the caller's registers, become the PAL's with
 * MARSHAL_OK. */
enum marshal_answer marshal_in(struct tv_pal *pal, struct tv_activation *act,
                               const struct hyp_caller *c, struct vcpu_regs *regs,
                               struct gm_fault *f);
/* The caller's return address at the entry stub: `*to`, with MARSHAL_OK. */
enum marshal_answer marshal_return_address(const struct hyp_caller *c,
                                           const struct vcpu_regs *regs, uint64_t *to,
                                           struct gm_fault *f);
/* Another call is to end as this one: take return address and registers of the caller at the resume
 * stub, anew. Nothing has changed but with MARSHAL_OK. */
enum marshal_answer marshal_caller(const struct tv_pal *pal, struct tv_activation *act,
                                   const struct hyp_caller *c, const struct vcpu_regs *regs,
                                   struct gm_fault *f);
/* Copy the data of POINTERs back, unless they are in only. May be repeated. */
enum marshal_answer marshal_out(struct tv_pal *pal, const struct tv_activation *act,
                                const struct hyp_caller *c, struct gm_fault *f);

#endif
