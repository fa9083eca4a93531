/* SPDX-License-Identifier: MIT */
/*
 * Arguments and results between code of different widths, and those whose width is declared
 * (xmhf/image.h, XMHF_INTEGER_*): only for images that tv_converts is true of.
 */
#ifndef TV_SLOTS_H
#define TV_SLOTS_H

#include "pal.h"

/* Take return address, registers and arguments of a 32-bit caller, whose stack has them. */
enum gm_result slots_take(const struct tv_pal *pal, struct tv_activation *act,
                          const struct hyp_caller *c, const struct vcpu_regs *caller,
                          struct gm_fault *f);
/* act->args, of a 64-bit caller, are as its registers and stack have them: to what is declared. */
void slots_extend(const struct tv_pal *pal, struct tv_activation *act);
/* Does each argument that is a machine word fit the PAL's? */
bool slots_fit(const struct tv_pal *pal, const struct tv_activation *act);
/* Machine words of the PAL that `n` arguments take on its stack. */
unsigned slots_given(const struct tv_image *im, const struct tv_param *params, unsigned n);
/* Write them there. `sp`: the PAL's stack pointer, for us. */
void slots_give(const struct tv_pal *pal, const struct tv_activation *act, void *sp);
/* What the PAL returned, as 64 bits. `regs`: its own. */
uint64_t slots_result(const struct tv_pal *pal, const struct tv_activation *act,
                      const struct vcpu_regs *regs);

#endif
