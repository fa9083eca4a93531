/* SPDX-License-Identifier: MIT */
/* The interface of wrong_unit.c and of past_the_count.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, sum, PAL_VALUE(uint32_t, n), PAL_IN(uint32_t, list, n, 16))
