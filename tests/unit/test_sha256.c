/* SPDX-License-Identifier: MIT */
/* SHA-256, portable and by the CPU's extensions, against BearSSL's. */
#include "unit.h"

#include <bearssl_hash.h>
#include <cpuid.h>
#include <sha256/sha256.h>
#include <x86/cpuid.h>

#define SIZE 5000

sha256_blocks_fn hw_sha256_blocks;

static uint8_t bytes[SIZE];

static bool cpu_has_sha(void)
{
    unsigned a, b = 0, c, d;

    return __get_cpuid_count(CPUID_EXT_FEATURES, 0, &a, &b, &c, &d) && (b & CPUID_7_0_EBX_SHA);
}

static void hash(sha256_blocks_fn *blocks, const uint8_t *from, size_t first, size_t len,
                 uint8_t out[SHA256_SIZE])
{
    struct sha256 h;

    sha256_init(&h, blocks);
    sha256_update(&h, from, first);
    sha256_update(&h, from + first, len - first);
    sha256_final(&h, out);
}

static void compare(sha256_blocks_fn *blocks, const uint8_t *from, size_t first, size_t len)
{
    br_sha256_context theirs;
    uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

    br_sha256_init(&theirs);
    br_sha256_update(&theirs, from, len);
    br_sha256_out(&theirs, b);
    hash(blocks, from, first, len, a);
    assert_memory_equal(a, b, sizeof(a));
}

/* Every length around three blocks, from every alignment, in two parts that are cut anywhere. */
static void compare_all(sha256_blocks_fn *blocks)
{
    uint64_t seed = 5;

    for (unsigned i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)unit_random(&seed);
    }
    for (size_t len = 0; len <= 3 * SHA256_BLOCK + 1; len++) {
        for (size_t at = 0; at < 17; at++) {
            compare(blocks, bytes + at, unit_random(&seed) % (len + 1), len);
        }
    }
    for (size_t len = 4000; len < SIZE; len += 97) {
        compare(blocks, bytes, unit_random(&seed) % len, len);
    }
}

static void portable_is_as_bearssl(void **state)
{
    (void)state;
    compare_all(sha256_blocks);
}

static void extensions_are_as_bearssl(void **state)
{
    (void)state;
    if (!cpu_has_sha()) {
        skip(); /* the tiny guest sha256 runs them in Bochs */
    }
    compare_all(hw_sha256_blocks);
}

/* FIPS 180-4's own example, so that not both can be wrong in the same way. */
static void known_answer(void **state)
{
    static const uint8_t abc[SHA256_SIZE] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22,
        0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00,
        0x15, 0xad,
    };
    uint8_t out[SHA256_SIZE];

    (void)state;
    hash(sha256_blocks, (const uint8_t *)"abc", 1, 3, out);
    assert_memory_equal(out, abc, sizeof(abc));
}

/* Registers `before`, one block, registers `after`. */
static void xmm_around_block(const uint8_t before[16][16], uint8_t after[16][16])
{
    uint32_t words[8] = { 0 };
    void *rdi = words, *rsi = bytes;
    uint64_t rdx = 1;

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) \
        DO(13) DO(14) DO(15)
#define LOAD(n) "movups 16 * " #n "(%[before]), %%xmm" #n "\n\t"
#define STORE(n) "movups %%xmm" #n ", 16 * " #n "(%[after])\n\t"
    __asm__ volatile(EACH(LOAD) "lea -128(%%rsp), %%rsp\n\tcall hw_sha256_blocks\n\tlea "
                                "128(%%rsp), %%rsp\n\t"
        EACH(STORE)
        : "+D"(rdi), "+S"(rsi), "+d"(rdx)
        : [before] "r"(before), [after] "r"(after)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* The XMM registers are the guest's. */
static void extensions_keep_registers(void **state)
{
    uint8_t before[16][16], after[16][16];
    uint64_t seed = 9;

    (void)state;
    if (!cpu_has_sha()) {
        skip();
    }
    for (unsigned i = 0; i < sizeof(before); i++) {
        before[i / 16][i % 16] = (uint8_t)unit_random(&seed);
    }
    xmm_around_block(before, after);
    assert_memory_equal(before, after, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answer),
        cmocka_unit_test(portable_is_as_bearssl),
        cmocka_unit_test(extensions_are_as_bearssl),
        cmocka_unit_test(extensions_keep_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
