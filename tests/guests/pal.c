/* SPDX-License-Identifier: MIT */
/*
 * The least that must work on every CPU model: all CPUs come up, and ring 3 registers a PAL,
 * calls it on each of them and takes it back. And PALs of each number of arguments, which store to
 * their stack as compilers do.
 */
#include <x86/cpuid.h>
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

/* Those of the public ABI that have two to ten. */
static void each_number_of_arguments(void)
{
    for (unsigned n = 2; n <= TV_MAX_PARAMS; n++) {
        register_pal(n);
        result = 0;
        call_pal(this_cpu());
        CHECK(result == 42, "with %u arguments the PAL gave %llu", n, (unsigned long long)result);
        unregister_pal();
    }
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    CHECK(info(XMHF_INFO_CPUS) == cpu_total(), "the hypervisor has %llu CPUs of %u",
          (unsigned long long)info(XMHF_INFO_CPUS), cpu_total());
    uint64_t before = info(XMHF_INFO_POOL_FREE);
    register_pal(1);
    for (unsigned i = 0; i < cpu_total(); i++) {
        result = 0;
        if (i == 0) {
            call_pal(this_cpu());
        } else {
            CHECK(ap_run(i, call_pal), "CPU %u didn't start", i);
        }
        for (unsigned j = 0; j < 1000 && result == 0; j++) {
            delay_us(1000);
        }
        CHECK(result == 42 + i, "on CPU %u the PAL gave %llu", i, (unsigned long long)result);
    }
    CHECK(pages[4][0] == 0, "the PAL's data is in the OS's page");
    unregister_pal();
    each_number_of_arguments();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
    pass("a PAL ran on each of %u CPUs", cpu_total());
}
