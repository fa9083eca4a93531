/* SPDX-License-Identifier: MIT */
/*
 * Arguments and results between code of different widths, and those whose width is declared
 * (xmhf/image.h, XMHF_INTEGER_*): only for images that convert.
 */
#ifndef TV_SLOTS_H
#define TV_SLOTS_H

#include "pal.h"

/* Take return address, registers and arguments of a 32-bit caller, whose stack has them. */
enum gm_result slots_take(const struct tv_pal *pal, struct tv_activation *act,
                          const struct hyp_caller *c, const struct vcpu_regs *caller,
                          struct gm_fault *f);
/* act->args are as the caller's registers and stack have them: to what is declared. act->slots and
 * act->fits are set. */
void slots_settle(const struct tv_pal *pal, struct tv_activation *act);
/* act->fits only, where all are machine words of 64 bits and the PAL's has less. */
void slots_fit(const struct tv_pal *pal, struct tv_activation *act);
/* Write them to the PAL's stack. `sp`: the PAL's stack pointer, for us. */
void slots_give(const struct tv_pal *pal, const struct tv_activation *act, void *sp);
/* What the PAL returned, as 64 bits. `regs`: its own. */
uint64_t slots_result(const struct tv_pal *pal, const struct tv_activation *act,
                      const struct vcpu_regs *regs);

#endif
