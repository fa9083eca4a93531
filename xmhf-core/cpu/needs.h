/* SPDX-License-Identifier: MIT */
/* Does a CPU have what boot stage and core use without asking? Pure. */
#ifndef XMHF_CPU_NEEDS_CHECK_H
#define XMHF_CPU_NEEDS_CHECK_H

#include <x86/cpuid.h>
#include <xmhf/types.h>

/* The name of the first thing of include/xmhf/cpu_needs.h that `cpuid` says is missing, or NULL.
 * It is asked for leaf 0, 8000_0000, and of these rows no leaf that they say isn't there. */
const char *cpu_lacks(struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t sub));

#endif
