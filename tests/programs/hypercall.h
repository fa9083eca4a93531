/* SPDX-License-Identifier: MIT */
/* A hypercall from a program of the guest that isn't linked with the PAL library. */
#ifndef E2E_HYPERCALL_H
#define E2E_HYPERCALL_H

#include <stdint.h>

/* VMCALL is a hypercall on AMD CPUs too, but by another way through the core. */
static inline uint64_t hypercall(uint64_t command, uint64_t a1, uint64_t a2, uint64_t a3,
                                 uint64_t a4)
{
    uint64_t rax = command;

    if (__builtin_cpu_is("amd")) {
        __asm__ volatile("vmmcall" : "+a"(rax) : "c"(a1), "d"(a2), "S"(a3), "D"(a4) : "memory");
    } else {
        __asm__ volatile("vmcall" : "+a"(rax) : "c"(a1), "d"(a2), "S"(a3), "D"(a4) : "memory");
    }
    return rax;
}

#endif
