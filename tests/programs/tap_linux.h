/* SPDX-License-Identifier: MIT */
/* What the PAL test programs need of Linux. */
#ifndef PAL_TAP_LINUX_H
#define PAL_TAP_LINUX_H

#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- faults: if (CATCH()) { may fault } else { tap_signal, tap_address tell } --------- */

/* Of each thread. tap_armed = 0 after the "if": a fault elsewhere ends the program. */
static __thread sigjmp_buf tap_jump;
static __thread volatile sig_atomic_t tap_signal, tap_armed;
static __thread void *volatile tap_address;

static inline void tap_handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (!tap_armed) {
        signal(number, SIG_DFL);
        return;
    }
    tap_armed = 0;
    tap_signal = number;
    tap_address = info->si_addr;
    siglongjmp(tap_jump, 1);
}

static inline void tap_catch_signals(void)
{
    static uint8_t stack[65536];
    static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGTRAP, SIGFPE };
    stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sa.sa_sigaction = tap_handler;
    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &sa, NULL);
    }
}

#define CATCH() (tap_signal = 0, tap_armed = 1, sigsetjmp(tap_jump, 1) == 0)

/* --- a thread that is interrupted: by a signal, every so many microseconds -------------- */

static volatile unsigned tap_ticks;

static inline void tap_on_tick(int number)
{
    (void)number;
    tap_ticks++;
}

/* Interrupt the thread that calls this; 0 us: no more. */
static inline void tap_ticker(long us)
{
    struct sigaction sa = { .sa_handler = tap_on_tick, .sa_flags = SA_RESTART };
    struct itimerval it = { { 0, us }, { 0, us } };

    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
}

/* Other threads say that they aren't meant. */
static inline void tap_no_ticks(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* --- memory and processes ------------------------------------------------------------- */

/* Pages that can be read, written and executed. They are there when they are touched. */
static inline void *tap_pages(size_t pages)
{
    void *p = mmap(NULL, pages * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

#define TAP_PROCESSES 60 /* how many are a matter of seconds */

/* What another process may do: they are numbered, for Windows, where main() calls
 * tap_child_main() first. */
typedef int (*tap_child)(void);

static inline void tap_child_main(int argc, char **argv, const tap_child *children)
{
    (void)argc;
    (void)argv;
    (void)children;
}

/* The exit status of another process that runs children[i]; -1 if it ended otherwise. */
static inline int tap_child_run(const tap_child *children, unsigned i)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        _exit(children[i]());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One that is killed some time later; up to so many milliseconds are of interest. */
#define TAP_CHILD_MS 30
typedef pid_t tap_process;

static inline tap_process tap_child_start(const tap_child *children, unsigned i)
{
    pid_t child = fork();

    if (child == 0) {
        _exit(children[i]());
    }
    return child;
}

static inline void tap_child_kill(tap_process child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

#endif
