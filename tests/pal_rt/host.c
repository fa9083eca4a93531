/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of libpal-rt in a program of the host, which they are linked into with all their
 * other symbols hidden: TAP, as the unit tests give it. A test that must die does so in a child: by
 * SIGILL at the symbol that it names, or in its own function.
 */
#include "rt_test.h"

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
/* -1: not here. */
static int dies(unsigned i, const struct rt_result *r)
{
    (void)i;
    (void)r;
    return -1;
}
#else
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEATH_SIZE 1024 /* bytes of the function that a death may be in */

static uintptr_t expected;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    _exit((uintptr_t)info->si_addr - expected < DEATH_SIZE ? 42 : 1);
}

static int dies(unsigned i, const struct rt_result *r)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct sigaction a = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
        struct rt_result unused;

        expected = (uintptr_t)r->death;
        sigaction(SIGILL, &a, NULL);
        rt_test_run(i, &unused);
        _exit(2);
    }
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}
#endif

/* One line, and why if it isn't good. */
static bool run(unsigned i)
{
    static struct rt_result r;
    int good;

    rt_test_look(i, &r);
    if (r.death) {
        good = dies(i, &r);
    } else {
        rt_test_run(i, &r);
        good = r.good;
    }
    if (good < 0) {
        printf("ok %u # SKIP %s: deaths are for Linux\n", i + 1, r.name);
    } else {
        printf("%s %u - %s\n", good ? "ok" : "not ok", i + 1, r.name);
    }
    if (!good) {
        printf("# %s\n", r.death ? "it didn't die where it should" : r.why);
    }
    fflush(stdout);
    return good;
}

int main(void)
{
    struct rt_result r;
    unsigned n = 0, bad = 0;

    while (rt_test_look(n, &r)) {
        n++;
    }
    printf("TAP version 13\n1..%u\n", n);
    fflush(stdout);
    for (unsigned i = 0; i < n; i++) {
        bad += !run(i);
    }
    return bad != 0;
}
