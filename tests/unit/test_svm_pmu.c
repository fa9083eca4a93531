/* SPDX-License-Identifier: MIT */
/* The OS's performance counters stand still while a sandbox runs, and go on as they were. */
#include "unit.h"
#include "fake/machine.h"
#include <virt/svm/pmu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

static void start_machine(bool extended)
{
    machine_reset(0);
    machine_set_cpuid(CPUID_EXTENDED, 0, (struct cpuid_regs){ .eax = 0x80000008 });
    machine_set_cpuid(CPUID_EXT_AMD, 0,
                      (struct cpuid_regs){ .ecx = extended ? CPUID_8_1_ECX_PERFCTR_EXT : 0 });
    for (unsigned i = 0; i < 4; i++) {
        machine_set_msr(MSR_AMD_PERF_CTL0 + i, 0x76);
    }
    for (unsigned i = 0; extended && i < 12; i++) {
        machine_set_msr(MSR_AMD_PERF_CTL0_EXT + i, 0x76);
    }
}

static void check(bool extended, uint32_t first, uint32_t second)
{
    struct svm_pmu p = { 0 };

    start_machine(extended);
    machine_set_msr(first, 0x530076 | PERF_CTL_EN);
    machine_set_msr(second, 0x5300c0 | PERF_CTL_EN);
    svm_pmu_pause(&p);
    assert_int_equal(p.count, 2);
    assert_int_equal(*machine_msr(first) & PERF_CTL_EN, 0);
    assert_int_equal(*machine_msr(second) & PERF_CTL_EN, 0);
    svm_pmu_resume(&p);
    assert_int_equal(*machine_msr(first), 0x530076 | PERF_CTL_EN);
    assert_int_equal(*machine_msr(second), 0x5300c0 | PERF_CTL_EN);
    assert_int_equal(p.count, 0);
}

static void the_old_counters_stop(void **state)
{
    (void)state;
    check(false, MSR_AMD_PERF_CTL0, MSR_AMD_PERF_CTL3);
}

static void the_extended_counters_stop(void **state)
{
    (void)state;
    check(true, MSR_AMD_PERF_CTL0_EXT, MSR_AMD_PERF_CTL0_EXT + 10);
}

static void disabled_ones_are_not_touched(void **state)
{
    struct svm_pmu p = { 0 };

    (void)state;
    start_machine(true);
    svm_pmu_pause(&p);
    assert_int_equal(p.count, 0);
    svm_pmu_resume(&p);
    assert_int_equal(*machine_msr(MSR_AMD_PERF_CTL0_EXT), 0x76);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_counters_stop),
        cmocka_unit_test(the_extended_counters_stop),
        cmocka_unit_test(disabled_ones_are_not_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
