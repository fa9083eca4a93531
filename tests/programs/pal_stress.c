/* SPDX-License-Identifier: MIT */
/*
 * Threads that register, call, kill and unregister PALs at the same time, their own and a
 * common one; processes that are killed meanwhile.   pal_stress [SECONDS [THREADS [SEED]]]
 */
#define _GNU_SOURCE
#include "join.h"
#include "tap.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define FACTOR ((pal_word)6364136223846793005ULL)

typedef pal_word (PAL_ABI *work_fn)(pal_word rounds, pal_word start, volatile pal_word *data);

/* Some work with state in DATA; rounds == 0 kills the PAL. */
PAL_CODE static PAL_ABI pal_word work(pal_word rounds, pal_word start, volatile pal_word *data)
{
    if (rounds == 0) {
        __asm__ volatile("ud2");
    }
    for (pal_word i = 0; i < rounds; i++) {
        start = start * FACTOR + data[i % 64];
    }
    return start;
}

struct worker {
    pthread_t thread;
    uint64_t seed;
    unsigned calls, kills, rounds, wrong, errors;
};

static pal_word rnd(struct worker *w) { return (pal_word)tap_random(&w->seed); }

static volatile bool stop;
static struct pal common;
static volatile unsigned common_calls, common_signals, common_wrong, common_rounds;

/* The call's result, or the signal that it ended with. */
static int try_call(const struct pal *p, pal_word rounds, pal_word start, pal_word *result)
{
    if (CATCH()) {
        *result = ((work_fn)(uintptr_t)p->entry)(rounds, start, p->data);
    }
    tap_armed = 0;
    return tap_signal;
}

static bool make(struct pal *p, unsigned data_pages)
{
    struct pal_spec spec = {
        __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)work, data_pages, 1, 1,
    };

    if (pal_create(p, &spec) != 0) {
        return false;
    }
    for (unsigned i = 0; i < 64; i++) {
        ((pal_word *)p->data)[i] = i * i + 1;
    }
    for (unsigned i = 0; i < 3; i++) {
        pal_add_integer(p);
    }
    return true;
}

static pal_word expected(pal_word rounds, pal_word start)
{
    for (pal_word i = 0; i < rounds; i++) {
        start = start * FACTOR + (i % 64) * (i % 64) + 1;
    }
    return start;
}

static bool no_error(struct worker *w, uint64_t result, const char *what)
{
    if (result != TV_OK) {
        printf("# %s: %s\n", what, pal_error_name(result));
        w->errors++;
    }
    return result == TV_OK;
}

/* One PAL of this thread's own: some calls, then its end, of one kind or the other. */
static void own_pal(struct worker *w)
{
    unsigned calls = (unsigned)(tap_random(&w->seed) % 8);
    struct pal p;

    if (!make(&p, 1 + (unsigned)(tap_random(&w->seed) % 20))) {
        printf("# no memory for a PAL: %s\n", strerror(errno));
        w->errors++;
        pal_destroy(&p);
        return;
    }
    if (!no_error(w, pal_register(&p), "register")) {
        pal_destroy(&p);
        return;
    }
    for (unsigned i = 0; i < calls; i++) {
        pal_word rounds = 1 + rnd(w) % 20000, start = rnd(w), got = 0;
        w->calls++;
        w->wrong += try_call(&p, rounds, start, &got) != 0 || got != expected(rounds, start);
    }
    if (tap_random(&w->seed) % 4 == 0) {
        pal_word got;
        w->kills++;
        w->wrong += try_call(&p, 0, 0, &got) != SIGSEGV;
        w->wrong += try_call(&p, 1, 0, &got) != SIGILL;
        p.registered = false;
    } else {
        no_error(w, pal_unregister(&p), "unregister");
    }
    pal_destroy(&p);
    w->rounds++;
}

