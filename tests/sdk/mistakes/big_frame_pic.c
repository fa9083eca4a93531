/* SPDX-License-Identifier: MIT */
/* MISTAKE big frame: in what position-independent code calls behind asking where it is. */
/* FLAGS: -fPIE */
/* REFUSED: twice fill stack 16384 */
#include "mistake_interface.h"

static const uint32_t weights[4] = { 3, 5, 7, 11 };
static uint32_t total;

static __attribute__((noinline)) uint32_t fill(uint32_t n, const uint8_t *in)
{
    volatile uint8_t room[9000];

    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    total += weights[n & 3];
    return room[n];
}

static __attribute__((noinline)) uint32_t twice(uint32_t n, const uint8_t *in)
{
    volatile uint8_t room[9000];

    room[n] = in[n & 63];
    total += weights[n & 3];
    return fill(n, in) + room[n];
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    total += weights[n & 3];
    out[1] = in[n & 63];
    return twice(n, in) + total;
}
