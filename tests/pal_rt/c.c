/* SPDX-License-Identifier: MIT */
/* The C library's part of libpal-rt, as a PAL's code sees it; and its deaths. */
#include "../../pal_sdk/rt/rt_internal.h"
#include "rt_test.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <endian.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pal/rt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>
#include <xmhf/hypercall.h>
#include <xmhf/trustvisor.h>

_Static_assert(XMHF_HC_PAL_INTERRUPTED == 0x105 && XMHF_HC_RANDOM == 0x109, "gate.S has them");

/* What the compiler must not know. */
static volatile size_t zero;

static bool copies(void)
{
    uint8_t from[64], to[64];

    for (unsigned n = 0; n <= 40; n++) {
        for (unsigned at = 0; at < 20; at++) {
            for (unsigned i = 0; i < 64; i++) {
                from[i] = (uint8_t)(i * 7 + n);
                to[i] = 0xee;
            }
            memcpy(to + at % 7, from + at, n + zero);
            RT_CHECK(memcmp(to + at % 7, from + at, n + zero) == 0 && to[at % 7 + n] == 0xee);
            memmove(from + 10, from + at, n + zero);
            RT_CHECK(memcmp(from + 10, to + at % 7, n + zero) == 0);
            memset(from + at, 0x11, n + zero);
            RT_CHECK(n == 0 || (from[at] == 0x11 && from[at + n - 1] == 0x11));
            RT_CHECK(memchr(from + at, 0x11, n + zero) == (n != 0 ? from + at : NULL));
        }
    }
    return true;
}

static bool system_headers(void)
{
    const uint64_t big = htobe64((uint64_t)zero + 1);
    const ssize_t less = -1;
    char buf[40];

    RT_CHECK(big == UINT64_C(1) << 56 && be64toh(big) == 1 && htole32(5) == 5);
    RT_CHECK(be16toh((uint16_t)(0x1234 + zero)) == 0x3412 && less < (ssize_t)zero);
    RT_CHECK(snprintf(buf, sizeof(buf), "%" PRIX64 " %" PRId8 " %" PRIuPTR, big, (int8_t)-3,
                      (uintptr_t)7) == 20);
    RT_CHECK(strcmp(buf, "100000000000000 -3 7") == 0);
    RT_CHECK(strcasecmp("aBc", "AbCd") < 0 && strncasecmp("aBc", "AbCd", 3 + zero) == 0);
    RT_CHECK(strcasecmp("[", "{") != 0 && strcasecmp("", "") == 0 && ffs(8 + (int)zero) == 4);
    return true;
}

static bool strings(void)
{
    char buf[20], *rest;

    RT_CHECK(strlcpy(buf, "hello", 4) == 5 && strcmp(buf, "hel") == 0);
    RT_CHECK(strlcat(buf, "world", sizeof(buf)) == 8 && strcmp(buf, "helworld") == 0);
    RT_CHECK(strchr(buf, 'w') == buf + 3 && strrchr(buf, 'l') == buf + 6 && !strchr(buf, 'x'));
    RT_CHECK(strchr(buf, '\0') == buf + 8 && strstr(buf, "wor") == buf + 3 && !strstr(buf, "wx"));
    RT_CHECK(strncmp("abc", "abd", 2 + zero) == 0 && strncmp("abc", "abd", 3 + zero) < 0);
    RT_CHECK(strcmp("a\x80", "a\x7f") > 0 && strspn("aab", "a") == 2 && strcspn("xyb", "b") == 2);
    strcpy(buf, " a, b");
    RT_CHECK(strcmp(strtok_r(buf, " ,", &rest), "a") == 0);
    RT_CHECK(strcmp(strtok_r(NULL, " ,", &rest), "b") == 0 && !strtok_r(NULL, " ,", &rest));
    char *copy = strdup("secret");
    RT_CHECK(copy && strcmp(copy, "secret") == 0);
    free(copy);
    return true;
}

