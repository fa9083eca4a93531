/* SPDX-License-Identifier: MIT */
/* MISTAKE large zero array: ten pages of BSS. */
/* WORKS 7: 7 */
/* WORKS 9: 16 */
#include "mistake_interface.h"

static uint8_t zeros[10 * 4096];

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint32_t sum = 0;

    (void)in;
    (void)out;
    zeros[n * 4096 + n] += (uint8_t)n;
    for (uint32_t i = 0; i < sizeof(zeros); i++) {
        sum += zeros[i];
    }
    return sum;
}
