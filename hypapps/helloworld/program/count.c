/* SPDX-License-Identifier: MIT */
/* A program for the guest: ask helloworld for its count, before and after one CPUID. */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <xmhf/hypercall.h>

/* VMMCALL on AMD, VMCALL on Intel: EAX is the command in, RAX the result. Without the hypervisor,
 * or with another hypapp, it's an invalid instruction. */
static uint64_t cpuids_so_far(void)
{
    uint64_t rax = XMHF_HC_HELLO;

    if (__builtin_cpu_is("amd")) {
        __asm__ volatile("vmmcall" : "+a"(rax) : : "memory");
    } else {
        __asm__ volatile("vmcall" : "+a"(rax) : : "memory");
    }
    return rax;
}

int main(void)
{
    uint32_t a, b, c, d;
    uint64_t before = cpuids_so_far();

    __cpuid(0, a, b, c, d);
    (void)a, (void)b, (void)c, (void)d;
    uint64_t after = cpuids_so_far();

    printf("helloworld has counted %llu CPUIDs, and %llu a moment later\n",
           (unsigned long long)before, (unsigned long long)after);
    return after > before ? 0 : 1;
}
