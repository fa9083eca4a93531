/* SPDX-License-Identifier: MIT */
/*
 * The heap of PALs: blocks side by side in pal_rt_heap[], the first that fits is taken, neighbours
 * that are free are merged when somebody looks for room.
 *
 * Free memory is zeros. Each block has a header with a checksum that knows a random number, and
 * behind what was asked for at least one byte of a pattern that has no zeros. So an overrun is
 * found when the block is freed, a write before it or into a neighbour's header when either is
 * looked at, a second free at once, and a write after the free when the memory is given out again.
 */
#include "rt_internal.h"

#include <pal/rt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN     ((size_t)16)
#define ALIGN_MAX ((size_t)4096)
#define FREE      SIZE_MAX /* as `asked` */

struct block {
    size_t size;     /* bytes, with this header; a multiple of ALIGN */
    size_t asked;    /* bytes that the caller has, or FREE */
    uintptr_t check;
} __attribute__((aligned(16)));

#define HEADER sizeof(struct block)
_Static_assert(HEADER % 16 == 0, "what follows a header is aligned");

static int lock;
static bool ready; /* there is a first block */

static uintptr_t check_of(const struct block *b)
{
    uintptr_t x = (uintptr_t)b ^ b->size ^ pal_rt_heap_secret;

    return (x ^ x >> 7) * (uintptr_t)0x9e3779b97f4a7c15ULL ^ b->asked;
}

static void set(struct block *b, size_t size, size_t asked)
{
    b->size = size;
    b->asked = asked;
    b->check = check_of(b);
}

/* A header that is as set() left it. */
static struct block *checked(struct block *b)
{
    if (b->check != check_of(b)) {
        pal_rt_heap_overrun();
    }
    return b;
}

static uint8_t *heap_end(void) { return pal_rt_heap + pal_rt_heap_size; }
static uint8_t *payload(struct block *b) { return (uint8_t *)b + HEADER; }

/* The first block, or NULL if the heap has no room for any. */
static struct block *first(void)
{
    if (!ready) {
        if (pal_rt_heap_size < HEADER + ALIGN) {
            return NULL;
        }
        set((struct block *)pal_rt_heap, pal_rt_heap_size & ~(ALIGN - 1), FREE);
        ready = true;
    }
    return checked((struct block *)pal_rt_heap);
}

static struct block *next(struct block *b)
{
    uint8_t *at = (uint8_t *)b + b->size;

    return (size_t)(heap_end() - at) >= HEADER ? checked((struct block *)at) : NULL;
}

/* Take free blocks that follow into `b`, which is free or grows. */
static void merge(struct block *b)
{
    struct block *n;

    while ((n = next(b)) != NULL && n->asked == FREE) {
        set(b, b->size + n->size, b->asked);
        memset(n, 0, HEADER);
    }
}

/* The byte of the pattern behind a block's payload. */
static uint8_t pattern(void) { return (uint8_t)(pal_rt_heap_secret >> 8 | 0x81); }

static void mark_end(struct block *b)
{
    memset(payload(b) + b->asked, pattern(), b->size - HEADER - b->asked);
}

static void check_end(struct block *b)
{
    uint8_t *end = (uint8_t *)b + b->size;

    for (uint8_t *at = payload(b) + b->asked; at < end; at++) {
        if (*at != pattern()) {
            pal_rt_heap_overrun();
        }
    }
}

/* Of a block that is about to be given out: written to after it was freed? */
static void check_zero(struct block *b)
{
    uint8_t *end = (uint8_t *)b + b->size;

    for (uint8_t *at = payload(b); at < end; at++) {
        if (*at != 0) {
            pal_rt_heap_overrun();
        }
    }
}

/* Bytes of a block for `n` bytes, or 0 if no heap could have it. */
static size_t block_size(size_t n)
{
    return n > PTRDIFF_MAX - HEADER - ALIGN ? 0 : (HEADER + n + ALIGN) & ~(ALIGN - 1);
}

/* Make what is behind the first `size` bytes of a block a free one, if it can be one. */
static void split(struct block *b, size_t size)
{
    if (b->size - size >= HEADER + ALIGN) {
        size_t rest = b->size - size;

        set(b, size, b->asked);
        set((struct block *)((uint8_t *)b + size), rest, FREE);
    }
}

/* How far into a free block another one must begin so that its payload is aligned: 0, or enough for
 * a free block before it. */
