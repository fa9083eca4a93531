/* SPDX-License-Identifier: MIT */
/* MISTAKE read-only pointer: the compiler sees a write to what is const. */
/* REFUSED: read-only|const */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    in[n & 63] = 1; /* HERE */
    return n;
}
