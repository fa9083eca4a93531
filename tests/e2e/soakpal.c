/* SPDX-License-Identifier: MIT */
/*
 * PALs that live and die on all CPUs, counted.   soakpal run SECONDS WORKERS
 * Workers register, call from wandering CPUs, unregister, die by faults, leave without a
 * word; some are killed at any moment. Ends with counts, which must agree.
 *
 *   soakpal drain   asks for all PAL memory, so that what dead processes left is collected
 */
#define _GNU_SOURCE
#include "pal/tap.h"
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 32
#define STACK_PAGES 1

struct counts {
    atomic_ulong registered, calls, unregistered, deaths, left, killed, no_memory, paged_out, wrong;
};
static struct counts *counts;

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
    } else {
        wrong(pal_error_name(error));
    }
    pal_destroy(p);
    return false;
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

/* Have the kernel swap out the PAL's own pages: stubs, stack and all. */
static void page_out(const struct pal *p)
{
    munlock(p->memory, p->size);
    if (madvise(p->memory, p->size, MADV_PAGEOUT) == 0) {
        counts->paged_out++;
    }
}

static void live(uint64_t *state)
{
    uint64_t words[20], plain[20];
    uint64_t rounds = 1 + tap_random(state) % 20;
    struct pal p;

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
        if (((fn)(uintptr_t)p.entry)(words, 20, p.data) != expected(plain, 20, i) ||
            memcmp(words, plain, sizeof(words)) != 0) {
            wrong("a call's result");
        }
        counts->calls++;
    }
    if (tap_random(state) % 4 == 0) {
        counts->left++;
        _exit(0); /* without a word */
    }
    if (pal_unregister(&p) == TV_OK) {
        counts->unregistered++;
    } else {
        wrong("unregistering");
    }
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

static pid_t start(uint64_t *state)
{
    uint64_t seed = tap_random(state) | 1;
    pid_t pid = fork();

    if (pid == 0) {
        worker(seed);
        _exit(0);
    }
    return pid;
}

/* Replace workers that have left, and kill one now and then. */
static void tend(pid_t *pid, unsigned n, uint64_t *state)
{
    int status;

    for (unsigned i = 0; i < n; i++) {
        if (pid[i] > 0 && waitpid(pid[i], &status, WNOHANG) == pid[i]) {
            if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
                wrong("a worker died of a signal");
            }
            pid[i] = start(state);
        }
    }
    if (tap_random(state) % 8 == 0) {
        kill(pid[tap_random(state) % n], SIGKILL);
        counts->killed++;
    }
}

static int run(unsigned seconds, unsigned n)
{
    pid_t pid[WORKERS_MAX];
    uint64_t state = (uint64_t)time(NULL) * 2654435761u | 1;
    time_t end = time(NULL) + seconds;

    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < n; i++) {
        pid[i] = start(&state);
    }
    while (time(NULL) < end) {
        usleep(50000);
        tend(pid, n, &state);
    }
    for (unsigned i = 0; i < n; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
    printf("registered %lu calls %lu unregistered %lu deaths %lu left %lu killed %lu "
           "ended %u no_memory %lu paged_out %lu wrong %lu\n",
           counts->registered, counts->calls, counts->unregistered, counts->deaths, counts->left,
           counts->killed, n, counts->no_memory, counts->paged_out, counts->wrong);
    /* A PAL has at most one end; one without was held by a worker that was killed. */
    unsigned long ends = counts->unregistered + counts->deaths + counts->left;
    bool exact = ends <= counts->registered && counts->registered - ends <= counts->killed + n;
    return exact && counts->wrong == 0 ? 0 : 1;
}

/* The largest PAL there is room for must be about the pool itself. */
static int drain(void)
{
    uint64_t total = pal_info(XMHF_INFO_POOL_TOTAL);
    struct pal p;

    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
