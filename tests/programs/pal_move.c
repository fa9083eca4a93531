/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "The OS may move every page of an owner, CODE too, at any time:
 * calls, returns and giving back find the right ones".
 *
 * By migration between memory nodes (if there are two), by taking frames out of service, and by
 * compaction; the frames' numbers before and after tell what has moved. Needs root.
 *
 *   pal_move [ROUNDS]
 */
#define _GNU_SOURCE
#include "pagemap.h"
#include "tap.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#define MOVE_ALL 4          /* MPOL_MF_MOVE_ALL */
#define WORDS (5600 / sizeof(pal_word)) /* more than a page of arguments */
#define PALS 24
#define FACTOR ((pal_word)2862933555777941757ULL)

typedef pal_word (PAL_ABI *work_fn)(pal_word rounds, pal_word *words, volatile pal_word *data);

/* The result tells of all words and of DATA, which counts the calls. */
PAL_CODE static PAL_ABI pal_word work(pal_word rounds, pal_word *words, volatile pal_word *data)
{
    pal_word sum = ++data[0];

    for (pal_word i = 0; i < rounds; i++) {
        sum = sum * FACTOR + words[i % WORDS];
        words[i % WORDS] += 3;
    }
    return sum;
}

/* A PAL, and how often it was called. */
struct owned { struct pal p; pal_word calls; };

static pal_word buffer[8192 / sizeof(pal_word)] __attribute__((aligned(4096)));
static volatile bool stop;
static volatile unsigned long moved_meanwhile;

