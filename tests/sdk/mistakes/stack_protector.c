/* SPDX-License-Identifier: MIT */
/* MISTAKE stack protector: its canary is the PAL's own, and a PAL that overran a buffer dies. */
/* FLAGS: -fstack-protector-all */
/* WORKS 8: 28 */
/* DIES 40: CODE */
#include "mistake_interface.h"

static __attribute__((noinline)) void copy(volatile uint8_t *to, const uint8_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint8_t buffer[8];
    uint32_t sum = 0;

    (void)out;
    copy(buffer, in, n);
    for (uint32_t i = 0; i < 8; i++) {
        sum += buffer[i];
    }
    return sum;
}
