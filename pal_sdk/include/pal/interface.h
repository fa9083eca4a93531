/* SPDX-License-Identifier: MIT */
/*
 * Typed calls of a PAL. One header of yours says what the PAL's entries take; the PAL's sources and
 * the program both include it.
 *
 *     // the interface
 *     #include <pal/interface.h>
 *     PAL_STRUCT(point, PAL_FIELD(uint32_t, x) PAL_FIELD(uint8_t, tag[16]))
 *     PAL_ENTRY(hello, uint32_t, add, PAL_VALUE(uint32_t, a), PAL_VALUE(uint32_t, b))
 *     PAL_ENTRY(hello, bool, check, PAL_IN(uint8_t, code, n, 64), PAL_VALUE(uint32_t, n))
 *     PAL_ENTRY_VOID(hello, move, PAL_INOUT_STRUCT(point, p), PAL_STRING(why, 80))
 *
 *     // the PAL: functions as anywhere
 *     uint32_t add(uint32_t a, uint32_t b) { return a + b; }
 *     bool check(const uint8_t *code, uint32_t n) { ... }
 *     void move(struct point *p, const char *why) { ... }
 *
 *     // the program: each entry has the PAL's name before its own, takes the handle and
 *     // where the result goes, and returns a status
 *     uint32_t sum;
 *     struct pal_status s = hello_add(pal, &sum, 20, 22);
 *     if (s.error != PAL_OK) puts(pal_status_text(&s, text, sizeof(text)));
 *     s = hello_check(pal, &good, code, 6);
 *     s = hello_move(pal, &p, "because");
 *
 * PAL_ENTRY(pal, type, name, parameters...) and PAL_ENTRY_VOID(pal, name, parameters...), at most
 * 32 parameters; a string counts as two, and so do 64-bit values and results with 32 bits.
 *
 *   PAL_VALUE(type, name)                an integer, by value
 *   PAL_IN(type, name, count, max)       a buffer that the PAL reads; PAL_OUT: that it fills (it
 *                                        begins as zeros); PAL_INOUT: both. The PAL_VALUE `count`
 *                                        of the same entry, unsigned and of at most 32 bits, says
 *                                        how many elements there are; more than `max` end the call
 *                                        with PAL_BAD_COUNT before it begins
 *   PAL_IN_ARRAY(type, name, n)          exactly n elements; the program passes the address of an
 *                                        array of n (&key), the PAL gets its first element;
 *                                        PAL_OUT_ARRAY, PAL_INOUT_ARRAY
 *   PAL_IN_STRUCT(point, name)           a struct point; PAL_OUT_STRUCT, PAL_INOUT_STRUCT
 *   PAL_STRING(name, max)                text of at most max bytes without its end. The PAL gets it
 *                                        ended by a zero byte, whatever its caller did
 *
 * What a buffer or structure holds is copied; pointers inside would mean nothing on the other side.
 * So types are [u]int8_t to [u]int64_t, char, bool, in buffers and structures float and double, and
 * structures by PAL_STRUCT, named without `struct`. All others, `long` and pointers among them, are
 * a compile error that names them as PAL_REFUSED_... or pal_fixed_width_TYPE. Structures have the
 * same layout with 32 and 64 bits, under Linux and Windows; so the PAL may have 64 bits where the
 * program has 32 (pal-cc --caller 32).
 *
 * Ocalls: functions of the program that the PAL may call.
 *
 *     PAL_OCALL(hello, uint32_t, ask, PAL_STRING(question, 80), PAL_OUT_ARRAY(uint8_t, answer, 8))
 *     // PAL: 0 or -enum tv_error; what comes back is the program's word, nothing more
 *     uint32_t result; int error = ask(&result, "yes?", answer);
 *     // program: must define it
 *     uint32_t hello_ocall_ask(const char *question, uint8_t answer[8]) { ... }
 *
 * PAL_OCALL_VOID(pal, name, ...): without a result. While it runs no call of the same PAL by the
 * same thread begins (PAL_BUSY).
 *
 * Why these are macros: notes/decisions/typed-calls.md.
 *
 * It needs C99 or C++11, or newer ones, with GNU's attributes: GCC or clang.
 *
 * From here on C compilers take pointers to another type, a const that is lost and calls of
 * undeclared functions for errors, as C++ does, so that a wrong argument can't be overlooked.
 */
