/* SPDX-License-Identifier: MIT */
/* MISTAKE recursion: named as unchecked; too deep it ends in the gap below the stack. */
/* NOTED: recurs */
/* WORKS 10: 65 */
/* DIES 100000: vector=14 stack */
#include "mistake_interface.h"

static __attribute__((noinline)) uint32_t sum(const volatile uint32_t *above, uint32_t n)
{
    volatile uint32_t own[8] = { above[0] + n };

    return n == 0 ? own[0] : sum(own, n - 1);
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint32_t first[8] = { in[10] };

    (void)out;
    return sum(first, n);
}
