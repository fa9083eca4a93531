/* SPDX-License-Identifier: MIT */
/* MISTAKE inline assembly with absolute address: one that only running shows. */
/* DIES 0x600000: vector=14 address=0x600000 CODE */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint32_t value;

    (void)in;
    (void)out;
    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"((uintptr_t)n) : "memory");
    return value + n;
}
