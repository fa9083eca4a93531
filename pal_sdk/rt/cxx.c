/* SPDX-License-Identifier: MIT */
/*
 * What C++ code of PALs calls: static variables of functions that are made at first use, new and
 * delete. Without exceptions: new that finds no memory is a death (pal_rt_no_memory), new
 * (std::nothrow) gives NULL.
 */
#include "rt_internal.h"

#include <pal/rt.h>
#include <stdlib.h>

/* A guard variable has 8 bytes by the Itanium ABI, of which the first says whether it is done. */
enum { GUARD_NEW, GUARD_UNDER_WAY };
struct guard { uint8_t done, state; };

int __cxa_guard_acquire(struct guard *g);
void __cxa_guard_release(struct guard *g);
void __cxa_guard_abort(struct guard *g);

/* 1: the caller makes it, and says so by release. 0: it is made. One that asks for itself while it
 * is made would wait until its budget ends. */
int __cxa_guard_acquire(struct guard *g)
{
    while (!__atomic_load_n(&g->done, __ATOMIC_ACQUIRE)) {
        uint8_t seen = GUARD_NEW;

        if (__atomic_compare_exchange_n(&g->state, &seen, GUARD_UNDER_WAY, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            if (!__atomic_load_n(&g->done, __ATOMIC_ACQUIRE)) {
                return 1;
            }
            __atomic_store_n(&g->state, GUARD_NEW, __ATOMIC_RELEASE);
            return 0;
        }
        __builtin_ia32_pause();
    }
    return 0;
}

void __cxa_guard_release(struct guard *g)
{
    __atomic_store_n(&g->done, 1, __ATOMIC_RELEASE);
    __atomic_store_n(&g->state, GUARD_NEW, __ATOMIC_RELEASE);
}

void __cxa_guard_abort(struct guard *g)
{
    __atomic_store_n(&g->state, GUARD_NEW, __ATOMIC_RELEASE);
}

/* size_t's letter in mangled names. */
#if defined(_WIN64)
#define SIZE "y"
#elif defined(__x86_64__)
#define SIZE "m"
#else
#define SIZE "j"
#endif
#define MANGLED(name) __asm__(RT_TEXT(__USER_LABEL_PREFIX__) name)

static void *made(void *p)
{
    if (!p) {
        pal_rt_no_memory();
    }
    return p;
}

/* new T, new T[], and with an alignment; then those with std::nothrow. */
#define NEW(c_name, mangled, parameters, value) \
    void *c_name parameters MANGLED(mangled); \
    void *c_name parameters { return value; }

NEW(new_one, "_Znw" SIZE, (size_t n), made(malloc(n)))
NEW(new_list, "_Zna" SIZE, (size_t n), made(malloc(n)))
NEW(new_one_aligned, "_Znw" SIZE "St11align_val_t", (size_t n, size_t align),
    made(aligned_alloc(align, n)))
NEW(new_list_aligned, "_Zna" SIZE "St11align_val_t", (size_t n, size_t align),
    made(aligned_alloc(align, n)))
NEW(new_one_or_null, "_Znw" SIZE "RKSt9nothrow_t", (size_t n, const void *tag),
    ((void)tag, malloc(n)))
NEW(new_list_or_null, "_Zna" SIZE "RKSt9nothrow_t", (size_t n, const void *tag),
    ((void)tag, malloc(n)))

#define DELETE(c_name, mangled, parameters, unused) \
    void c_name parameters MANGLED(mangled); \
    void c_name parameters { unused; free(p); }

DELETE(delete_one, "_ZdlPv", (void *p), (void)0)
DELETE(delete_list, "_ZdaPv", (void *p), (void)0)
DELETE(delete_one_sized, "_ZdlPv" SIZE, (void *p, size_t n), (void)n)
DELETE(delete_list_sized, "_ZdaPv" SIZE, (void *p, size_t n), (void)n)
DELETE(delete_one_aligned, "_ZdlPvSt11align_val_t", (void *p, size_t align), (void)align)
DELETE(delete_list_aligned, "_ZdaPvSt11align_val_t", (void *p, size_t align), (void)align)
DELETE(delete_one_both, "_ZdlPv" SIZE "St11align_val_t", (void *p, size_t n, size_t align),
       ((void)n, (void)align))
DELETE(delete_list_both, "_ZdaPv" SIZE "St11align_val_t", (void *p, size_t n, size_t align),
       ((void)n, (void)align))

/* std::nothrow, of a type without members. */
const char nothrow MANGLED("_ZSt7nothrow") = 0;
