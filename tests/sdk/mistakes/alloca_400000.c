/* SPDX-License-Identifier: MIT */
/* MISTAKE alloca: so large that it jumps over the gap below the stack. */
/* DIES 400000: vector=14 */
#include "mistake_interface.h"

static uint8_t zeros[512 * 4096]; /* there is something to hit */

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint8_t *room = (volatile uint8_t *)__builtin_alloca(n);

    (void)out;
    room[0] = in[5];
    return room[0] + zeros[n & 4095];
}