static void *worker(void *arg)
{
    struct worker *w = arg;

    while (!stop) {
        own_pal(w);
        for (unsigned i = 0; i < 4; i++) {
            pal_word rounds = 1 + rnd(w) % 3000, start = rnd(w), got = 0;
            int number = try_call(&common, rounds, start, &got);
            __atomic_fetch_add(&common_calls, 1, __ATOMIC_RELAXED);
            __atomic_fetch_add(&common_signals, number != 0, __ATOMIC_RELAXED);
            if (number == 0) {
                for (pal_word k = 0; k < rounds; k++) {
                    start *= FACTOR;
                }
                __atomic_fetch_add(&common_wrong, got != start, __ATOMIC_RELAXED);
            }
        }
    }
    return NULL;
}

/* Registers and unregisters the PAL that all threads call. */
static void *common_owner(void *arg)
{
    struct timespec pause = { 0, 2000000 };

    (void)arg;
    while (!stop) {
        uint64_t e;
        if (pal_register(&common) == TV_OK) {
            common_rounds++;
        }
        nanosleep(&pause, NULL);
        do {
            e = pal_unregister(&common);
        } while (e == TV_BUSY);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int endless(void)
{
    struct worker w = { .seed = (uint64_t)getpid() * 0x9e3779b97f4a7c15ULL | 1 };

    for (;;) {
        own_pal(&w);
    }
    return 0;
}

static const tap_child children[] = { endless };

/* Processes that are killed at some moment of their PAL's life. */
static unsigned kill_processes(uint64_t *seed, time_t end)
{
    unsigned n = 0;

    for (; time(NULL) < end; n++) {
        unsigned ms = (unsigned)(tap_random(seed) % TAP_CHILD_MS);
        struct timespec pause = { ms / 1000, (long)(ms % 1000) * 1000000 };
        tap_process child = tap_child_start(children, 0);
        nanosleep(&pause, NULL);
        tap_child_kill(child);
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 5;
    unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 4;
    uint64_t seed = (argc > 3 ? strtoull(argv[3], NULL, 0) : 1) * 0x9e3779b97f4a7c15ULL | 1;
    static struct worker w[THREADS_MAX];
    struct worker sum = { .calls = 0 };
    pthread_t owner;
    unsigned killed;

    tap_child_main(argc, argv, children);
    tap_need_hypervisor();
    tap_catch_signals();
    threads = threads < THREADS_MAX ? threads : THREADS_MAX;
    /* Its data are zeros, in the PAL and outside: the result is the same either way. */
    if (!make(&common, 1) || !tap_no_error(pal_register(&common), "register")
        || !tap_no_error(pal_unregister(&common), "unregister")) {
        return 98;
    }
    for (unsigned i = 0; i < threads; i++) {
        w[i].seed = seed + i * 77;
        pthread_create(&w[i].thread, NULL, worker, &w[i]);
    }
    pthread_create(&owner, NULL, common_owner, NULL);
    killed = kill_processes(&seed, time(NULL) + seconds);
    stop = true;
    pthread_join(owner, NULL);
    for (unsigned i = 0; i < threads; i++) {
        tap_join(w[i].thread, &common);
        sum.calls += w[i].calls;
        sum.kills += w[i].kills;
        sum.rounds += w[i].rounds;
        sum.wrong += w[i].wrong;
        sum.errors += w[i].errors;
    }
    ok(sum.wrong == 0 && sum.errors == 0 && sum.rounds > threads,
       "%u threads: %u PALs, %u calls, %u deaths, %u wrong results, %u errors", threads, sum.rounds,
       sum.calls, sum.kills, sum.wrong, sum.errors);
    ok(common_wrong == 0 && common_rounds > 0,
       "one common PAL: %u times registered, %u calls, %u ended by a signal, %u wrong results",
       common_rounds, common_calls, common_signals, common_wrong);
    ok(tap_pals() == 0, "%u processes were killed; no PAL of this one is left", killed);
    return tap_end();
}
