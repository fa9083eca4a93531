/* SPDX-License-Identifier: MIT */
/* MISTAKE function pointer: a table of them, in read-only data. */
/* WORKS 0: 107 */
/* WORKS 1: 93 */
/* WORKS 2: 700 */
/* WORKS 5: 700 */
#include "mistake_interface.h"

static uint32_t add(uint32_t a, uint32_t b)
{
    return a + b;
}

static uint32_t subtract(uint32_t a, uint32_t b)
{
    return a - b;
}

static uint32_t multiply(uint32_t a, uint32_t b)
{
    return a * b;
}

static uint32_t (*const table[])(uint32_t, uint32_t) = { add, subtract, multiply };

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return table[n % 3](100, in[7]);
}
