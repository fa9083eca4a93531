/* SPDX-License-Identifier: MIT */
/*
 * libpal-rt's strings, numbers and formats against the host's C library, and its heap under random
 * use, all with the sanitizers. tests/pal_rt/ has the tests of the library as it is linked.
 */
#pragma GCC diagnostic ignored "-Wpragmas" /* clang and gcc don't know each other's warnings */
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#include "unit.h"

#include "../../pal_sdk/rt/rt_internal.h"
#include <pal/rt.h>

#include <pthread.h>

/* What tests/unit/pal_rt_names.h makes of the names. */
void *rt_memchr(const void *p, int c, size_t n);
size_t rt_strnlen(const char *s, size_t max);
int rt_strcmp(const char *a, const char *b);
int rt_strncmp(const char *a, const char *b, size_t n);
char *rt_strncpy(char *dst, const char *src, size_t n);
char *rt_strncat(char *dst, const char *src, size_t n);
char *rt_strchr(const char *s, int c);
char *rt_strrchr(const char *s, int c);
char *rt_strstr(const char *s, const char *what);
size_t rt_strspn(const char *s, const char *of);
size_t rt_strcspn(const char *s, const char *of);
long rt_strtol(const char *s, char **end, int base);
unsigned long rt_strtoul(const char *s, char **end, int base);
long long rt_strtoll(const char *s, char **end, int base);
unsigned long long rt_strtoull(const char *s, char **end, int base);
void rt_qsort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *));
int rt_snprintf(char *buf, size_t size, const char *format, ...);
void *rt_malloc(size_t n);
void *rt_realloc(void *p, size_t n);
void *rt_aligned_alloc(size_t align, size_t n);
void rt_free(void *p);

/* What the heap wants of the rest of libpal-rt. */
PAL_HEAP(20000);
uintptr_t pal_rt_heap_secret = 0x5a17c0de;

void pal_wipe(void *p, size_t n) { memset(p, 0, n); }
void pal_rt_heap_overrun(void) { fail_msg("an overrun"); abort(); }
void pal_rt_heap_bad_free(void) { fail_msg("no block"); abort(); }

static int sign(int x) { return (x > 0) - (x < 0); }

/* A short text of few letters, so that things match. */
static char *text(char *buf, size_t size, uint64_t *seed)
{
    size_t n = unit_below(seed, size);

    for (size_t i = 0; i < n; i++) {
        buf[i] = "ab\xff"[unit_below(seed, 3)];
    }
    buf[n] = '\0';
    return buf;
}

#pragma GCC diagnostic ignored "-Wstringop-truncation" /* it is what is tried */
static void strings_as_the_hosts(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        char a[12], b[5], x[20], y[20];
        size_t n = unit_below(&seed, 12);
        int c = "ab\xff\0c"[unit_below(&seed, 5)];

        text(a, sizeof(a), &seed);
        text(b, sizeof(b), &seed);
        assert_int_equal(sign(rt_strcmp(a, b)), sign(strcmp(a, b)));
        assert_int_equal(sign(rt_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        assert_ptr_equal(rt_strchr(a, c), strchr(a, c));
        assert_ptr_equal(rt_strrchr(a, c), strrchr(a, c));
        assert_ptr_equal(rt_strstr(a, b), strstr(a, b));
        assert_int_equal(rt_strspn(a, b), strspn(a, b));
        assert_int_equal(rt_strcspn(a, b), strcspn(a, b));
        assert_int_equal(rt_strnlen(a, n), strnlen(a, n));
        assert_ptr_equal(rt_memchr(a, c, strlen(a)), memchr(a, c, strlen(a)));
        memset(x, 1, sizeof(x));
        memset(y, 1, sizeof(y));
        rt_strncpy(x, a, n);
        strncpy(y, a, n);
        assert_memory_equal(x, y, sizeof(x));
        x[6] = y[6] = '\0';
        rt_strncat(x, b, n);
        strncat(y, b, n);
        assert_memory_equal(x, y, sizeof(x));
    }
}

static void numbers_as_the_hosts(void **state)
{
    static const char letters[] = "0123456789abcxXfzZ+- \t";
    uint64_t seed = 2;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        char s[26], *x, *y;
        size_t n = unit_below(&seed, sizeof(s));
        int base = (int)unit_below(&seed, 36);

        base += base != 0; /* 0, 2 to 36 */
        for (size_t at = 0; at < n; at++) {
            s[at] = letters[unit_below(&seed, unit_below(&seed, 3) ? 10 : sizeof(letters) - 1)];
        }
        s[n] = '\0';
        assert_true(rt_strtol(s, &x, base) == strtol(s, &y, base));
        assert_ptr_equal(x, y);
        assert_true(rt_strtoul(s, &x, base) == strtoul(s, &y, base));
        assert_ptr_equal(x, y);
        assert_true(rt_strtoll(s, &x, base) == strtoll(s, &y, base));
        assert_true(rt_strtoull(s, &x, base) == strtoull(s, &y, base));
    }
}

