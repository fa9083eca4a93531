/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Whatever the OS does with an owner's memory or with the
 * owner, only that PAL is lost, and all of it is wiped and given back".
 *
 * The OS moves, swaps, shares, protects and takes away the pages of a process with a PAL, and
 * kills the process, while the PAL is idle, interrupted or running.   pal_damage [ROUNDS]
 */
#define _GNU_SOURCE
#include "pagemap.h"
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS 700           /* more than a page of arguments */
#define FACTOR ((pal_word)2862933555777941757ULL)
#define HUGE (2u << 20)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

typedef pal_word (PAL_ABI *work_fn)(pal_word rounds, pal_word *words, volatile pal_word *data);

/* The result tells of all words and of DATA, which counts the calls. */
PAL_CODE static PAL_ABI pal_word work(pal_word rounds, pal_word *words, volatile pal_word *data)
{
    pal_word sum = ++data[0];

    for (pal_word i = 0; i < rounds; i++) {
        sum = sum * FACTOR + words[i % WORDS];
        words[i % WORDS] += 3;
    }
    while (rounds == 0) { /* never returns */
        __asm__ volatile("pause");
    }
    return sum;
}

static pal_word buffer[WORDS] __attribute__((aligned(4096)));

static bool make(struct pal *p)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)work, 3, 1,
                             2 };

    if (pal_create(p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_add_integer(p);
    pal_add_pointer(p, WORDS);
    pal_add_integer(p);
    return tap_no_error(pal_register(p), "register");
}

/* What a call must give, and the buffer's contents before and (`plain`) behind it. */
static __attribute__((noinline)) pal_word
expect(pal_word rounds, pal_word calls, pal_word plain[WORDS])
{
    pal_word expected = calls;

    for (unsigned i = 0; i < WORDS; i++) {
        buffer[i] = plain[i] = i * 7 + calls;
    }
    for (pal_word i = 0; i < rounds; i++) {
        expected = expected * FACTOR + plain[i % WORDS];
        plain[i % WORDS] += 3;
    }
    return expected;
}

/* 0: right result; else the signal; -1: another result. `calls`: made so far, this one too. */
static int call(const struct pal *p, pal_word rounds, pal_word calls)
{
    static pal_word expected, got, plain[WORDS];

    expected = expect(rounds, calls, plain);
    if (!CATCH()) {
        return tap_signal;
    }
    got = ((work_fn)(uintptr_t)p->entry)(rounds, buffer, p->data);
    return got == expected && memcmp(buffer, plain, sizeof(plain)) == 0 ? 0 : -1;
}

static void end(struct pal *p, const char *what)
{
    uint64_t error = pal_unregister(p);

    ok(error == TV_OK, "%s: unregistered (%s)", what, pal_error_name(error));
    pal_destroy(p);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0) {
            printf("# %s takes no %s\n", path, text);
        }
        close(fd);
    }
}

static long read_number(const char *path)
{
    FILE *f = fopen(path, "r");
    long n = -1;

    if (f) {
        n = fscanf(f, "%ld", &n) == 1 ? n : -1;
        fclose(f);
    }
    return n;
}

/* --- pages that the OS moves ------------------------------------------------------------------ */

static unsigned swap_out(struct pal *p)
{
    unsigned out = 0;

    munlock(p->memory, p->size);
    madvise(p->memory, p->size, MADV_PAGEOUT);
    madvise(buffer, sizeof(buffer), MADV_PAGEOUT);
    for (size_t at = 0; at < p->size; at += 4096) {
        out += (unsigned)(page_entry((char *)p->memory + at) >> 62 & 1);
    }
    return out;
}

