/* SPDX-License-Identifier: MIT */
/*
 * What compilers call for atomic operations that they don't make inline: 8 bytes on i386, by
 * CMPXCHG8B; and objects of any size, under a lock of the PAL's own.
 */
#include "rt_internal.h"

#include <pal/rt.h>
#include <string.h>

/* The compiler has its own ideas of these functions' types, so C knows them by other names. */
#define NAMED(name) __asm__(RT_ASM_NAME(name))

#ifdef __i386__
typedef uint64_t u64;

/* If *p is *old put `v` there, else *p into *old. Any address; a full barrier, as all orders want
 * at most. */
static bool exchange_if(volatile u64 *p, u64 *old, u64 v)
{
    bool same;

    __asm__ volatile("lock cmpxchg8b %1"
                     : "=@ccz"(same), "+m"(*p), "+A"(*old)
                     : "b"((uint32_t)v), "c"((uint32_t)(v >> 32)) : "memory");
    return same;
}

u64 atomic_load_8(const volatile u64 *p, int order) NAMED(__atomic_load_8);
u64 atomic_load_8(const volatile u64 *p, int order)
{
    u64 v = 0;

    (void)order;
    exchange_if((volatile u64 *)p, &v, 0); /* writes what is there */
    return v;
}

#define UPDATE(name, new_value, result) \
    u64 atomic_##name##_8(volatile u64 *p, u64 v, int order) NAMED(__atomic_##name##_8); \
    u64 atomic_##name##_8(volatile u64 *p, u64 v, int order) \
    { \
        u64 old = *p; \
        \
        (void)order; \
        while (!exchange_if(p, &old, new_value)) { \
        } \
        return result; \
    }

UPDATE(exchange, v, old)
UPDATE(fetch_add, old + v, old)
UPDATE(fetch_sub, old - v, old)
UPDATE(fetch_and, old & v, old)
UPDATE(fetch_or, old | v, old)
UPDATE(fetch_xor, old ^ v, old)
UPDATE(fetch_nand, ~(old & v), old)
UPDATE(add_fetch, old + v, old + v)
UPDATE(sub_fetch, old - v, old - v)
UPDATE(and_fetch, old & v, old & v)
UPDATE(or_fetch, old | v, old | v)
UPDATE(xor_fetch, old ^ v, old ^ v)
UPDATE(nand_fetch, ~(old & v), ~(old & v))

void atomic_store_8(volatile u64 *p, u64 v, int order) NAMED(__atomic_store_8);
void atomic_store_8(volatile u64 *p, u64 v, int order) { atomic_exchange_8(p, v, order); }

bool atomic_compare_exchange_8(volatile u64 *p, u64 *old, u64 v, int good, int bad)
    NAMED(__atomic_compare_exchange_8);
bool atomic_compare_exchange_8(volatile u64 *p, u64 *old, u64 v, int good, int bad)
{
    (void)good;
    (void)bad;
    return exchange_if(p, old, v);
}
#endif

static int lock;

void atomic_load_any(size_t n, const void *p, void *to, int order) NAMED(__atomic_load);
void atomic_load_any(size_t n, const void *p, void *to, int order)
{
    (void)order;
    rt_lock(&lock);
    memcpy(to, p, n);
    rt_unlock(&lock);
}

void atomic_store_any(size_t n, void *p, const void *v, int order) NAMED(__atomic_store);
void atomic_store_any(size_t n, void *p, const void *v, int order)
{
    (void)order;
    rt_lock(&lock);
    memcpy(p, v, n);
    rt_unlock(&lock);
}

void atomic_exchange_any(size_t n, void *p, const void *v, void *to, int order)
    NAMED(__atomic_exchange);
void atomic_exchange_any(size_t n, void *p, const void *v, void *to, int order)
{
    (void)order;
    rt_lock(&lock);
    memcpy(to, p, n);
    memcpy(p, v, n);
    rt_unlock(&lock);
}

bool atomic_compare_exchange_any(size_t n, void *p, void *old, const void *v, int good, int bad)
    NAMED(__atomic_compare_exchange);
bool atomic_compare_exchange_any(size_t n, void *p, void *old, const void *v, int good, int bad)
{
    (void)good;
    (void)bad;
    rt_lock(&lock);
    bool same = memcmp(p, old, n) == 0;
    memcpy(same ? p : old, same ? v : p, n);
    rt_unlock(&lock);
    return same;
}
