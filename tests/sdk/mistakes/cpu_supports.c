/* SPDX-License-Identifier: MIT */
/* MISTAKE ifunc: what the compiler's library knows of the CPU, by a constructor. */
/* REFUSED: __builtin_cpu_supports cpuid NOLINE */
#include "mistake_interface.h"

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)n;
    (void)in;
    (void)out;
    return __builtin_cpu_supports("aes") != 0;
}
