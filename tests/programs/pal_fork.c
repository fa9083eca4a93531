/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Another process, a child, a process with a recycled CR3 can't
 * call it".
 *
 * All three at once: A registers a PAL and forks B, A dies, and children of B call where the PAL
 * was, until one of them has got A's page table's place. With the SDK they have no copy of the
 * stubs. A program of the public ABI that forks with its PALs' memory gives them one: that is
 * counted, as the control.
 */
#define _GNU_SOURCE
#include "tap.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 40u     /* of each B */
#define OWNERS   10u
#define TELL     77u     /* what the PAL says */

typedef pal_word (PAL_ABI *tell_fn)(pal_word);

PAL_CODE static PAL_ABI pal_word tell(pal_word word)
{
    return word + TELL;
}

/* What children of B met. */
struct met { unsigned served, nothing, stub, other; };

static unsigned char call(const struct pal *p)
{
    static volatile pal_word got;

    got = 0;
    if (CATCH()) {
        got = ((tell_fn)(uintptr_t)p->entry)(1);
        return got == TELL + 1 ? 1 : 4;
    }
    return tap_signal == SIGSEGV ? 2 : tap_signal == SIGILL ? 3 : 4;
}

/* B: waits until A has gone, then forks. */
static void orphan(const struct pal *p, int gone, int answers)
{
    char c;

    if (read(gone, &c, 1) != 0) {
        _exit(1);
    }
    usleep(20000); /* its memory goes a little later than its files */
    for (unsigned i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            unsigned char answer = call(p);
            _exit(write(answers, &answer, 1) != 1);
        }
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

/* A: a PAL, which it calls once; B is its child. `copied`: B gets the PAL's memory too. */
static void owner(bool copied, int answers)
{
    struct pal_spec spec = PAL_SPEC(tell);
    struct pal p;
    int alive[2];
    pid_t child;

    if (pal_create(&p, &spec) != 0 || pal_add_integer(&p) != 0 || pal_register(&p) != TV_OK
        || ((tell_fn)(uintptr_t)p.entry)(1) != TELL + 1 || pipe(alive) != 0) {
        _exit(1);
    }
    if (copied && madvise(p.memory, p.size, MADV_DOFORK) != 0) {
        _exit(1);
    }
    child = fork();
    if (child == 0) {
        close(alive[1]);
        orphan(&p, alive[0], answers);
    }
    _exit(child < 0);
}

static struct met all(bool copied)
{
    struct met m = { 0 };

    for (unsigned i = 0; i < OWNERS; i++) {
        int answers[2];
        unsigned char answer;
        pid_t child = pipe(answers) == 0 ? fork() : -1;
        if (child == 0) {
            close(answers[0]);
            owner(copied, answers[1]);
        }
        close(answers[1]);
        waitpid(child, NULL, 0);
        while (read(answers[0], &answer, 1) == 1) {
            m.served += answer == 1;
            m.nothing += answer == 2;
            m.stub += answer == 3;
            m.other += answer == 4;
        }
        close(answers[0]);
    }
    return m;
}

int main(void)
{
    struct met m;
    cpu_set_t one;

    tap_need_hypervisor();
    tap_catch_signals();
    CPU_ZERO(&one);
    CPU_SET(0, &one); /* where pages that were just freed are given out again */
    sched_setaffinity(0, sizeof(one), &one);
    fflush(stdout);
    m = all(false);
    ok(m.nothing == OWNERS * CHILDREN,
       "the library: %u of %u children had nothing there, %u were served", m.nothing,
       OWNERS * CHILDREN, m.served);
    fflush(stdout);
    m = all(true);
    ok(m.served + m.stub == OWNERS * CHILDREN,
       "with a copy of the stubs: %u of %u were served, %u got SIGILL",
       m.served, OWNERS * CHILDREN, m.stub);
    return tap_end();
}
