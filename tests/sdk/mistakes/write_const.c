/* SPDX-License-Identifier: MIT */
/* MISTAKE const table: a write to it. */
/* DIES 1: vector=14 RODATA */
#include "mistake_interface.h"

static const uint32_t table[4] = { 1, 2, 3, 4 };

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint32_t *at = (volatile uint32_t *)(uintptr_t)table;

    (void)in;
    (void)out;
    at[n & 3] = 5;
    return at[n & 3];
}
