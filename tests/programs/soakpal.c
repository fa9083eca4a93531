/* SPDX-License-Identifier: MIT */
/*
 * PALs that live and die on all CPUs, counted.   soakpal run SECONDS WORKERS
 * Workers register, call from wandering CPUs, unregister, die by faults, leave without a
 * word; some are killed at any moment; some lose a PAL whose pages they let the kernel swap out.
 * Each counts its own, one store for each event, and holds one PAL at a time; so one that ended by
 * itself has as many ends as registrations, and one that was killed has just as many or one end
 * less, as it was killed without a PAL or with one.
 *
 *   soakpal drain   asks for all PAL memory, so that what dead processes left is collected
 */
#define _GNU_SOURCE
#include "tap.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 32
#define STACK_PAGES 1

/* Of all workers that had the same place, one after the other. */
struct counts {
    atomic_ulong registered, calls, unregistered, deaths, left, lost, no_memory, paged_out, beside;
    atomic_ulong wrong;
};
static struct counts *all;   /* shared, one for each place, then the parent's own */
static struct counts *counts; /* this process' */
static unsigned long held[WORKERS_MAX]; /* PALs without an end, of workers that were killed */
static unsigned long asked, killed;     /* to die, dead */

typedef uint64_t (PAL_ABI *fn)(uint64_t *words, uint64_t n, volatile uint64_t *data);

/* Sums words with the PAL's own counter, and turns them over. */
PAL_CODE static PAL_ABI uint64_t work(uint64_t *words, uint64_t n, volatile uint64_t *data)
{
    uint64_t sum = ++data[0];

    for (uint64_t i = 0; i < n * 300; i++) {
        sum = sum * 31 + words[i % n];
        words[i % n] += i;
    }
    return sum;
}

static uint64_t expected(uint64_t *words, uint64_t n, uint64_t count)
{
    volatile uint64_t data = count - 1;

    return work(words, n, &data);
}

extern const uint8_t die_ud[], die_write[];
__asm__(".pushsection pal_code, \"ax\"\n.balign 16\n"
        "die_ud: ud2\n.balign 16\n"
        "die_write: movq $7, 0x1000\n ret\n.popsection\n");

static void wander(uint64_t *state)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(tap_random(state) % 4, &set);
    sched_setaffinity(0, sizeof(set), &set); /* fails when that CPU is off: then stay */
}

static void wrong(const char *what)
{
    printf("WRONG: %s\n", what);
    fflush(stdout);
    counts->wrong++;
}

static bool begin(struct pal *p, const void *entry, uint64_t pages)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, entry, (unsigned)pages,
                             STACK_PAGES, 1 };
    uint64_t error;

    if (pal_create(p, &spec) != 0) {
        return false;
    }
    pal_add_pointer(p, 20);
    pal_add_integer(p);
    pal_add_integer(p);
    error = pal_register(p);
    if (error == TV_OK) {
        counts->registered++;
        return true;
    }
    if (error == TV_NO_MEMORY) {
        counts->no_memory++;
    } else if (error == TV_OVERLAP) {
        counts->beside++; /* of a killed process whose CR3 this one has, and which had a PAL where
                             a page of this one is swapped out (notes/pal-lifecycle.md) */
    } else {
        wrong(pal_error_name(error));
    }
    pal_destroy(p);
    return false;
}

static bool unlocked; /* this worker's PAL isn't kept in memory any more */