static size_t front_of(struct block *b, size_t align)
{
    size_t front = -(uintptr_t)payload(b) & (align - 1);

    while (front != 0 && front < HEADER + ALIGN) {
        front += align;
    }
    return front;
}

static void *take(struct block *b, size_t front, size_t size, size_t asked)
{
    if (front != 0) {
        split(b, front);
        b = checked((struct block *)((uint8_t *)b + front));
    }
    split(b, size);
    check_zero(b);
    set(b, b->size, asked);
    mark_end(b);
    return payload(b);
}

static void *find(size_t align, size_t n)
{
    size_t size = block_size(n);

    for (struct block *b = size != 0 ? first() : NULL; b; b = next(b)) {
        if (b->asked != FREE) {
            continue;
        }
        merge(b);
        size_t front = front_of(b, align);
        if (b->size >= front && b->size - front >= size) {
            return take(b, front, size, n);
        }
    }
    return NULL;
}

/* The block of a pointer that malloc() gave. */
static struct block *block_of(void *p)
{
    struct block *b = (struct block *)((uint8_t *)p - HEADER);

    if ((uintptr_t)p % ALIGN != 0 || (uint8_t *)p < pal_rt_heap + HEADER
        || (uint8_t *)p >= heap_end() || b->check != check_of(b) || b->asked == FREE) {
        for (b = ready ? first() : NULL; b; b = next(b)) {
            /* dies if a header was overwritten, perhaps this one */
        }
        pal_rt_heap_bad_free();
    }
    check_end(b);
    return b;
}

static void release(struct block *b)
{
    pal_wipe(payload(b), b->size - HEADER);
    set(b, b->size, FREE);
}

void *aligned_alloc(size_t align, size_t n)
{
    void *p = NULL;

    if (align != 0 && (align & (align - 1)) == 0 && align <= ALIGN_MAX) {
        rt_lock(&lock);
        p = find(align < ALIGN ? ALIGN : align, n);
        rt_unlock(&lock);
    }
    return p;
}

void *malloc(size_t n) { return aligned_alloc(ALIGN, n); }

void *calloc(size_t count, size_t n)
{
    size_t all;

    return __builtin_mul_overflow(count, n, &all) ? NULL : malloc(all);
}

void free(void *p)
{
    if (p) {
        rt_lock(&lock);
        release(block_of(p));
        rt_unlock(&lock);
    }
}

/* Have a block's payload be `n` bytes, where it is; false if there is no room. */
static bool resize(struct block *b, size_t n)
{
    size_t size = block_size(n), had = b->asked;

    if (size == 0) {
        return false;
    }
    memset(payload(b) + had, 0, b->size - HEADER - had); /* the pattern */
    merge(b);
    if (b->size < size) {
        split(b, block_size(had));
        mark_end(b);
        return false;
    }
    if (n < had) {
        pal_wipe(payload(b) + n, had - n);
    }
    split(b, size);
    set(b, b->size, n);
    mark_end(b);
    return true;
}

void *realloc(void *p, size_t n)
{
    struct block *b;

    if (!p) {
        return malloc(n);
    }
    rt_lock(&lock);
    b = block_of(p);
    if (!resize(b, n)) {
        size_t had = b->asked;
        void *other = n > had ? find(ALIGN, n) : NULL;

        if (other) {
            memcpy(other, p, had);
            release(b);
        }
        p = other;
    }
    rt_unlock(&lock);
    return p;
}

void *reallocarray(void *p, size_t count, size_t n)
{
    size_t all;

    return __builtin_mul_overflow(count, n, &all) ? NULL : realloc(p, all);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    const bool good = align >= sizeof(void *) && align <= ALIGN_MAX && (align & (align - 1)) == 0;
    void *block = good ? aligned_alloc(align, n) : NULL;

    if (block) {
        *p = block;
    }
    return block ? 0 : good ? 12 : 22;
}

size_t pal_heap_used(void)
{
    size_t used = 0;

    rt_lock(&lock);
    for (struct block *b = first(); b; b = next(b)) {
        used += b->asked != FREE ? b->asked : 0;
    }
    rt_unlock(&lock);
    return used;
}

void pal_heap_check(void)
{
    rt_lock(&lock);
    for (struct block *b = first(); b; b = next(b)) {
        if (b->asked == FREE) {
            check_zero(b);
        } else {
            check_end(b);
        }
    }
    rt_unlock(&lock);
}
