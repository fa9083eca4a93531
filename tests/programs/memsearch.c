/*
 * Searches all memory that root can reach in a Linux guest for a secret of up
 * to 64 bytes, given masked so that this program never holds the secret itself.
 *
 * SPDX-License-Identifier: MIT
 *
 * usage: memsearch [--pid PID] [--kcore] [--devmem MIB] MASKED-HEX | key:KEY
 *   MASKED-HEX  the secret with every byte XORed with 0x5a
 *   key:KEY     any word of the leak test's pattern with this key (tests/sdk/mistakes/leak.h)
 *   --kcore     all RAM the kernel knows, through /proc/kcore
 *   --pid PID   the memory of a process, by /proc/PID/mem and process_vm_readv
 *   --devmem M  the first M MiB of physical addresses, where the kernel allows,
 *               that are not the kernel's RAM: where a protected range would be
 * exit status: 0 found, 1 not found, 2 trouble (nothing that was asked could be read)
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "../sdk/mistakes/leak.h"

#define MASK 0x5a
#define MAX_SECRET 64
#define MAX_SHOWN 8
#define PAGE 4096ul

/* ELF's word size follows the guest: a 32-bit kernel's kcore is ELF32. */
#if __SIZEOF_POINTER__ == 8
typedef Elf64_Ehdr ehdr_t;
typedef Elf64_Phdr phdr_t;
#else
typedef Elf32_Ehdr ehdr_t;
typedef Elf32_Phdr phdr_t;
#endif

static uint8_t masked[MAX_SECRET];
static size_t secret_len;
static uint32_t pattern_key;
static int by_pattern;  /* look for words of the pattern with that key, not for one secret */
/*
 * The bytes kept from the page before, then the page: a secret may lie across.
 * One page only: with more, this very window could be read after the secret has
 * been read into it, and be reported as a second find.
 */
static uint8_t window[MAX_SECRET + PAGE];

/* One search of one kind of memory. */
struct search {
    const char *name;
    uint64_t bytes, found;
    size_t kept;    /* bytes of `window` that belong to the page before */
    uint64_t next;  /* address at which the next page continues the last */
    uint64_t shown; /* added to an address when it is printed */
};

static int matches(const uint8_t *at)
{
    for (size_t i = 0; i < secret_len; i++)
        if ((at[i] ^ MASK) != masked[i])
            return 0;
    return 1;
}

static void found(struct search *s, uint64_t address, const uint8_t *at)
{
    if (s->found++ < MAX_SHOWN)
        printf("%s: FOUND at 0x%llx\n", s->name,
               (unsigned long long)(s->shown + address - s->kept + (uint64_t)(at - window)));
}

static void scan_pattern(struct search *s, uint64_t address, const uint8_t *end)
{
    uint64_t word;

    for (const uint8_t *at = window; end - at >= (long)sizeof(word); at++) {
        memcpy(&word, at, sizeof(word));
        if (leak_is(word, pattern_key))
            found(s, address, at);
    }
}

static void scan(struct search *s, uint64_t address, size_t len)
{
    const uint8_t *end = window + s->kept + len;
    const uint8_t *at = window;
    int first = masked[0] ^ MASK; /* a single byte gives nothing away */

    if (by_pattern) {
        scan_pattern(s, address, end);
        return;
    }
    while ((size_t)(end - at) >= secret_len) {
        at = memchr(at, first, (size_t)(end - at) - secret_len + 1);
        if (!at)
            return;
        if (matches(at))
            found(s, address, at);
        at++;
    }
}

/* Give the search the `len` bytes now at window + kept; they are at `address`. */
static void feed(struct search *s, uint64_t address, size_t len)
{
    size_t have = s->kept + len, keep = secret_len - 1;

    scan(s, address, len);
    s->bytes += len;
    s->next = address + len;
    if (keep > have)
        keep = have;
    memmove(window, window + have - keep, keep);
    s->kept = keep;
}

/* Where the caller reads to. A gap in the addresses forgets what was kept. */
static uint8_t *buffer_for(struct search *s, uint64_t address)
{
    if (address != s->next)
        s->kept = 0;
    return window + s->kept;
}

typedef ssize_t read_fn(const void *source, void *to, size_t len, uint64_t address);

/* Search [start, end) with this reader, passing over pages that cannot be read. */
static void search_range(struct search *s, read_fn *read_at, const void *source,
                         uint64_t start, uint64_t end)
{
    while (start < end) {
        size_t len = end - start < PAGE ? (size_t)(end - start) : PAGE;
        ssize_t got = read_at(source, buffer_for(s, start), len, start);

        if (got > 0) {
            feed(s, start, (size_t)got);
            start += (uint64_t)got;
        } else {
            start = (start & ~(uint64_t)(PAGE - 1)) + PAGE;
        }
    }
}

static int finish(const struct search *s)
{
    /* The window may hold what was read: leave no copy for the next search. */
    memset(window, 0, sizeof window);
    printf("%s: searched %llu KiB, found %llu\n", s->name,
           (unsigned long long)(s->bytes >> 10), (unsigned long long)s->found);
    fflush(stdout);
    if (s->bytes == 0) {
        fprintf(stderr, "memsearch: %s: nothing could be read\n", s->name);
        exit(2);
    }
    return s->found != 0;
}

