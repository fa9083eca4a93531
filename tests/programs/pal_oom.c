/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Whatever the OS does with an owner's memory or with the
 * owner, only that PAL is lost, and all of it is wiped and given back", where the OS has no memory
 * left: its OOM killer ends owners whose PAL is idle, running, interrupted or waited for.
 *
 *   pal_oom [ROUNDS]   needs a machine without swap
 */
#define _GNU_SOURCE
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (1u << 20)

typedef pal_word (PAL_ABI *work_fn)(pal_word rounds, volatile pal_word *data);

PAL_CODE static PAL_ABI pal_word work(pal_word rounds, volatile pal_word *data)
{
    while (rounds == 0) { /* never returns */
        __asm__ volatile("pause");
    }
    data[0] += rounds;
    return data[0];
}

static struct pal p;

static pal_word call(pal_word rounds) { return ((work_fn)(uintptr_t)p.entry)(rounds, p.data); }

static bool make(void)
{
    struct pal_spec spec = PAL_SPEC(work);

    spec.data_pages = 20;
    if (pal_create(&p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_add_integer(&p);
    pal_add_integer(&p);
    return tap_no_error(pal_register(&p), "register");
}

/* The number behind a word at the start of a line, or -1. */
static long number_in(const char *path, const char *word)
{
    char line[256];
    FILE *f = fopen(path, "r");
    long n = -1;

    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, word, strlen(word)) == 0) {
            n = strtol(line + strlen(word), NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return n;
}

/* Take memory until there is none. */
static void *take_all(void *arg)
{
    (void)arg;
    for (;;) {
        char *m = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t at = 0; m != MAP_FAILED && at < CHUNK; at += 4096) {
            m[at] = 1;
        }
    }
    return NULL;
}

static void on_alarm(int number)
{
    (void)number;
    take_all(NULL);
}

static void *wait_for_it(void *arg)
{
    call(1); /* never, since the other call never ends */
    return arg;
}

enum { IDLE, RUNNING, INTERRUPTED, WAITED_FOR, KINDS };
static const char *const kinds[KINDS] = { "idle", "running", "interrupted",
                                          "running and waited for" };

static void owner(unsigned kind)
{
    pthread_t thread, other;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);

    if (fd < 0 || write(fd, "1000", 4) != 4 || !make() || call(2) != 2 || call(3) != 5) {
        _exit(1);
    }
    if (kind == IDLE) {
        take_all(NULL);
    } else if (kind == INTERRUPTED) {
        signal(SIGALRM, on_alarm);
        ualarm(20000, 0);
    } else {
        pthread_create(&thread, NULL, take_all, NULL);
    }
    if (kind == WAITED_FOR) {
        pthread_create(&other, NULL, wait_for_it, NULL);
    }
    call(0);
    _exit(1);
}

/* Another process's PAL lives through it, and a new one works afterwards. */
static bool lose_owner(unsigned kind)
{
    const long before = number_in("/proc/vmstat", "oom_kill ");
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        owner(kind);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && before >= 0
        && number_in("/proc/vmstat", "oom_kill ") == before + 1;
}

/* More than one process may have: the hypervisor looks for dead owners before it says so. */
static bool collect(void)
{
    struct pal_spec spec = PAL_SPEC(work);
    uint64_t error = TV_FAILED;
    struct pal big;

    if (pal_create(&big, &spec) == 0) {
        pal_add_integer(&big);
        big.sections.sections[1].page_num = (uint32_t)(pal_info(XMHF_INFO_POOL_TOTAL) * 7 / 8);
        big.sections.sections[1].start_addr = 0x10000000;
        error = pal_register(&big);
        big.sections.sections[1].page_num = 1;
        pal_destroy(&big);
    }
    return error == TV_QUOTA_PAGES;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;
    uint64_t before, dead;
    pal_word sum = 0;

    tap_need_hypervisor();
    ok(collect() && make(), "a PAL that stays");
    before = pal_info(XMHF_INFO_POOL_FREE);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        unsigned bad = 0;
        for (unsigned i = 0; i < rounds; i++) {
            bad += !lose_owner(kind);
            sum += i + 1;
            bad += call(i + 1) != sum;
        }
        ok(bad == 0, "no memory left: %u owners whose PAL was %s; %u ended otherwise", rounds,
           kinds[kind], bad);
    }
    dead = before - pal_info(XMHF_INFO_POOL_FREE);
    ok(collect() && pal_info(XMHF_INFO_POOL_FREE) == before, "%llu pages of dead PALs are back",
       (unsigned long long)dead);
    ok(call(1) == sum + 1 && pal_unregister(&p) == TV_OK, "the PAL that stayed works, and goes");
    return tap_end();
}
