/* SPDX-License-Identifier: MIT */
/* MISTAKE printf: its header is there, so that the compiler can say what a PAL has instead. */
/* REFUSED: puts */
#include "mistake_interface.h"
#include <stdio.h>

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    puts("here"); /* HERE */
    return n;
}
