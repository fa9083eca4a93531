/* SPDX-License-Identifier: MIT */
/* What sdk_run reads of its own process: registers, and all memory, piece by piece. */
#ifndef SDK_MEMORY_H
#define SDK_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#endif

#define PIECE 4096u

#ifdef __x86_64__
struct registers {
    uint8_t simd[16][16];
    uint64_t general[9];
};
#else
struct registers {
    uint8_t simd[8][16];
    uint32_t general[3];
};
#endif

#define SIMD(n) "movups %%xmm" #n ", 16*" #n "(%0)\n\t"

/* Those that a call may leave changed, as they are now; and all of SSE. */
static inline void registers_keep(struct registers *r)
{
#ifdef __x86_64__
    __asm__ volatile("mov %%rax, (%1)\n\tmov %%rcx, 8(%1)\n\tmov %%rdx, 16(%1)\n\t"
                     "mov %%rsi, 24(%1)\n\tmov %%rdi, 32(%1)\n\tmov %%r8, 40(%1)\n\t"
                     "mov %%r9, 48(%1)\n\tmov %%r10, 56(%1)\n\tmov %%r11, 64(%1)"
                     : : "r"(r->general), "r"(r) : "memory");
    __asm__ volatile(SIMD(0) SIMD(1) SIMD(2) SIMD(3) SIMD(4) SIMD(5) SIMD(6) SIMD(7)
                     SIMD(8) SIMD(9) SIMD(10) SIMD(11) SIMD(12) SIMD(13) SIMD(14) SIMD(15)
                     : : "r"(r) : "memory");
#else
    __asm__ volatile("movl %%eax, (%0)\n\tmovl %%ecx, 4(%0)\n\tmovl %%edx, 8(%0)"
                     : : "r"(r->general) : "memory");
    __asm__ volatile(SIMD(0) SIMD(1) SIMD(2) SIMD(3) SIMD(4) SIMD(5) SIMD(6) SIMD(7)
                     : : "r"(r) : "memory");
#endif
}

typedef void memory_piece(void *with, uint64_t address, const uint8_t *bytes, size_t size);

/* A page, copied to a buffer that is wiped again, so that a find isn't found once more. A word that
 * lies across two pages is missed. */
struct pieces {
    memory_piece *tell;
    void *with;
    uint8_t bytes[PIECE];
};

static inline void memory_clear(struct pieces *p)
{
    volatile uint8_t *at = p->bytes;

    for (size_t i = 0; i < PIECE; i++) {
        at[i] = 0;
    }
}

#ifdef _WIN32
#define WRITABLE (PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE \
                  | PAGE_EXECUTE_WRITECOPY)

static inline void memory_range(struct pieces *p, uintptr_t from, uintptr_t to)
{
    for (uintptr_t at = from; at < to; at += PIECE) {
        memcpy(p->bytes, (const void *)at, PIECE);
        p->tell(p->with, at, p->bytes, PIECE);
        memory_clear(p);
    }
}

/* Under Windows what the process can write: the rest is files, as they were mapped. */
static inline void memory_pieces(memory_piece *tell, void *with)
{
    static struct pieces p;
    MEMORY_BASIC_INFORMATION info;
    uintptr_t at = 0;

    p.tell = tell;
    p.with = with;
    while (VirtualQuery((void *)at, &info, sizeof(info)) == sizeof(info)
           && at + info.RegionSize > at) {
        if (info.State == MEM_COMMIT && (info.Protect & WRITABLE) && !(info.Protect & PAGE_GUARD)) {
            memory_range(&p, at, at + info.RegionSize);
        }
        at += info.RegionSize;
    }
}
#else
static inline void memory_range(struct pieces *p, int memory, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at += PIECE) {
        ssize_t got = pread64(memory, p->bytes, PIECE, (off64_t)at);

        if (got > 0) {
            p->tell(p->with, at, p->bytes, (size_t)got);
        }
        memory_clear(p);
    }
}

static inline void memory_pieces(memory_piece *tell, void *with)
{
    static struct pieces p;
    char line[512];
    unsigned long long from, to;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");

    p.tell = tell;
    p.with = with;
    while (maps && memory >= 0 && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%llx-%llx", &from, &to) == 2) {
            memory_range(&p, memory, from, to);
        }
    }
    if (maps) {
        fclose(maps);
    }
    if (memory >= 0) {
        close(memory);
    }
}
#endif

#endif
