/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: a count that can be negative. */
/* REFUSED: must be unsigned */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, sum, PAL_IN(uint8_t, list, n, 8), PAL_VALUE(int32_t, n)) /* HERE */
