/* SPDX-License-Identifier: MIT */
/* MISTAKE function pointer: to a function inside another one, whose variables it uses: GCC makes
 * code for it on the stack. */
/* REFUSED[!clang]: trampoline */
/* REFUSED[clang]: function definition is not allowed */
#include "mistake_interface.h"

__attribute__((noinline)) static uint32_t apply(uint32_t (*volatile f)(uint32_t), uint32_t x)
{
    return f(x);
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    volatile uint32_t more = in[0];
    uint32_t plus(uint32_t x) { return x + more; } /* HERE */

    out[0] = 0;
    return apply(plus, n);
}
