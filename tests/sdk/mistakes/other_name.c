/* SPDX-License-Identifier: MIT */
/* MISTAKE two names of a PAL: the image isn't called as the interface says. */
/* FLAGS: --name other */
/* NOTED: pattern_interface.h warning: pattern_fill: PAL mistake --name other_image leave out */
/* WORKS 5: 6 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    return n + 1;
}
