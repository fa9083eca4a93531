/* SPDX-License-Identifier: MIT */
/*
 * What a program's threads may do to each other in a PAL: die while others call, end in an ocall
 * by pthread_exit, longjmp or an exception, fork there and elsewhere, close what is in use. Nobody
 * gets a signal, and only the jump takes a stack for good. As C and as C++; under the hypervisor
 * and in native mode.   callers
 */
#include "callers_interface.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

PAL_IMAGE(callers);

static struct pal_handle *p;
static unsigned count, failed;
static jmp_buf out;
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
    test_fork();
    printf("1..%u\n", count);
    return failed != 0;
}
