/* SPDX-License-Identifier: MIT */
/* MISTAKE global: it begins as the source says, and stays from call to call. */
/* WORKS 1: 41 */
/* WORKS 1: 42 */
/* WORKS 8: 50 */
#include "mistake_interface.h"

static uint32_t counter = 40;
uint32_t *where = &counter;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    *where += n;
    return counter;
}
