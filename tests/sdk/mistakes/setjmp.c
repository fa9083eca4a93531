/* SPDX-License-Identifier: MIT */
/* MISTAKE setjmp: libpal-rt has its own. */
/* WORKS 3: 103 */
/* WORKS 0: 1 */
#include "mistake_interface.h"
#include <setjmp.h>

static jmp_buf here;

static __attribute__((noinline)) void leave(uint32_t n)
{
    longjmp(here, (int)n + 100);
}

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    int code = setjmp(here);

    (void)out;
    if (code != 0) {
        return (uint32_t)code;
    }
    if (n > 2) {
        leave(n);
    }
    return in[1];
}
