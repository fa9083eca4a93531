/* SPDX-License-Identifier: MIT */
/*
 * <math.h> for PALs: what is exact, or rounded once (pal_sdk/rt/math.c). There are no sines,
 * powers, exponentials and logarithms, and no long double: a library's sources can be compiled into
 * the PAL.
 */
#ifndef PAL_RT_MATH_H
#define PAL_RT_MATH_H

#ifdef __cplusplus
extern "C" {
#endif

typedef double double_t;
typedef float float_t;

#define INFINITY  __builtin_inff()
#define NAN       __builtin_nanf("")
#define HUGE_VAL  __builtin_huge_val()
#define HUGE_VALF __builtin_huge_valf()

#define FP_NAN       0
#define FP_INFINITE  1
#define FP_ZERO      2
#define FP_SUBNORMAL 3
#define FP_NORMAL    4

#define M_PI    3.14159265358979323846
#define M_E     2.7182818284590452354
#define M_SQRT2 1.41421356237309504880

#define fpclassify(x) \
    __builtin_fpclassify(FP_NAN, FP_INFINITE, FP_NORMAL, FP_SUBNORMAL, FP_ZERO, x)
#define isnan(x)            __builtin_isnan(x)
#define isinf(x)            __builtin_isinf(x)
#define isfinite(x)         __builtin_isfinite(x)
#define isnormal(x)         __builtin_isnormal(x)
#define signbit(x)          (__builtin_signbit(x) != 0)
#define isgreater(x, y)      __builtin_isgreater(x, y)
#define isgreaterequal(x, y) __builtin_isgreaterequal(x, y)
#define isless(x, y)         __builtin_isless(x, y)
#define islessequal(x, y)    __builtin_islessequal(x, y)
#define islessgreater(x, y)  __builtin_islessgreater(x, y)
#define isunordered(x, y)    __builtin_isunordered(x, y)

double fabs(double x);
double copysign(double x, double y);
double fmin(double x, double y);        /* of a NaN and a number: the number */
double fmax(double x, double y);
double trunc(double x);
double floor(double x);
double ceil(double x);
double round(double x);                 /* halves away from 0 */
double rint(double x);                  /* halves to the even one */
double nearbyint(double x);
long lround(double x);
long long llround(double x);
long lrint(double x);
long long llrint(double x);
double modf(double x, double *whole);
double frexp(double x, int *e);
double ldexp(double x, int n);
double scalbn(double x, int n);
double scalbln(double x, long n);
double fmod(double x, double y);
double sqrt(double x);

float fabsf(float x);
float copysignf(float x, float y);
float fminf(float x, float y);
float fmaxf(float x, float y);
float truncf(float x);
float floorf(float x);
float ceilf(float x);
float roundf(float x);
float rintf(float x);
long lroundf(float x);
long lrintf(float x);
float fmodf(float x, float y);
float sqrtf(float x);

#ifdef __cplusplus
}
#endif

#endif
