/* SPDX-License-Identifier: MIT */
/*
 * Tests of libpal-rt that are PAL code themselves: compiled and linked as a PAL's, for each kind of
 * image, then put into a program of the host by two functions (host.c); or made an image by pal-cc
 * (image_pal.c).
 */
#ifndef PAL_RT_TEST_H
#define PAL_RT_TEST_H

#include <pal/rt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_test {
    const char *name;
    bool (*run)(void);        /* false: rt_fail() has said why */
    void (*death)(void);      /* the symbol that it must die at, or NULL */
};

#define RT_TEST(function)         { #function, function, NULL }
#define RT_DEATH(function, where) { #function, function, (void (*)(void))(where) }
#define RT_END                    { NULL, NULL, NULL }

extern const struct rt_test rt_test_c[], rt_test_cxx[], rt_test_hash[], rt_test_cipher[],
    rt_test_curve[];

/* Why a test failed. Returns false. */
PAL_PRINTF(1, 2) bool rt_fail(const char *format, ...);
/* The condition holds, or the test fails with its text. */
#define RT_CHECK(condition) \
    do { \
        if (!(condition)) { \
            return rt_fail("line %d: %s", __LINE__, #condition); \
        } \
    } while (0)

/* The bytes of a text in hexadecimal, at most RT_BYTES; how many. */
#define RT_BYTES 1024u
size_t rt_bytes(uint8_t *out, const char *hex);
/* Are they the same as the text's? */
bool rt_same(const void *bytes, size_t n, const char *hex);

/* For the host: test number `i`; NULL behind the last one. */
struct rt_result { const char *name, *why; bool good; void (*death)(void); };
bool rt_test_run(unsigned i, struct rt_result *r);
/* Its name and death only. */
bool rt_test_look(unsigned i, struct rt_result *r);

#ifdef RT_TEST_IMAGE
/* The tests are an image: random numbers are what the hypervisor or native mode gives. */
#define RT_TEST_GATE false
#else
#define RT_TEST_GATE true
#endif
/* With the test's own gate (gate.S): 0, or the error that the next random numbers give. */
extern uint32_t rt_test_error;

#endif