/* A conversion with random flags, width and precision; `letter` and its length are given. */
static void conversion(char *format, const char *letter, uint64_t *seed)
{
    char *at = format;

    *at++ = '%';
    for (unsigned i = 0; i < 5; i++) {
        if (unit_below(seed, 3) == 0) {
            *at++ = "-+ #0"[i];
        }
    }
    if (unit_below(seed, 2)) {
        at += sprintf(at, "%u", (unsigned)unit_below(seed, 24) + 1);
    }
    if (unit_below(seed, 3) == 0) {
        at += sprintf(at, ".%u", (unsigned)unit_below(seed, 24));
    }
    strcpy(at, letter);
}

#define SAME(value) \
    do { \
        size_t room = unit_below(&seed, sizeof(x)); \
        memset(x, 'x', sizeof(x)); \
        memset(y, 'x', sizeof(y)); \
        int n = rt_snprintf(x, room, format, value), m = snprintf(y, room, format, value); \
        if (n != m || memcmp(x, y, sizeof(x)) != 0) { \
            fail_msg("%s in %zu: \"%.60s\" (%d), not \"%.60s\" (%d)", format, room, x, n, y, m); \
        } \
    } while (0)

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void formats_as_the_hosts(void **state)
{
    static const char *const ints[] = { "d", "i", "u", "x", "X", "o", "hhd", "hu", "c" };
    static const char *const longs[] = { "ld", "lld", "llu", "lx", "llX", "zu", "jd", "lo", "td" };
    uint64_t seed = 3;
    char format[40], x[60], y[60], s[12];

    (void)state;
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t v = unit_random(&seed) >> unit_below(&seed, 65) % 64;

        v = unit_below(&seed, 10) ? v : 0;
        conversion(format, ints[unit_below(&seed, 9)], &seed);
        if (!strchr(format, 'c') || !strpbrk(format, "#0.")) { /* not defined */
            SAME((int)v);
        }
        conversion(format, longs[unit_below(&seed, 9)], &seed);
        SAME((long)v);
        conversion(format, "s", &seed);
        if (!strpbrk(format, "#0")) {
            text(s, sizeof(s), &seed);
            SAME(s);
        }
    }
    assert_int_equal(rt_snprintf(x, 9, "a%*d%%%-*s|", 3, 7, -4, "b"), 10);
    assert_string_equal(x, "a  7%b  ");
    assert_int_equal(rt_snprintf(x, sizeof(x), "1 %f 2", 3.0), -1);
    assert_string_equal(x, "1 ");
    assert_int_equal(rt_snprintf(x, sizeof(x), "1 %"), -1);
}

