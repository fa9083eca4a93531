/* SPDX-License-Identifier: MIT */
/*
 * What operations cost in the guest, in ticks of the TSC. Where the emulator makes each
 * instruction one tick these are instructions. One line "NAME VALUE" per result.
 *
 *   guest_bench [--quick]     everything; without a hypervisor, what can be compared
 *   guest_bench --loop NAME   one operation for ever, for tests/bench/profile.py
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pal/module.h>
#include <pal/pal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmhf/exits.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>
#include <xmhf/types.h>

#define POINTER_WORDS 384
#define TOUCH_PAGES 2048
#define CALL_RUNS 40

typedef uint64_t (PAL_ABI *one_fn)(uint64_t);
typedef uint64_t (PAL_ABI *ten_fn)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                   uint64_t, uint64_t, uint64_t, uint64_t);

PAL_CODE static PAL_ABI uint64_t nothing(uint64_t a)
{
    return a;
}

static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

static void report(const char *name, uint64_t value)
{
    printf("%s %llu\n", name, (unsigned long long)value);
}

/* Something to be measured; `arg` is a registered PAL, or NULL. */
struct operation {
    const char *name;
    void (*run)(void *arg);
    unsigned integers;     /* parameters of its PAL; none and no words: it needs no PAL */
    unsigned words;
};

static void run_empty(void *arg)
{
    (void)arg;
}

static void run_cpuid(void *arg)
{
    uint32_t a = 1, b, c = 0, d;

    (void)arg;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

/* A question that was never asked: a subleaf that no CPU has. */
static void run_cpuid_new(void *arg)
{
    static uint32_t never = 0x100; /* and not above 0xffff, where no answer is kept */
    uint32_t a = 7, b, c = never++, d;

    (void)arg;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static volatile uint8_t *apic; /* the APIC's page; NULL: no way to it */

/* An end of interrupt where none is in service: nothing happens. */
static void run_eoi(void *arg)
{
    (void)arg;
    *(volatile uint32_t *)(apic + 0xb0) = 0;
}

/* The kernel has iomem=relaxed. */
static void map_apic(void)
{
    int fd = open("/dev/mem", O_RDWR);
    void *p = fd < 0 ? MAP_FAILED
        : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0xfee00000);

    apic = p == MAP_FAILED ? NULL : p;
}

static void run_hypercall(void *arg)
{
    (void)arg;
    pal_info(XMHF_INFO_VERSION);
}

static void run_one(void *arg)
{
    ((one_fn)(uintptr_t)((struct pal *)arg)->entry)(1);
}

static void run_ten(void *arg)
{
    ((ten_fn)(uintptr_t)((struct pal *)arg)->entry)(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
}

static void run_pointer(void *arg)
{
    static uint64_t words[POINTER_WORDS];

    ((one_fn)(uintptr_t)((struct pal *)arg)->entry)((uintptr_t)words);
}

static void run_register(void *arg)
{
    if (pal_register(arg) != TV_OK || pal_unregister(arg) != TV_OK) {
        exit(1);
    }
}

static const struct operation operations[] = {
    { "cpuid", run_cpuid, 0, 0 },
    { "cpuid-new", run_cpuid_new, 0, 0 },
    { "hypercall", run_hypercall, 0, 0 },
    { "call-null", run_one, 1, 0 },
    { "call-10-integers", run_ten, 10, 0 },
    { "call-384-words", run_pointer, 0, POINTER_WORDS },
};

/* The least of many runs: one that no timer interrupt fell into. */
static uint64_t least(void (*run)(void *arg), void *arg)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < CALL_RUNS; i++) {
        uint64_t start = ticks(), took;
        run(arg);
        took = ticks() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void make_pal(struct pal *p, unsigned pages, unsigned integers, unsigned words)
{
    struct pal_spec spec = PAL_SPEC(nothing);

    spec.data_pages = pages - 3;
    if (pal_create(p, &spec) != 0) {
        perror("guest_bench: memory for a PAL");
        exit(1);
    }
    for (unsigned i = 0; i < integers; i++) {
        pal_add_integer(p);
    }
    if (words != 0) {
        pal_add_pointer(p, words);
    }
}

static void must(uint64_t error)
{
    if (error != TV_OK) {
        fprintf(stderr, "guest_bench: %s\n", pal_error_text(error));
        exit(1);
    }
}

static bool needs_pal(const struct operation *o)
{
    return o->integers != 0 || o->words != 0;
}

/* What the hypervisor counted of this PAL. */
static void report_pal(const char *operation, const struct pal *p)
{
    struct xmhf_pal_stats st;
    char line[64];

    must(pal_stats(p->entry, &st));
    snprintf(line, sizeof(line), "pal-%s-calls", operation);
    report(line, st.calls);
    snprintf(line, sizeof(line), "pal-%s-exits", operation);
    report(line, st.exits);
    snprintf(line, sizeof(line), "pal-%s-interruptions", operation);
    report(line, st.interruptions);
}

static void bench_operation(const struct operation *o)
{
    struct pal p;

    if (needs_pal(o)) {
        make_pal(&p, 4, o->integers, o->words);
        must(pal_register(&p));
    }
    report(o->name, least(o->run, &p) - least(run_empty, &p));
    if (needs_pal(o)) {
        report_pal(o->name, &p);
        pal_destroy(&p);
    }
}

/* A call of an image of this width that does nothing, with one word: in its caller's width, or in
 * another one. */
static void bench_image(const char *name, uint32_t mode, uint32_t convention)
{
    const uint64_t link = 0x10000000;
    struct {
        struct xmhf_image image;
        struct xmhf_image_section section[2];
        struct xmhf_image_param param;
        struct xmhf_image_entry entry;
    } d = {
        .image = { sizeof(d), XMHF_IMAGE_VERSION, mode, convention, .stacks = 1, .sections = 2,
                   .params = 1, .entries = 1 },
        .section = { { TV_SECTION_CODE, 1, link, 0 }, { TV_SECTION_STACK, 1, link + 0x10000, 0 } },
        .param = { TV_PARAM_INTEGER, XMHF_IN, XMHF_INTEGER_WORD, 0, 0 },
        .entry = { link, 1, XMHF_INTEGER_WORD },
    };
    struct pal stub = { 0 };
    uint8_t *p = mmap(NULL, 2 * PAL_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("guest_bench: memory for an image");
        exit(1);
    }
    memset(p, 0xc3, PAL_PAGE); /* RET, in any mode */
    stub.entry = p + PAL_PAGE;
    d.image.stubs = (uintptr_t)stub.entry;
    d.section[0].source = (uintptr_t)p;
    must(pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, 0, 0, (uintptr_t)stub.entry));
    report(name, least(run_one, &stub) - least(run_empty, &stub));
    must(pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stub.entry, 0, 0, 0));
    munmap(p, 2 * PAL_PAGE);
}

