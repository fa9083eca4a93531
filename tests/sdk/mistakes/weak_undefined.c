/* SPDX-License-Identifier: MIT */
/* MISTAKE weak symbol: one that is nowhere. */
/* REFUSED: weak run */
#include "mistake_interface.h"

extern __attribute__((weak)) uint32_t hook(uint32_t n);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return hook ? hook(n) : n + in[1]; /* HERE */
}
