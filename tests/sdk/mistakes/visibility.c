/* SPDX-License-Identifier: MIT */
/* MISTAKE visibility: nothing of an image is visible, whatever is said. */
/* FLAGS: -fvisibility=hidden */
/* WORKS 3: 46 */
#include "mistake_interface.h"

__attribute__((visibility("default"))) uint32_t shown = 40;
__attribute__((visibility("hidden"))) uint32_t hidden = 2;

__attribute__((visibility("default"), noinline)) uint32_t more(uint32_t n)
{
    return shown + hidden + n;
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    return more(n) + in[1];
}
