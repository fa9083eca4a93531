/* SPDX-License-Identifier: MIT */
/* The interface of eleven_parameters.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, eleven, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b),
          PAL_VALUE(uint32_t, c), PAL_VALUE(uint32_t, d), PAL_VALUE(uint32_t, e),
          PAL_VALUE(uint32_t, f), PAL_VALUE(uint32_t, g), PAL_VALUE(uint32_t, h),
          PAL_VALUE(uint32_t, i), PAL_VALUE(uint32_t, j), PAL_VALUE(uint32_t, k))