#ifndef PAL_INTERFACE_H
#define PAL_INTERFACE_H

#if defined(__cplusplus) ? __cplusplus < 201103L : __STDC_VERSION__ < 199901L
#error "pal/interface.h needs C99 or C++11, or newer: -std=gnu99, -std=c++11"
#endif

#include <pal/each.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xmhf/assert.h>
#ifdef __PAL__
#include <string.h>
#else
#include <pal/host.h>
#endif

#ifndef PAL_WORD /* C99 has no second typedef of a name */
#define PAL_WORD
typedef uintptr_t pal_word;
#endif

#define PAL_ASSERT(what, why) XMHF_ASSERT(what, why)

#ifdef __cplusplus
#define PAL_EXTERN_C extern "C"
#else
#define PAL_EXTERN_C
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"
#pragma GCC diagnostic error "-Wimplicit-function-declaration"
#ifndef __clang__ /* whose -Wincompatible-pointer-types has these */
#pragma GCC diagnostic error "-Wdiscarded-qualifiers"
#pragma GCC diagnostic error "-Wdiscarded-array-qualifiers"
#endif
#endif

/* --- types ---------------------------------------------------------------------------- */

/* What values may be: pal_integer_TYPE. What buffers and structures may hold: pal_fixed_width_TYPE,
 * of the same alignment everywhere. */
#define PAL_INTEGER_(type, bytes) \
    typedef type pal_integer_##type; \
    typedef type pal_fixed_width_##type __attribute__((aligned(bytes)));
PAL_INTEGER_(int8_t, 1)
PAL_INTEGER_(uint8_t, 1)
PAL_INTEGER_(int16_t, 2)
PAL_INTEGER_(uint16_t, 2)
PAL_INTEGER_(int32_t, 4)
PAL_INTEGER_(uint32_t, 4)
PAL_INTEGER_(int64_t, 8)
PAL_INTEGER_(uint64_t, 8)
PAL_INTEGER_(char, 1)
typedef bool pal_integer_bool, pal_fixed_width_bool;
#ifndef __cplusplus
typedef _Bool pal_integer__Bool, pal_fixed_width__Bool;
#endif
typedef float pal_fixed_width_float;
typedef double pal_fixed_width_double __attribute__((aligned(8)));

