/* SPDX-License-Identifier: MIT */
/*
 * Arguments of every kind, in every number. Each entry mixes all that it gets into its result and
 * fills what it gives out by a rule, which the program knows too: torture_mix() and torture_fill()
 * are for both sides.
 */
#ifndef TORTURE_INTERFACE_H
#define TORTURE_INTERFACE_H

#include <pal/interface.h>
#include <string.h>

#define TORTURE_BYTES 5000u  /* more than a page */
#define TORTURE_TEXT  300u

/* FNV-1a of some bytes, going on from `mix`. */
static inline __attribute__((unused)) uint32_t
torture_mix(uint32_t mix, const void *from, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)from;

    for (size_t i = 0; i < bytes; i++) {
        mix = (mix ^ p[i]) * 16777619u;
    }
    return mix;
}

/* What an entry gives out: bytes that follow from what it got. */
static inline __attribute__((unused)) void
torture_fill(uint32_t mix, void *to, size_t bytes)
{
    uint8_t *p = (uint8_t *)to;

    for (size_t i = 0; i < bytes; i++) {
        mix = mix * 1664525u + 1013904223u;
        p[i] = (uint8_t)(mix >> 24);
    }
}

#define TORTURE_START 2166136261u

/* X(1), ..., X(n) with commas between. */
#define TORTURE_1(X)  X(1)
#define TORTURE_2(X)  TORTURE_1(X), X(2)
#define TORTURE_3(X)  TORTURE_2(X), X(3)
#define TORTURE_4(X)  TORTURE_3(X), X(4)
#define TORTURE_5(X)  TORTURE_4(X), X(5)
#define TORTURE_6(X)  TORTURE_5(X), X(6)
#define TORTURE_7(X)  TORTURE_6(X), X(7)
#define TORTURE_8(X)  TORTURE_7(X), X(8)
#define TORTURE_9(X)  TORTURE_8(X), X(9)
#define TORTURE_10(X) TORTURE_9(X), X(10)
#define TORTURE_11(X) TORTURE_10(X), X(11)
#define TORTURE_16(X) TORTURE_11(X), X(12), X(13), X(14), X(15), X(16)
#define TORTURE_31(X) \
    TORTURE_16(X), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), \
    X(28), X(29), X(30), X(31)
#define TORTURE_32(X) TORTURE_31(X), X(32)

#define TORTURE_VALUE(i) PAL_VALUE(uint32_t, v##i)

