/* SPDX-License-Identifier: MIT */
/*
 * A PAL's own memory, by the PAL's own addresses, for hypercalls from inside it. All of it that may
 * be written lies in its DATA, BSS, STACK and PARAM sections; its frames are there as long as it is
 * LIVE. For any CPU with a reference to the PAL.
 */
#ifndef TV_OWN_H
#define TV_OWN_H

#include "pal.h"

/* Can the PAL itself write [va, va + n)? Whole sections may lie one behind the other. */
bool own_writable(const struct tv_pal *pal, uint64_t va, uint64_t n);
/* How many bytes at `va`, at most `n`, lie in one page of the PAL's, and where that is for us.
 * NULL: no section has it. */
void *own_at(const struct tv_pal *pal, uint64_t va, uint32_t *n);
/* To where own_writable holds. */
void own_write(const struct tv_pal *pal, uint64_t va, const void *bytes, uint32_t n);
/* What the PAL's code has in this register. */
uint64_t own_arg(const struct tv_pal *pal, const struct vcpu_regs *regs, enum gpr r);
/* An address there; of 16-bit code with far pointers offset and, in bits 31:16, selector. If it is
 * none that own_writable is true of. */
uint64_t own_address(const struct tv_pal *pal, const struct vcpu_regs *regs, enum gpr r);
/* XMHF_HC_RANDOM: its result. */
enum tv_error own_random(const struct tv_pal *pal, const struct vcpu_regs *regs);

#endif
