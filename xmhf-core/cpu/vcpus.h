/* SPDX-License-Identifier: MIT */
/* All vCPUs, and the one we run on. */
#ifndef XMHF_CPU_VCPUS_H
#define XMHF_CPU_VCPUS_H

#include <cpu/vcpu.h>

/* The vCPU of the CPU we run on (GS base). */
struct vcpu *this_vcpu(void);

/* All vCPUs, and how many there are. Set up by smp_init. */
extern struct vcpu *vcpus[CPU_MAX];
extern unsigned vcpu_count;

#endif
