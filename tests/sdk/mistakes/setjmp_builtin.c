/* SPDX-License-Identifier: MIT */
/* MISTAKE setjmp: the compiler's own form. */
/* WORKS 3: 103 */
/* WORKS 0: 1 */
#include "mistake_interface.h"

static void *here[5];

static __attribute__((noinline)) void leave(void)
{
    __builtin_longjmp(here, 1);
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)out;
    if (__builtin_setjmp(here)) {
        return 103;
    }
    if (n > 2) {
        leave();
    }
    return in[1];
}
