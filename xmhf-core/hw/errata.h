/* SPDX-License-Identifier: MIT */
/* Faults of CPUs that boot stage and core both plan for. */
#ifndef XMHF_HW_ERRATA_H
#define XMHF_HW_ERRATA_H

#include <hw/insn.h>
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <x86/vmx.h>

/*
 * CVE-2018-12207, on CPUs with VMX: a guest that changes a page's size under an instruction fetch
 * stops the machine with a machine check, unless large EPT pages aren't executable. CPUs that say
 * so in IA32_ARCH_CAPABILITIES don't have the fault; the others are taken to have it. `read`:
 * RDMSR, asked only where CPUID shows that register.
 */
static inline bool hw_page_size_fault(bool (*read)(uint32_t msr, uint64_t *value))
{
    uint64_t arch = 0;

    if (hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_7_0_EDX_ARCH_CAP)
        && !read(MSR_IA32_ARCH_CAPABILITIES, &arch)) {
        return true;
    }
    return !(arch & ARCH_CAP_PSCHANGE_MC_NO);
}

#endif
