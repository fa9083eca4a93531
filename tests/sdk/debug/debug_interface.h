/* SPDX-License-Identifier: MIT */
/* The PAL that tests/e2e/debugger.py looks into. */
#include <pal/interface.h>
PAL_OCALL(debug, uint32_t, hold, PAL_VALUE(uint32_t, seconds))
PAL_ENTRY(debug, uint32_t, turn, PAL_VALUE(uint32_t, rounds))
PAL_ENTRY(debug, uint32_t, wait_outside, PAL_VALUE(uint32_t, seconds))
