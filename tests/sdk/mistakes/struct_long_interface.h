/* SPDX-License-Identifier: MIT */
/* The interface of struct_with_long.c. */
#include "pattern_interface.h"

PAL_STRUCT(corner, PAL_FIELD(long, x) PAL_FIELD(uint8_t, tag[4])) /* HERE */
PAL_ENTRY(mistake, uint32_t, turn, PAL_IN_STRUCT(corner, before))
