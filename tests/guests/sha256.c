/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 by the CPU's SHA extensions: the core's own block function against the portable one,
 * all lengths and alignments, and what registering costs with it.
 */
#include <sha256/sha256.h>
#include <x86/cpuid.h>
#include <xmhf/trustvisor.h>
#include "guest.h"

#define PAGE  4096
#define PAGES 64
#define SIZE  (4 * SHA256_BLOCK + 32)

sha256_blocks_fn hw_sha256_blocks;

static uint8_t bytes[SIZE];
/* code, parameters, 2 stack, data */
static uint8_t pages[PAGES][PAGE] __attribute__((aligned(PAGE)));

static void hash(sha256_blocks_fn *blocks, size_t at, size_t len, uint8_t out[SHA256_SIZE])
{
    struct sha256 h;

    sha256_init(&h, blocks);
    sha256_update(&h, bytes + at, len / 3);
    sha256_update(&h, bytes + at + len / 3, len - len / 3);
    sha256_final(&h, out);
}

static void compare(void)
{
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * i + i / 7);
    }
    for (size_t len = 0; len <= 4 * SHA256_BLOCK; len++) {
        for (size_t at = 0; at < 32; at += 3) {
            uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

            hash(sha256_blocks, at, len, a);
            hash(hw_sha256_blocks, at, len, b);
            CHECK(memcmp(a, b, sizeof(a)) == 0, "%zu bytes at %zu: another hash", len, at);
        }
    }
}

static uint64_t ticks_of(size_t blocks)
{
    uint32_t state[8] = { 0 };
    uint64_t start = rdtsc();

    hw_sha256_blocks(state, pages, blocks);
    return rdtsc() - start;
}

/* Register `n` pages and take them back; the ticks that hashing took. */
static uint64_t hashing(unsigned n)
{
    const uint64_t entry = (uintptr_t)pages[0], before = info(XMHF_INFO_HASH_TICKS);
    struct tv_pal_params params = {
        .num_params = 1, .params = { { .type = TV_PARAM_INTEGER, .size = 1 } },
    };
    struct tv_pal_sections s = { .num_sections = 4, .sections = {
        { TV_SECTION_CODE, 1, entry }, { TV_SECTION_PARAM, 1, (uintptr_t)pages[1] },
        { TV_SECTION_STACK, 1, (uintptr_t)pages[2] },
        { TV_SECTION_DATA, n - 3, (uintptr_t)pages[3] },
    } };
    struct exec x = hypercall_in(3, TV_HC_REG, (uintptr_t)&s, 0, (uintptr_t)&params, entry);

    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "TV_HC_REG: vector %llu, RAX 0x%llx",
          (unsigned long long)x.vector, (unsigned long long)x.gpr[RAX]);
    uint64_t ticks = info(XMHF_INFO_HASH_TICKS) - before;
    x = hypercall_in(3, TV_HC_UNREG, entry, 0, 0, 0);
    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "TV_HC_UNREG gave 0x%llx",
          (unsigned long long)x.gpr[RAX]);
    return ticks;
}

void guest_main(void)
{
    if (cpuid(0, 0).eax < CPUID_EXT_FEATURES
        || !(cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_SHA)) {
        skip("this CPU has no SHA extensions");
    }
    try_write_cr(4, read_cr4() | CR4_OSFXSR);
    compare();
    const uint64_t block = (ticks_of(65) - ticks_of(1)) / 64;
    const uint64_t four = hashing(4), all = hashing(PAGES);
    say("sha-block %llu", (unsigned long long)block);
    say("sha-hash-4 %llu", (unsigned long long)four);
    say("sha-hash-64 %llu", (unsigned long long)all);
    CHECK(block <= 160 && four <= 60000 && all <= 900000,
          "%llu a block, 4 pages %llu, 64 pages %llu instructions: too many",
          (unsigned long long)block, (unsigned long long)four, (unsigned long long)all);
    pass("the same hashes; %llu instructions a block, 4 pages %llu, 64 pages %llu",
         (unsigned long long)block, (unsigned long long)four, (unsigned long long)all);
}
