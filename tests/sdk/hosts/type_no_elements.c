/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: an array of no length at its end, for what follows it. */
/* REFUSED: array without elements */
#include <pal/interface.h>

PAL_STRUCT(packet, PAL_FIELD(uint32_t, n) PAL_FIELD(uint8_t, tail[0])) /* HERE */
