/* SPDX-License-Identifier: MIT */
/* The C library's memory and string functions for freestanding code. */
#ifdef XMHF_TEST_STRING
#include <util/string_test.h> /* gives the functions names that don't clash with libc's */
#endif
#include <util/string.h>

#include <stdint.h>

/* gcc turns a loop that copies or fills into a call of memcpy or memset, here into a
 * call of the function itself; clang does so unless memset is no builtin. */
#ifdef __clang__
#define NO_IDIOM __attribute__((no_builtin("memset", "memcpy", "memmove", "memcmp", "strlen")))
#else
#define NO_IDIOM __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

/* Eight bytes at any address: x86 has no alignment penalty worth a branch. */
struct word { uint64_t v; } __attribute__((packed, may_alias));

static NO_IDIOM void copy_up(uint8_t *d, const uint8_t *s, size_t n)
{
    for (; n >= 8; n -= 8, d += 8, s += 8) {
        ((struct word *)d)->v = ((const struct word *)s)->v;
    }
    for (; n != 0; n--) {
        *d++ = *s++;
    }
}

static NO_IDIOM void copy_down(uint8_t *d, const uint8_t *s, size_t n)
{
    for (; n >= 8; n -= 8) {
        ((struct word *)(d + n - 8))->v = ((const struct word *)(s + n - 8))->v;
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
    uint64_t v = (uint8_t)c * 0x0101010101010101ULL;

    for (; n >= 8; n -= 8, d += 8) {
        ((struct word *)d)->v = v;
    }
    for (; n != 0; n--) {
        *d++ = (uint8_t)c;
    }
    return dst;
}

NO_IDIOM int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a;
    const uint8_t *y = b;

    for (; n >= 8 && ((const struct word *)x)->v == ((const struct word *)y)->v; n -= 8) {
        x += 8;
        y += 8;
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

NO_IDIOM int strcmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

NO_IDIOM int strncmp(const char *a, const char *b, size_t n)
{
    for (; n != 0; n--, a++, b++) {
        if (*a != *b || *a == '\0') {
            return (unsigned char)*a - (unsigned char)*b;
        }
    }
    return 0;
}

NO_IDIOM size_t str_copy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);

    if (size != 0) {
        size_t n = len < size ? len : size - 1;

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}
