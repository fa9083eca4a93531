/* SPDX-License-Identifier: MIT */
/* MISTAKE gc-sections: entries are called by nobody inside. */
/* FLAGS: -ffunction-sections -fdata-sections -Wl,--gc-sections */
/* WORKS 2: 14 out=0002 */
/* WORKS 7: 91 out=0007 */
#include "mistake_interface.h"

static const uint32_t weights[4] = { 3, 5, 7, 11 };
static uint32_t total;

static __attribute__((noinline)) uint32_t weigh(uint32_t n, const uint8_t *in)
{
    return in[n & 63] * weights[n & 3];
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    total += weigh(n, in);
    out[1] = in[n & 63];
    return total;
}
