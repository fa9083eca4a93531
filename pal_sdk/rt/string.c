/* SPDX-License-Identifier: MIT */
/* Copying, filling and comparing, for PALs; the compiler may call some of it by itself. */
#include <pal/rt.h>
#include <stdint.h>
#include <string.h>

/* gcc turns a loop that copies or fills into a call of memcpy or memset, here into a
 * call of the function itself; clang does so unless memset is no builtin. */
#ifdef __clang__
#define NO_IDIOM __attribute__((no_builtin("memset", "memcpy", "memmove", "memcmp", "strlen")))
#else
#define NO_IDIOM __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

/* A register at any address: x86 has no alignment penalty worth a branch. */
struct word { uintptr_t v; } __attribute__((packed, may_alias));
#define WORD sizeof(struct word)

static NO_IDIOM void copy_up(uint8_t *d, const uint8_t *s, size_t n)
{
    for (; n >= WORD; n -= WORD, d += WORD, s += WORD) {
        ((struct word *)d)->v = ((const struct word *)s)->v;
    }
    for (; n != 0; n--) {
        *d++ = *s++;
    }
}

static NO_IDIOM void copy_down(uint8_t *d, const uint8_t *s, size_t n)
{
    for (; n >= WORD; n -= WORD) {
        ((struct word *)(d + n - WORD))->v = ((const struct word *)(s + n - WORD))->v;
    }
    for (; n != 0; n--) {
        d[n - 1] = s[n - 1];
    }
}

NO_IDIOM void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    copy_up(dst, src, n);
    return dst;
}

NO_IDIOM void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src >= n) { /* dst before src, or behind its end */
        copy_up(dst, src, n);
    } else {
        copy_down(dst, src, n);
    }
    return dst;
}

NO_IDIOM void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;
    uintptr_t v = (uint8_t)c * (UINTPTR_MAX / 0xff);

    for (; n >= WORD; n -= WORD, d += WORD) {
        ((struct word *)d)->v = v;
    }
    for (; n != 0; n--) {
        *d++ = (uint8_t)c;
    }
    return dst;
}

NO_IDIOM int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n >= WORD && ((const struct word *)x)->v == ((const struct word *)y)->v; n -= WORD) {
        x += WORD;
        y += WORD;
    }
    for (; n != 0; n--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}

NO_IDIOM size_t strlen(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0') {
        n++;
    }
    return n;
}

void pal_wipe(void *p, size_t n)
{
    memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
}

void explicit_bzero(void *p, size_t n) { pal_wipe(p, n); }

/* The bytes' differences are gathered in a variable that the compiler can't see through. */
bool pal_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    unsigned different = 0;

    for (size_t i = 0; i < n; i++) {
        different |= (unsigned)(x[i] ^ y[i]);
        __asm__ volatile("" : "+r"(different));
    }
    different = (different - 1) >> 31;
    __asm__ volatile("" : "+r"(different));
    return different;
}
