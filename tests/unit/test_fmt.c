/* SPDX-License-Identifier: MIT */
/* lib/util/fmt.c against the host's snprintf. */
#include "unit.h"

#include <util/fmt.h>

/* Both must give the same text and length, at every buffer size. */
#define SAME(...) \
    do { \
        char ours[200], theirs[200]; \
        int n = snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
        \
        assert_int_equal(fmt_snprintf(ours, sizeof(ours), __VA_ARGS__), n); \
        assert_string_equal(ours, theirs); \
        for (size_t size = 1; size <= (size_t)n + 1; size++) { \
            memset(ours, '#', sizeof(ours)); \
            assert_int_equal(fmt_snprintf(ours, size, __VA_ARGS__), n); \
            assert_memory_equal(ours, theirs, size - 1); \
            assert_int_equal(ours[size - 1], 0); \
            assert_int_equal(ours[size], '#'); \
        } \
    } while (0)

static void numbers(void **state)
{
    static const uint64_t edge[] = {
        0, 1, 9, 10, 99, 100, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
        999999999999999999, 1000000000000000000,
    };
    uint64_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        uint64_t v = i < sizeof(edge) / sizeof(edge[0])
                   ? edge[i] : unit_random(&seed) >> unit_below(&seed, 64);

        SAME("%d|%5d|%-5d|%05d", (int)v, (int)v, (int)v, (int)v);
        SAME("%u|%12u|%-12u|%012u", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%x|%12x|%-12x|%08x", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%ld|%lu|%lx|%020ld|%-22lx|", (long)v, v, v, (long)v, v);
        SAME("%lld|%llu|%llx|%016llx", (long long)v, (unsigned long long)v,
             (unsigned long long)v, (unsigned long long)v);
        SAME("%zu|%zx", (size_t)v, (size_t)v);
    }
}

static void texts(void **state)
{
    const char *volatile none = NULL; /* volatile: or the compiler sees it and warns */

    (void)state;
    SAME("plain");
    SAME("%s", "text");
    SAME("[%10s][%-10s][%.2s][%5.1s][%.9s]", "abc", "abc", "abc", "abc", "abc");
    SAME("%c%c|%3c|%-3c|", 'x', '%', 'y', 'z');
    SAME("100%%");
    SAME("%s", none);
    SAME("%p", (void *)0x123456789a);
    SAME("%s", "");
}

/* A string cut by its precision needs no end. */
static void precision_bounds_the_read(void **state)
{
    char *s = malloc(3); /* the sanitizer sees a read behind it */
    char out[8];

    (void)state;
    memcpy(s, "abc", 3);
    assert_int_equal(fmt_snprintf(out, sizeof(out), "%.3s", s), 3);
    assert_string_equal(out, "abc");
    free(s);
}

static int unchecked(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = fmt_vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

static void unknown_conversions_show(void **state)
{
    char out[32];

    (void)state;
    unchecked(out, sizeof(out), "a%qb", 1);
    assert_string_equal(out, "a%qb");
    unchecked(out, sizeof(out), "end%");
    assert_string_equal(out, "end%");
    unchecked(out, sizeof(out), "%-07", 1);
    assert_string_equal(out, "%-07");
    assert_int_equal(unchecked(out, sizeof(out), "%99999999999d", 1), 9999);
    assert_int_equal(unchecked(NULL, 0, "%d", 123), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(precision_bounds_the_read),
        cmocka_unit_test(unknown_conversions_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
