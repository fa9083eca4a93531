/* SPDX-License-Identifier: MIT */
/* Waiting for a thread whose PAL was ended under it. Linux programs define _GNU_SOURCE before. */
#ifndef PAL_JOIN_H
#define PAL_JOIN_H

#include "tap.h"
#include <pthread.h>

#ifdef _WIN32
#define tap_join(thread, pal) pthread_join(thread, NULL)
#else
#include <time.h>

#define JOIN_SECONDS 10

/* The thread may be at a stub of the PAL, which is unregistered. QEMU 7.2 may have translated that
 * stub while another CPU overwrote it, and then runs the old code for ever
 * (notes/bugs/qemu-stale-code.md); it notices a write, which here changes nothing. */
static inline void tap_join(pthread_t thread, const struct pal *p)
{
    struct timespec end;

    for (;;) {
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += JOIN_SECONDS;
        if (pthread_timedjoin_np(thread, NULL, &end) == 0) {
            return;
        }
        puts("# a thread does not end: does the emulator run code that is gone?");
        for (size_t i = 0; i < p->size; i++) {
            __atomic_fetch_or((unsigned char *)p->memory + i, 0, __ATOMIC_SEQ_CST);
        }
    }
}
#endif

#endif
