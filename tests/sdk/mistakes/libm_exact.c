/* SPDX-License-Identifier: MIT */
/* MISTAKE libm call: what is exact is there. */
/* WORKS 10: 316 out=0a03ff01 */
/* WORKS 2: 141 out=0201ff01 */
#include "mistake_interface.h"
#include <math.h>

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    out[0] = (uint8_t)fabs(-(double)n);
    out[1] = (uint8_t)floor(sqrt(n));
    out[2] = (uint8_t)(int)floor(-0.5);
    out[3] = (uint8_t)(isnan(fmod(n, 0)) && !isnan((float)n) && fmodf(7, 4) == 3);
    return (uint32_t)trunc(sqrt(n) * 100);
}
