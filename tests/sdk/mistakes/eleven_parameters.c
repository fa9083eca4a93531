/* SPDX-License-Identifier: MIT */
/* MISTAKE 11 or 33 parameters: 11 are fine. */
/* INTERFACE: eleven_interface.h */
/* WORKS eleven 1 2 3 4 5 6 7 8 9 10 11: 506 */
/* WORKS eleven 0 0 0 0 0 0 0 0 0 0 0xffffffff: 0xfffffff5 */
#include "eleven_interface.h"

uint32_t eleven(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f, uint32_t g,
                uint32_t h, uint32_t i, uint32_t j, uint32_t k)
{
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k;
}