/* Another process asks for more memory than a process may have: all owners are looked at for it. */
static bool look_for_memory(void)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)work,
                             (unsigned)pal_info(XMHF_INFO_POOL_TOTAL) - 30, 1, 1 };
    pid_t child = fork();
    int status = 1;

    if (child == 0) {
        struct pal p;
        uint64_t error = pal_create(&p, &spec) != 0 || pal_add_integer(&p) != 0 ? TV_FAILED
            : pal_register(&p);
        _exit(error == TV_QUOTA_PAGES || error == TV_NO_MEMORY ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static void test_swap(unsigned rounds)
{
    unsigned out = 0, bad = 0;
    bool looked;
    struct pal p;

    if (!make(&p)) {
        return;
    }
    for (unsigned i = 1; i <= rounds; i++) {
        out += swap_out(&p);
        bad += call(&p, 3000, i) != 0;
    }
    if (out == 0) {
        skip("swap: nothing is swapped out here");
    } else {
        ok(bad == 0, "swap: %u calls with %u pages swapped out", rounds, out);
        out = swap_out(&p);
        looked = look_for_memory();
        ok(out > 0 && looked && call(&p, 3000, rounds + 1) == 0,
           "swap: a call after memory was looked for, with %u pages swapped out", out);
        swap_out(&p);
    }
    end(&p, "swap");
}

static void test_compaction(unsigned rounds)
{
    unsigned bad = 0, moved = 0;
    uint64_t frame;
    cpu_set_t all;
    struct pal p;

    if (!make(&p)) {
        return;
    }
    munlock(p.memory, p.size);
    frame = page_entry(p.code);
    sched_getaffinity(0, sizeof(all), &all);
    for (unsigned i = 1; i <= rounds; i++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(i % 2, &one);
        sched_setaffinity(0, sizeof(one), &one);
        write_file("/proc/sys/vm/compact_memory", "1");
        moved += page_entry(p.code) != frame;
        frame = page_entry(p.code);
        bad += call(&p, 3000, i) != 0;
    }
    sched_setaffinity(0, sizeof(all), &all);
    ok(bad == 0, "compaction, and another CPU each time: %u calls, CODE has moved %u times", rounds,
       moved);
    end(&p, "compaction");
}

static void test_ksm(void)
{
    const char *run = "/sys/kernel/mm/ksm/run", *shared = "/sys/kernel/mm/ksm/pages_sharing";
    long merged = 0;
    struct pal p;

    if (access(run, W_OK) != 0 || !make(&p)) {
        skip("KSM: not in this kernel");
        return;
    }
    munlock(p.memory, p.size);
    madvise(p.memory, p.size, MADV_MERGEABLE);
    write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
    write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
    write_file(run, "1");
    /* the thread that merges has a low priority */
    for (unsigned i = 0; i < 1000 && merged <= 0; i++) {
        usleep(20000);
        merged = read_number(shared);
    }
    ok(merged > 0 && call(&p, 3000, 1) == 0, "KSM: a call while %ld pages are shared", merged);
    end(&p, "KSM");
    write_file(run, "2");
    write_file(run, "0");
}

/* The pages of a PAL become part of a huge page while it lives. */
static void test_huge(void)
{
    char *area = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *huge;
    struct pal p;
    uint64_t before;
    int failed;

    if (area == MAP_FAILED || !make(&p)) {
        return;
    }
    pal_unregister(&p);
    huge = (char *)(((uintptr_t)area + HUGE - 1) / HUGE * HUGE);
    memcpy(huge, p.memory, p.size);
    for (unsigned i = 0; i < p.sections.num_sections; i++) { /* the same PAL, but there */
        p.sections.sections[i].start_addr += (uintptr_t)huge - (uintptr_t)p.memory;
    }
    p.entry = huge + ((char *)p.entry - (char *)p.memory);
    p.data = huge + ((char *)p.data - (char *)p.memory);
    if (!tap_no_error(pal_register(&p), "register")) {
        return;
    }
    failed = call(&p, 3000, 1);
    before = page_entry(huge);
    for (size_t at = 0; at < HUGE; at += 4096) {
        *(volatile char *)(huge + at) += 0;
    }
    if (madvise(huge, HUGE, MADV_COLLAPSE) != 0) {
        skip("huge pages: this kernel can't make them by order");
    } else {
        ok(failed == 0 && page_entry(huge) != before && call(&p, 3000, 2) == 0,
           "a call before and behind becoming part of a huge page");
    }
    ok(pal_unregister(&p) == TV_OK, "huge pages: unregistered");
    munmap(area, 2 * HUGE);
    pal_destroy(&p);
}

/* --- pages that the OS takes away ----------------------------------------- */

static void test_protection(void)
{
    struct pal p;

    if (!make(&p)) {
        return;
    }
    ok(call(&p, 10, 1) == 0, "a call");
    mprotect(p.memory, p.size, PROT_NONE);
    ok(call(&p, 10, 2) == SIGSEGV, "no rights at all: SIGSEGV");
    mprotect(p.memory, p.size, PROT_READ | PROT_EXEC);
    ok(call(&p, 10, 2) == 0, "read-only pages: the PAL needs none of them");
    ok(CATCH() ? (pal_unregister(&p), false) : tap_signal == SIGSEGV,
       "unregistering can't write the code back: SIGSEGV");
    mprotect(p.memory, p.size, PROT_READ | PROT_WRITE | PROT_EXEC);
    ok(call(&p, 10, 3) == 0, "with all rights again: a call");
    end(&p, "mprotect");
}

static void test_moved(void)
{
    void *old, *now;
    struct pal p;

    if (!make(&p)) {
        return;
    }
    old = p.memory;
    now = mremap(old, p.size, p.size, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)old - (64u << 20));
    if (now == MAP_FAILED) {
        skip("mremap: %m");
    } else {
        p.entry = (char *)p.entry + ((char *)now - (char *)old);
        ok(call(&p, 10, 1) == SIGILL, "moved elsewhere by mremap its stub is #UD");
        p.entry = (char *)p.entry - ((char *)now - (char *)old);
        ok(call(&p, 10, 1) == SIGSEGV, "and there is nothing at the old place");
        ok(mremap(now, p.size, p.size, MREMAP_MAYMOVE | MREMAP_FIXED, old) == old
           && call(&p, 10, 1) == 0, "moved back it works");
    }
    end(&p, "mremap");
}

/* Other memory at the PAL's place isn't written by anything that happens to the PAL. */
static void test_replaced(void)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    struct pal p;
    uint64_t error;
    int number;

    if (!make(&p)) {
        return;
    }
    munmap(p.memory, p.size);
    number = call(&p, 10, 1);
    ok(number == SIGSEGV, "munmap: a call is SIGSEGV");
    mmap(p.memory, p.size, PROT_READ | PROT_WRITE | PROT_EXEC, how, -1, 0);
    memset(p.memory, 0xc3, p.size); /* RET */
    number = call(&p, 10, 1);
    error = pal_unregister(&p);
    ok(number == -1 && ((unsigned char *)p.memory)[0] == 0xc3
       && memcmp(p.memory, (char *)p.memory + 1, p.size - 1) == 0,
       "other memory at its place is ordinary memory, and stays so (%s)", pal_error_name(error));
    /* The same place again, by the library's way: a PAL like any other. */
    p.registered = false;
    error = pal_register(&p);
    if (error == TV_OK) {
        error = pal_unregister(&p);
    }
    ok(error == TV_OK, "a new PAL in the old one's place (%s)", pal_error_name(error));
    pal_destroy(&p);
}

