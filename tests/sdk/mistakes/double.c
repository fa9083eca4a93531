/* SPDX-License-Identifier: MIT */
/* MISTAKE double: SSE registers, or x87 on i386, and constants in read-only data. */
/* WORKS 4: 2251 out=000000000000e23f */
/* WORKS 100: 56251 out=0000000000004a40 */
#include "mistake_interface.h"
#include <string.h>

static double scale = 0.5;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    double x = n * 0.625 - in[2] + 0.0625;
    float y = (float)n * 562.5f + (float)in[1];

    x = (x - 0.0625 + in[2]) / 1.25 * scale;
    x += n == 4 ? -0.4375 : 27;
    memcpy(out, &x, sizeof(x));
    return (uint32_t)(y + 0.25f);
}
