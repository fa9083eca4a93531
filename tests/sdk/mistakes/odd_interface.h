/* SPDX-License-Identifier: MIT */
/* The interface of sse_spill.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, one, PAL_VALUE(uint32_t, a))
PAL_ENTRY(mistake, uint32_t, five, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b),
          PAL_VALUE(uint32_t, c), PAL_VALUE(uint32_t, d), PAL_VALUE(uint32_t, e))
PAL_ENTRY(mistake, uint32_t, eight, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b),
          PAL_VALUE(uint32_t, c), PAL_VALUE(uint32_t, d), PAL_VALUE(uint32_t, e),
          PAL_VALUE(uint32_t, f), PAL_VALUE(uint32_t, g), PAL_VALUE(uint32_t, h))
PAL_ENTRY(mistake, uint32_t, nine, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b),
          PAL_VALUE(uint32_t, c), PAL_VALUE(uint32_t, d), PAL_VALUE(uint32_t, e),
          PAL_VALUE(uint32_t, f), PAL_VALUE(uint32_t, g), PAL_VALUE(uint32_t, h),
          PAL_VALUE(uint32_t, i))
