/* SPDX-License-Identifier: MIT */
/*
 * What a program's threads may do to each other in a PAL: die while others call, end in an ocall
 * by pthread_exit, longjmp or an exception, fork there and elsewhere, close what is in use or what
 * others wait for, pass memory that can't be accessed, run for too long. Nobody gets a signal, and
 * only the jump takes a stack for good. As C and as C++; under the hypervisor
 * and in native mode.   callers
 */
#include "callers_interface.h"
#include "spinner_interface.h"
#include <pthread.h>
#include <pal/module.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

PAL_IMAGE(callers);
PAL_IMAGE(spinner);

static struct pal_handle *p;
static unsigned count, failed;
static __thread jmp_buf out;
static enum { ANSWER, EXIT, JUMP, FORK, THROW, CLOSE, CALL } what;
static enum pal_error seen;
static int fork_ended = -1;         /* status of the child that an ocall made */

static void ok(bool good, const char *text)
{
    printf("%s %u - %s\n", good ? "ok" : "not ok", ++count, text);
    fflush(stdout);
    failed += !good;
}

#ifdef __cplusplus
extern "C"
#endif
uint32_t callers_ocall_ask(uint32_t a)
{
    uint32_t r;

    switch (what) {
    case EXIT: pthread_exit(NULL);
    case JUMP: longjmp(out, 1);
    case FORK:
        if (fork() != 0) {
            wait(&fork_ended);
        }
        break;
    case CLOSE: seen = pal_close(p).error; break;
    case CALL:  seen = callers_add(p, &r, 1, 1).error; break;
#ifdef __cplusplus
    case THROW: throw 5;
#endif
    default: break;
    }
    return a * 2;
}

static bool opens(void)
{
    struct pal_status s = pal_open(&callers_image, &p);
    char text[PAL_TEXT];

    if (s.error != PAL_OK) {
        puts(pal_status_text(&s, text, sizeof(text)));
        exit(2);
    }
    return true;
}

static bool works(void)
{
    uint32_t r = 0;

    return callers_add(p, &r, 20, 22).error == PAL_OK && r == 42;
}

static bool closes(void)
{
    return pal_close(p).error == PAL_OK;
}

/* --- a death while others call --------------------------------------------------------------- */

static unsigned others;

