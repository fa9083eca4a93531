/* SPDX-License-Identifier: MIT */
/*
 * For each parameter of a list, in the preprocessor: what pal/interface.h is made of. A list
 * begins with the entry's name, so that it is never empty.
 */
#ifndef PAL_EACH_H
#define PAL_EACH_H

#define PAL_CAT(a, b) PAL_CAT_(a, b)
#define PAL_CAT_(a, b) a##b
#define PAL_OPEN(...) __VA_ARGS__

/* How many parameters stand behind the name: 0 to 32, or PAL_MANY. */
#define PAL_COUNT(...) PAL_COUNT_(__VA_ARGS__, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, \
        PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, \
        PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, \
        PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, PAL_MANY, \
        PAL_MANY, PAL_MANY, PAL_MANY, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, \
        18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
enum { PAL_MANY = 33 };
#define PAL_COUNT_(x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15, x16, \
        x17, x18, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, x31, x32, x33, \
        x34, x35, x36, x37, x38, x39, x40, x41, x42, x43, x44, x45, x46, x47, x48, x49, x50, \
        x51, x52, x53, x54, x55, x56, x57, x58, x59, x60, x61, x62, x63, n, ...) n
/* `none` or `some`. */
#define PAL_ANY(...) PAL_COUNT_(__VA_ARGS__, some, some, some, some, some, some, some, some, \
        some, some, some, some, some, some, some, some, some, some, some, some, some, some, \
        some, some, some, some, some, some, some, some, some, some, some, some, some, some, \
        some, some, some, some, some, some, some, some, some, some, some, some, some, some, \
        some, some, some, some, some, some, some, some, some, some, some, some, some, none, ~)

/* m(pal, entry, parameter) of each parameter. */
#define PAL_EACH(m, pal, ...) PAL_CAT(PAL_EACH_, PAL_COUNT(__VA_ARGS__))(m, pal, __VA_ARGS__)
#define PAL_EACH_PAL_MANY(m, pal, entry, ...) /* PAL_ENTRY tells */
#define PAL_EACH_0(m, pal, entry)
#define PAL_EACH_1(m, pal, entry, a) m(pal, entry, a)
#define PAL_EACH_2(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_1(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_3(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_2(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_4(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_3(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_5(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_4(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_6(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_5(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_7(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_6(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_8(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_7(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_9(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_8(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_10(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_9(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_11(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_10(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_12(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_11(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_13(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_12(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_14(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_13(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_15(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_14(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_16(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_15(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_17(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_16(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_18(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_17(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_19(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_18(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_20(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_19(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_21(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_20(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_22(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_21(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_23(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_22(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_24(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_23(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_25(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_24(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_26(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_25(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_27(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_26(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_28(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_27(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_29(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_28(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_30(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_29(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_31(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_30(m, pal, entry, __VA_ARGS__)
#define PAL_EACH_32(m, pal, entry, a, ...) m(pal, entry, a) PAL_EACH_31(m, pal, entry, __VA_ARGS__)

/* A list in parentheses that begins with a comma, or (void). */
#define PAL_PARENS(any, ...) PAL_CAT(PAL_PARENS_, any)(__VA_ARGS__)
#define PAL_PARENS_none(...) (void)
#define PAL_PARENS_some(...) PAL_PARENS_1(__VA_ARGS__)
#define PAL_PARENS_1(nothing, ...) (__VA_ARGS__)

/* What a call's arguments are: the same, () if there is none. */
#define PAL_CALL(any, ...) PAL_CAT(PAL_CALL_, any)(__VA_ARGS__)
#define PAL_CALL_none(...) ()
#define PAL_CALL_some(...) PAL_PARENS_1(__VA_ARGS__)

/* The first name of a list. */
#define PAL_NAME(...) PAL_NAME_(__VA_ARGS__, ~)
#define PAL_NAME_(entry, ...) entry

#endif
