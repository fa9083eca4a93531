/* SPDX-License-Identifier: MIT */
/* MISTAKE weak symbol: one that is there. */
/* WORKS 3: 31 */
#include "mistake_interface.h"

__attribute__((weak, noinline)) uint32_t hook(uint32_t n)
{
    return n * 10;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return hook(n) + in[1];
}
