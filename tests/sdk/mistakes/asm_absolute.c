/* SPDX-License-Identifier: MIT */
/* MISTAKE inline assembly with absolute address: one of the image's own. */
/* WORKS 3: 45 */
#include "mistake_interface.h"

uint32_t number __asm__("asm_number") __attribute__((used)) = 42;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint32_t value;

    (void)in;
    (void)out;
    __asm__ volatile("movl asm_number, %0" : "=r"(value));
    return value + n;
}