static ssize_t read_fd(const void *source, void *to, size_t len, uint64_t address)
{
    return pread64(*(const int *)source, to, len, (off64_t)address);
}

static ssize_t read_process(const void *source, void *to, size_t len, uint64_t address)
{
    struct iovec local = { to, len }, remote = { (void *)(uintptr_t)address, len };

    return process_vm_readv(*(const int *)source, &local, 1, &remote, 1, 0);
}

static int open_or_die(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        fprintf(stderr, "memsearch: cannot open %s: %s\n", path, strerror(errno));
        exit(2);
    }
    return fd;
}

static int search_kcore(void)
{
    struct search s = { .name = "kcore" };
    int fd = open_or_die("/proc/kcore");
    ehdr_t header;
    phdr_t segment;

    if (pread64(fd, &header, sizeof header, 0) != (ssize_t)sizeof header
        || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        fprintf(stderr, "memsearch: /proc/kcore is not an ELF file\n");
        exit(2);
    }
    for (unsigned i = 0; i < header.e_phnum; i++) {
        off64_t at = (off64_t)(header.e_phoff + i * sizeof segment);

        if (pread64(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            break;
        /* Only RAM has a physical address; vmalloc and the like have -1. */
        if (segment.p_type != PT_LOAD || segment.p_paddr + 1 == 0)
            continue;
        s.kept = 0;
        s.shown = (uint64_t)segment.p_paddr - segment.p_offset; /* show physical addresses */
        search_range(&s, read_fd, &fd, segment.p_offset,
                     segment.p_offset + segment.p_filesz);
    }
    close(fd);
    return finish(&s);
}

/* Search what /proc/PID/maps lists, with one way of reading. */
static int search_maps(const char *name, int pid, read_fn *read_at, const void *source)
{
    struct search s = { .name = name };
    char path[64], line[512];
    unsigned long long start, end;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    maps = fopen(path, "re");
    if (!maps) {
        fprintf(stderr, "memsearch: there is no process %d\n", pid);
        exit(2);
    }
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%llx-%llx", &start, &end) == 2)
            search_range(&s, read_at, source, start, end);
    fclose(maps);
    return finish(&s);
}

static int search_process(int pid)
{
    char path[64];
    int fd, found;

    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    fd = open_or_die(path);
    found = search_maps("process by /proc/PID/mem", pid, read_fd, &fd);
    close(fd);
    return found | search_maps("process by process_vm_readv", pid, read_process, &pid);
}

/* Physical addresses below `limit` that /proc/iomem does not call System RAM. */
static int search_devmem(uint64_t limit)
{
    struct search s = { .name = "devmem" };
    int fd = open_or_die("/dev/mem");
    FILE *iomem = fopen("/proc/iomem", "re");
    unsigned long long start, end;
    uint64_t at = 0;
    char line[256];

    while (iomem && fgets(line, sizeof line, iomem)) {
        /* Lines of inner resources are indented; only the outer ones count. */
        if (line[0] == ' ' || !strstr(line, "System RAM"))
            continue;
        if (sscanf(line, "%llx-%llx", &start, &end) != 2)
            continue;
        if (start > limit)
            break;
        search_range(&s, read_fd, &fd, at, start & ~(PAGE - 1));
        at = (end + PAGE) & ~(uint64_t)(PAGE - 1);
    }
    if (iomem)
        fclose(iomem);
    search_range(&s, read_fd, &fd, at, limit);
    close(fd);
    return finish(&s);
}

static void usage(void)
{
    fprintf(stderr, "usage: memsearch [--kcore] [--pid PID] [--devmem MIB] MASKED-HEX | key:KEY\n"
            "MASKED-HEX is the secret, 8 to %d bytes, each XORed with 0x%x; KEY is the leak "
            "test's\n",
            MAX_SECRET, MASK);
    exit(2);
}

static void parse_secret(const char *hex)
{
    unsigned byte;

    if (strncmp(hex, "key:", 4) == 0) {
        by_pattern = 1;
        pattern_key = (uint32_t)strtoul(hex + 4, NULL, 0);
        secret_len = sizeof(uint64_t);
        return;
    }
    while (secret_len < MAX_SECRET && sscanf(hex + 2 * secret_len, "%2x", &byte) == 1)
        masked[secret_len++] = (uint8_t)byte;
    if (secret_len < 8 || strlen(hex) != 2 * secret_len)
        usage();
}

int main(int argc, char **argv)
{
    int found = 0;

    if (argc < 3)
        usage();
    parse_secret(argv[argc - 1]);
    for (int i = 1; i < argc - 1; i++) {
        if (strcmp(argv[i], "--kcore") == 0)
            found |= search_kcore();
        else if (strcmp(argv[i], "--pid") == 0 && i + 1 < argc - 1)
            found |= search_process(atoi(argv[++i]));
        else if (strcmp(argv[i], "--devmem") == 0 && i + 1 < argc - 1)
            found |= search_devmem(strtoull(argv[++i], NULL, 0) << 20);
        else
            usage();
    }
    return found ? 0 : 1;
}
