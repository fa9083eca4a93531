/* SPDX-License-Identifier: MIT */
/* MISTAKE function pointer: one of the program's, which a PAL can't call. */
/* DIES 0x400000: vector=14 address=0x400000 */
#include "mistake_interface.h"

typedef uint32_t function(void);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return ((function *)(uintptr_t)n)() + 1;
}