/* The process drops its pages: they are zeros, and what it then writes there is its own. */
static void test_dropped(void)
{
    struct pal p;
    int number;

    if (!make(&p)) {
        return;
    }
    munlock(p.memory, p.size);
    madvise(p.memory, p.size, MADV_DONTNEED);
    memset(p.memory, 0xc3, p.size);
    number = call(&p, 10, 1);
    pal_unregister(&p);
    ok(number == -1 && ((unsigned char *)p.memory)[0] == 0xc3
       && memcmp(p.memory, (char *)p.memory + 1, p.size - 1) == 0,
       "pages dropped and written by the process stay as they are");
    p.registered = false;
    pal_destroy(&p);
}

/* --- owners that go ------------------------------------------------------- */

enum { IDLE, RUNNING, INTERRUPTED, EXEC, EXEC_RUNNING, THREAD_EXEC, KINDS };
static const char *const kinds[KINDS] = {
    "kill -9, idle", "kill -9, running", "kill -9, interrupted", "exec", "exec in a signal handler",
    "exec of another thread",
};

static void on_alarm(int number)
{
    (void)number;
    execl("/bin/true", "true", NULL);
    _exit(1);
}

static void *execing(void *arg)
{
    (void)arg;
    usleep(20000);
    execl("/bin/true", "true", NULL);
    return NULL;
}

