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

static inline uint64_t spin_ms(const struct pal *p, pal_word rounds)
{
    uint64_t begin = now_ms();

    ((spin_fn)(uintptr_t)p->entry)(rounds, 1);
    return now_ms() - begin;
}

/* Rounds that take about `ms` milliseconds in the PAL. What takes long must do so twice: a host
 * that stood still in a short try would make the rounds too few by far. */
static inline pal_word calibrate(const struct pal *p, uint64_t ms)
{
    const uint64_t least = ms / 50 > 100 ? ms / 50 : 100; /* short tries tell little */
    pal_word rounds = 1000;
    uint64_t took = 0;

    while (took < least) {
        rounds *= 2;
        took = spin_ms(p, rounds);
        if (took >= least) {
            uint64_t again = spin_ms(p, rounds);
            took = again < took ? again : took;
        }
    }
    return (pal_word)(rounds * ms / took);
}

#endif
