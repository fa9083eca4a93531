/* SPDX-License-Identifier: MIT */
/* MISTAKE const table: it is read-only data, which a copied PAL left behind. */
/* WORKS 0: 0x67e6096a */
/* WORKS 3: 0x3af54fa5 */
#include "mistake_interface.h"

static const uint8_t table[16] = {
    0x6a, 0x09, 0xe6, 0x67, 0xbb, 0x67, 0xae, 0x85, 0x3c, 0x6e, 0xf3, 0x72, 0xa5, 0x4f, 0xf5, 0x3a
};

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    const uint8_t *at = table + 4 * (n & 3);

    (void)in;
    (void)out;
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
