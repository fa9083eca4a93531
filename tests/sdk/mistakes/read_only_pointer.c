/* SPDX-License-Identifier: MIT */
/* MISTAKE read-only pointer: what the PAL writes there stays with the PAL. */
/* WORKS 5: 0x69 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint8_t *mine = (uint8_t *)(uintptr_t)in;

    (void)out;
    mine[n] += 100; /* the caller looks whether its bytes are as they were */
    return mine[n];
}
