/* SPDX-License-Identifier: MIT */
/* MISTAKE printf: snprintf of a PAL has no floating point. */
/* REFUSED: floating point snprintf whole */
#include "mistake_interface.h"
#include <stdio.h>

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    const double half = n / 2.0;

    (void)in;
    return (uint32_t)snprintf((char *)out, 64, "%u: %.1f", n, half); /* HERE */
}
