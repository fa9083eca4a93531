/* SPDX-License-Identifier: MIT */
/* MISTAKE read-only pointer: an address as a number. */
/* REFUSED: a pointer is no value */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, sum, PAL_VALUE(uint32_t *, list)) /* HERE */