#define pal_integer_float PAL_REFUSED_float_goes_in_a_buffer_or_structure_not_by_value
#define pal_integer_double PAL_REFUSED_double_goes_in_a_buffer_or_structure_not_by_value
#define pal_integer_void PAL_REFUSED_no_result_is_PAL_ENTRY_VOID_or_PAL_OCALL_VOID
#define pal_integer_struct PAL_REFUSED_a_structure_is_passed_by_PAL_IN_STRUCT
#define pal_fixed_width_struct PAL_REFUSED_a_structure_is_named_without_the_word_struct
#define pal_fixed_width_union PAL_REFUSED_a_union_has_no_fixed_meaning
#define pal_fixed_width_void PAL_REFUSED_void_has_no_size_use_uint8_t
#define PAL_REFUSED_LONG PAL_REFUSED_long_differs_between_systems_use_int32_t_or_int64_t
#define PAL_REFUSED_WORD PAL_REFUSED_its_size_differs_between_systems_use_uint32_t_or_uint64_t
#define PAL_REFUSED_INT  PAL_REFUSED_no_fixed_width_use_int8_t_to_uint64_t
#define pal_integer_long           PAL_REFUSED_LONG
#define pal_fixed_width_long       PAL_REFUSED_LONG
#define pal_integer_size_t         PAL_REFUSED_WORD
#define pal_fixed_width_size_t     PAL_REFUSED_WORD
#define pal_integer_uintptr_t      PAL_REFUSED_WORD
#define pal_fixed_width_uintptr_t  PAL_REFUSED_WORD
#define pal_integer_pal_word       PAL_REFUSED_WORD
#define pal_fixed_width_pal_word   PAL_REFUSED_WORD
#define pal_integer_wchar_t        PAL_REFUSED_WORD
#define pal_fixed_width_wchar_t    PAL_REFUSED_WORD
#define pal_integer_int            PAL_REFUSED_INT
#define pal_fixed_width_int        PAL_REFUSED_INT
#define pal_integer_unsigned       PAL_REFUSED_INT
#define pal_fixed_width_unsigned   PAL_REFUSED_INT
#define pal_integer_signed         PAL_REFUSED_INT
#define pal_fixed_width_signed     PAL_REFUSED_INT
#define pal_integer_short          PAL_REFUSED_INT
#define pal_fixed_width_short      PAL_REFUSED_INT
#define pal_integer_enum           PAL_REFUSED_INT
#define pal_fixed_width_enum       PAL_REFUSED_INT

#define PAL_IS_POINTER(value) (__builtin_classify_type(value) == 5)

/* With 32 bits these are two words: PAL_WIDTH(type) is `wide`, else `word`. It is the program's
 * width that counts: a 64-bit PAL for 32-bit programs (pal-cc --caller 32) gets the same words. */
#if __SIZEOF_POINTER__ == 4 || defined(__PAL_CALLER_32__)
#define PAL_WIDE_int64_t  ~, wide
#define PAL_WIDE_uint64_t ~, wide
#endif
#define PAL_WIDTH(type) PAL_WIDTH_(PAL_WIDE_##type, word, ~)
#define PAL_WIDTH_(...) PAL_WIDTH_1(__VA_ARGS__)
#define PAL_WIDTH_1(nothing, width, ...) width

/* What a pointer of a function's leads to: memory of its caller's, which may be aligned as that
 * system does. What is copied from there lies as in structures. */
#define PAL_POINTED_int64_t  ~, int64_t
#define PAL_POINTED_uint64_t ~, uint64_t
#define PAL_POINTED_double   ~, double
#define PAL_POINTED(type) PAL_WIDTH_(PAL_POINTED_##type, pal_fixed_width_##type, ~)

/* --- structures ----------------------------------------------------------------------- */

#define PAL_FIELD(type, field) (type, field)

/* struct name with these fields, which no comma separates. A field may be an array. */
#define PAL_STRUCT(name, fields) \
    struct name { PAL_CAT(PAL_MEMBER_A fields, _END) }; \
    typedef struct name pal_fixed_width_##name; \
    PAL_STRUCT_CHECK(name, fields)
/* Names of this kind are swapped at each field, so that the preprocessor goes on. */
#define PAL_MEMBER_A(type, field) pal_fixed_width_##type field; PAL_MEMBER_B
#define PAL_MEMBER_B(type, field) pal_fixed_width_##type field; PAL_MEMBER_A
#define PAL_MEMBER_A_END
#define PAL_MEMBER_B_END

