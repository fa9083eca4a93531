/* SPDX-License-Identifier: MIT */
/* Probing SVM: CPUID 8000_000A; VM_CR (APM vol. 2, 15.4, 15.30.1). */
#include <hw/insn.h>
#include <virt/svm/caps.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

const char *svm_missing(void)
{
    uint64_t vm_cr;

    if (hw_cpuid(CPUID_EXTENDED, 0).eax < CPUID_SVM
        || !(hw_cpuid(CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_SVM)) {
        return "SVM (CPUID 8000_0001:ECX[2])";
    }
    /* An emulator may have SVM and no VM_CR: then there is nothing to switch it off with. */
    if (hw_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS)) {
        return "SVM: switched off by the firmware (VM_CR.SVMDIS); enable it in the setup";
    }
    struct cpuid_regs r = hw_cpuid(CPUID_SVM, 0);
    if (!(r.edx & CPUID_8_A_EDX_NP)) {
        return "nested paging (CPUID 8000_000A:EDX[0])";
    }
    if (r.ebx < SVM_ASIDS_MIN) {
        return "at least 3 ASIDs (CPUID 8000_000A:EBX)";
    }
    return NULL;
}
