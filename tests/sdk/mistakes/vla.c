/* SPDX-License-Identifier: MIT */
/* MISTAKE VLA: as alloca. */
/* WORKS 40: 39 */
/* WORKS 3000: 55 */
/* DIES 20000: vector=14 stack */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint8_t room[n];

    (void)out;
    for (uint32_t i = 0; i < n; i++) {
        room[i] = in[i & 63];
    }
    return room[n - 1];
}
