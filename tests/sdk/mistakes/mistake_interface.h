/* SPDX-License-Identifier: MIT */
/* What most mistakes offer: `in` holds 0, 1, 2, ... 63. */
#ifndef MISTAKE_INTERFACE_H
#define MISTAKE_INTERFACE_H

#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, run, PAL_VALUE(uint32_t, n), PAL_IN_ARRAY(uint8_t, in, 64),
          PAL_OUT_ARRAY(uint8_t, out, 64))

#endif
