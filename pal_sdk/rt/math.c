/* SPDX-License-Identifier: MIT */
/* math.h for PALs: what is exact, or rounded once. None raises exceptions by itself or sets errno.
 * IEEE 754 double: sign, 11 bits of exponent (biased by 1023), 52 of fraction. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define SIGN     (UINT64_C(1) << 63)
#define FRACTION ((UINT64_C(1) << 52) - 1)
#define IMPLIED  (UINT64_C(1) << 52)

static uint64_t bits(double x)
{
    union { double d; uint64_t u; } v = { x };

    return v.u;
}

static double of_bits(uint64_t u)
{
    union { uint64_t u; double d; } v = { u };

    return v.d;
}

static int exponent(uint64_t u) { return (int)(u >> 52 & 0x7ff); }
static bool special(double x) { return exponent(bits(x)) == 0x7ff; } /* infinite, or a NaN */

/* The functions themselves, for who has declared them otherwise. */
#undef isnan
#undef isinf
int isnan(double x);
int isinf(double x);
int isnan(double x) { return (bits(x) & ~SIGN) > UINT64_C(0x7ff) << 52; }
int isinf(double x) { return (bits(x) & ~SIGN) == UINT64_C(0x7ff) << 52; }

double fabs(double x) { return of_bits(bits(x) & ~SIGN); }
double copysign(double x, double y) { return of_bits((bits(x) & ~SIGN) | (bits(y) & SIGN)); }

double fmin(double x, double y)
{
    if (isnan(x) || isnan(y)) {
        return isnan(x) ? y : x;
    }
    return x < y || (x == y && bits(x) & SIGN) ? x : y;
}

double fmax(double x, double y)
{
    if (isnan(x) || isnan(y)) {
        return isnan(x) ? y : x;
    }
    return x > y || (x == y && !(bits(x) & SIGN)) ? x : y;
}

/* --- whole numbers ------------------------------------------------------------- */

double trunc(double x)
{
    const int e = exponent(bits(x)) - 1023;

    if (e >= 52) {
        return x;
    }
    return of_bits(bits(x) & (e < 0 ? SIGN : ~(FRACTION >> e)));
}

double floor(double x)
{
    const double t = trunc(x);

    return t <= x || special(x) ? t : t - 1;
}

double ceil(double x) { return -floor(-x); }

double round(double x)
{
    const double t = trunc(x);

    return fabs(x - t) >= 0.5 && !special(x) ? t + copysign(1, x) : t;
}

/* To the nearest, of two as near ones to the even: as the CPU rounds in a PAL unless told
 * otherwise. */
double rint(double x)
{
    const double t = trunc(x), rest = special(x) ? 0 : fabs(x - t);
    const bool odd = rest == 0.5 && trunc(t / 2) * 2 != t;

    return rest > 0.5 || odd ? t + copysign(1, x) : t;
}

double nearbyint(double x) { return rint(x); }
long lround(double x) { return (long)round(x); }
long long llround(double x) { return (long long)round(x); }
long lrint(double x) { return (long)rint(x); }
long long llrint(double x) { return (long long)rint(x); }

double modf(double x, double *whole)
{
    *whole = trunc(x);
    return isinf(x) ? copysign(0, x) : copysign(x - *whole, x);
}

/* --- exponents ------------------------------------------------------------------ */

double frexp(double x, int *e)
{
    *e = 0;
    if (x == 0 || special(x)) {
        return x;
    }
    if (exponent(bits(x)) == 0) { /* subnormal */
        x *= 0x1p64;
        *e = -64;
    }
    *e += exponent(bits(x)) - 1022;
    return of_bits((bits(x) & (SIGN | FRACTION)) | UINT64_C(1022) << 52);
}

/* In steps, of which only the last one may round: what is rounded before it becomes 0. */
double scalbn(double x, int n)
{
    for (int i = 0; i < 2 && n > 1023; i++) {
        x *= 0x1p1023;
        n -= 1023;
    }
    for (int i = 0; i < 2 && n < -1022; i++) {
        x *= 0x1p-969;
        n += 969;
    }
    n = n > 1023 ? 1023 : n < -1022 ? -1022 : n;
    return x * of_bits((uint64_t)(n + 1023) << 52);
}

double ldexp(double x, int n) { return scalbn(x, n); }
double scalbln(double x, long n)
{
    return scalbn(x, n > 10000 ? 10000 : n < -10000 ? -10000 : (int)n);
}

/* --- remainder and root ---------------------------------------------------------- */

/* A positive number as a whole one of at most 53 bits, times 2^e; e is -1074 at least. */
static uint64_t whole(uint64_t u, int *e)
{
    const int biased = exponent(u);

    *e = (biased ? biased : 1) - 1075;
    return (u & FRACTION) | (biased ? IMPLIED : 0);
}

/* By subtraction, bit by bit: up to 2,046 steps. It is exact. */
double fmod(double x, double y)
{
    const uint64_t a = bits(x) & ~SIGN, b = bits(y) & ~SIGN;
    int ea, eb;
    uint64_t left, by;

    if (b == 0 || special(x) || isnan(y)) {
        return (x * y) / (x * y); /* a NaN */
    }
    if (a < b) {
        return x;
    }
    left = whole(a, &ea);
    by = whole(b, &eb);
    for (left %= by; ea > eb && left != 0; ea--) {
        left = 2 * left % by;
    }
    return copysign(scalbn((double)left, eb), x);
}

#ifdef __x86_64__
double sqrt(double x)
{
    __asm__("sqrtsd %0, %0" : "+x"(x));
    return x;
}
#else
/* The x87's registers have more bits than a double: it is told to round to 53 of them, once. */
double sqrt(double x)
{
    unsigned short before, now;
    double root;

    __asm__ volatile("fnstcw %0" : "=m"(before));
    now = (unsigned short)((before & ~0x300) | 0x200);
    __asm__ volatile("fldl %2\n\tfldcw %1\n\tfsqrt\n\tfstpl %0\n\tfldcw %3"
                     : "=m"(root) : "m"(now), "m"(x), "m"(before) : "st");
    return root;
}
#endif

/* --- float ------------------------------------------------------------------------ */

/* A double has more than twice the bits and 2 more: what is rounded twice is rounded right. */
float fabsf(float x) { return (float)fabs(x); }
float copysignf(float x, float y) { return (float)copysign(x, y); }
float fminf(float x, float y) { return (float)fmin(x, y); }
float fmaxf(float x, float y) { return (float)fmax(x, y); }
float truncf(float x) { return (float)trunc(x); }
float floorf(float x) { return (float)floor(x); }
float ceilf(float x) { return (float)ceil(x); }
float roundf(float x) { return (float)round(x); }
float rintf(float x) { return (float)rint(x); }
long lroundf(float x) { return lround(x); }
long lrintf(float x) { return lrint(x); }
float fmodf(float x, float y) { return (float)fmod(x, y); }
float sqrtf(float x) { return (float)sqrt(x); }
