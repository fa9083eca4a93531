/* SPDX-License-Identifier: MIT */
/* All tests of libpal-rt, for the host to run one by one. */
#include "rt_test.h"

#include <pal/rt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PAL_HEAP(40000);

#ifdef RT_TEST_IMAGE
uint32_t rt_test_error;
#endif

static char why[300];

bool rt_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    return false;
}

size_t rt_bytes(uint8_t *out, const char *hex)
{
    size_t n = 0;

    for (; hex[2 * n] != '\0' && n < RT_BYTES; n++) {
        const char digits[3] = { hex[2 * n], hex[2 * n + 1], '\0' };

        out[n] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

bool rt_same(const void *bytes, size_t n, const char *hex)
{
    static uint8_t wanted[RT_BYTES];

    return rt_bytes(wanted, hex) == n && memcmp(bytes, wanted, n) == 0;
}

static const struct rt_test *test_number(unsigned i)
{
    static const struct rt_test *const lists[] = {
        rt_test_c, rt_test_hash, rt_test_cipher, rt_test_curve,
#ifdef RT_TEST_CXX
        rt_test_cxx,
#endif
    };

    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        for (const struct rt_test *t = lists[l]; t->name; t++) {
            if (i-- == 0) {
                return t;
            }
        }
    }
    return NULL;
}

bool rt_test_look(unsigned i, struct rt_result *r)
{
    const struct rt_test *t = test_number(i);

    if (t) {
        *r = (struct rt_result){ .name = t->name, .why = why, .death = t->death };
    }
    return t != NULL;
}

PAL_RT_NO_GUARD bool rt_test_run(unsigned i, struct rt_result *r)
{
    pal_rt_enter();
    if (!rt_test_look(i, r)) {
        return false;
    }
    const struct rt_test *t = test_number(i);
    why[0] = '\0';
    r->good = t && t->run();
    return true;
}
