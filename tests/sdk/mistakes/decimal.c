/* SPDX-License-Identifier: MIT */
/* MISTAKE __thread: decimal floating point, for which libgcc has thread-local variables. */
/* REFUSED[elf64,elf32]: decimal NOLINE */
/* WORKS[pe64,pe32] 3: 9 */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile _Decimal64 a = 2, b = in[3];

    (void)out;
    return (uint32_t)(a * b) + n;
}