/* Registering and unregistering, with the measuring (SHA-256) as a figure of its own. */
static void bench_register(unsigned pages, unsigned runs)
{
    uint64_t in = UINT64_MAX, out = UINT64_MAX, hash = UINT64_MAX;
    struct pal p;
    char name[32];

    make_pal(&p, pages, 1, 0);
    for (unsigned i = 0; i < runs; i++) {
        uint64_t before = pal_info(XMHF_INFO_HASH_TICKS), start = ticks(), middle, h;
        must(pal_register(&p));
        middle = ticks() - start;
        h = pal_info(XMHF_INFO_HASH_TICKS) - before;
        hash = h < hash ? h : hash;
        in = middle - h < in ? middle - h : in;
        start = ticks();
        must(pal_unregister(&p));
        middle = ticks() - start;
        out = middle < out ? middle : out;
    }
    snprintf(name, sizeof(name), "register-%u", pages);
    report(name, in);
    snprintf(name, sizeof(name), "hash-%u", pages);
    report(name, hash);
    snprintf(name, sizeof(name), "unregister-%u", pages);
    report(name, out);
    pal_destroy(&p);
}

/* --- the guest's own work, with and without the hypervisor ------------------------------- */

static void touch_pages(void)
{
    char *p = mmap(NULL, TOUCH_PAGES * PAL_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("guest_bench: mmap");
        exit(1);
    }
    madvise(p, TOUCH_PAGES * PAL_PAGE, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < TOUCH_PAGES; i++) {
        ((volatile char *)p)[i * PAL_PAGE] = 1;
    }
    munmap(p, TOUCH_PAGES * PAL_PAGE);
}

