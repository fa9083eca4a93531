/* SPDX-License-Identifier: MIT */
/* The three entries that each mistake's PAL has. */
#ifndef PATTERN_INTERFACE_H
#define PATTERN_INTERFACE_H

#include <pal/interface.h>

PAL_ENTRY(mistake, uint32_t, pattern_fill, PAL_VALUE(uint32_t, key))
PAL_ENTRY(mistake, uint32_t, pattern_kept, PAL_VALUE(uint32_t, key))
PAL_ENTRY(mistake, uint32_t, pattern_spread, PAL_VALUE(uint32_t, from))

#endif
