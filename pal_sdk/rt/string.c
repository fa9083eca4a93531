/* SPDX-License-Identifier: MIT */
/* Copying, filling and comparing, for PALs; the compiler may call some of it by itself. What it may
 * call is the hypervisor's, too. */
#include <pal/rt.h>
#include <stdint.h>
#include <string.h>

#include "../../lib/util/string_body.inc"

void pal_wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
}

void explicit_bzero(void *p, size_t n) { pal_wipe(p, n); }

/* The bytes' differences are gathered in a variable that the compiler can't see through. */
bool pal_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    unsigned different = 0;

    for (size_t i = 0; i < n; i++) {
        different |= (unsigned)(x[i] ^ y[i]);
        __asm__ volatile("" : "+r"(different));
    }
    different = (different - 1) >> 31;
    __asm__ volatile("" : "+r"(different));
    return different;
}
