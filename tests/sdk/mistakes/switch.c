/* SPDX-License-Identifier: MIT */
/* MISTAKE switch: a table of jumps, or of values. */
/* WORKS 0: 3 */
/* WORKS 5: 105 */
/* WORKS 9: 0xc0de0009 */
/* WORKS 10: 0xffffffff */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    switch (n) {
    case 0: return in[3];
    case 1: return in[n] * 7u;
    case 2: return in[9] << 4;
    case 3: return in[1] + in[2];
    case 4: return in[60] - in[2];
    case 5: return in[5] + 100;
    case 6: return in[1] ^ 0x55;
    case 7: return in[8] / 3u;
    case 8: return ~(uint32_t)in[8];
    case 9: return 0xc0de0000u + in[9];
    default: return 0xffffffffu;
    }
}
