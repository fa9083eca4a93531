/* SPDX-License-Identifier: MIT */
/* MISTAKE big frame: it fits the stack, as pal-cc makes it. */
/* WORKS 4999: 7 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint8_t room[5000];

    (void)out;
    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    return room[n % sizeof(room)];
}
