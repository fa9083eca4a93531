/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Memory changed between check and use is harmless" and "A PAL
 * that ends while it runs elsewhere gives no result".
 *
 * One thread registers, calls and unregisters; another one, on another CPU, keeps replacing the
 * pages under it by pages of a file that the process may only read, and by nothing. The
 * hypervisor writes in all three: the file must stay as it is.   pal_race [SECONDS [FILE]]
 */
#define _GNU_SOURCE
#include "join.h"
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGES 4
#define LINGER 200000u
#define WORDS (PAGES * 4096 / sizeof(pal_word))
#define TRIES 2000
#define PATIENCE 120 /* seconds more, until each outcome was there once */

typedef pal_word (PAL_ABI *race_fn)(pal_word *words, pal_word n);

/* Changes each word, so that a copy back changes each byte. n == 0: never returns from a PAL. */
PAL_CODE static PAL_ABI pal_word change(pal_word *words, pal_word n)
{
    for (pal_word i = 0; i < n; i++) {
        words[i] = ~words[i];
    }
    if (n == 0 && !pal_inside()) {
        return 0;
    }
    for (unsigned i = 0; i < LINGER; i++) { /* time for the buffer to go before the copy back */
        __asm__ volatile("");
    }
    while (n == 0) {
        __asm__ volatile("pause");
    }
    return n + 1;
}

static volatile bool stop;
static int file;
static _Atomic(char *) target;      /* what is being replaced */
static volatile size_t target_size;
static volatile unsigned replaced, allowed; /* replacements so far, and until when */
static atomic_bool at_work;         /* the other thread has looked at these */

/* Have this replaced from now on, or nothing. The other thread is done with what it was at before:
 * it may get no CPU for long, and then there would be something else. */
static void replace(void *at, size_t size, unsigned until)
{
    target = NULL;
    while (at_work) {
        usleep(50);
    }
    target_size = size;
    allowed = until;
    target = at;
}

/* One page of it, the process's own, a file's that can't be written, nothing, or read-only. */
static void replace_one(char *at, uint64_t *state)
{
    at += tap_random(state) % (target_size / 4096) * 4096;

    switch (tap_random(state) % 5) {
    case 0:
        mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
        break;
    case 1:
        mprotect(at, 4096, PROT_NONE);
        break;
    case 2:
        mprotect(at, 4096, PROT_READ);
        break;
    default:
        mmap(at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
        break;
    }
    replaced++;
}

static void *replacer(void *arg)
{
    uint64_t state = 88172645463325252ULL;
    cpu_set_t one;

    (void)arg;
    CPU_ZERO(&one);
    CPU_SET(1, &one);
    sched_setaffinity(0, sizeof(one), &one);
    while (!stop) {
        char *at;

        at_work = true;
        at = target;
        if (at && replaced < allowed) {
            replace_one(at, &state);
            at_work = false;
        } else {
            at_work = false;
            sched_yield();
        }
    }
    return NULL;
}

static uint64_t checksum(void)
{
    uint64_t sum = 14695981039346656037ULL;
    unsigned char page[4096];
    ssize_t n;

    for (off_t at = 0; (n = pread(file, page, sizeof(page), at)) > 0; at += n) {
        for (ssize_t i = 0; i < n; i++) {
            sum = (sum ^ page[i]) * 1099511628211ULL;
        }
    }
    return sum;
}

static bool prepare(struct pal *p, unsigned words, unsigned data_pages)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)change,
                             data_pages, 1, PAGES + 1 };

    if (pal_create(p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_add_pointer(p, words);
    pal_add_integer(p);
    return true;
}

struct tally { unsigned done, faults, refused, wrong; };

/* Each second call begins with a whole buffer, of which a few pages at most are replaced: on a slow
 * machine no other one would ever come through. */
static void make_whole(char *buffer, unsigned round)
{
    if (round % 2 != 0) {
        allowed = ~0u;
        return;
    }
    allowed = 0;
    mmap(buffer, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
         0);
    allowed = replaced + round / 2 % 4;
}

/* The buffer goes away and comes back while arguments are copied in and out. */
static struct tally race_arguments(time_t end)
{
    static struct tally t;
    static struct pal p;
    static pal_word *buffer;
    static unsigned round;

    t = (struct tally){ 0, 0, 0, 0 };
    buffer = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!prepare(&p, WORDS, 2) || !tap_no_error(pal_register(&p), "register")) {
        return t;
    }
    replace(buffer, PAGES * 4096, 0);
    while (t.wrong == 0
           && (time(NULL) < end
               || ((t.done == 0 || t.faults == 0) && time(NULL) < end + PATIENCE))) {
        make_whole((char *)buffer, round++);
        if (CATCH()) {
            pal_word got = ((race_fn)(uintptr_t)p.entry)(buffer, WORDS);
            t.wrong += got != WORDS + 1;
            t.done++;
        } else {
            t.faults++;
            t.wrong += tap_signal != SIGSEGV && tap_signal != SIGBUS;
            /* A call whose copy back faulted, and that we don't resume, is in the way of the
             * next. */
            t.wrong += pal_unregister(&p) != TV_OK || pal_register(&p) != TV_OK;
        }
    }
    replace(NULL, 0, 0);
    t.wrong += pal_unregister(&p) != TV_OK;
    pal_destroy(&p);
    return t;
}