static int by_byte(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static void sorts_any_size(void **state)
{
    uint64_t seed = 4;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        size_t count = unit_below(&seed, 40), size = 1 + unit_below(&seed, 9);
        uint8_t *list = malloc(count * size);
        unsigned sum = 0;

        for (size_t at = 0; at < count * size; at++) {
            list[at] = (uint8_t)unit_below(&seed, 20);
            sum += list[at];
        }
        rt_qsort(list, count, size, by_byte);
        for (size_t at = 0; at < count * size; at++) {
            sum -= list[at];
            assert_true(at < size || at % size || list[at - size] <= list[at]);
        }
        assert_int_equal(sum, 0);
        free(list);
    }
}

struct held { uint8_t *p; size_t n; uint8_t fill; };

static void check_held(const struct held *h)
{
    for (size_t i = 0; i < h->n; i++) {
        assert_int_equal(h->p[i], h->fill);
    }
}

/* What is new in a block is zeros; then it is the caller's. */
static void fill_held(struct held *h, size_t from, uint8_t fill)
{
    for (size_t i = from; h->p && i < h->n; i++) {
        assert_int_equal(h->p[i], 0);
    }
    h->n = h->p ? h->n : 0;
    h->fill = fill;
    memset(h->p ? h->p : &h->fill, fill, h->n);
}

static void change_held(struct held *h, uint64_t *seed)
{
    size_t n = unit_below(seed, unit_below(seed, 8) ? 200 : 6000);

    if (h->p && unit_below(seed, 2)) {
        uint8_t *p = rt_realloc(h->p, n);
        size_t had = h->n;

        if (p) {
            *h = (struct held){ p, n < had ? n : had, h->fill };
            check_held(h);
            h->n = n;
            fill_held(h, n < had ? n : had, h->fill);
        }
    } else if (h->p) {
        rt_free(h->p);
        h->p = NULL;
        h->n = 0;
    } else {
        size_t align = (size_t)1 << unit_below(seed, 9);
        h->p = rt_aligned_alloc(align, n);
        h->n = n;
        assert_int_equal((uintptr_t)h->p % (align > 16 ? align : 16), 0);
        fill_held(h, 0, (uint8_t)(unit_random(seed) | 1));
    }
}

static void heap_at_random(void **state)
{
    static struct held held[40];
    uint64_t seed = 5;
    unsigned full = 0;

    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        struct held *h = held + unit_below(&seed, 40);
        size_t used = 0;

        check_held(h);
        change_held(h, &seed);
        full += !h->p;
        if (i % 64 == 0) {
            pal_heap_check();
            for (unsigned k = 0; k < 40; k++) {
                used += held[k].n;
                check_held(held + k);
            }
            assert_int_equal(pal_heap_used(), used);
        }
    }
    for (unsigned k = 0; k < 40; k++) {
        rt_free(held[k].p);
    }
    assert_int_equal(pal_heap_used(), 0);
    assert_non_null(rt_malloc(20000 - 64)); /* all of it is one again */
    assert_true(full > 100);
}

/* Several stacks' work: blocks of its own with its own byte, which nobody else may change. */
static void *work(void *number)
{
    uint8_t fill = (uint8_t)(uintptr_t)number;
    uint64_t seed = fill;
    uintptr_t wrong = 0;

    for (unsigned i = 0; i < 20000; i++) {
        size_t n = 1 + unit_below(&seed, 300);
        uint8_t *p = rt_malloc(n);

        for (size_t k = 0; p && k < n; k++) {
            wrong += p[k] != 0;
            p[k] = fill;
        }
        for (size_t k = 0; p && k < n; k++) {
            wrong += p[k] != fill;
        }
        rt_free(p);
    }
    return (void *)wrong;
}

static void heap_by_threads(void **state)
{
    pthread_t t[4];

    (void)state;
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, work, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(t[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(pal_heap_used(), 0);
    pal_heap_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_as_the_hosts), cmocka_unit_test(numbers_as_the_hosts),
        cmocka_unit_test(formats_as_the_hosts), cmocka_unit_test(sorts_any_size),
        cmocka_unit_test(heap_by_threads), cmocka_unit_test(heap_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