#define PAL_STRUCT_CHECK(name, fields) \
    static inline __attribute__((unused)) void pal_check_##name(void) \
    { typedef struct name pal_checked; PAL_CAT(PAL_CHECK_A fields, _END) \
      struct pal_gap { char at; pal_fixed_width_uint64_t aligned; }; \
      PAL_ASSERT(sizeof(struct pal_gap) == 16, \
                 #name ": a pragma or flag packs structures, and the other side's aren't packed"); }
#define PAL_CHECK_A(type, field) PAL_CHECK_FIELD(type, field) PAL_CHECK_B
#define PAL_CHECK_B(type, field) PAL_CHECK_FIELD(type, field) PAL_CHECK_A
#define PAL_CHECK_A_END
#define PAL_CHECK_B_END
/* Of an array `field` is tag[16]: one behind it, of the same type, and never evaluated. A pointer's
 * asterisk and a bit-field's colon are no syntax here. */
#define PAL_CHECK_FIELD(type, field) \
    PAL_ASSERT(!PAL_IS_POINTER(((pal_checked *)0)->field), \
               #type " " #field ": a pointer means nothing on the other side"); \
    { struct pal_probe { pal_fixed_width_##type field; }; \
      PAL_ASSERT(sizeof(struct pal_probe) != 0, \
                 #type " " #field ": an array without elements, and none are copied; give it its " \
                 "length, or pass what follows by PAL_IN"); }

/* --- parameters ----------------------------------------------------------------------- */

#define PAL_VALUE(type, name)             (p_value, type, name, ~, 0)
#define PAL_IN(type, name, count, max)    (p_in, type, name, count, max)
#define PAL_OUT(type, name, count, max)   (p_out, type, name, count, max)
#define PAL_INOUT(type, name, count, max) (p_inout, type, name, count, max)
#define PAL_IN_ARRAY(type, name, n)       (p_in_array, type, name, ~, n)
#define PAL_OUT_ARRAY(type, name, n)      (p_out_array, type, name, ~, n)
#define PAL_INOUT_ARRAY(type, name, n)    (p_inout_array, type, name, ~, n)
#define PAL_IN_STRUCT(type, name)         (p_in_struct, type, name, ~, 1)
#define PAL_OUT_STRUCT(type, name)        (p_out_struct, type, name, ~, 1)
#define PAL_INOUT_STRUCT(type, name)      (p_inout_struct, type, name, ~, 1)
#define PAL_STRING(name, max)             (p_string, char, name, ~, max)

/* prefix_KIND(pal, entry, type, name, count, max) of a parameter. */
#define PAL_SELECT(prefix, pal, entry, ...) PAL_SELECT_(prefix, pal, entry, __VA_ARGS__)
#define PAL_SELECT_(prefix, pal, entry, kind, type, name, count, max) \
    prefix##kind(pal, entry, type, name, count, max)

/* Bytes of one call's buffers, each. The hypervisor has a limit for all of a call together. */
#define PAL_BUFFER_MAX 0x40000u

#define PAL_CHECKS(pal, ...) \
    PAL_ASSERT(PAL_COUNT(__VA_ARGS__) <= 32, "an entry has at most 32 parameters"); \
    PAL_EACH(PAL_CHECK_EACH, pal, __VA_ARGS__)
#define PAL_CHECK_EACH(pal, entry, parameter) \
    PAL_SELECT(PAL_C_, pal, entry, PAL_OPEN parameter)
#define PAL_C_p_value(pal, entry, type, name, count, max) \
    PAL_ASSERT(sizeof(pal_integer_##type) != 0 && !PAL_IS_POINTER(*(pal_integer_##type *)0), \
               #pal ": " #entry ": " #type " " #name ": a pointer is no value; use PAL_IN, " \
               "PAL_OUT or PAL_INOUT");
#define PAL_C_BUFFER(pal, entry, type, name, max) \
    PAL_ASSERT(sizeof(pal_fixed_width_##type) != 0 \
               && !PAL_IS_POINTER(*(pal_fixed_width_##type *)0), \
               #pal ": " #entry ": " #type " " #name ": pointers in a buffer mean nothing on the " \
               "other side"); \
    PAL_ASSERT((max) > 0 && (max) <= PAL_BUFFER_MAX / sizeof(pal_fixed_width_##type), \
               #pal ": " #entry ": " #name ": 1 byte to 256 KiB can be passed");
#define PAL_C_p_in(p, e, t, n, count, max)            PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_out(p, e, t, n, count, max)           PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_inout(p, e, t, n, count, max)         PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_in_array(p, e, t, n, count, max)      PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_out_array(p, e, t, n, count, max)     PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_inout_array(p, e, t, n, count, max)   PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_in_struct(p, e, t, n, count, max)     PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_out_struct(p, e, t, n, count, max)    PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_inout_struct(p, e, t, n, count, max)  PAL_C_BUFFER(p, e, t, n, max)
#define PAL_C_p_string(p, e, t, n, count, max)        PAL_C_BUFFER(p, e, t, n, max)

/* Of the count of a buffer, inside a function that has it as a parameter. */
#define PAL_COUNT_CHECK(entry, name, count) \
    PAL_ASSERT(sizeof(count) <= 4 && (__typeof__(count))-1 > 0, \
               #entry ": " #count ", which counts " #name ", must be unsigned and have at most " \
               "32 bits");

/* A function, since of a small type the compiler would say that it can't be. */
static inline __attribute__((unused)) bool pal_exceeds(uint64_t count, uint64_t max)
{
    return count > max;
}

/* What a function takes: on the PAL's side, and on the program's, which gives pointers to whole
 * arrays. */
#define PAL_PLAIN(pal, entry, parameter)  PAL_SELECT(PAL_P_, pal, entry, PAL_OPEN parameter)
#define PAL_P_p_value(p, e, type, name, count, max)       , pal_integer_##type name
#define PAL_P_p_in(p, e, type, name, count, max)          , const PAL_POINTED(type) *name
#define PAL_P_p_out(p, e, type, name, count, max)         , PAL_POINTED(type) *name
#define PAL_P_p_inout(p, e, type, name, count, max)       , PAL_POINTED(type) *name
#define PAL_P_p_in_array(p, e, type, name, count, max)    , const PAL_POINTED(type) name[max]
#define PAL_P_p_out_array(p, e, type, name, count, max)   , PAL_POINTED(type) name[max]
#define PAL_P_p_inout_array(p, e, type, name, count, max) , PAL_POINTED(type) name[max]
#define PAL_P_p_in_struct(p, e, type, name, count, max)   , const pal_fixed_width_##type *name
#define PAL_P_p_out_struct(p, e, type, name, count, max)  , pal_fixed_width_##type *name
#define PAL_P_p_inout_struct(p, e, type, name, count, max) , pal_fixed_width_##type *name
#define PAL_P_p_string(p, e, type, name, count, max)      , const char *name
#define PAL_PARAMETERS(pal, ...) \
    PAL_PARENS(PAL_ANY(__VA_ARGS__), ~ PAL_EACH(PAL_PLAIN, pal, __VA_ARGS__))

/* Numbers of the words of an entry's parameters, from 0 on. */
#define PAL_NUMBER(pal, entry, parameter) PAL_SELECT(PAL_N_, pal, entry, PAL_OPEN parameter)
#define PAL_N_p_value(p, entry, type, name, count, max) \
    PAL_CAT(PAL_NUMBER_, PAL_WIDTH(type))(entry, name)
#define PAL_NUMBER_word(entry, name) , pal_at_##entry##_##name
#define PAL_NUMBER_wide(entry, name) , pal_at_##entry##_##name, pal_at_##entry##_pal_high_##name
#define PAL_N_p_in(p, entry, type, name, count, max)           , pal_at_##entry##_##name
#define PAL_N_p_out(p, entry, type, name, count, max)          , pal_at_##entry##_##name
#define PAL_N_p_inout(p, entry, type, name, count, max)        , pal_at_##entry##_##name
#define PAL_N_p_in_array(p, entry, type, name, count, max)     , pal_at_##entry##_##name
#define PAL_N_p_out_array(p, entry, type, name, count, max)    , pal_at_##entry##_##name
#define PAL_N_p_inout_array(p, entry, type, name, count, max)  , pal_at_##entry##_##name
#define PAL_N_p_in_struct(p, entry, type, name, count, max)    , pal_at_##entry##_##name
#define PAL_N_p_out_struct(p, entry, type, name, count, max)   , pal_at_##entry##_##name
#define PAL_N_p_inout_struct(p, entry, type, name, count, max) , pal_at_##entry##_##name
#define PAL_N_p_string(p, entry, type, name, count, max) \
    , pal_at_##entry##_##name, pal_at_##entry##_pal_bytes_##name

/* Their descriptions: the PAL's go into its image, the program's are compared with those. The
 * numbers are those of xmhf/image.h, whose other names are none of a program's. */
#define PAL_PARAM_INTEGER   1
#define PAL_PARAM_POINTER   2
#define PAL_DIR_IN          1
#define PAL_DIR_OUT         2
#define PAL_DIR_INOUT       3
#define PAL_RECORD(pal, entry, parameter) PAL_SELECT(PAL_R_, pal, entry, PAL_OPEN parameter)
#define PAL_R_INTEGER { PAL_PARAM_INTEGER, PAL_DIR_IN, 0, 0, 0 },
#define PAL_R_p_value(p, e, type, name, count, max) PAL_CAT(PAL_RECORD_, PAL_WIDTH(type))
#define PAL_RECORD_word PAL_R_INTEGER
#define PAL_RECORD_wide PAL_R_INTEGER PAL_R_INTEGER
#define PAL_R_COUNTED(entry, type, count, max, direction) \
    { PAL_PARAM_POINTER, direction, (max) * sizeof(pal_fixed_width_##type), \
      1 + pal_at_##entry##_##count, sizeof(pal_fixed_width_##type) },
#define PAL_R_WHOLE(type, max, direction) \
    { PAL_PARAM_POINTER, direction, (max) * sizeof(pal_fixed_width_##type), 0, 0 },
#define PAL_R_p_in(p, e, t, name, count, max)        PAL_R_COUNTED(e, t, count, max, PAL_DIR_IN)
#define PAL_R_p_out(p, e, t, name, count, max)       PAL_R_COUNTED(e, t, count, max, PAL_DIR_OUT)
#define PAL_R_p_inout(p, e, t, name, count, max)     PAL_R_COUNTED(e, t, count, max, PAL_DIR_INOUT)
#define PAL_R_p_in_array(p, e, t, name, count, max)     PAL_R_WHOLE(t, max, PAL_DIR_IN)
#define PAL_R_p_out_array(p, e, t, name, count, max)    PAL_R_WHOLE(t, max, PAL_DIR_OUT)
#define PAL_R_p_inout_array(p, e, t, name, count, max)  PAL_R_WHOLE(t, max, PAL_DIR_INOUT)
#define PAL_R_p_in_struct(p, e, t, name, count, max)    PAL_R_WHOLE(t, max, PAL_DIR_IN)
#define PAL_R_p_out_struct(p, e, t, name, count, max)   PAL_R_WHOLE(t, max, PAL_DIR_OUT)
#define PAL_R_p_inout_struct(p, e, t, name, count, max) PAL_R_WHOLE(t, max, PAL_DIR_INOUT)
#define PAL_R_p_string(p, entry, type, name, count, max) \
    { PAL_PARAM_POINTER, PAL_DIR_IN, (max) + 1, 1 + pal_at_##entry##_pal_bytes_##name, 1 }, \
    PAL_R_INTEGER

/* And of the parameter for a 64-bit result with 32 bits. */
#define PAL_LAST_word
#define PAL_LAST_wide { PAL_PARAM_POINTER, PAL_DIR_OUT, 8, 0, 0 },
#define PAL_MORE_word(name)
#define PAL_MORE_wide(name) , pal_at_##name##_pal_wide

#ifdef __PAL__
#include <pal/interface_pal.h>
#else
#include <pal/interface_host.h>
#endif

#endif
