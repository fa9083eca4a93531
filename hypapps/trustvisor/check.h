/* SPDX-License-Identifier: MIT */
/* Checks the structures of a registration by the public ABI; pure. */
#ifndef TV_CHECK_H
#define TV_CHECK_H

#include "image.h"

/*
 * Check what a caller asks for by the public ABI and fill `im`; `is_64`: the caller is 64-bit code,
 * and then so is the PAL. `s` and `p` are private copies of the caller's structures; only the first
 * num_* entries are looked at. im->sections, params and entries lead to empty lists, as in struct
 * tv_public_lists. Returns the name of the first thing wrong, or TV_OK. Touches no guest memory.
 */
enum tv_error tv_check(const struct tv_pal_sections *s, const struct tv_pal_params *p,
                       uint64_t entry, bool is_64, struct tv_image *im);

#endif
