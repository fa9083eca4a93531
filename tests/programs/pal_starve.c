/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "PALs that take all memory there is for PALs take nothing from
 * the OS".
 *
 * Processes register PALs until the pool is empty. Then code runs in places where none ran before,
 * for which the core needs memory on some Intel CPUs (CVE-2018-12207), and device memory is read in
 * regions where nobody looked before, for which it needs some on every CPU.   pal_starve [PIECES]
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "tap.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (2u << 20)
#define TAKERS 8u

PAL_CODE static PAL_ABI pal_word same(pal_word word)
{
    return word;
}

static bool take(unsigned data_pages)
{
    static struct pal p;
    struct pal_spec spec = PAL_SPEC(same);

    spec.data_pages = data_pages;
    return pal_create(&p, &spec) == 0 && pal_add_integer(&p) >= 0 && pal_register(&p) == TV_OK;
}

/* A process that takes what it can get, in ever smaller pieces, and keeps it. */
static pid_t taker(void)
{
    int ready[2];
    pid_t child;
    char c;

    if (pipe(ready) != 0 || (child = fork()) < 0) {
        return -1;
    }
    if (child == 0) {
        for (unsigned pages = 512; pages != 0; pages /= 2) {
            while (take(pages)) {
            }
        }
        if (write(ready[1], "x", 1) == 1) {
            pause();
        }
        _exit(1);
    }
    close(ready[1]);
    if (read(ready[0], &c, 1) != 1) {
        puts("# a process that takes memory has ended");
    }
    close(ready[0]);
    return child;
}

/* Code in `n` places of 2 MiB: in how many of them does it run? */
static unsigned run_pieces(unsigned n)
{
    const uint8_t ret = 0xc3;
    uint8_t *area = mmap(NULL, (size_t)(n + 1) * PIECE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static volatile unsigned i, ran;

    if (area == MAP_FAILED) {
        return 0;
    }
    madvise(area, (size_t)(n + 1) * PIECE, MADV_HUGEPAGE);
    area += PIECE - (uintptr_t)area % PIECE;
    for (i = ran = 0; i < n; i++) {
        volatile uint8_t *piece = area + (size_t)i * PIECE;
        /* so no two are in the same 2 MiB of memory */
        memset((void *)(uintptr_t)piece, ret, PIECE);
        if (CATCH()) {
            ((void (*)(void))(uintptr_t)piece)();
            ran++;
        }
    }
    return ran;
}

static bool have_40_bits(void)
{
    uint32_t a = 0x80000008, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (a & 0xff) >= 40;
}

/* Device addresses `n` GiB from `first` GiB on, and one page of each: how many can be read? Where
 * there is no device the bus gives ones. */
static unsigned read_devices(unsigned first, unsigned n)
{
    static volatile unsigned i, done;
    int fd = open("/dev/mem", O_RDONLY);

    for (i = done = 0; fd >= 0 && i < n; i++) {
        volatile uint8_t *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd,
                                      (off_t)(first + i) << 30);
        if (page == MAP_FAILED) {
            continue;
        }
        if (CATCH()) {
            (void)page[0x123];
            done++;
        }
        munmap((void *)(uintptr_t)page, 4096);
    }
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

int main(int argc, char **argv)
{
    unsigned pieces = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 70, ran, n;
    pid_t takers[TAKERS];
    uint64_t left, all;

    tap_need_hypervisor();
    tap_catch_signals();
    all = pal_info(XMHF_INFO_POOL_FREE);
    for (n = 0, left = all; n < TAKERS; n++) {
        takers[n] = taker();
        left = pal_info(XMHF_INFO_POOL_FREE);
    }
    ok(left < pieces * 3 / 4, "%u processes have %llu pages of %llu", n,
       (unsigned long long)(all - left), (unsigned long long)all);
    ran = run_pieces(pieces);
    ok(ran == pieces, "new code runs in %u of %u places of 2 MiB", ran, pieces);
    /* Without 1 GiB leaves each GiB from 4 on takes a table, with them those from 512 GiB on take
     * one. */
    ok(read_devices(20, 40) == 40 && read_devices(520, 3) == (have_40_bits() ? 3 : 0),
       "device memory can be read in new regions");
    while (n-- > 0) {
        kill(takers[n], SIGKILL);
        waitpid(takers[n], NULL, 0);
    }
    ok(take(1), "when they are gone there is memory for a PAL");
    return tap_end();
}
