/* SPDX-License-Identifier: MIT */
/*
 * The pattern of the leak test: 8-byte words that anybody can tell without having one. The lower
 * half is one of 4,096 numbers behind a key, the upper half follows from the lower one, so that
 * one of 2^52 other words looks the same. Nobody but the PAL needs to make one.
 */
#ifndef LEAK_H
#define LEAK_H

#include <stdint.h>

#define LEAK_PAGES 8u
#define LEAK_WORDS (LEAK_PAGES * 4096u / 8u)

static inline uint32_t leak_upper(uint32_t lower)
{
    uint32_t x = lower * 0x9e3779b1u;

    x ^= x >> 15;
    return x * 0x85ebca77u ^ 0x5ca1ab1e;
}

/* Is this one of the words of `key`? */
static inline int leak_is(uint64_t word, uint32_t key)
{
    uint32_t lower = (uint32_t)word;

    return lower - key < LEAK_WORDS && leak_upper(lower) == (uint32_t)(word >> 32);
}

#endif
