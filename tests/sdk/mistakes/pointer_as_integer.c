/* SPDX-License-Identifier: MIT */
/* MISTAKE undeclared parameter: an address of the caller's, given as a number. */
/* DIES 0: vector=14 address=0x0 null */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    const volatile uint32_t *list = (const volatile uint32_t *)(uintptr_t)n;

    (void)in;
    (void)out;
    return list[0] + 1;
}
