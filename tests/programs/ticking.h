/* SPDX-License-Identifier: MIT */
/* A timer that interrupts the PALs of one thread, and where a signal met it. Programs define
 * _GNU_SOURCE before. */
#ifndef PAL_TICKING_H
#define PAL_TICKING_H

#include "tap.h"
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* Signals to this thread, each 4 ms. */
static inline timer_t ticking(void)
{
    struct itimerspec when = { { 0, 4000000 }, { 0, 4000000 } };
    struct sigevent to = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
    timer_t t;

    to._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &to, &t) != 0 || timer_settime(t, 0, &when, NULL) != 0) {
        ok(false, "a timer");
    }
    return t;
}

/* Where the thread was, by a signal handler's third argument. */
static inline uintptr_t signal_ip(const void *context)
{
#ifdef __x86_64__
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_EIP];
#endif
}

#endif
