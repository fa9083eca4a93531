/* SPDX-License-Identifier: MIT */
/* MISTAKE 64-bit division: on i386 a call of a function of the compiler's library. */
/* WORKS 1: 0xedcb1a88 out=90b205 */
/* WORKS 77: 0xedf92a53 out=60dd0d */
#include "mistake_interface.h"

static uint64_t quotient(uint64_t a, uint64_t b)
{
    return a / b;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint64_t a = (uint64_t)n << 32 | 0x12345678;
    int64_t b = -(int64_t)a;
    uint32_t rest = (uint32_t)(a % (1000003u + in[0]));

    out[0] = (uint8_t)rest;
    out[1] = (uint8_t)(rest >> 8);
    out[2] = (uint8_t)(rest >> 16);
    return (uint32_t)quotient(a, 100003u + in[4]) ^ (uint32_t)(b / (int64_t)(in[63] - 64))
        ^ (uint32_t)(b % 1000);
}
