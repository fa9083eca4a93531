/* SPDX-License-Identifier: MIT */
/*
 * What snprintf() of PALs (stdio.h) and pal_printf() (pal/rt.h) have in common: their formats, and
 * that they print no floating point, of which the compiler is made to tell: an argument of such a
 * type calls a function that is an error.
 */
#ifndef PAL_FORMAT_H
#define PAL_FORMAT_H

#include <pal/each.h>

/* Conversions as C has them: MinGW's "printf" is an older Windows library's. */
#ifdef __clang__
#define PAL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define PAL_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#endif

#ifdef __cplusplus
extern "C"
#endif
__attribute__((error("not in a PAL: snprintf() and pal_printf() print no floating point; print a "
                     "whole number, (long)(x * 1000)")))
void pal_no_floating_point(void);

/* A format and its arguments, each looked at: a class of 8 is a real type, 9 a complex one. More
 * than 32 arguments aren't looked at. */
#define PAL_PRINTED(...) PAL_CAT(PAL_PRINTED_, PAL_FEW(__VA_ARGS__))(__VA_ARGS__)
#define PAL_PRINTED_many(...) __VA_ARGS__
#define PAL_PRINTED_few(...) PAL_PRINTED_1(__VA_ARGS__, ~) PAL_EACH(PAL_PRINT_EACH, ~, __VA_ARGS__)
#define PAL_PRINTED_1(format, ...) format
#define PAL_PRINT_EACH(pal, format, x) , ((void)(__builtin_classify_type(x) == 8 \
    || __builtin_classify_type(x) == 9 ? pal_no_floating_point() : (void)0), (x))
#define PAL_FEW(...) PAL_COUNT_(__VA_ARGS__, many, many, many, many, many, many, many, many, many, \
        many, many, many, many, many, many, many, many, many, many, many, many, many, many, many, \
        many, many, many, many, many, many, many, few, few, few, few, few, few, few, few, few, \
        few, few, few, few, few, few, few, few, few, few, few, few, few, few, few, few, few, few, \
        few, few, few, few, few, few, ~)

#endif
