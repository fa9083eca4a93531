/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Who waits for a PAL keeps no CPU from the OS".
 *
 * A PAL of the public ABI has one stack. While a thread is inside another one calls: it waits in
 * the hypervisor, on the same CPU or on another one. Timer interrupts, signals and other threads go
 * on there, the thread can give up, and in the end it gets its own result.
 */
#define _GNU_SOURCE
#include "spin.h"
#include "tap.h"
#include "ticking.h"
#include <pal/module.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define ENOUGH 4  /* signals while it waits */
#define FACTOR ((pal_word)2862933555777941757ULL)

PAL_CODE static PAL_ABI pal_word spin(pal_word rounds, pal_word start)
{
    while (rounds-- > 0) {
        start = start * FACTOR + rounds;
    }
    return start;
}

static struct pal p;
static volatile bool first_is_back, waits, give_up, stop;
static volatile unsigned signals_waiting, gave_up;
static volatile unsigned long worker_rounds;
static sigjmp_buf out;

static void on_cpu(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        ok(false, "no CPU %d", cpu);
    }
}

/* A signal while the thread is at the PAL's entry and the first call isn't over. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    uintptr_t ip = signal_ip(context);

    (void)number;
    (void)info;
    if (waits && !first_is_back && ip == (uintptr_t)p.entry) {
        signals_waiting++;
        if (give_up && signals_waiting >= ENOUGH) {
            gave_up++;
            siglongjmp(out, 1);
        }
    }
}

/* Local timer interrupts of a CPU. */
static unsigned long timer_ticks(int cpu)
{
    char line[512];
    FILE *f = fopen("/proc/interrupts", "r");
    unsigned long n = 0;

    while (f && fgets(line, sizeof(line), f)) {
        char *at = strstr(line, "LOC:");
        for (int i = 0; at && i <= cpu; i++) {
            n = strtoul(i == 0 ? at + 4 : at, &at, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return n;
}

static void *worker(void *cpu)
{
    on_cpu((int)(intptr_t)cpu);
    while (!stop) {
        worker_rounds++;
    }
    return NULL;
}

struct caller { int cpu; pal_word rounds, start, result; };

static void *first_caller(void *arg)
{
    struct caller *c = arg;

    on_cpu(c->cpu);
    c->result = ((spin_fn)(uintptr_t)p.entry)(c->rounds, c->start);
    first_is_back = true;
    return NULL;
}

static uint64_t calls(void)
{
    struct xmhf_pal_stats st = { 0 };

    return pal_stats(p.entry, &st) == TV_OK ? st.calls : 0;
}

static void *second_caller(void *arg)
{
    struct caller *c = arg;
    timer_t t;

    on_cpu(c->cpu);
    t = ticking();
    if (sigsetjmp(out, 1) == 0) {
        waits = true;
        c->result = ((spin_fn)(uintptr_t)p.entry)(c->rounds, c->start);
    }
    waits = false;
    timer_delete(t);
    return NULL;
}

struct seen { bool good; unsigned signals; unsigned long ticks, worker; };

/* One call of `rounds`, and another one while it is under way. */
static struct seen take_turns(pal_word rounds, int first_cpu, int second_cpu)
{
    struct caller a = { first_cpu, rounds, 5, 0 }, b = { second_cpu, 1000, 6, 0 };
    const uint64_t before = calls();
    const unsigned long ticks = timer_ticks(second_cpu), work = worker_rounds;
    struct seen s;
    pthread_t first, second;

    first_is_back = false;
    signals_waiting = gave_up = 0;
    pthread_create(&first, NULL, first_caller, &a);
    while (calls() == before) { /* until it is inside */
        sched_yield();
    }
    pthread_create(&second, NULL, second_caller, &b);
    pthread_join(first, NULL);
    s = (struct seen){ false, signals_waiting, timer_ticks(second_cpu) - ticks,
                       worker_rounds - work };
    pthread_join(second, NULL);
    s.good = a.result == spin(rounds, 5) && (gave_up != 0 || b.result == spin(1000, 6))
        && calls() == before + 2 - gave_up;
    return s;
}

/* Until the first call is long enough that the other one's waiting shows. */
static void test_turns(int first_cpu, int second_cpu, bool leaving, const char *what)
{
    pal_word rounds = 1 << 20;
    struct seen s = { 0 };

    give_up = leaving;
    for (unsigned i = 0; i < 14; i++, rounds *= 2) {
        s = take_turns(rounds, first_cpu, second_cpu);
        if (!s.good || (s.signals >= ENOUGH && s.ticks > 0)) {
            break;
        }
    }
    ok(s.good, "%s: each call gave its own result", what);
    ok(s.signals >= ENOUGH && s.ticks > 0 && s.worker > 0,
       "%s: while it waited %u signals, %lu timer interrupts, %lu rounds of another thread there",
       what, s.signals, s.ticks, s.worker);
    if (leaving) {
        ok(gave_up == 1, "%s: it went away from the PAL in a signal handler", what);
    }
}

int main(void)
{
    struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };
    struct pal_spec spec = PAL_SPEC(spin);
    const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t before;
    pthread_t other;

    tap_need_hypervisor();
    before = pal_info(XMHF_INFO_POOL_FREE);
    sa.sa_sigaction = on_signal;
    sigaction(SIGRTMIN, &sa, NULL);
    if (pal_create(&p, &spec) != 0) {
        return 1;
    }
    pal_add_integer(&p);
    pal_add_integer(&p);
    tap_no_error(pal_register(&p), "register");
    pthread_create(&other, NULL, worker, (void *)(intptr_t)(cpus > 1));
    if (cpus > 1) {
        test_turns(0, 1, false, "on another CPU");
        test_turns(0, 1, true, "giving up on another CPU");
        test_turns(1, 1, false, "on one CPU");
    } else {
        test_turns(0, 0, false, "on one CPU");
    }
    stop = true;
    pthread_join(other, NULL);
    ok(pal_unregister(&p) == TV_OK && pal_info(XMHF_INFO_POOL_FREE) >= before,
       "unregistered, all memory is back");
    pal_destroy(&p);
    return tap_end();
}
