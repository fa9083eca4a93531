/* SPDX-License-Identifier: MIT */
/* MISTAKE helper outside: a function of the program, not of the PAL. */
/* REFUSED: host_helper */
#include "mistake_interface.h"

uint32_t host_helper(uint32_t n);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return host_helper(n) + 1; /* HERE */
}
