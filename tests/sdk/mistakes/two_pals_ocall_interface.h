/* SPDX-License-Identifier: MIT */
/* The interface of two_pals_ocall.c. */
#include "pattern_interface.h"

PAL_ENTRY(mistake, uint32_t, run, PAL_VALUE(uint32_t, n))
PAL_OCALL(mistaken, uint32_t, ask, PAL_VALUE(uint32_t, n)) /* HERE */
