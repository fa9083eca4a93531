/* SPDX-License-Identifier: MIT */
/* stdlib.h for PALs: numbers out of strings, sorting and searching. */
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct number { bool negative, fits; unsigned long long value; };

/* What digit of any base, or 99. */
static int digit_of(char c)
{
    int u = (unsigned char)c;

    return isdigit(u) ? u - '0' : isalpha(u) ? tolower(u) - 'a' + 10 : 99;
}

/* Behind "0x" and the like; `base` may be 0 for what the text says. */
static const char *skip_prefix(const char *s, int *base)
{
    if ((*base == 0 || *base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x'
        && digit_of(s[2]) < 16) {
        *base = 16;
        return s + 2;
    }
    if (*base == 0) {
        *base = s[0] == '0' ? 8 : 10;
    }
    return s;
}

static struct number parse(const char *s, char **end, int base)
{
    struct number n = { .fits = true };
    const char *at = s;
    bool any = false;

    while (isspace((unsigned char)*at)) {
        at++;
    }
    if (*at == '-' || *at == '+') {
        n.negative = *at++ == '-';
    }
    at = skip_prefix(at, &base);
    for (int d; base >= 2 && base <= 36 && (d = digit_of(*at)) < base; at++) {
        n.fits = n.fits && !__builtin_mul_overflow(n.value, (unsigned)base, &n.value)
            && !__builtin_add_overflow(n.value, (unsigned)d, &n.value);
        any = true;
    }
    if (end) {
        *end = (char *)(size_t)(any ? at : s);
    }
    return n;
}

static unsigned long long unsigned_of(struct number n, unsigned long long max)
{
    if (!n.fits || n.value > max) {
        return max;
    }
    return n.negative ? 0 - n.value : n.value;
}

static long long signed_of(struct number n, long long min, long long max)
{
    if (!n.fits || n.value > (unsigned long long)max) {
        return n.negative ? min : max;
    }
    return n.negative ? -(long long)n.value : (long long)n.value;
}

long strtol(const char *restrict s, char **restrict end, int base)
{
    return (long)signed_of(parse(s, end, base), LONG_MIN, LONG_MAX);
}

unsigned long strtoul(const char *restrict s, char **restrict end, int base)
{
    return (unsigned long)unsigned_of(parse(s, end, base), ULONG_MAX);
}

long long strtoll(const char *restrict s, char **restrict end, int base)
{
    return signed_of(parse(s, end, base), LLONG_MIN, LLONG_MAX);
}

unsigned long long strtoull(const char *restrict s, char **restrict end, int base)
{
    return unsigned_of(parse(s, end, base), ULLONG_MAX);
}

int atoi(const char *s) { return (int)signed_of(parse(s, NULL, 10), INT_MIN, INT_MAX); }
long atol(const char *s) { return strtol(s, NULL, 10); }
long long atoll(const char *s) { return strtoll(s, NULL, 10); }

intmax_t strtoimax(const char *restrict s, char **restrict end, int base)
{
    return strtoll(s, end, base);
}

uintmax_t strtoumax(const char *restrict s, char **restrict end, int base)
{
    return strtoull(s, end, base);
}

div_t div(int a, int b) { return (div_t){ a / b, a % b }; }
ldiv_t ldiv(long a, long b) { return (ldiv_t){ a / b, a % b }; }
lldiv_t lldiv(long long a, long long b) { return (lldiv_t){ a / b, a % b }; }

struct sorted {
    unsigned char *list;
    size_t size;
    int (*compare)(const void *, const void *);
};

static unsigned char *member(const struct sorted *l, size_t i) { return l->list + i * l->size; }

static void swap(unsigned char *a, unsigned char *b, size_t n)
{
    for (; n != 0; n--, a++, b++) {
        unsigned char c = *a;

        *a = *b;
        *b = c;
    }
}

/* Let member `i` of the heap of `count` members sink to its place. */
static void sink(const struct sorted *l, size_t i, size_t count)
{
    while (i < count / 2) {
        size_t child = 2 * i + 1;

        if (child + 1 < count && l->compare(member(l, child), member(l, child + 1)) < 0) {
            child++;
        }
        if (l->compare(member(l, i), member(l, child)) >= 0) {
            return;
        }
        swap(member(l, i), member(l, child), l->size);
        i = child;
    }
}

void qsort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    const struct sorted l = { list, size, compare };

    for (size_t i = count / 2; i-- > 0;) {
        sink(&l, i, count);
    }
    for (size_t n = count; n-- > 1;) {
        swap(member(&l, 0), member(&l, n), size);
        sink(&l, 0, n);
    }
}

void *bsearch(const void *key, const void *list, size_t count, size_t size,
              int (*compare)(const void *, const void *))
{
    const unsigned char *at = list;

    while (count != 0) {
        const unsigned char *middle = at + count / 2 * size;
        int order = compare(key, middle);

        if (order == 0) {
            return (void *)(size_t)middle;
        }
        if (order > 0) {
            at = middle + size;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return NULL;
}
