/* SPDX-License-Identifier: MIT */
/* MISTAKE libc call: one that only an operating system can answer. */
/* REFUSED: clock */
#include "mistake_interface.h"

extern long clock(void);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return n + (uint32_t)clock(); /* HERE */
}
