/* SPDX-License-Identifier: MIT */
/* What the PAL test programs share: "ok" and "not ok" lines; tap_linux.h and tap_windows.h have
 * caught faults, processes, memory. */
#ifndef PAL_TAP_H
#define PAL_TAP_H

#include <pal/pal.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned tap_count, tap_failed;

static inline bool __attribute__((format(printf, 2, 3))) ok(bool good, const char *fmt, ...)
{
    va_list ap;

    printf("%s %u - ", good ? "ok" : "not ok", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    tap_failed += !good;
    return good;
}

static inline void __attribute__((format(printf, 1, 2))) skip(const char *fmt, ...)
{
    va_list ap;

    printf("ok %u # SKIP ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* The exit status. */
static inline int tap_end(void)
{
    printf("1..%u\n", tap_count);
    if (tap_failed != 0) {
        printf("# %u of %u failed\n", tap_failed, tap_count);
    }
    return tap_failed != 0;
}

/* True for `error` == TV_OK, with the name of any other error. */
static inline bool tap_no_error(uint64_t error, const char *what)
{
    return error == TV_OK || ok(false, "%s: %s", what, pal_error_name(error));
}

static uint64_t tap_stale;

static inline void tap_need_hypervisor(void)
{
    if (!pal_available()) {
        puts("Bail out! no hypervisor here");
        exit(99);
    }
    tap_stale = pal_info(XMHF_INFO_PALS);
}

/* PALs that this program has now. Those that an earlier process left, whose page table was at
 * the same place, count as this one's until they are collected. */
static inline uint64_t tap_pals(void)
{
    uint64_t all = pal_info(XMHF_INFO_PALS);

    return all > tap_stale ? all - tap_stale : 0;
}

/* True if no PAL memory was lost since `*free`, which follows: what earlier processes left is
 * given back whenever somebody needs it. */
static inline bool tap_no_leak(uint64_t *free)
{
    uint64_t before = *free;

    *free = pal_info(XMHF_INFO_POOL_FREE);
    return *free >= before;
}

#ifdef _WIN32
#include "tap_windows.h"
#else
#include "tap_linux.h"
#endif

/* Numbers that repeat. */
static inline uint64_t tap_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
