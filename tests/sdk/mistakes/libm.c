/* SPDX-License-Identifier: MIT */
/* MISTAKE libm call: one that libpal-rt hasn't got. */
/* REFUSED: pow math.h source */
#include "mistake_interface.h"
#include <math.h>

double pow(double x, double y);

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return (uint32_t)pow(n, 1.5); /* HERE */
}