static bool more_strings(void)
{
    char buf[20], *rest = buf;
    void *p = NULL;

    RT_CHECK(strcmp((char *)memmem("abcabd", 6, "abd", 3), "abd") == 0);
    RT_CHECK(!memmem("ab", 2 + zero, "abc", 3));
    RT_CHECK(memmem("ab", 2 + zero, "", 0) != NULL && !memrchr("ab", 'c', 2));
    RT_CHECK(strcmp((char *)memrchr("abab", 'a', 4), "ab") == 0 && *strchrnul("abc", 'x') == 0);
    RT_CHECK(stpcpy(buf, "a,,b") == buf + 4 && stpncpy(buf + 5, "xy", 1 + zero) == buf + 6);
    RT_CHECK(strcmp(strsep(&rest, ","), "a") == 0 && *strsep(&rest, ",") == 0);
    RT_CHECK(strcmp(strsep(&rest, ","), "b") == 0 && !strsep(&rest, ",") && !rest);
    RT_CHECK(mempcpy(buf, "123", 3) == buf + 3 && memccpy(buf, "a;b", ';', 3) == buf + 2);
    RT_CHECK(!memccpy(buf, "abc", ';', 3 + zero) && memcmp(buf, "abc", 3) == 0);
    RT_CHECK(atoll("-5000000000") == -5000000000 && imaxabs(-7) == 7);
    RT_CHECK(strtoimax("-7", NULL, 10) == -7 && strtoumax("7", NULL, 10) == 7);
    RT_CHECK(div(-7, 2).quot == -3 && ldiv(-7, 2).rem == -1 && lldiv(7, -2).quot == -3);
    RT_CHECK(posix_memalign(&p, 64, 10) == 0 && (uintptr_t)p % 64 == 0);
    RT_CHECK(posix_memalign(&p, 3, 10) == 22 && posix_memalign(&p, 64, PTRDIFF_MAX) == 12);
    RT_CHECK((p = reallocarray(p, 5, 4)) != NULL && !reallocarray(p, SIZE_MAX / 2, 3 + zero));
    free(p);
    RT_CHECK(htonl(0x12345678) == 0x78563412 && ntohs((uint16_t)(1 + zero)) == 0x100);
    return true;
}

/* Roots that come out wrong if they are rounded to 64 bits and then to 53. */
static bool mathematics(void)
{
    static const double roots[][2] = {
        { 0x1.654bae1c50ceep+0, 0x1.2e6fad8466bb3p+0 },
        { 0x1.8eb344250b8fcp+0, 0x1.3f7acc55ba7c1p+0 },
        { 0x1.26cce833d2834p+0, 0x1.12b74eec543adp+0 },
        { 0x1.79f6a588bf97ep+0, 0x1.370f7e3009c7dp+0 }, { 4, 2 }, { 0, 0 },
    };
    volatile double x = -2.5, y;
    int e;

    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        y = sqrt(roots[i][0] + (double)zero);
        RT_CHECK(y == roots[i][1]);
    }
    RT_CHECK(floor(x) == -3 && ceil(x) == -2 && trunc(x) == -2 && round(x) == -3 && rint(x) == -2);
    RT_CHECK(fabs(x) == 2.5 && fmin(x, 1) == x && fmax(NAN, x) == x && lround(x) == -3);
    RT_CHECK(isnan(sqrt(x)) && signbit(x) && isfinite(x) && isinf(-x / (double)zero));
    RT_CHECK(frexp(x, &e) == -0.625 && e == 2 && ldexp(x, 3) == -20 && fmod(x, 2) == -0.5);
    y = scalbn(1, -1074);
    RT_CHECK(y > 0 && fpclassify(y) == FP_SUBNORMAL && fmodf(7.5f, (float)-x) == 0);
    return true;
}