/* Was the PAL taken for one without an owner? Its last death may be forgotten by now. */
static bool is_lost(void)
{
    unsigned why = (unsigned)(pal_info(XMHF_INFO_LAST_DEATH) >> 32);

    if (!unlocked || (why != TV_DEATH_OWNER_GONE && why != TV_DEATH_ALIVE)) {
        return false;
    }
    counts->lost++;
    return true;
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* Have the kernel swap out the PAL's own pages: stubs, stack and all. From now on the
 * PAL may be lost: when memory is short, an owner whose stubs are away counts as gone. */
static void page_out(const struct pal *p)
{
    unlocked = true;
    munlock(p->memory, p->size);
    if (madvise(p->memory, p->size, MADV_PAGEOUT) == 0) {
        counts->paged_out++;
    }
}

/* One call; false if it ended in a signal. */
static bool call(const struct pal *p, uint64_t words[20], uint64_t *result)
{
    if (CATCH()) {
        *result = ((fn)(uintptr_t)p->entry)(words, 20, p->data);
        tap_armed = 0;
        return true;
    }
    if (is_lost()) {
        return false;
    }
    printf("signal %d at %p, last death 0x%llx, code at %p\n", (int)tap_signal, tap_address,
           (unsigned long long)pal_info(XMHF_INFO_LAST_DEATH), p->entry);
    wrong("a call ended in a signal");
    return false;
}

static void live(uint64_t *state)
{
    uint64_t words[20], plain[20];
    uint64_t rounds = 1 + tap_random(state) % 20, result;
    struct pal p;
    bool alive = true;

    unlocked = false;
    if (!begin(&p, (const void *)(uintptr_t)work, 1 + tap_random(state) % 12)) {
        return;
    }
    for (uint64_t i = 1; i <= rounds; i++) {
        for (unsigned k = 0; k < 20; k++) {
            words[k] = plain[k] = tap_random(state);
        }
        wander(state);
        if (tap_random(state) % 16 == 0) {
            page_out(&p);
        }
        alive = call(&p, words, &result);
        if (!alive) {
            break;
        }
        if (result != expected(plain, 20, i)
            || memcmp(words, plain, sizeof(words)) != 0) {
            wrong("a call's result");
        }
        counts->calls++;
    }
    if (alive && tap_random(state) % 2 == 0) {
        counts->left++;
        _exit(0); /* without a word */
    }
    if (alive && pal_unregister(&p) == TV_OK) {
        counts->unregistered++;
    } else if (alive && !is_lost()) {
        wrong("unregistering");
    }
    p.registered = false;
    pal_destroy(&p);
}

static void die(uint64_t *state)
{
    static struct pal p;
    uint64_t words[20] = { 0 };
    bool ud = tap_random(state) % 2;

    if (!begin(&p, ud ? die_ud : die_write, 2)) {
        return;
    }
    if (CATCH()) {
        ((fn)(uintptr_t)p.entry)(words, 20, p.data);
        wrong("a PAL that should die returned");
    } else if (tap_signal != SIGSEGV) {
        wrong("another signal than SIGSEGV for a PAL's death");
    } else {
        counts->deaths++;
    }
    p.registered = false;
    pal_destroy(&p);
}

static void worker(uint64_t state)
{
    tap_catch_signals();
    for (;;) {
        wander(&state);
        if (tap_random(&state) % 3 == 0) {
            die(&state);
        } else {
            live(&state);
        }
    }
}

static pid_t start(uint64_t *state, unsigned place)
{
    uint64_t seed = tap_random(state) | 1;
    pid_t pid = fork();

    if (pid == 0) {
        counts = &all[place];
        worker(seed);
        _exit(0);
    }
    return pid;
}

/* A worker has ended: its registrations and its ends must agree. */
static void judge(unsigned place, int status)
{
    const struct counts *c = &all[place];
    unsigned long ends = c->unregistered + c->deaths + c->left + c->lost;
    unsigned long open = c->registered - ends - held[place];
    bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;

    if (WIFSIGNALED(status) && !was_killed) {
        printf("signal %d\n", WTERMSIG(status));
        wrong("a worker died of a signal");
    }
    if (open > was_killed) {
        wrong(was_killed ? "a killed worker's count" : "the count of a worker that left");
    }
    held[place] += open;
    killed += was_killed;
}

/* Replace workers that have left, and kill one now and then. */
static void tend(pid_t *pid, unsigned n, uint64_t *state)
{
    int status;

    for (unsigned i = 0; i < n; i++) {
        if (pid[i] > 0 && waitpid(pid[i], &status, WNOHANG) == pid[i]) {
            judge(i, status);
            pid[i] = start(state, i);
        }
    }
    if (tap_random(state) % 8 == 0) {
        kill(pid[tap_random(state) % n], SIGKILL);
        asked++;
    }
}

/* Shared counts, all zero. */
static void make_counts(void)
{
    all = mmap(NULL, (WORKERS_MAX + 1) * sizeof(*all), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    counts = &all[WORKERS_MAX];
}

static int report(unsigned n)
{
    struct counts sum = { 0 };
    unsigned long open = 0;

    for (unsigned i = 0; i <= WORKERS_MAX; i++) {
        sum.registered += all[i].registered;
        sum.calls += all[i].calls;
        sum.unregistered += all[i].unregistered;
        sum.deaths += all[i].deaths;
        sum.left += all[i].left;
        sum.lost += all[i].lost;
        sum.no_memory += all[i].no_memory;
        sum.paged_out += all[i].paged_out;
        sum.beside += all[i].beside;
        sum.wrong += all[i].wrong;
        open += i < WORKERS_MAX ? held[i] : 0;
    }
    printf("registered %lu calls %lu unregistered %lu deaths %lu left %lu lost %lu killed %lu "
           "held %lu no_memory %lu paged_out %lu beside %lu wrong %lu\n",
           sum.registered, sum.calls, sum.unregistered, sum.deaths, sum.left, sum.lost, killed,
           open, sum.no_memory, sum.paged_out, sum.beside, sum.wrong);
    bool exact = sum.registered == sum.unregistered + sum.deaths + sum.left + sum.lost + open
        && killed <= asked + n; /* more: somebody else kills, the kernel without memory */
    return exact && sum.wrong == 0 && sum.beside <= 1 + sum.registered / 1000 ? 0 : 1;
}

static int run(unsigned seconds, unsigned n)
{
    pid_t pid[WORKERS_MAX];
    uint64_t state = (uint64_t)time(NULL) * 2654435761u | 1;
    time_t end = time(NULL) + seconds;
    int status;

    make_counts();
    for (unsigned i = 0; i < n; i++) {
        pid[i] = start(&state, i);
    }
    while (time(NULL) < end) {
        usleep(50000);
        tend(pid, n, &state);
    }
    for (unsigned i = 0; i < n; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], &status, 0);
        judge(i, status);
    }
    return report(n);
}

/* The largest PAL there is room for must be about the pool itself. */
static int drain(void)
{
    uint64_t total = pal_info(XMHF_INFO_POOL_TOTAL);
    struct pal p;

    make_counts();
    for (uint64_t pages = total - total / 4; pages > total / 2; pages--) { /* the quota, and less */
        if (begin(&p, (const void *)(uintptr_t)work, pages)) {
            bool good = pal_unregister(&p) == TV_OK;
            pal_destroy(&p);
            printf("largest PAL %llu of %llu pages, free %llu\n", (unsigned long long)pages,
                   (unsigned long long)total, (unsigned long long)pal_info(XMHF_INFO_POOL_FREE));
            return good ? 0 : 1;
        }
    }
    puts("no large PAL at all");
    return 1;
}

int main(int argc, char **argv)
{
    tap_need_hypervisor();
    if (argc == 4 && strcmp(argv[1], "run") == 0) {
        unsigned n = (unsigned)strtoul(argv[3], NULL, 0);
        return run((unsigned)strtoul(argv[2], NULL, 0), n > WORKERS_MAX ? WORKERS_MAX : n);
    }
    if (argc == 2 && strcmp(argv[1], "drain") == 0) {
        return drain();
    }
    return 2;
}
