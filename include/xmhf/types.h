/* SPDX-License-Identifier: MIT */
/* Address kinds and small helpers that every part of the tree shares. */
#ifndef XMHF_TYPES_H
#define XMHF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Host-physical, guest-physical and guest-virtual addresses are distinct types,
 * so that one can't be passed for another. All are 64 bits wide. */
typedef struct hpa { uint64_t a; } hpa_t;
typedef struct gpa { uint64_t a; } gpa_t;
typedef struct gva { uint64_t a; } gva_t;

static inline hpa_t hpa(uint64_t a) { return (hpa_t){ a }; }
static inline gpa_t gpa(uint64_t a) { return (gpa_t){ a }; }
static inline gva_t gva(uint64_t a) { return (gva_t){ a }; }

#define PAGE_SHIFT 12
#define PAGE_SIZE  0x1000ULL
#define PAGE_MASK  0xfffULL
#define PAGE_SIZE_2M 0x200000ULL
#define PAGE_SIZE_1G 0x40000000ULL

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define BIT(n) (1ULL << (n))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* `align` is a power of two. align_up wraps to 0 at the top of the space. */
static inline uint64_t align_down(uint64_t x, uint64_t align) { return x & ~(align - 1); }
static inline uint64_t align_up(uint64_t x, uint64_t align)
{
    return (x + align - 1) & ~(align - 1);
}

/* Is `va` the sign extension of its low `bits` bits: an address of 48-bit paging, or 57-bit? */
static inline bool is_canonical(uint64_t va, unsigned bits)
{
    return (uint64_t)((int64_t)(va << (64 - bits)) >> (64 - bits)) == va;
}

/* True if [a, a+alen) and [b, b+blen) share a byte. Neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
    return alen != 0 && blen != 0 && a < b + blen && b < a + alen;
}

#endif
