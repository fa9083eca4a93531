/* SPDX-License-Identifier: MIT */
/* MISTAKE struct by value: a field whose size differs between systems. */
/* REFUSED: PAL_REFUSED_long */
#include <pal/interface.h>

PAL_STRUCT(corner, PAL_FIELD(uint32_t, x) PAL_FIELD(long, y)) /* HERE */
