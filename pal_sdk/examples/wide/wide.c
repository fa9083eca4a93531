/* SPDX-License-Identifier: MIT */
/*
 * A program of 32 bits whose PAL has 64: SHA-512, products of 128 bits, powers. Each result is
 * compared with that of the program's own code, of the same source, and so are the ticks of the TSC
 * that both take, the way into the PAL and back included.
 */
#include "wide_code.h"
#include "wide_interface.h"
#include <stdio.h>
#include <string.h>

PAL_IMAGE(wide);

#define BYTES  65536u
#define ROUNDS 200u

static struct pal_handle *pal;
static int wrong;

static uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void compare(const char *what, uint64_t own, uint64_t in_pal, int same)
{
    printf("%-28s own code %10llu ticks, PAL %10llu, %llu.%02llu times as fast%s\n", what,
           (unsigned long long)own, (unsigned long long)in_pal, (unsigned long long)(own / in_pal),
           (unsigned long long)(own % in_pal * 100 / in_pal), same ? "" : "; ANOTHER RESULT");
    wrong |= !same;
}

static struct pal_status hash_once(void)
{
    static uint8_t message[BYTES];
    uint8_t hash[64], other[64];
    struct pal_status s;
    uint64_t t[3];

    for (uint32_t i = 0; i < BYTES; i++) {
        message[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    t[0] = ticks();
    wide_sha512(message, BYTES, hash);
    t[1] = ticks();
    s = wide_digest(pal, message, BYTES, &other);
    t[2] = ticks();
    compare("SHA-512 of 64 KiB", t[1] - t[0], t[2] - t[1], memcmp(hash, other, 64) == 0);
    return s;
}

static struct pal_status multiply_once(void)
{
    const uint64_t a = 0xfedcba9876543210, b = 0xf0e1d2c3b4a59687;
    struct wide_product product = { 0, 0 };
    struct pal_status s;
    uint64_t low, high, t[3];

    t[0] = ticks();
    wide_mul(a, b, &low, &high);
    t[1] = ticks();
    s = wide_multiply(pal, a, b, &product);
    t[2] = ticks();
    compare("one product of 128 bits", t[1] - t[0], t[2] - t[1],
            product.low == low && product.high == high);
    return s;
}

static struct pal_status powers_once(void)
{
    const uint64_t a = 0x123456789abcdef, n = 0xfedcba987654321;
    uint64_t own, result = 0, t[3];
    struct pal_status s;

    t[0] = ticks();
    own = own_powers(a, n, ROUNDS);
    t[1] = ticks();
    s = wide_powers(pal, &result, a, n, ROUNDS);
    t[2] = ticks();
    compare("200 powers of 61 bits", t[1] - t[0], t[2] - t[1], own == result);
    return s;
}

int main(void)
{
    char text[PAL_TEXT];
    struct pal_status s = pal_open(&wide_image, &pal);

    if (s.error == PAL_OK) s = hash_once();
    if (s.error == PAL_OK) s = multiply_once();
    if (s.error == PAL_OK) s = powers_once();
    if (s.error != PAL_OK) {
        puts(pal_status_text(&s, text, sizeof(text)));
    } else {
        printf("this program has %u bits\n", (unsigned)(8 * sizeof(void *)));
    }
    pal_close(pal);
    return s.error != PAL_OK || wrong;
}
