/* SPDX-License-Identifier: MIT */
/* MISTAKE helper outside: what works instead, an ocall. A call of the PAL from inside is BUSY. */
/* WORKS through 3 o16: 103 out=0405060708090a0b0c0d0e0f10111280 */
/* WORKS through 200 o16: 300 out=c9cacbcccdcecfd0d1d2d3d4d5d6d780 */
/* INTERFACE: ocall_interface.h */
#include "ocall_interface.h"

uint32_t through(uint32_t n, uint8_t out[16])
{
    uint8_t question[16];
    uint32_t result = 0;

    for (uint32_t i = 0; i < 16; i++) {
        question[i] = (uint8_t)(n + i);
    }
    return ask(&result, n, question, out) == 0 ? result : 99;
}
