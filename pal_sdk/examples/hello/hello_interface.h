/* SPDX-License-Identifier: MIT */
/* The smallest PAL: what it can be asked. */
#include <pal/interface.h>
PAL_ENTRY(hello, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b))
