/* SPDX-License-Identifier: MIT */
/* Calls by whatever convention a PAL has, and what is in the registers afterwards. */
#ifndef PAL_CALL_H
#define PAL_CALL_H

#include <pal/pal.h>

#define PAL_CALL_WORDS 32u /* arguments, at most */

/* Call `entry` by `convention` (enum xmhf_convention; with 32 bits always cdecl) with the first `n`
 * of args[], at most PAL_CALL_WORDS. out[0..2] become RAX, RCX, RDX; out[3] is used while
 * the call is under way. */
void pal_raw_call(uint32_t convention, const void *entry, const pal_word *args, unsigned n,
                  pal_word out[4]);
/* Call a resume stub with a token, where an interrupted call would have it. */
void pal_raw_resume(const void *stub, const uint64_t token[2], pal_word out[4]);

/* A thread that is under way, whose PAL is gone, goes on here once RBP is what out[3] says; what is
 * in RAX, RCX and RDX becomes out[0..2]. */
extern const uint8_t pal_call_lost[];

#endif
