/* SPDX-License-Identifier: MIT */
/*
 * All CPUs register PALs at once, of one process that has many sections already, with all of which
 * each new one is compared. None waits for the others for long: at the end run.py has the longest
 * exit looked at.
 */
#include <x86/cpuid.h>
#include <xmhf/trustvisor.h>
#include "guest.h"

#define PAGE   4096u
/* pages of the PALs: CPU 0's first ones, then PER_CPU for each CPU */
#define BASE   0x2000000ull
#define MANY   16u               /* PALs that stay */
#define FEW    2u                /* registered by each CPU, one after the other */
#define PAGES  XMHF_MODULE_SECTIONS /* of one PAL; its sections lie in between the others' */

static struct xmhf_module image[CPU_LIMIT];
static volatile unsigned ready, done;

static uint64_t hypercall_at(uint64_t rax, uint64_t rcx, uint64_t rdi)
{
    struct exec x = exec_for(3, 64);

    x.gpr[RAX] = rax;
    x.gpr[RCX] = rcx;
    x.gpr[RDI] = rdi;
    x.rflags |= RFLAGS_IF;
    EXEC(&x, 0x0f, 0x01, hypercall_byte());
    CHECK(x.vector == VECTOR_DONE, "a hypercall ended by vector %llu",
          (unsigned long long)x.vector);
    return x.gpr[RAX];
}

/* Number `n`: CODE, STACK, and as many sections of DATA as there may be. */
static uint64_t register_one(struct xmhf_module *d, unsigned n)
{
    *d = (struct xmhf_module){
        .size = sizeof(*d), .version = XMHF_MODULE_VERSION, .convention = XMHF_SYSV, .stacks = 1,
        .sections = PAGES, .entries = 1,
    };
    for (unsigned i = 0; i < PAGES; i++) {
        d->section[i] = (struct xmhf_module_section){
            i == 0 ? TV_SECTION_CODE : i == 1 ? TV_SECTION_STACK : TV_SECTION_DATA, 0, 1,
            BASE + (i * 32ull + n) * PAGE,
        };
    }
    d->entry[0].address = d->section[0].start;
    return hypercall_at(XMHF_HC_MODULE_REGISTER, (uintptr_t)d, d->entry[0].address);
}

static void contend(struct cpu *c)
{
    const unsigned n = MANY + c->index;
    struct xmhf_module *d = &image[c->index];

    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (ready < cpu_total()) {
        __asm__ volatile("pause");
    }
    for (unsigned i = 0; i < FEW; i++) {
        uint64_t error = register_one(d, n);
        CHECK(error == TV_OK, "CPU %u: error %llu", c->index, (unsigned long long)error);
        error = hypercall_at(XMHF_HC_MODULE_UNREGISTER, d->entry[0].address, 0);
        CHECK(error == TV_OK, "CPU %u: error %llu at the end", c->index, (unsigned long long)error);
    }
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    for (unsigned n = 0; n < MANY; n++) {
        CHECK(register_one(&image[0], n) == TV_OK, "PAL %u", n);
    }
    for (unsigned i = 1; i < cpu_total(); i++) {
        CHECK(ap_run(i, contend), "CPU %u didn't start", i);
    }
    contend(this_cpu());
    for (unsigned i = 0; i < 60000 && done < cpu_total(); i++) {
        delay_us(1000);
    }
    CHECK(done == cpu_total(), "only %u of %u CPUs are done", done, cpu_total());
    pass("%u CPUs registered %u PALs each beside %u of %u sections", cpu_total(), FEW, MANY, PAGES);
}
