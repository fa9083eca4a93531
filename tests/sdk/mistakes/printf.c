/* SPDX-License-Identifier: MIT */
/* MISTAKE printf: a PAL has no output of its own. */
/* REFUSED: printf */
#include "mistake_interface.h"

int printf(const char *format, ...);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    printf("%u and %u\n", n, n + 1); /* HERE */
    return n;
}