/* So many integers. */
PAL_ENTRY(torture, uint32_t, n0)
PAL_ENTRY(torture, uint32_t, n1, TORTURE_1(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n2, TORTURE_2(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n3, TORTURE_3(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n4, TORTURE_4(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n5, TORTURE_5(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n6, TORTURE_6(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n7, TORTURE_7(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n8, TORTURE_8(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n9, TORTURE_9(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n10, TORTURE_10(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n11, TORTURE_11(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n31, TORTURE_31(TORTURE_VALUE))
PAL_ENTRY(torture, uint32_t, n32, TORTURE_32(TORTURE_VALUE))

/* Each type by value, and as a result. */
PAL_ENTRY(torture, uint32_t, types, PAL_VALUE(int8_t, a), PAL_VALUE(uint8_t, b),
          PAL_VALUE(int16_t, c), PAL_VALUE(uint16_t, d), PAL_VALUE(int32_t, e),
          PAL_VALUE(uint32_t, f), PAL_VALUE(int64_t, g), PAL_VALUE(uint64_t, h),
          PAL_VALUE(char, i), PAL_VALUE(bool, j))
PAL_ENTRY(torture, int8_t, same8, PAL_VALUE(int8_t, a))
PAL_ENTRY(torture, int16_t, same16, PAL_VALUE(int16_t, a))
PAL_ENTRY(torture, int32_t, same32, PAL_VALUE(int32_t, a))
PAL_ENTRY(torture, int64_t, same64, PAL_VALUE(int64_t, a))
PAL_ENTRY(torture, uint64_t, double64, PAL_VALUE(uint32_t, before), PAL_VALUE(uint64_t, a),
          PAL_VALUE(uint32_t, after))
PAL_ENTRY(torture, bool, invert, PAL_VALUE(bool, a))
PAL_ENTRY_VOID(torture, nothing)

/* Counted buffers. */
PAL_ENTRY(torture, uint32_t, in, PAL_IN(uint8_t, data, n, TORTURE_BYTES), PAL_VALUE(uint32_t, n))
PAL_ENTRY(torture, uint32_t, out, PAL_VALUE(uint32_t, seed), PAL_VALUE(uint32_t, n),
          PAL_OUT(uint8_t, data, n, TORTURE_BYTES))
PAL_ENTRY(torture, uint32_t, inout, PAL_INOUT(uint8_t, data, n, TORTURE_BYTES),
          PAL_VALUE(uint32_t, n))
PAL_ENTRY(torture, uint32_t, wide, PAL_IN(uint64_t, list, n, 40), PAL_VALUE(uint8_t, n),
          PAL_OUT(uint16_t, small, m, 33), PAL_VALUE(uint16_t, m))
PAL_ENTRY(torture, uint32_t, shared_count, PAL_VALUE(uint32_t, n), PAL_IN(uint8_t, a, n, 100),
          PAL_IN(uint32_t, b, n, 100), PAL_OUT(uint16_t, c, n, 100))

/* Arrays, structures, text. */
PAL_STRUCT(torture_inner,
    PAL_FIELD(uint8_t, tag)
    PAL_FIELD(double, weight))
PAL_STRUCT(torture_point,
    PAL_FIELD(uint16_t, x)
    PAL_FIELD(uint64_t, y)
    PAL_FIELD(float, z)
    PAL_FIELD(bool, good)
    PAL_FIELD(torture_inner, inner[3])
    PAL_FIELD(char, name[11]))
PAL_ENTRY(torture, uint32_t, arrays, PAL_IN_ARRAY(uint8_t, a, 1), PAL_OUT_ARRAY(uint32_t, b, 7),
          PAL_INOUT_ARRAY(uint64_t, c, 5))
PAL_ENTRY(torture, uint32_t, doubles, PAL_IN(double, list, n, 16), PAL_VALUE(uint32_t, n),
          PAL_OUT_ARRAY(double, sum, 1), PAL_OUT_ARRAY(float, product, 1))
PAL_ENTRY(torture, uint32_t, structs, PAL_IN_STRUCT(torture_point, a),
          PAL_OUT_STRUCT(torture_point, b), PAL_INOUT_STRUCT(torture_point, c))
PAL_ENTRY(torture, uint32_t, points, PAL_INOUT(torture_point, list, n, 9), PAL_VALUE(uint32_t, n))
PAL_ENTRY(torture, uint32_t, text, PAL_STRING(a, TORTURE_TEXT), PAL_STRING(b, 1))

/* Parameters of every kind at once: 28 words, 29 with 32 bits; 32 are possible. */
PAL_ENTRY(torture, uint32_t, all, PAL_VALUE(uint32_t, n1), PAL_IN(uint8_t, i1, n1, 700),
          PAL_VALUE(uint32_t, n2), PAL_OUT(uint8_t, o1, n2, 700), PAL_VALUE(uint32_t, n3),
          PAL_INOUT(uint8_t, x1, n3, 700), PAL_VALUE(uint8_t, n4), PAL_IN(uint16_t, i2, n4, 200),
          PAL_VALUE(uint16_t, n5), PAL_OUT(uint32_t, o2, n5, 65), PAL_VALUE(uint32_t, n6),
          PAL_INOUT(uint64_t, x2, n6, 64), PAL_VALUE(int8_t, a), PAL_VALUE(int16_t, b),
          PAL_VALUE(int64_t, c), PAL_VALUE(bool, d), PAL_IN_ARRAY(uint8_t, i3, 3),
          PAL_OUT_ARRAY(uint8_t, o3, 4), PAL_INOUT_ARRAY(uint8_t, x3, 5),
          PAL_IN_STRUCT(torture_inner, s1), PAL_OUT_STRUCT(torture_inner, s2),
          PAL_INOUT_STRUCT(torture_point, s3), PAL_STRING(text1, 20), PAL_STRING(text2, 20),
          PAL_IN(uint8_t, i4, n1, 700), PAL_OUT(uint8_t, o4, n1, 700))

#endif
