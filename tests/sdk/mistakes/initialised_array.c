/* SPDX-License-Identifier: MIT */
/* MISTAKE initialised array: the compiler copies it from read-only data. */
/* WORKS 3: 1008 out=03 */
/* WORKS 9: 29 out=09 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint32_t primes[12] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37 };
    char text[40] = "of the usual kind";

    out[0] = in[n & 15];
    primes[3] += 1000 + (uint32_t)(text[3] - 's');
    return primes[n % 12];
}
