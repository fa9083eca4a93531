/* SPDX-License-Identifier: MIT */
/* What the unit tests share: cmocka, random numbers that repeat, the source folder. */
#ifndef XMHF_TESTS_UNIT_H
#define XMHF_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* xorshift64: the same sequence on every run. `state` starts as anything but 0. */
static inline uint64_t unit_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A number in [0, n). */
static inline uint64_t unit_below(uint64_t *state, uint64_t n)
{
    return unit_random(state) % n;
}

/* Path of a file of the source tree. */
static inline const char *unit_source(char *buf, size_t size, const char *name)
{
    const char *dir = getenv("srcdir");

    snprintf(buf, size, "%s/%s", dir ? dir : ".", name);
    return buf;
}

#endif
