/* SPDX-License-Identifier: MIT */
/*
 * Does this machine run code that isn't there any more? One thread calls code in a fresh page while
 * another one, on another CPU, rewrites it; afterwards, and behind a CPUID, the first must see what
 * was written. No CPU fails; QEMU 7.2 does (notes/bugs/qemu-stale-code.md), without any hypervisor.
 *   stalecode [ROUNDS]
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES 4096u

typedef int (*code_fn)(void);

static unsigned char *pages;
static _Atomic unsigned ready, called, written, done; /* the round that each of these is in */
static unsigned stale;

static void pin(int cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

static void wait_for(_Atomic unsigned *what, unsigned round)
{
    while (atomic_load(what) != round) {
        __asm__ volatile("pause");
    }
}

static unsigned char *page_of(unsigned round)
{
    return pages + round % PAGES * 4096ul;
}

static void *caller(void *rounds)
{
    pin(1);
    for (unsigned round = 1; round <= *(unsigned *)rounds; round++) {
        code_fn code = (code_fn)(void *)page_of(round);
        unsigned a, b, c, d;
        wait_for(&ready, round);
        atomic_store(&called, round);
        code();
        wait_for(&written, round);
        __cpuid(0, a, b, c, d); /* serializes: SDM volume 3, 8.1.3 */
        stale += code() != 2;
        atomic_store(&done, round);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const unsigned char one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }; /* MOV EAX, 1; RET */
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 200000;
    unsigned seed = 1;
    pthread_t thread;

    pages = mmap(NULL, PAGES * 4096ul, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pin(0);
    pthread_create(&thread, NULL, caller, &rounds);
    for (unsigned round = 1; round <= rounds; round++) {
        unsigned char *page = page_of(round);
        if (round % PAGES == 0) { /* other physical pages, of which no code is known */
            madvise(pages, PAGES * 4096ul, MADV_DONTNEED);
        }
        memcpy(page, one, sizeof(one));
        seed = seed * 1103515245u + 12345u;
        atomic_store(&ready, round);
        wait_for(&called, round);
        for (volatile unsigned i = (seed >> 16) % 400; i > 0; i--) {
        }
        *(volatile unsigned char *)(page + 1) = 2;
        atomic_store(&written, round);
        wait_for(&done, round);
    }
    pthread_join(thread, NULL);
    printf("%u of %u times old code ran\n", stale, rounds);
    return stale != 0;
}
