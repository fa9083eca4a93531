/* SPDX-License-Identifier: MIT */
/* MISTAKE big frame: each fits the stack, not all of them together. */
/* FLAGS: --stack 8192 */
/* REFUSED: outer inner stack 8192 */
#include "mistake_interface.h"

static __attribute__((noinline)) uint32_t inner(uint32_t n, const uint8_t *in)
{
    volatile uint8_t room[5000];

    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    return room[n % sizeof(room)];
}

static __attribute__((noinline)) uint32_t outer(uint32_t n, const uint8_t *in)
{
    volatile uint8_t room[5000];

    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    return inner(n, in) + room[n % sizeof(room)];
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return outer(n, in) + 1;
}