static void *call_until_dead(void *arg)
{
    uint32_t r;
    struct pal_status s;

    (void)arg;
    do {
        s = callers_twice(p, &r, 3);
    } while (s.error == PAL_OK && r == 12);
    __atomic_add_fetch(&others, s.error != PAL_DIED, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_death(void)
{
    pthread_t threads[4];
    bool good = true;

    what = ANSWER;
    for (unsigned round = 0; round < 10; round++) {
        opens();
        for (unsigned i = 0; i < 4; i++) {
            pthread_create(&threads[i], NULL, call_until_dead, NULL);
        }
        usleep(10000 + 3000 * round);
        good = callers_die(p).error == PAL_DIED && good;
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
        good = closes() && good;
    }
    ok(good && others == 0, "4 threads in a PAL that dies: each is told, 10 times");
}

/* --- ends of an ocall ------------------------------------------------------------------------- */

static void *calls_once(void *arg)
{
    uint32_t r;

    *(bool *)arg = false;
    callers_twice(p, &r, 3);
    *(bool *)arg = true;
    return NULL;
}

static void test_exit(void)
{
    pthread_t thread;
    bool came_back;

    opens();
    what = EXIT;
    pthread_create(&thread, NULL, calls_once, &came_back);
    pthread_join(thread, NULL);
    ok(!came_back && works() && closes(), "a thread ends in an ocall: its stack is free again");
}

static void test_throw(void)
{
#ifdef __cplusplus
    uint32_t r;
    int caught = 0;

    opens();
    what = THROW;
    for (int i = 0; i < 5; i++) {
        try {
            callers_twice(p, &r, 3);
        } catch (int n) {
            caught += n;
        }
    }
    ok(caught == 25 && works() && closes(), "5 exceptions out of ocalls: the stacks are free");
#endif
}

static void test_inside(void)
{
    uint32_t r = 0;

    opens();
    what = CALL;
    ok(callers_twice(p, &r, 3).error == PAL_OK && r == 12 && seen == PAL_BUSY,
       "a call of the same PAL from an ocall is busy, and the first goes on");
    what = CLOSE;
    ok(callers_twice(p, &r, 3).error == PAL_OK && r == 12 && seen == PAL_BUSY && closes(),
       "it can't be closed there");
}

static void test_jump(void)
{
    uint32_t r;

    opens();
    what = JUMP;
    if (setjmp(out) == 0) {
        callers_twice(p, &r, 3);
    }
    ok(pal_close(p).error == PAL_BUSY && pal_abandon(p).error == PAL_OK,
       "a jump out of an ocall leaves its call: not closed, but abandoned");
    opens();
    ok(works() && closes(), "and opened anew");
}

static void *jumps_once(void *arg)
{
    uint32_t r;

    if (setjmp(out) == 0) {
        callers_twice(p, &r, 3);
    }
    return arg;
}

static void *works_here(void *arg)
{
    *(bool *)arg = works();
    return NULL;
}

/* The system gives a new thread the place of one that has ended, by which the hypervisor knows
 * threads; native mode has numbers of its own. */
static void test_jump_and_end(void)
{
    pthread_t first, second;
    bool good = false;

    opens();
    what = JUMP;
    pthread_create(&first, NULL, jumps_once, NULL);
    pthread_join(first, NULL);
    pthread_create(&second, NULL, works_here, &good);
    pthread_join(second, NULL);
    ok((good || !pal_is_native()) && pthread_equal(first, second)
       && pal_abandon(p).error == PAL_OK,
       "a thread jumps out of an ocall and ends: natively the next one in its place isn't busy");
}

/* --- waiting for a stack that never becomes free --------------------------------------------- */

static pthread_barrier_t jumped, done;
static enum pal_error told;

static void *jumps(void *arg)
{
    uint32_t r;

    if (setjmp(out) == 0) {
        callers_twice(p, &r, 3);
    }
    pthread_barrier_wait(&jumped);
    pthread_barrier_wait(&done); /* a new thread could get the place of one that has ended */
    return arg;
}

static void *waits(void *arg)
{
    uint32_t r;

    told = callers_add(p, &r, 1, 1).error;
    return arg;
}

static void test_waiters(void)
{
    pthread_t jumpers[3], waiters[3];

    opens();
    what = JUMP;
    pthread_barrier_init(&jumped, NULL, 4);
    pthread_barrier_init(&done, NULL, 4);
    for (unsigned i = 0; i < 3; i++) { /* as many as there are stacks */
        pthread_create(&jumpers[i], NULL, jumps, NULL);
    }
    pthread_barrier_wait(&jumped);
    told = PAL_OK;
    for (unsigned i = 0; i < 3; i++) {
        pthread_create(&waiters[i], NULL, waits, NULL);
    }
    usleep(100000);
    seen = pal_abandon(p).error;
    alarm(60); /* a waiter that hangs is a failure of the test */
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(waiters[i], NULL);
    }
    alarm(0);
    pthread_barrier_wait(&done);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(jumpers[i], NULL);
    }
    ok(seen == PAL_OK && told == PAL_CLOSED, "threads that wait for a stack are told that it is "
       "closed");
}

/* --- memory of arguments ---------------------------------------------------------------------- */

#define PAGE 4096u

static bool refused(const uint8_t *in, uint8_t *to, uint8_t *both, const void *where)
{
    uint32_t r;
    struct pal_status s = callers_buffers(p, &r, in, to, both, 2 * PAGE);

    return s.error == PAL_BAD_ARGUMENT && s.address == (uintptr_t)where && works();
}

