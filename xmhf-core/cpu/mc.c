/* SPDX-License-Identifier: MIT */
/* Machine checks that reach a CPU while the core runs on it (SDM vol. 3, 16; APM vol. 2, 9). */
#include <cpu/mc.h>
#include <cpu/vcpu.h>
#include <debug/log.h>
#include <hw/insn.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define LEGACY_BANKS 32

static uint32_t bank_status(unsigned bank)
{
    return bank < LEGACY_BANKS ? MSR_IA32_MC0_CTL + 4 * bank + 1
                               : MSR_AMD_SMCA_FIRST + 16 * bank + 1;
}

/* Intel's bit 55 is "action required" (SDM vol. 3, 16.6.2): where errors are told to all CPUs, it
 * was met by those with EIPV set. AMD's is "task context corrupt" (APM vol. 2, 9.3.2.1): whoever
 * met it, its RIP alone is good. */
static bool bank_survivable(uint64_t status, uint64_t global, bool amd)
{
    if (!(status & MCI_STATUS_VAL) || !(status & MCI_STATUS_UC)) {
        return true;
    }
    return !(status & (MCI_STATUS_PCC | MCI_STATUS_OVER))
        && !(amd ? status & MCI_STATUS_TCC
                 : (status & MCI_STATUS_AR) && (global & MCG_STATUS_EIPV));
}

bool mc_survivable(void)
{
    const bool amd = hw_cpuid(CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_SVM;
    uint64_t cap, global, status;

    if (!hw_rdmsr_safe(MSR_IA32_MCG_CAP, &cap) || !hw_rdmsr_safe(MSR_IA32_MCG_STATUS, &global)
        || !(global & MCG_STATUS_RIPV)) {
        return false;
    }
    for (unsigned bank = 0; bank < (cap & MCG_CAP_COUNT); bank++) {
        if (!hw_rdmsr_safe(bank_status(bank), &status) || !bank_survivable(status, global, amd)) {
            return false;
        }
    }
    return true;
}

void mc_met_core(struct vcpu *v)
{
    if (!mc_survivable()) {
        panic("machine check in the core");
    }
    atomic_fetch_or(&v->requests, REQ_MC);
}

void mc_forget(void)
{
    uint64_t cap = 0, status;

    (void)hw_rdmsr_safe(MSR_IA32_MCG_CAP, &cap);
    for (unsigned bank = 0; bank < (cap & MCG_CAP_COUNT); bank++) {
        if (hw_rdmsr_safe(bank_status(bank), &status) && (status & MCI_STATUS_VAL)
            && (status & MCI_STATUS_UC)) {
            (void)hw_wrmsr_safe(bank_status(bank), 0);
        }
    }
    (void)hw_wrmsr_safe(MSR_IA32_MCG_STATUS, 0);
}
