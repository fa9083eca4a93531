/* SPDX-License-Identifier: MIT */
/* The interface of struct_parameter.c. */
#include "pattern_interface.h"

PAL_STRUCT(corner, PAL_FIELD(uint32_t, x) PAL_FIELD(uint32_t, y) PAL_FIELD(uint8_t, tag[4]))
PAL_ENTRY(mistake, uint32_t, turn, PAL_IN_STRUCT(corner, before),
          PAL_OUT_STRUCT(corner, after))
