/* SPDX-License-Identifier: MIT */
/* How long a PAL takes that only counts. */
#ifndef XMHF_TESTS_SPIN_H
#define XMHF_TESTS_SPIN_H

#include <pal/pal.h>
#include <time.h>

typedef pal_word (PAL_ABI *spin_fn)(pal_word rounds, pal_word start);

static inline uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Rounds that take about `ms` milliseconds in the PAL. */
static inline pal_word calibrate(const struct pal *p, uint64_t ms)
{
    const uint64_t least = ms / 50 > 100 ? ms / 50 : 100; /* short tries tell little */
    pal_word rounds = 1000;
    uint64_t took = 0;

    while (took < least) {
        uint64_t begin = now_ms();

        rounds *= 2;
        ((spin_fn)(uintptr_t)p->entry)(rounds, 1);
        took = now_ms() - begin;
    }
    return (pal_word)(rounds * ms / took);
}

#endif