static void vfork_and(const char *program, const char *argument)
{
    int status;
    pid_t child = vfork();

    if (child == 0) {
        execl(program, program, argument, (char *)NULL);
        _exit(1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        perror("guest_bench: vfork and exec");
        exit(1);
    }
}

static void vfork_exec(void)
{
    vfork_and("./guest_tiny", NULL);
}

/* A program with a C library: glibc asks CPUID many times before main. */
static void vfork_exec_glibc(void)
{
    vfork_and("./guest_bench", "--nothing");
}

/* All of many runs, timer interrupts included: they are part of what a guest does. */
static void bench_work(const char *name, void (*work)(void), unsigned runs)
{
    uint64_t start;

    work(); /* the page cache is warm from here on */
    start = ticks();
    for (unsigned i = 0; i < runs; i++) {
        work();
    }
    report(name, (ticks() - start) / runs);
}

/* Exits by reason while `command` runs, and the time it takes. */
static void bench_exits(const char *name, const char *command, bool hypervisor)
{
    static const char *const kinds[] = {
#define X(kind, sentence) #kind,
        EXIT_KINDS(X)
#undef X
    };
    uint64_t before[EXIT_KIND_COUNT], start;
    char line[64];

    for (unsigned i = 0; hypervisor && i < EXIT_KIND_COUNT; i++) {
        before[i] = pal_info(XMHF_INFO_EXITS + i);
    }
    start = ticks();
    if (system(command) != 0) {
        fprintf(stderr, "guest_bench: %s failed\n", command);
        exit(1);
    }
    snprintf(line, sizeof(line), "%s-ticks", name);
    report(line, ticks() - start);
    for (unsigned i = 0; hypervisor && i < EXIT_KIND_COUNT; i++) {
        uint64_t n = pal_info(XMHF_INFO_EXITS + i) - before[i];
        /* Our own questions are not the guest's work. */
        n -= i == EXIT_HYPERCALL ? EXIT_KIND_COUNT : 0;
        snprintf(line, sizeof(line), "%s-exits-%s", name, kinds[i]);
        if (n != 0) {
            report(line, n);
        }
    }
}

/* Microseconds of the kernel's clock, by the time stamp of a line in its log. It counts from
 * early in the kernel's start: no loader is in it. 0: can't tell. */
static uint64_t kernel_clock(uint64_t *tsc)
{
    static const char line[] = "<7>guest_bench\n";
    unsigned long long us = 0;
    char record[256];
    int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);

    if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
        return 0;
    }
    *tsc = ticks();
    if (write(fd, line, sizeof(line) - 1) < 0) {
        return 0;
    }
    for (ssize_t n; (n = read(fd, record, sizeof(record) - 1)) > 0;) {
        record[n] = 0;
        if (strstr(record, "guest_bench")) {
            sscanf(record, "%*u,%*u,%llu", &us);
        }
    }
    close(fd);
    return us;
}

static void bench_everything(bool quick)
{
    bool hypervisor = pal_available();

    for (size_t i = 0; hypervisor && i < ARRAY_SIZE(operations); i++) {
        bench_operation(&operations[i]);
    }
    map_apic();
    if (hypervisor && apic) {
        const struct operation eoi = { "eoi", run_eoi, 0, 0 };
        bench_operation(&eoi);
    }
    if (hypervisor) {
        report("protected", pal_info(XMHF_INFO_PROTECTED_SIZE));
        report("boot-ticks", pal_info(XMHF_INFO_BOOT_TICKS));
        bench_image("call-image", PAL_ID_MODE_64, XMHF_SYSV);
        bench_image("call-image-32", PAL_ID_MODE_32, XMHF_CDECL);
        bench_register(4, 10);
        bench_register(64, quick ? 3 : 10);
    }
    bench_work("page-touch", touch_pages, quick ? 2 : 8);
    bench_work("vfork-exec", vfork_exec, quick ? 20 : 100);
    bench_work("vfork-exec-glibc", vfork_exec_glibc, quick ? 20 : 100);
    bench_exits("idle", quick ? "sleep 2" : "sleep 10", hypervisor);
    bench_exits("compute", quick ? "sh compute.sh 2" : "sh compute.sh 12", hypervisor);
}

/* --- for the profiler ----------------------------------------------------------------------- */

/* profile.py cuts its trace where this function is entered. Bochs stops at the XCHG, if told
 * to; for everyone else it does nothing. */
__attribute__((noinline, used)) static void loop_mark(void)
{
    __asm__ volatile("xchgw %%bx, %%bx" : : : "memory");
}

static int loop(const char *name)
{
    const struct operation registering = { "register", run_register, 1, 0 };
    const struct operation *o = &registering;
    unsigned pages = 4;
    struct pal p;

    for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
        o = strcmp(operations[i].name, name) == 0 ? &operations[i] : o;
    }
    if (o == &registering && sscanf(name, "register-%u", &pages) != 1) {
        fprintf(stderr, "guest_bench: no operation %s\n", name);
        return 2;
    }
    if (needs_pal(o)) {
        make_pal(&p, pages, o->integers, o->words);
    }
    if (needs_pal(o) && o != &registering) {
        must(pal_register(&p));
    }
    puts("looping");
    fflush(stdout);
    for (;;) {
        loop_mark();
        o->run(&p);
    }
}

int main(int argc, char **argv)
{
    uint64_t tsc[2], us[2];
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;

    if (argc == 2 && strcmp(argv[1], "--nothing") == 0) {
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "--loop") == 0) {
        return loop(argv[2]);
    }
    if (argc != 1 && !quick) {
        fputs("usage: guest_bench [--quick | --loop NAME]\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    us[0] = kernel_clock(&tsc[0]);
    bench_everything(quick);
    us[1] = kernel_clock(&tsc[1]);
    if (us[0] != 0 && us[1] > us[0]) {
        report("kernel-boot", us[0] * (tsc[1] - tsc[0]) / (us[1] - us[0]));
    }
    return 0;
}
