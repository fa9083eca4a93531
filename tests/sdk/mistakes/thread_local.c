/* SPDX-License-Identifier: MIT */
/* MISTAKE __thread: a PAL has no thread of its own. */
/* REFUSED[pe64,pe32]: thread-local */
/* REFUSED: counter thread */
#include "mistake_interface.h"

static __thread uint32_t counter;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    (void)in;
    (void)out;
    counter += n; /* HERE */
    return counter;
}