static void owner(unsigned kind, int ready)
{
    pthread_t thread;
    struct pal p;

    if (!make(&p)) {
        _exit(1);
    }
    call(&p, 100, 1);
    if (write(ready, "x", 1) != 1) {
        _exit(1);
    }
    switch (kind) {
    case IDLE:
        pause();
        break;
    case EXEC:
        on_alarm(0);
        break;
    case EXEC_RUNNING:
        signal(SIGALRM, on_alarm);
        ualarm(20000, 0);
        break;
    case THREAD_EXEC:
        pthread_create(&thread, NULL, execing, NULL);
        break;
    }
    ((work_fn)(uintptr_t)p.entry)(0, buffer, p.data);
    _exit(1);
}

/* A process that has this one's page table next, perhaps: its memory is its own. */
static bool successor(void)
{
    int status = 1;
    pid_t child = fork();

    if (child == 0) {
        struct pal p;
        _exit(make(&p) && call(&p, 100, 1) == 0 && pal_unregister(&p) == TV_OK ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static bool lose_owner(unsigned kind)
{
    int ready[2], status = 0;
    pid_t child;
    char c;

    if (pipe(ready) != 0) {
        return false;
    }
    child = fork();
    if (child == 0) {
        owner(kind, ready[1]);
    }
    close(ready[1]);
    if (read(ready[0], &c, 1) != 1) {
        return false;
    }
    close(ready[0]);
    usleep(kind == IDLE ? 0 : 15000);
    if (kind == INTERRUPTED) {
        kill(child, SIGSTOP); /* the thread waits at the resume stub */
        usleep(5000);
    }
    if (kind <= INTERRUPTED) {
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
    return kind <= INTERRUPTED ? WIFSIGNALED(status)
        : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_owners(unsigned rounds)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        unsigned bad = 0, worse = 0;
        for (unsigned i = 0; i < rounds; i++) {
            bad += !lose_owner(kind);
            worse += !successor();
        }
        ok(bad == 0 && worse == 0, "%s: %u owners; %u ended otherwise, %u successors had trouble",
           kinds[kind], rounds, bad, worse);
    }
}

/* --- in the end ----------------------------------------------------------- */

/* A PAL that needs most of the pool makes the hypervisor look for dead owners. */
static bool collect(void)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)work,
                             (unsigned)pal_info(XMHF_INFO_POOL_TOTAL), 1, 2 };
    const unsigned least = spec.data_pages / 2;

    for (; spec.data_pages > least; spec.data_pages--) {
        struct pal p;
        uint64_t error = TV_FAILED;
        if (pal_create(&p, &spec) == 0) {
            pal_add_integer(&p);
            error = pal_register(&p);
            pal_destroy(&p);
        }
        if (error == TV_OK) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 5;
    uint64_t before, after;

    tap_need_hypervisor();
    tap_catch_signals();
    ok(collect(), "a PAL as large as the pool");
    before = pal_info(XMHF_INFO_POOL_FREE);
    test_swap(rounds);
    test_compaction(rounds);
    test_ksm();
    test_huge();
    test_protection();
    test_moved();
    test_replaced();
    test_dropped();
    test_owners(rounds);
    after = pal_info(XMHF_INFO_POOL_FREE);
    ok(collect(), "another one, now that %llu pages are dead PALs'",
       (unsigned long long)(before - after));
    after = pal_info(XMHF_INFO_POOL_FREE);
    /* On some Intel CPUs running code in new places costs a page for each 2 MiB. */
    ok(after + 8 >= before, "%llu free pages, %llu at first", (unsigned long long)after,
       (unsigned long long)before);
    return tap_end();
}
