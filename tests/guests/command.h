/* SPDX-License-Identifier: MIT */
/* Hypercalls of a program in ring 3, of 64 or 32 bits. */
#ifndef XMHF_GUESTS_COMMAND_H
#define XMHF_GUESTS_COMMAND_H

#include "guest.h"

static unsigned bits;           /* of the caller, and of its PAL */

/* A hypercall of code of this width. */
static uint64_t command(uint64_t rax, uint64_t rcx, uint64_t rdi)
{
    struct exec x = exec_for(3, bits);
    const uint8_t code[] = { 0x0f, 0x01, hypercall_byte() };

    x.gpr[RAX] = rax;
    x.gpr[RCX] = rcx;
    x.gpr[RDI] = rdi;
    exec_bytes(&x, code, sizeof(code));
    CHECK(x.vector == VECTOR_DONE, "hypercall 0x%llx: vector %llu", (unsigned long long)rax,
          (unsigned long long)x.vector);
    return x.gpr[RAX];
}

#endif
