/* SPDX-License-Identifier: MIT */
/*
 * Performance counters that the OS has set up must not count a sandbox (APM vol. 2, 13.2):
 * their enable bits are cleared while it runs. Costs nothing until the guest enables one.
 */
#include <hw/insn.h>
#include <virt/svm/pmu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

/* Control register `i`: the extended set where the CPU has it, which includes the old one. */
static uint32_t control(bool extended, unsigned i)
{
    return extended ? MSR_AMD_PERF_CTL0_EXT + 2 * i : MSR_AMD_PERF_CTL0 + i;
}

void svm_pmu_pause(struct svm_pmu *p)
{
    p->extended = hw_cpuid(CPUID_EXT_AMD, 0).ecx & CPUID_8_1_ECX_PERFCTR_EXT;
    p->count = 0;
    for (unsigned i = 0; i < (p->extended ? SVM_PMU_MAX : SVM_PMU_OLD); i++) {
        uint64_t value;
        p->saved[i] = 0;
        if (hw_rdmsr_safe(control(p->extended, i), &value) && (value & PERF_CTL_EN)) {
            p->saved[i] = value;
            p->count++;
            (void)hw_wrmsr_safe(control(p->extended, i), value & ~PERF_CTL_EN);
        }
    }
}

void svm_pmu_resume(struct svm_pmu *p)
{
    for (unsigned i = 0; p->count > 0 && i < SVM_PMU_MAX; i++) {
        if (p->saved[i]) {
            (void)hw_wrmsr_safe(control(p->extended, i), p->saved[i]);
            p->saved[i] = 0;
            p->count--;
        }
    }
}