/* Sections go away and come back while a registration copies and hashes them. */
static struct tally race_sections(time_t end)
{
    static struct tally t;
    static struct pal p;

    t = (struct tally){ 0, 0, 0, 0 };
    while (time(NULL) < end || ((t.done == 0 || t.faults == 0) && time(NULL) < end + PATIENCE)) {
        static uint64_t error;
        static unsigned round;
        error = TV_FAILED;
        if (!prepare(&p, 8, 90)) {
            break;
        }
        replace(p.memory, p.size, replaced + round++ % 5); /* with more it would never be done */
        if (CATCH()) {
            error = pal_register(&p);
        } else {
            t.faults++;
        }
        if (error == TV_OK) {
            t.done++;
            usleep(100);
        } else {
            t.refused += error != TV_FAILED;
        }
        replace(NULL, 0, 0);
        if (error == TV_OK && CATCH()) {
            pal_unregister(&p);
        }
        p.registered = false;
        pal_destroy(&p);
    }
    return t;
}

/* --- a PAL that ends while another thread is in it ------------------------------------------ */

static struct pal running;
static volatile bool came_back, entered;
static __thread sigjmp_buf thread_jump;

/* INT3; in the middle of unregistering #GP for the token, or #UD. */
static void on_end(int number)
{
    (void)number;
    siglongjmp(thread_jump, 1);
}

/* Keeps the thread out of its PAL for a while. */
static void on_nap(int number)
{
    (void)number;
    usleep(20000);
}

static void *runner(void *arg)
{
    static pal_word word;

    (void)arg;
    if (sigsetjmp(thread_jump, 1) == 0) {
        entered = true;
        came_back = ((race_fn)(uintptr_t)running.entry)(&word, 0) != 0;
    }
    return NULL;
}

/* Unregister in a loop, until that hits a moment when no CPU runs the PAL. Two virtual CPUs that
 * share a core may miss each other for minutes: a signal makes such a moment then. The times it was
 * busy. */
static unsigned end_under(pthread_t thread, uint64_t *error)
{
    unsigned busy = 0;

    while ((*error = pal_unregister(&running)) == TV_BUSY) {
        if (++busy % TRIES == 0) {
            pthread_kill(thread, SIGUSR1);
        }
        sched_yield();
    }
    return busy;
}

static void test_end_elsewhere(void)
{
    unsigned busy = 0, rounds = 0, right = 0;
    pthread_t thread;

    signal(SIGUSR1, on_nap);
    signal(SIGTRAP, on_end);
    signal(SIGILL, on_end);
    signal(SIGSEGV, on_end);
    for (; rounds < 20; rounds++) {
        uint64_t error;
        if (!prepare(&running, 1, 2) || !tap_no_error(pal_register(&running), "register")) {
            return;
        }
        came_back = entered = false;
        pthread_create(&thread, NULL, runner, NULL);
        while (!entered) {
            sched_yield();
        }
        usleep(2000);
        busy += end_under(thread, &error);
        tap_join(thread, &running); /* it finds INT3 where the resume stub was */
        right += error == TV_OK && !came_back;
        if (error != TV_OK || came_back) {
            printf("# round %u: unregistering said %llu, the call came back: %d\n", rounds,
                   (unsigned long long)error, (int)came_back);
        }
        pal_destroy(&running);
    }
    ok(right == rounds && busy > 0,
       "%u of %u PALs that ended under a caller gave no result (%u times TV_BUSY)", right, rounds,
       busy);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 3;
    const char *path = argc > 2 ? argv[2] : "/bin/busybox";
    uint64_t sum, free, left;
    struct tally t;
    pthread_t other;
    cpu_set_t one;

    tap_need_hypervisor();
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        skip("one CPU can't race with itself");
        return tap_end();
    }
    file = open(path, O_RDONLY);
    sum = checksum();
    free = pal_info(XMHF_INFO_POOL_FREE);
    test_end_elsewhere();
    tap_catch_signals();
    pthread_create(&other, NULL, replacer, NULL);
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    t = race_arguments(time(NULL) + seconds);
    ok(t.wrong == 0 && t.done > 0 && t.faults > 0,
       "copying arguments amid %u replacements: %u calls, %u faults, %u wrong", replaced, t.done,
       t.faults, t.wrong);
    replaced = 0;
    t = race_sections(time(NULL) + seconds);
    ok(t.wrong == 0 && t.done > 0 && t.faults + t.refused > 0,
       "registering amid %u replacements: %u times, %u faults, %u refused", replaced, t.done,
       t.faults, t.refused);
    stop = true;
    pthread_join(other, NULL);
    ok(checksum() == sum, "no byte of the file was written");
    /* Up to four registrations that were given up wait for somebody to need their memory. */
    left = pal_info(XMHF_INFO_PALS);
    ok(pal_info(XMHF_INFO_POOL_FREE) + (left + 4) * 128 >= free,
       "%llu pages free, %llu at first, %llu PALs that lost their pages are left",
       (unsigned long long)pal_info(XMHF_INFO_POOL_FREE), (unsigned long long)free,
       (unsigned long long)left);
    return tap_end();
}
