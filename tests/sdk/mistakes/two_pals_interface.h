/* SPDX-License-Identifier: MIT */
/* The interface of two_pals.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistaken, uint32_t, run, PAL_VALUE(uint32_t, n)) /* HERE */
