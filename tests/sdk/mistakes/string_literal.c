/* SPDX-License-Identifier: MIT */
/* MISTAKE string literal */
/* WORKS 0: 5 out=616c706861 */
/* WORKS 1: 4 out=62657461 */
/* WORKS 2: 5 out=67616d6d61 */
#include "mistake_interface.h"

static const char *const names[] = { "alpha", "beta", "gamma" };

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    const char *name = names[n % 3];
    uint32_t length = 0;

    (void)in;
    while (name[length]) {
        out[length] = (uint8_t)name[length];
        length++;
    }
    return length;
}
