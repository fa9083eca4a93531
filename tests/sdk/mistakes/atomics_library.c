/* SPDX-License-Identifier: MIT */
/* MISTAKE atomics needing a library call: those of a large structure, which libpal-rt has. */
/* WORKS 3: 4 */
/* WORKS 8: 9 */
#include "mistake_interface.h"

struct large {
    uint32_t list[9];
};

static struct large shared = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };

uint32_t run(uint32_t n, const uint8_t in[64], uint8_t out[64])
{
    struct large l;

    (void)in;
    (void)out;
    __atomic_load(&shared, &l, __ATOMIC_SEQ_CST);
    return l.list[n % 9];
}
