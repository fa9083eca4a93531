/* SPDX-License-Identifier: MIT */
/* MISTAKE syscall: a PAL has no system. */
/* REFUSED: run syscall|int */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uintptr_t result = 39;

    (void)in;
    (void)out;
#ifdef __x86_64__
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory"); /* HERE */
#else
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory"); /* HERE */
#endif
    return (uint32_t)result + n;
}
