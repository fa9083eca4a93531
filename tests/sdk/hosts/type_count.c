/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: a count that is none of the parameters. */
/* REFUSED: undeclared|not declared */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, sum, PAL_IN(uint8_t, list, n, 8)) /* HERE */
