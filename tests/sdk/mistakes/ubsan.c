/* SPDX-License-Identifier: MIT */
/* MISTAKE UBSan: its reports are the C library's. */
/* FLAGS: -fsanitize=undefined */
/* REFUSED: -fsanitize */
#include "mistake_interface.h"

static const uint32_t weights[4] = { 3, 5, 7, 11 };
static uint32_t total;

static __attribute__((noinline)) uint32_t weigh(uint32_t n, const uint8_t *in)
{
    return in[n & 63] * weights[n & 3];
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    total += weigh(n, in);
    out[1] = in[n & 63];
    return total;
}
