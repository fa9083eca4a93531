/* SPDX-License-Identifier: MIT */
/* A program in ring 3 with one small PAL, which adds 1 to its argument. For the guests pal and
 * live. */
#ifndef XMHF_GUESTS_SMALL_PAL_H
#define XMHF_GUESTS_SMALL_PAL_H

#include <xmhf/trustvisor.h>
#include "guest.h"

#define PAGE 4096

static uint8_t pages[5][PAGE] __attribute__((aligned(PAGE))); /* code, parameters, 2 stack, data */
static volatile uint64_t result;

static uint64_t entry(void) { return (uintptr_t)pages[0]; }

/* lea 1(%rdi), %rax; incq in the PAL's data; an SSE register to the stack, which faults unless the
 * stack is at a multiple of 16; ret */
static void register_pal(unsigned arguments)
{
    struct tv_pal_params params = { .num_params = arguments };
    struct tv_pal_sections s = { .num_sections = 4, .sections = {
        { TV_SECTION_CODE, 1, entry() }, { TV_SECTION_PARAM, 1, (uintptr_t)pages[1] },
        { TV_SECTION_STACK, 2, (uintptr_t)pages[2] }, { TV_SECTION_DATA, 1, (uintptr_t)pages[4] },
    } };
    uint64_t data = (uintptr_t)pages[4];

    memcpy(pages[0], "\x48\x8d\x47\x01\x48\xff\x04\x25", 8);
    memcpy(pages[0] + 8, &data, 4);
    memcpy(pages[0] + 12, "\x0f\x57\xc0\x0f\x29\x44\x24\xe8\xc3", 9); /* xorps; movaps, -24(%rsp) */
    for (unsigned i = 0; i < arguments; i++) {
        params.params[i] = (struct tv_pal_param){ .type = TV_PARAM_INTEGER, .size = 1 };
    }
    struct exec x = hypercall_in(3, TV_HC_REG, (uintptr_t)&s, 0, (uintptr_t)&params, entry());
    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "TV_HC_REG: vector %llu, RAX 0x%llx",
          (unsigned long long)x.vector, (unsigned long long)x.gpr[RAX]);
}

/* On the CPU that runs this. */
static void call_pal(struct cpu *c)
{
    struct exec x = exec_for(3, 64);
    uint8_t *back = (uint8_t *)c + BLOCK_CODE;

    memcpy(back, "\xcd\x80", 2);
    x.rsp -= 128;
    *(uint64_t *)(uintptr_t)x.rsp = (uintptr_t)back;
    x.rflags |= RFLAGS_IF; /* a PAL runs with interrupts on, or not at all */
    x.gpr[RDI] = 41 + c->index;
    x.rip = entry();
    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE, "the PAL on CPU %u: vector %llu, error 0x%llx", c->index,
          (unsigned long long)x.vector, (unsigned long long)x.error);
    result = x.gpr[RAX];
}

static void unregister_pal(void)
{
    struct exec x = hypercall_in(3, TV_HC_UNREG, entry(), 0, 0, 0);

    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 0, "TV_HC_UNREG gave 0x%llx",
          (unsigned long long)x.gpr[RAX]);
}

#endif