static bool make(struct owned *o)
{
    struct pal_spec spec = { __start_pal_code, __stop_pal_code, (const void *)(uintptr_t)work, 3, 1,
                             2 };

    o->calls = 0;
    if (pal_create(&o->p, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    munlock(o->p.memory, o->p.size);
    pal_add_integer(&o->p);
    pal_add_pointer(&o->p, WORDS);
    pal_add_integer(&o->p);
    return tap_no_error(pal_register(&o->p), "register");
}

static bool call(struct owned *o, pal_word rounds)
{
    static pal_word plain[WORDS];
    pal_word expected = ++o->calls, got;

    for (unsigned i = 0; i < WORDS; i++) {
        buffer[i] = plain[i] = i * 7 + o->calls;
    }
    for (pal_word i = 0; i < rounds; i++) {
        expected = expected * FACTOR + plain[i % WORDS];
        plain[i % WORDS] += 3;
    }
    got = ((work_fn)(uintptr_t)o->p.entry)(rounds, buffer, o->p.data);
    return got == expected && memcmp(buffer, plain, sizeof(plain)) == 0;
}

/* True if the code is the program's again, and the rest is zeros. */
static bool end(struct owned *o)
{
    const size_t code = (size_t)((char *)o->p.data - (char *)o->p.code);
    const size_t used = (size_t)(__stop_pal_code - __start_pal_code);
    const char *rest = (char *)o->p.memory + code;
    bool good = pal_unregister(&o->p) == TV_OK && memcmp(o->p.code, __start_pal_code, used) == 0;

    for (size_t i = 0; i < o->p.size - code; i++) {
        good = good && rest[i] == 0;
    }
    pal_destroy(&o->p);
    return good;
}

/* --- frames --------------------------------------------------------------- */

#define PAGES_MAX 16
enum { CODE, DATA, STACK, PARAM, KINDS };
struct frames { uint64_t frame[PAGES_MAX]; unsigned kind[PAGES_MAX], pages; };

static struct frames frames_of(const struct pal *p)
{
    const char *const at = p->memory;
    struct frames f = { .pages = (unsigned)(p->size / 4096) };

    for (unsigned i = 0; i < f.pages && i < PAGES_MAX; i++) {
        const char *page = at + i * 4096;
        f.frame[i] = page_frame(page);
        f.kind[i] = page < (char *)p->data ? CODE : page < (char *)p->stack ? DATA
                    : page < (char *)p->param ? STACK : PARAM;
    }
    return f;
}

struct moves { unsigned of[KINDS], all, pages; };

/* Count what isn't where it was. */
static void count(struct moves *m, const struct pal *p, const struct frames *before)
{
    struct frames now = frames_of(p);

    for (unsigned i = 0; i < now.pages; i++) {
        bool moved = before->frame[i] != 0 && now.frame[i] != 0 && now.frame[i] != before->frame[i];
        m->of[now.kind[i]] += moved;
        m->all += moved;
    }
    m->pages += now.pages;
}

static void tell(bool good, const struct moves *m, const char *what)
{
    ok(good && m->of[CODE] > 0,
       "%s: %u of %u pages have moved: %u of CODE, %u DATA, %u STACK, %u PARAM", what,
       m->all, m->pages, m->of[CODE], m->of[DATA], m->of[STACK], m->of[PARAM]);
}

/* --- ways to move them ---------------------------------------------------- */

/* To another node. False: this machine has one only. */
static bool to_node(const struct pal *p, int node)
{
    void *pages[PAGES_MAX + 3];
    int nodes[PAGES_MAX + 3], status[PAGES_MAX + 3];
    unsigned n = 0;

    for (; n < p->size / 4096; n++) {
        pages[n] = (char *)p->memory + n * 4096;
    }
    pages[n++] = buffer;
    pages[n++] = (char *)buffer + 4096;
    pages[n++] = __builtin_frame_address(0); /* and the stack */
    for (unsigned i = 0; i < n; i++) {
        nodes[i] = node;
    }
    return syscall(SYS_move_pages, 0, (unsigned long)n, pages, nodes, status, MOVE_ALL) >= 0;
}

static void test_nodes(unsigned rounds)
{
    struct moves m = { 0 };
    struct owned o;
    bool good = true;

    if (!make(&o)) {
        return;
    }
    if (!to_node(&o.p, 1)) {
        skip("migration: one memory node (%m)");
        end(&o);
        return;
    }
    for (unsigned i = 0; i < rounds; i++) {
        struct frames before = frames_of(&o.p);
        good = to_node(&o.p, (int)(i % 2)) && call(&o, 3000) && good;
        count(&m, &o.p, &before);
    }
    good = to_node(&o.p, (int)(rounds % 2)) && good;
    tell(good && m.all == m.pages, &m, "migration, a call each time");
    ok(end(&o), "migration: unregistered, the code is back");
}

static void *mover(void *arg)
{
    const struct pal *p = arg;

    for (int i = 0; !stop; i++) {
        moved_meanwhile += to_node(p, i % 2);
    }
    return NULL;
}

/* Another thread moves the pages all the time: registering, calls, interruptions, unregistering. */
static void test_moving(unsigned rounds)
{
    struct moves m = { 0 };
    unsigned bad = 0, lives = 0;
    pthread_t thread;
    struct owned o;

    if (!make(&o)) {
        return;
    }
    if (!to_node(&o.p, 1)) {
        skip("migration meanwhile: one memory node");
        end(&o);
        return;
    }
    stop = false;
    pthread_create(&thread, NULL, mover, &o.p);
    while (moved_meanwhile == 0) {
        usleep(1000);
    }
    for (; lives < 10 * rounds || (m.of[CODE] == 0 && lives < 500); lives++) {
        struct frames before = frames_of(&o.p);
        bad += !call(&o, lives % 10 == 0 ? 3000000 : 3000);
        bad += !call(&o, 10);
        count(&m, &o.p, &before);
        if (pal_unregister(&o.p) != TV_OK || pal_register(&o.p) != TV_OK) {
            bad++;
        }
        o.calls = 0;
    }
    stop = true;
    pthread_join(thread, NULL);
    ok(bad == 0, "another thread migrates all the time (%lu times): %u lives of a PAL, %u wrong",
       moved_meanwhile, lives, bad);
    tell(true, &m, "of it during calls");
    ok(end(&o), "unregistered, the code is back");
}

/* The frame is to be emptied, which somebody who looks at the page just now delays. */
static bool take_out(void *page)
{
    for (unsigned i = 0; i < 100; i++) {
        if (madvise(page, 4096, MADV_SOFT_OFFLINE) == 0) {
            return true;
        }
        if (errno != EBUSY && errno != EAGAIN && errno != EIO) {
            return false;
        }
        usleep(10000);
    }
    return false;
}

/* The kernel empties each frame and never uses it again. */
static void test_offline(void)
{
    struct moves m = { 0 };
    struct frames before;
    struct owned o;
    bool good = true;

    if (!make(&o)) {
        return;
    }
    before = frames_of(&o.p);
    for (size_t at = 0; at < o.p.size; at += 4096) {
        if (!take_out((char *)o.p.memory + at)) {
            skip("frames out of service: %m");
            end(&o);
            return;
        }
        good = call(&o, 3000) && good;
    }
    count(&m, &o.p, &before);
    tell(good && m.all == m.pages, &m, "each frame taken out of service, a call each time");
    ok(end(&o), "frames out of service: unregistered, the code is back");
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

/* Most of the free memory, in small pages. */
static char *most_memory(size_t *size)
{
    char *m;

    *size = (size_t)sysconf(_SC_AVPHYS_PAGES) * 4096 / 5 * 4;
    m = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) {
        return NULL;
    }
    madvise(m, *size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < *size; at += 4096) {
        m[at] = 1;
    }
    return m;
}

/* The kernel gets back so many of the pages with the lowest frames: the next ones to be used, and
 * those that compaction moves. */
static void give_low(char *m, size_t size, unsigned n)
{
    uint64_t lowest = UINT64_MAX, highest = 0;

    for (size_t at = 0; at < size; at += 64 * 4096) {
        uint64_t frame = page_frame(m + at);
        lowest = frame < lowest ? frame : lowest;
        highest = frame > highest ? frame : highest;
    }
    for (size_t at = 0; at < size && n > 0; at += 3 * 4096) {
        if (page_frame(m + at) < lowest + (highest - lowest) / 8) {
            madvise(m + at, 4096, MADV_DONTNEED);
            n--;
        }
    }
}

static void punch(char *m, size_t size, size_t first)
{
    for (size_t at = first * 4096; at < size; at += 8 * 4096) {
        madvise(m + at, 4096, MADV_DONTNEED);
    }
}

/* True if nothing has moved, which another attempt may change. */
static bool test_compaction(bool last)
{
    static struct owned o[PALS];
    static struct frames before[PALS];
    struct moves m = { 0 };
    bool good = true;
    cpu_set_t all, one;
    size_t size;
    char *area = access("/proc/sys/vm/compact_memory", W_OK) == 0 ? most_memory(&size) : NULL;

    if (!area) {
        skip("compaction: not in this kernel");
        return false;
    }
    sched_getaffinity(0, sizeof(all), &all);
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one); /* each CPU has free pages of its own */
    give_low(area, size, 2 * PALS * 7);
    for (unsigned i = 0; i < PALS; i++) {
        if (!make(&o[i])) {
            return false;
        }
        before[i] = frames_of(&o[i].p);
    }
    for (unsigned round = 1; round < 8 && m.of[CODE] == 0; round++) {
        punch(area, size, round);
        write_file("/proc/sys/vm/compact_memory", "1");
        m = (struct moves){ 0 };
        for (unsigned i = 0; i < PALS; i++) {
            good = call(&o[i], 3000) && good;
            count(&m, &o[i].p, &before[i]);
        }
    }
    for (unsigned i = 0; i < PALS; i++) {
        good = end(&o[i]) && good;
    }
    munmap(area, size);
    sched_setaffinity(0, sizeof(all), &all);
    if (good && m.of[CODE] == 0) {
        if (last) {
            skip("compaction: it moved nothing here");
        }
        return true;
    }
    tell(good, &m, "compaction");
    return false;
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 4;
    uint64_t before;

    tap_need_hypervisor();
    before = pal_info(XMHF_INFO_POOL_FREE);
    test_nodes(rounds);
    test_moving(rounds);
    test_offline();
    for (unsigned i = 1; i <= 5 && test_compaction(i == 5); i++) {
    }
    ok(tap_no_leak(&before), "all memory came back");
    return tap_end();
}
