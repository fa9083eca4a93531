/* SPDX-License-Identifier: MIT */
/*
 * Under helloworld: does each CPUID count?   countcpuid N
 * Rounds of N CPUIDs on one CPU, each between two hypercalls that tell the count so far. Other
 * processes add to it, now and then; so it must never grow by less, and once by just N.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <xmhf/hypercall.h>

#define ROUNDS 20

static uint64_t count_so_far(void)
{
    uint64_t rax = XMHF_HC_HELLO;

    if (__builtin_cpu_is("amd")) {
        __asm__ volatile("vmmcall" : "+a"(rax) : "c"(0), "d"(0), "S"(0), "D"(0) : "memory");
    } else {
        __asm__ volatile("vmcall" : "+a"(rax) : "c"(0), "d"(0), "S"(0), "D"(0) : "memory");
    }
    return rax;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 0) : 0, less = 0, exact = 0, more = 0;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    count_so_far();
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t before = count_so_far(), grown;

        for (uint64_t i = 0; i < n; i++) {
            uint32_t a, b, c, d;
            __cpuid_count(i % 2, 0, a, b, c, d); /* the same questions again and again */
            (void)a, (void)b, (void)c, (void)d;
        }
        grown = count_so_far() - before;
        less += grown < n;
        exact += grown == n;
        more += grown > n;
    }
    printf("%u rounds of %llu CPUIDs: %llu counted exactly, %llu with others between, %llu "
           "too few\n", ROUNDS,
           (unsigned long long)n, (unsigned long long)exact, (unsigned long long)more,
           (unsigned long long)less);
    return n == 0 || less != 0 || exact == 0;
}
