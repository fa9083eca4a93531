/* SPDX-License-Identifier: MIT */
/* Does a CPU have what boot stage and core use without asking? Pure. */
#ifndef XMHF_CPU_NEEDS_CHECK_H
#define XMHF_CPU_NEEDS_CHECK_H

#include <x86/cpuid.h>
#include <xmhf/types.h>

/* The name of the first thing of include/xmhf/cpu_needs.h that `cpuid` says is missing, or NULL.
 * `cpuid` is asked for leaves 0 and 8000_0000, and then for those leaves of the list that these
 * two say exist. */
const char *cpu_lacks(struct cpuid_regs (*cpuid)(uint32_t leaf, uint32_t sub));

#endif