/* Each way in turn gets memory whose second page has other rights. */
static void test_memory(void)
{
    static uint8_t good[3][2 * PAGE];
    uint8_t *bad = (uint8_t *)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *const second = bad + PAGE;
    uint32_t r = 0;
    bool well = true;

    opens();
    memset(good[0], 1, sizeof(good[0]));
    memset(bad, 5, 2 * PAGE);
    mprotect(second, PAGE, PROT_READ);
    ok(callers_buffers(p, &r, bad, good[1], good[2], 2 * PAGE).error == PAL_OK && r == 5 * 2 * PAGE
       && good[1][2 * PAGE - 1] == 0x77 && good[2][0] == 1, "memory that can't be written goes in");
    well = refused(good[0], bad, good[2], second) && refused(good[0], good[1], bad, second);
    mprotect(second, PAGE, PROT_NONE);
    well = refused(bad, good[1], good[2], second) && refused(good[0], bad, good[2], second) && well;
    munmap(second, PAGE);
    well = refused(bad, good[1], good[2], second) && refused(good[0], good[1], bad, second) && well;
    well = refused(good[0], (uint8_t *)16, good[2], (void *)16) && well;
    well = refused((uint8_t *)16, good[1], good[2], (void *)16) && well;
    for (unsigned i = 0; i < PAGE; i++) {
        well = well && bad[i] == 5 && good[2][i] == 1;
    }
    ok(well && closes(), "what can't be read, or written, is named, and nothing has changed");
}

/* --- a budget --------------------------------------------------------------------------------- */

static unsigned turns;

#ifdef __cplusplus
extern "C"
#endif
void spinner_ocall_turn(void)
{
    turns++;
}

/* Did the thread's call end by its budget, and no later one of that PAL begin? */
static void *spins(void *arg)
{
    struct pal_handle *spinner;
    bool *good = (bool *)arg;

    turns = 0;
    *good = pal_open(&spinner_image, &spinner).error == PAL_OK;
    for (unsigned i = 0; i < 2; i++) {
        struct pal_status s = spinner_spin(spinner, *good && i == 0 ? 0 : 20000);
        *good = s.error == PAL_DIED && s.death == TV_DEATH_BUDGET && *good;
    }
    *good = turns == 0 && pal_close(spinner).error == PAL_OK && *good;
    *good = pal_open(&spinner_image, &spinner).error == PAL_OK && *good;
    *good = spinner_spin(spinner, 20000).death == TV_DEATH_BUDGET && *good;
    *good = pal_close(spinner).error == PAL_OK && *good;
    return NULL;
}

static void test_budget(void)
{
    sigset_t all, before;
    pthread_t thread;
    bool good = true;

    opens();
    turns = 0;
    for (unsigned i = 0; i < 5 && good && turns < 2; i++) { /* a host may be slow to turn */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* as in many programs' threads */
        pthread_create(&thread, NULL, spins, &good);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        alarm(300);
        pthread_join(thread, NULL);
        alarm(0);
    }
    ok(good && turns > 1, "a call that runs for too long dies, also if it asks in between");
    ok(works() && closes(), "and another PAL works");
}

/* --- fork ------------------------------------------------------------------------------------- */

static int status_of(pid_t child)
{
    int status = -1;

    waitpid(child, &status, 0);
    return status;
}

static void test_fork(void)
{
    pid_t child;
    uint32_t r;

    opens();
    child = fork();
    if (child == 0) {
        bool good = callers_add(p, &r, 1, 1).error == PAL_FORKED && closes();
        _exit(good && opens() && works() && closes() ? 0 : 1);
    }
    ok(status_of(child) == 0 && works(), "a child has PALs of its own only, and the parent its");
    what = FORK;
    child = fork();
    if (child == 0) {
        closes();
        opens();
        child = getpid();
        r = callers_twice(p, &r, 3).error;
        if (getpid() != child) {
            _exit(r == PAL_FORKED ? 0 : 1);
        }
        _exit(r == PAL_OK && fork_ended == 0 ? 0 : 1);
    }
    ok(status_of(child) == 0 && works() && closes(), "a fork in an ocall");
}

int main(void)
{
    test_death();
    test_exit();
    test_throw();
    test_inside();
    test_jump();
    test_jump_and_end();
    test_waiters();
    test_memory();
    test_budget();
    test_fork();
    printf("1..%u\n", count);
    return failed != 0;
}
