/* SPDX-License-Identifier: MIT */
/* The stack protector's guard: drawn before the PAL's first function runs. */
#include "rt_internal.h"

#include <pal/rt.h>

uintptr_t __stack_chk_guard;
uintptr_t pal_rt_heap_secret;

enum { NOT_YET, DRAWING, DRAWN };
static int state;

static uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Without random numbers the guard still finds what overruns by accident. */
static void draw(void)
{
    uintptr_t word[2];

    if (pal_random(word, sizeof(word)) != 0) {
        word[0] = (uintptr_t)(ticks() * 0x9e3779b97f4a7c15ULL >> (64 - 8 * sizeof(word[0])));
        word[1] = ~word[0];
    }
    /* Its lowest byte is 0, which ends a string that runs into it. */
    __stack_chk_guard = word[0] & ~(uintptr_t)0xff;
    pal_rt_heap_secret = word[1];
}

void pal_rt_enter(void)
{
    int seen = NOT_YET;

    if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == DRAWN) {
        return;
    }
    if (__atomic_compare_exchange_n(&state, &seen, DRAWING, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_ACQUIRE)) {
        draw();
        __atomic_store_n(&state, DRAWN, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != DRAWN) {
        __builtin_ia32_pause();
    }
}
