/* SPDX-License-Identifier: MIT */
/* MISTAKE atomics needing a library call: those of 64 bits need none, on i386 either. */
/* WORKS 3: 13 out=0d00000001 */
#include "mistake_interface.h"
#include <string.h>

static uint64_t counter = 0x10000000aULL;

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    uint64_t now = __atomic_add_fetch(&counter, n, __ATOMIC_SEQ_CST);

    (void)in;
    memcpy(out, &now, sizeof(now));
    return (uint32_t)now;
}
