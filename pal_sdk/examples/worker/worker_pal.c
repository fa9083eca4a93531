/* SPDX-License-Identifier: MIT */
/* The worker's PAL: each call has a stack of its own; all calls share the count. */
#include "worker_interface.h"

#include <bearssl.h>
#include <pal/rt.h>

static uint64_t rounds_made; /* under the lock */
static uint8_t locked;

static void lock(void)
{
    while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE)) {
        __builtin_ia32_pause();
    }
}

static void unlock(void)
{
    __atomic_clear(&locked, __ATOMIC_RELEASE);
}

uint32_t hash(uint32_t rounds, uint8_t digest[32])
{
    br_sha256_context context;

    for (uint32_t i = 0; i < rounds; i++) {
        br_sha256_init(&context);
        br_sha256_update(&context, digest, 32);
        br_sha256_out(&context, digest);
    }
    lock();
    rounds_made += rounds;
    unlock();
    return (uint32_t)pal_interruptions();
}

uint64_t total(void)
{
    uint64_t sum;

    lock();
    sum = rounds_made;
    unlock();
    return sum;
}
