/* SPDX-License-Identifier: MIT */
/* libpal-rt's mathematics against the host's, bit by bit. */
#include "unit.h"

#include <math.h>

/* What tests/unit/pal_rt_names.h makes of the names. */
#define ONE(type, name) type rt_##name(double x);
#define TWO(name) double rt_##name(double x, double y);
#define FLOAT(name) float rt_##name(float x);
ONE(double, fabs) ONE(double, trunc) ONE(double, floor) ONE(double, ceil) ONE(double, round)
ONE(double, rint) ONE(double, nearbyint) ONE(double, sqrt)
ONE(long, lround) ONE(long long, llround) ONE(long, lrint) ONE(long long, llrint)
TWO(copysign) TWO(fmin) TWO(fmax) TWO(fmod)
FLOAT(fabsf) FLOAT(truncf) FLOAT(floorf) FLOAT(ceilf) FLOAT(roundf) FLOAT(rintf) FLOAT(sqrtf)
float rt_fmodf(float x, float y);
double rt_modf(double x, double *whole);
double rt_frexp(double x, int *e);
double rt_scalbn(double x, int n);
double rt_ldexp(double x, int n);
double rt_scalbln(double x, long n);

/* The same bits; any NaN is one. */
static void same(double x, double y)
{
    if (!isnan(x) || !isnan(y)) {
        assert_memory_equal(&x, &y, sizeof(x));
    }
}

static const double edges[] = {
    0.0, 0.5, 1.0, 1.5, 2.5, 0.49999999999999994, 0x1p-1074, 0x1.8p-1073, 0x1p-1022,
    0x1.fffffp-1023, 0x1p51 + 0.5, 0x1p52 - 0.5, 0x1p52, 0x1p52 + 1, 0x1p53, 0x1p62,
    0x1.fffffffffffffp1023, INFINITY, NAN, 3, 1e300, 0.1,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* An edge of either sign, or any bits; near whole numbers now and then. */
static double number(uint64_t *seed)
{
    uint64_t u = unit_random(seed);
    double x;

    switch (unit_below(seed, 3)) {
    case 0: return u % 2 ? edges[u / 2 % EDGES] : -edges[u / 2 % EDGES];
    case 1: return (double)(int64_t)(u >> unit_below(seed, 64)) / 4;
    default: memcpy(&x, &u, sizeof(x)); return isnan(x) ? NAN : x; /* no signalling one */
    }
}

static void as_the_hosts(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        const double x = number(&seed), y = number(&seed);

        same(rt_fabs(x), fabs(x));
        same(rt_copysign(x, y), copysign(x, y));
        if (x != 0 || y != 0) { /* which zero is C's choice */
            same(rt_fmin(x, y), fmin(x, y));
            same(rt_fmax(x, y), fmax(x, y));
        }
        same(rt_trunc(x), trunc(x));
        same(rt_floor(x), floor(x));
        same(rt_ceil(x), ceil(x));
        same(rt_round(x), round(x));
        same(rt_rint(x), rint(x));
        same(rt_nearbyint(x), rint(x));
        same(rt_sqrt(x), sqrt(x));
        if (i % 16 == 0) { /* up to 2,046 steps */
            same(rt_fmod(x, y), fmod(x, y));
        }
    }
}

static void parts_as_the_hosts(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        const double x = number(&seed);
        const int n = (int)unit_below(&seed, 5000) - 2500;
        double ours = 0, theirs = 0;
        int e = 0, f = 0;

        same(rt_modf(x, &ours), modf(x, &theirs));
        same(ours, theirs);
        same(rt_frexp(x, &e), frexp(x, &f));
        assert_true(e == f || isnan(x) || isinf(x));
        same(rt_scalbn(x, n), scalbn(x, n));
        same(rt_ldexp(x, -n), ldexp(x, -n));
        same(rt_scalbln(x, n * 100000L), scalbln(x, n * 100000L));
        if (fabs(x) < 0x1p30) {
            assert_int_equal(rt_lround(x), lround(x));
            assert_int_equal(rt_llround(x), llround(x));
            assert_int_equal(rt_lrint(x), lrint(x));
            assert_int_equal(rt_llrint(x), llrint(x));
        }
    }
}

static void floats_as_the_hosts(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        const uint32_t u = (uint32_t)unit_random(&seed), v = (uint32_t)unit_random(&seed);
        float x, y;

        memcpy(&x, &u, sizeof(x));
        memcpy(&y, &v, sizeof(y));
        same(rt_fabsf(x), fabsf(x));
        same(rt_truncf(x), truncf(x));
        same(rt_floorf(x), floorf(x));
        same(rt_ceilf(x), ceilf(x));
        same(rt_roundf(x), roundf(x));
        same(rt_rintf(x), rintf(x));
        same(rt_sqrtf(x), sqrtf(x));
        same(rt_fmodf(x, y), fmodf(x, y));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_hosts), cmocka_unit_test(parts_as_the_hosts),
        cmocka_unit_test(floats_as_the_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
