/* SPDX-License-Identifier: MIT */
/* MISTAKE big frame: more than the declared stack. */
/* FLAGS: --stack 4096 */
/* REFUSED: run stack 4096 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64]) /* HERE */
{
    volatile uint8_t room[5000];

    (void)out;
    for (uint32_t i = 0; i < sizeof(room); i++) {
        room[i] = in[i % 64];
    }
    return room[n];
}
