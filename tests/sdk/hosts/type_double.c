/* SPDX-License-Identifier: MIT */
/* MISTAKE double: by value. */
/* REFUSED: PAL_REFUSED_double */
#include <pal/interface.h>

PAL_ENTRY(host, uint32_t, half, PAL_VALUE(double, x)) /* HERE */
