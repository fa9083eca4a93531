/* SPDX-License-Identifier: MIT */
/* MISTAKE inline assembly with absolute address: one of the program's. */
/* REFUSED: run 0x600000 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint32_t value;

    (void)in;
    (void)out;
    __asm__ volatile("movl 0x600000, %0" : "=r"(value) : : "memory"); /* HERE */
    return value + n;
}
