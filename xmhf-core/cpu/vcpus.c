/* SPDX-License-Identifier: MIT */
/* All vCPUs, and the one we run on. */
#include <cpu/vcpus.h>
#include <hw/cpu.h>

struct vcpu *vcpus[CPU_MAX];
unsigned vcpu_count;

struct vcpu *this_vcpu(void)
{
    return hw_gs_self();
}
