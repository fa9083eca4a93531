/* SPDX-License-Identifier: MIT */
/* What a PAL asks the hypervisor, all of it through the gate (gate.S). */
#include "rt_internal.h"

#include <pal/rt.h>
#include <string.h>
#include <xmhf/hypercall.h>
#include <xmhf/image.h>
#include <xmhf/trustvisor.h>

struct cpuid { uint32_t a, b, c, d; };

static struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
}

/* Is it a CPU whose hypercall is VMMCALL? For the gate. */
uint8_t pal_rt_vmmcall;
/* Was the CPU asked yet? */
static uint8_t known;

/* CPUID is an exit, so once. Two stacks that ask at once find the same. */
static void know_cpu(void)
{
    if (!__atomic_load_n(&known, __ATOMIC_ACQUIRE)) {
        struct cpuid r = cpuid(0);
        bool amd = r.b == 0x68747541 && r.d == 0x69746e65 && r.c == 0x444d4163; /* AuthenticAMD */
        bool hygon = r.b == 0x6f677948 && r.d == 0x6e65476e && r.c == 0x656e6975; /* HygonGenuine */

        pal_rt_vmmcall = amd || hygon;
        __atomic_store_n(&known, 1, __ATOMIC_RELEASE);
    }
}

pal_word pal_rt_hypercall(uint32_t command, pal_word rcx, pal_word rdx, pal_word rsi,
                          pal_word rdi)
{
    pal_word rax = command;

    know_cpu();
    __asm__ volatile("call " RT_ASM_NAME(pal_rt_gate)
                     : "+a"(rax) : "c"(rcx), "d"(rdx), "S"(rsi), "D"(rdi) : "cc", "memory");
    return rax;
}

int pal_random(void *buf, size_t n)
{
    uint8_t *p = buf;

    for (size_t done = 0; done < n;) {
        size_t some = n - done < XMHF_RANDOM_MAX ? n - done : XMHF_RANDOM_MAX;
        pal_word error = pal_rt_hypercall(XMHF_HC_RANDOM, (pal_word)(p + done), some, 0, 0);

        if (error != TV_OK) {
            pal_wipe(buf, n);
            return (int)error;
        }
        done += some;
    }
    return 0;
}

pal_word pal_interruptions(void)
{
    return pal_rt_hypercall(XMHF_HC_PAL_INTERRUPTED, 0, 0, 0, 0);
}

bool pal_inside(void)
{
    struct cpuid r = cpuid(TV_CPUID_LEAF);

    return r.a == TV_CPUID_REPLY_EAX && r.b != TV_CPUID_NOT_IN_PAL;
}
