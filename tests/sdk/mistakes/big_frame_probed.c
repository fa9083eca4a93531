/* SPDX-License-Identifier: MIT */
/* MISTAKE big frame: so large that compilers touch its pages in a loop. */
/* REFUSED: fill stack 16384 */
#include "mistake_interface.h"

static __attribute__((noinline)) uint32_t fill(uint32_t n, const uint8_t *in) /* HERE */
{
    volatile uint8_t room[40000];

    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    return room[n];
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    out[0] = in[0];
    return fill(n, in) + 1;
}
