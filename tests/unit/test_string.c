/* SPDX-License-Identifier: MIT */
/* lib/util/string.c against the host's C library, under other names. */
#include "unit.h"

#define XMHF_TEST_STRING
#include <util/string.c>
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp

#define SIZE 96

static void fill(uint8_t *p, uint64_t *seed)
{
    for (unsigned i = 0; i < SIZE; i++) {
        p[i] = (uint8_t)unit_random(seed);
    }
}

static void copies_every_size_and_alignment(void **state)
{
    uint8_t src[SIZE], ours[SIZE], theirs[SIZE];
    uint64_t seed = 1;

    (void)state;
    for (unsigned n = 0; n <= 40; n++) {
        for (unsigned a = 0; a < 8; a++) {
            for (unsigned b = 0; b < 8; b++) {
                fill(src, &seed);
                fill(ours, &seed);
                memcpy(theirs, ours, SIZE);
                assert_ptr_equal(xmhf_memcpy(ours + a, src + b, n), ours + a);
                memcpy(theirs + a, src + b, n);
                assert_memory_equal(ours, theirs, SIZE);
            }
        }
    }
}

static void moves_overlapping_ranges_both_ways(void **state)
{
    uint8_t ours[SIZE], theirs[SIZE];
    uint64_t seed = 2;

    (void)state;
    for (unsigned n = 0; n <= 40; n++) {
        for (unsigned a = 0; a <= 50; a++) {
            fill(ours, &seed);
            memcpy(theirs, ours, SIZE);
            assert_ptr_equal(xmhf_memmove(ours + a, ours + 25, n), ours + a);
            memmove(theirs + a, theirs + 25, n);
            assert_memory_equal(ours, theirs, SIZE);
        }
    }
}

static void fills_every_size_and_alignment(void **state)
{
    uint8_t ours[SIZE], theirs[SIZE];
    uint64_t seed = 3;

    (void)state;
    for (unsigned n = 0; n <= 40; n++) {
        for (unsigned a = 0; a < 8; a++) {
            int c = (int)unit_random(&seed); /* only its low byte counts */

            fill(ours, &seed);
            memcpy(theirs, ours, SIZE);
            assert_ptr_equal(xmhf_memset(ours + a, c, n), ours + a);
            memset(theirs + a, c, n);
            assert_memory_equal(ours, theirs, SIZE);
        }
    }
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void compares_bytes_as_unsigned(void **state)
{
    uint8_t a[SIZE], b[SIZE];
    uint64_t seed = 4;

    (void)state;
    for (unsigned n = 1; n <= 40; n++) {
        for (unsigned at = 0; at < n; at++) {
            fill(a, &seed);
            memcpy(b, a, SIZE);
            assert_int_equal(xmhf_memcmp(a, b, n), 0);
            b[at] = (uint8_t)(a[at] ^ 0x80);
            b[n] ^= 0xff; /* behind the end: must not count */
            assert_int_equal(sign(xmhf_memcmp(a, b, n)), sign(memcmp(a, b, n)));
            assert_int_equal(xmhf_memcmp(a, b, at), 0);
        }
    }
}

static void compares_strings(void **state)
{
    static const char *const s[] = { "", "a", "ab", "abc", "abd", "b", "\xff", "a\xff" };

    (void)state;
    for (unsigned i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
        assert_int_equal(xmhf_strlen(s[i]), strlen(s[i]));
        for (unsigned k = 0; k < sizeof(s) / sizeof(s[0]); k++) {
            assert_int_equal(sign(xmhf_strcmp(s[i], s[k])), sign(strcmp(s[i], s[k])));
            for (unsigned n = 0; n < 5; n++) {
                assert_int_equal(sign(xmhf_strncmp(s[i], s[k], n)),
                                 sign(strncmp(s[i], s[k], n)));
            }
        }
    }
}

static void str_copy_always_terminates(void **state)
{
    char buf[5] = "zzzz";

    (void)state;
    assert_int_equal(str_copy(buf, "ab", sizeof(buf)), 2);
    assert_string_equal(buf, "ab");
    assert_int_equal(str_copy(buf, "abcdef", sizeof(buf)), 6);
    assert_string_equal(buf, "abcd");
    assert_int_equal(str_copy(buf, "abcd", sizeof(buf)), 4);
    assert_string_equal(buf, "abcd");
    assert_int_equal(str_copy(buf, "vwxyz", sizeof(buf)), 5);
    assert_string_equal(buf, "vwxy");
    assert_int_equal(str_copy(buf, "xyz", 0), 3);
    assert_string_equal(buf, "vwxy");
    assert_int_equal(str_copy(buf, "xyz", 1), 3);
    assert_string_equal(buf, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_every_size_and_alignment),
        cmocka_unit_test(moves_overlapping_ranges_both_ways),
        cmocka_unit_test(fills_every_size_and_alignment),
        cmocka_unit_test(compares_bytes_as_unsigned),
        cmocka_unit_test(compares_strings),
        cmocka_unit_test(str_copy_always_terminates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
