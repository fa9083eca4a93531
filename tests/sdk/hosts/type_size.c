/* SPDX-License-Identifier: MIT */
/* MISTAKE size in wrong unit: a count that has another size elsewhere. */
/* REFUSED: PAL_REFUSED_its_size */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, sum, PAL_IN(uint8_t, list, n, 8), PAL_VALUE(size_t, n)) /* HERE */