static bool equal(void)
{
    uint8_t a[40] = { 1, 2, 3 }, b[40] = { 1, 2, 3 };

    RT_CHECK(pal_equal_ct(a, b, 40) && pal_equal_ct(a, b, 0));
    for (unsigned i = 0; i < 320; i++) {
        b[i / 8] ^= (uint8_t)(1 << i % 8);
        RT_CHECK(!pal_equal_ct(a, b, 40));
        b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    pal_wipe(a, 40);
    memset(b, 0, 40);
    RT_CHECK(pal_equal_ct(a, b, 40));
    return true;
}

static bool numbers(void)
{
    char *end;

    RT_CHECK(strtoul("0x1fz", &end, 0) == 0x1f && *end == 'z');
    RT_CHECK(strtol(" -077", &end, 0) == -63 && *end == '\0');
    RT_CHECK(strtoll("-9223372036854775808", NULL, 10) == LLONG_MIN);
    RT_CHECK(strtoll("9223372036854775808", NULL, 10) == LLONG_MAX);
    RT_CHECK(strtoull("18446744073709551616", NULL, 10) == ULLONG_MAX);
    RT_CHECK(strtol("99999999999999999999", NULL, 10) == LONG_MAX && atoi("-12x") == -12);
    RT_CHECK(strtoul("x", &end, 10) == 0 && *end == 'x' && isxdigit('f') && !isxdigit('g'));
    return true;
}

static bool prints(void)
{
    char buf[120];

    int n = snprintf(buf, sizeof(buf), "%d %5u|%-5x|%05d|%.3d|%lld %zu %c%% %s %.2s %p", -1, 2u,
                     0x3fu, -42, 7, LLONG_MIN, (size_t)9, 'c', "str", "cut", (void *)(zero + 16));
    RT_CHECK(strcmp(buf, "-1     2|3f   |-0042|007|-9223372036854775808 9 c% str cu 0x10") == 0);
    RT_CHECK(n == (int)strlen(buf));
    RT_CHECK(snprintf(buf, 4, "%s", "longer") == 6 && strcmp(buf, "lon") == 0);
    RT_CHECK(snprintf(NULL, 0, "%llu", ULLONG_MAX) == 20);
    return true;
}

static int by_value(const void *a, const void *b)
{
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static bool sorts(void)
{
    int list[100], key = 30;

    for (int i = 0; i < 100; i++) {
        list[i] = i * 37 % 100;
    }
    qsort(list, 100, sizeof(int), by_value);
    for (int i = 0; i < 100; i++) {
        RT_CHECK(list[i] == i);
    }
    RT_CHECK(bsearch(&key, list, 100, sizeof(int), by_value) == list + 30);
    key = 100;
    RT_CHECK(!bsearch(&key, list, 100, sizeof(int), by_value));
    return true;
}

static bool heap(void)
{
    char *p[8];

    RT_CHECK(pal_heap_used() == 0);
    for (unsigned i = 0; i < 8; i++) {
        p[i] = malloc(i * 100);
        RT_CHECK(p[i] && (uintptr_t)p[i] % 16 == 0);
        memset(p[i], 0xff, i * 100);
    }
    RT_CHECK(pal_heap_used() == 2800);
    p[3] = realloc(p[3], 3000);
    RT_CHECK(p[3] && p[3][299] == (char)0xff && p[3][300] == 0 && p[3][2999] == 0);
    for (unsigned i = 0; i < 8; i++) {
        free(p[(i * 3) % 8]);
    }
    pal_heap_check();
    void *big = malloc(39000), *aligned;
    RT_CHECK(big && !malloc(2000));
    free(big);
    aligned = aligned_alloc(256, 100);
    RT_CHECK(aligned && (uintptr_t)aligned % 256 == 0 && !aligned_alloc(3, 1));
    free(aligned);
    RT_CHECK(!calloc(SIZE_MAX / 2 + zero, 3) && pal_heap_used() == 0);
    return true;
}

static jmp_buf back;

__attribute__((noinline)) static void jump(unsigned depth)
{
    volatile char frame[100];

    frame[depth % 100] = 1;
    if (depth != 0) {
        jump(depth - 1);
        frame[0]++;
    } else if (zero == 0) { /* always */
        longjmp(back, 0);
    }
}

static bool jumps(void)
{
    volatile unsigned rounds = 0, begun = 0;
    double kept = (double)zero + 1.5;

    if (setjmp(back) == 0) {
        begun++;
    }
    if (rounds < 3) {
        rounds++;
        jump(rounds * 3);
    }
    RT_CHECK(rounds == 3 && begun == 1 && kept > 1.4 && kept < 1.6);
    return true;
}

struct big { uint8_t bytes[24]; };

static bool atomics(void)
{
    static _Atomic uint64_t wide = 0xffffffffULL;
    static _Atomic struct big big;
    struct big v = { "atomic" };
    uint64_t old = 5;

    RT_CHECK(atomic_fetch_add(&wide, 2) == 0xffffffffULL && atomic_load(&wide) == 0x100000001ULL);
    RT_CHECK(!atomic_compare_exchange_strong(&wide, &old, 7) && old == 0x100000001ULL);
    RT_CHECK(atomic_compare_exchange_strong(&wide, &old, 7) && atomic_exchange(&wide, 9) == 7);
    atomic_store(&wide, ~0ULL);
    RT_CHECK(atomic_fetch_and(&wide, 0xf0f0ULL) == ~0ULL && atomic_fetch_xor(&wide, 1) == 0xf0f0);
    RT_CHECK(atomic_fetch_or(&wide, 2) == 0xf0f1 && atomic_fetch_sub(&wide, 3) == 0xf0f3);
    atomic_store(&big, v);
    v = atomic_load(&big);
    RT_CHECK(strcmp((char *)v.bytes, "atomic") == 0);
    return true;
}

#ifdef __i386__
/* Compilers call these where they can't know the alignment. */
uint64_t call_load(const volatile void *p, int order) __asm__(RT_ASM_NAME(__atomic_load_8));
uint64_t call_add(volatile void *p, uint64_t v, int order)
    __asm__(RT_ASM_NAME(__atomic_fetch_add_8));
void call_store(volatile void *p, uint64_t v, int order) __asm__(RT_ASM_NAME(__atomic_store_8));

static bool atomic_calls(void)
{
    static uint32_t at[3];

    call_store(at + 1, 0xfffffffffULL, 5);
    RT_CHECK(call_add(at + 1, 1, 5) == 0xfffffffffULL && call_load(at + 1, 5) == 0x1000000000ULL);
    RT_CHECK(at[0] == 0 && at[1] == 0 && at[2] == 0x10);
    return true;
}
#endif

static bool divides(void)
{
    volatile uint64_t a = 0xfedcba9876543210ULL, b = 1000000007;
    volatile int64_t c = -5000000000, d = 7;

    RT_CHECK(a / b == 18364758415ULL && a % b == 939755815);
    RT_CHECK(c / d == -714285714 && c % d == -2);
    return true;
}

static bool randoms(void)
{
    uint8_t p[600] = { 0 }, q[600] = { 0 };

    RT_CHECK(pal_random(p, 599) == 0 && pal_random(q, 599) == 0);
    RT_CHECK(memcmp(p, q, 16) != 0 && memcmp(p + 300, q + 300, 16) != 0);
    RT_CHECK(memcmp(p + 583, q + 583, 16) != 0 && p[599] == 0 && q[599] == 0);
    RT_CHECK(memcmp(p, p + 300, 16) != 0);
    RT_CHECK(pal_rt_hypercall(4711, 0, 0, 0, 0) == TV_UNKNOWN_COMMAND);
    if (RT_TEST_GATE) {
        rt_test_error = 77;
        int error = pal_random(p, 600);
        rt_test_error = 0;
        RT_CHECK(error == 77 && p[0] == 0 && p[300] == 0 && p[599] == 0);
        RT_CHECK(pal_interruptions() == 7);
    }
    return true;
}

static bool guard_drawn(void)
{
    RT_CHECK(__stack_chk_guard != 0 && (__stack_chk_guard & 0xff) == 0);
    return true;
}

static bool overrun_by_one(void)
{
    char *p = malloc(17);

    p[17 + zero] = 0;
    free(p);
    return rt_fail("lives");
}

static bool write_before(void)
{
    char *p = malloc(40), *q = malloc(40);

    q[-(ptrdiff_t)(sizeof(size_t) * 2) - (ptrdiff_t)zero] ^= 1;
    free(p);
    free(q);
    return rt_fail("lives");
}

static bool twice_freed(void)
{
    char *volatile p = malloc(40);

    free(p);
    free(p);
    return rt_fail("lives");
}

static bool no_block(void)
{
    char *volatile p = malloc(400);

    free(p + 32);
    return rt_fail("lives");
}

static bool write_after_free(void)
{
    char *volatile p = malloc(400);

    free(p);
    p[70] = 1;
    p = malloc(400);
    return rt_fail("lives");
}

__attribute__((noinline)) static void smash(size_t n)
{
    char buf[16];

    memset(buf, 'A', n);
    __asm__ volatile("" : : "r"(buf) : "memory");
}

static bool smashed_stack(void)
{
    smash(64 + zero);
    return rt_fail("lives");
}

static bool aborted(void) { abort(); }

static bool failed_assertion(void)
{
    assert(zero == 1);
    return rt_fail("lives");
}

const struct rt_test rt_test_c[] = {
    RT_TEST(copies), RT_TEST(strings), RT_TEST(equal), RT_TEST(numbers), RT_TEST(prints),
    RT_TEST(system_headers), RT_TEST(more_strings), RT_TEST(mathematics),
    RT_TEST(sorts), RT_TEST(heap), RT_TEST(jumps), RT_TEST(atomics), RT_TEST(divides),
#ifdef __i386__
    RT_TEST(atomic_calls),
#endif
    RT_TEST(randoms), RT_TEST(guard_drawn),
    RT_DEATH(aborted, abort), RT_DEATH(failed_assertion, failed_assertion),
    RT_DEATH(smashed_stack, __stack_chk_fail),
    RT_DEATH(overrun_by_one, pal_rt_heap_overrun), RT_DEATH(write_before, pal_rt_heap_overrun),
    RT_DEATH(twice_freed, pal_rt_heap_bad_free), RT_DEATH(no_block, pal_rt_heap_bad_free),
    RT_DEATH(write_after_free, pal_rt_heap_overrun), RT_END,
};
