/* SPDX-License-Identifier: MIT */
/* Part of each mistake's PAL: eight pages of a pattern in DATA, which must stay there. */
#include "pattern_interface.h"
#include "leak.h"

struct word {
    uint32_t lower, upper;
};
/* Not all zeros, so DATA and not BSS. Its halves are handled one by one, so that no register has a
 * word but where that is wanted. */
static volatile struct word pattern[LEAK_WORDS] __attribute__((aligned(16))) = { { 1, 0 } };

uint32_t pattern_fill(uint32_t key)
{
    for (uint32_t i = 0; i < LEAK_WORDS; i++) {
        pattern[i].lower = key + i;
        pattern[i].upper = leak_upper(key + i);
    }
    return LEAK_WORDS;
}

#ifdef __SSE__
#define SIMD_CHANGED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5"
#else
#define SIMD_CHANGED "memory" /* the compiler doesn't use them */
#endif

/* How many words are as they were filled. */
uint32_t pattern_kept(uint32_t key)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < LEAK_WORDS; i++) {
        kept += pattern[i].lower == key + i && pattern[i].upper == leak_upper(key + i);
    }
    return kept;
}

/* Leave words of the pattern in registers that a function may change. */
uint32_t pattern_spread(uint32_t from)
{
    const volatile struct word *words = pattern + from % (LEAK_WORDS / 2);

    __asm__ volatile("movdqu (%0), %%xmm0\n\tmovdqu 16(%0), %%xmm1\n\tmovdqu 32(%0), %%xmm2\n\t"
                     "movdqu 48(%0), %%xmm3\n\tmovdqu 64(%0), %%xmm4\n\tmovdqu 80(%0), %%xmm5"
                     : : "r"(words) : SIMD_CHANGED);
#ifdef __x86_64__
    __asm__ volatile("mov 96(%0), %%rcx\n\tmov 104(%0), %%rdx\n\tmov 112(%0), %%r8\n\t"
                     "mov 120(%0), %%r9\n\tmov 128(%0), %%r10\n\tmov 136(%0), %%r11"
                     : : "a"(words) : "rcx", "rdx", "r8", "r9", "r10", "r11");
#endif
    return LEAK_WORDS;
}
