/* SPDX-License-Identifier: MIT */
/* MISTAKE misaligned SSE spill: vectors on the stack, behind an odd number of arguments. */
/* FLAGS: -msse2 */
/* INTERFACE: odd_interface.h */
/* WORKS one 3: 0x13 */
/* WORKS five 1 2 3 4 5: 0x1f */
/* WORKS eight 1 2 3 4 5 6 7 8: 0x2d */
/* WORKS nine 1 2 3 4 5 6 7 8 9: 0x37 */
#include "odd_interface.h"

typedef uint32_t vector __attribute__((vector_size(16)));

static __attribute__((noinline)) void touch(volatile vector *v)
{
    __asm__ volatile("movaps (%0), %%xmm0\n\tmovaps %%xmm0, (%0)" : : "r"(v) : "xmm0", "memory");
}

static __attribute__((noinline)) uint32_t sum(uint32_t n)
{
    volatile vector v = { 1, 2, 3, 4 };

    touch(&v);
    return v[0] + v[1] + v[2] + v[3] + n;
}

uint32_t one(uint32_t a)
{
    return sum(a) + 6;
}

uint32_t five(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    return sum(a + b) + 6 + c + d + e;
}

uint32_t eight(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f, uint32_t g,
               uint32_t h)
{
    return sum(a + b + c + d) + e + f + g + h - 1;
}

uint32_t nine(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e, uint32_t f, uint32_t g,
              uint32_t h, uint32_t i)
{
    return sum(a + b + c + d + e) + f + g + h + i;
}
