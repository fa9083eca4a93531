/* SPDX-License-Identifier: MIT */
/* Which machine checks in the core are survived: by what the banks and MCG_STATUS say. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/mc.h>
#include <cpu/vcpu.h>
#include <debug/log.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define BANKS 40u

static int set_up(void **state)
{
    (void)state;
    machine_reset(0);
    machine_set_msr(MSR_IA32_MCG_CAP, BANKS);
    machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_MCIP | MCG_STATUS_RIPV);
    for (uint32_t i = 0; i < BANKS; i++) {
        machine_set_msr(i < 32 ? MSR_IA32_MC0_CTL + 4 * i + 1 : MSR_AMD_SMCA_FIRST + 16 * i + 1, 0);
    }
    return 0;
}

static void by_bank(void **state)
{
    static const struct { uint64_t status, global; bool survived; } cases[] = {
        { 0, MCG_STATUS_RIPV, true },
        { 0, MCG_STATUS_RIPV | MCG_STATUS_EIPV, true },
        { MCI_STATUS_VAL | MCI_STATUS_UC, MCG_STATUS_RIPV, true },
        { MCI_STATUS_VAL | MCI_STATUS_UC, MCG_STATUS_RIPV | MCG_STATUS_EIPV, true },
        /* another CPU's */
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_AR, MCG_STATUS_RIPV, true },
        /* ours */
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_AR, MCG_STATUS_RIPV | MCG_STATUS_EIPV,
          false },
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_PCC, MCG_STATUS_RIPV, false },
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_OVER, MCG_STATUS_RIPV, false },
        /* corrected, or not valid */
        { MCI_STATUS_VAL | MCI_STATUS_OVER | MCI_STATUS_AR, MCG_STATUS_RIPV | MCG_STATUS_EIPV,
          true },
        { MCI_STATUS_UC | MCI_STATUS_PCC | MCI_STATUS_OVER, MCG_STATUS_RIPV, true },
        { 0, 0, false },
        { 0, MCG_STATUS_EIPV, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (uint32_t bank = 0; bank < BANKS; bank++) {
            set_up(NULL);
            machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_MCIP | cases[i].global);
            machine_set_msr(bank < 32 ? MSR_IA32_MC0_CTL + 4 * bank + 1
                                      : MSR_AMD_SMCA_FIRST + 16 * bank + 1, cases[i].status);
            assert_int_equal(mc_survivable(), cases[i].survived);
        }
    }
}

/* Bit 55 on AMD: the interrupted context is damaged, whoever met the error. */
static void damaged_context_on_amd(void **state)
{
    const uint64_t bad = MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_TCC;

    for (unsigned eipv = 0; eipv < 2; eipv++) {
        for (unsigned amd = 0; amd < 2; amd++) {
            set_up(state);
            machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = CPUID_EXT_AMD });
            machine_set_cpuid(CPUID_EXT_AMD, 0,
                              (struct cpuid_regs){ .ecx = amd ? CPUID_8_1_ECX_SVM : 0 });
            machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_RIPV | (eipv ? MCG_STATUS_EIPV : 0));
            machine_set_msr(MSR_AMD_SMCA_FIRST + 16 * 33 + 1, bad);
            assert_int_equal(mc_survivable(), !amd && !eipv);
            machine_set_msr(MSR_AMD_SMCA_FIRST + 16 * 33 + 1, bad & ~MCI_STATUS_UC);
            assert_true(mc_survivable());
        }
    }
}

static jmp_buf panicked;
void panic(const char *fmt, ...) { (void)fmt; longjmp(panicked, 1); }

static void the_judge_of_the_core(void **state)
{
    struct vcpu v = { 0 };

    mc_met_core(&v);
    assert_int_equal(atomic_load(&v.requests), REQ_MC);
    set_up(state);
    machine_set_msr(MSR_IA32_MC0_CTL + 1, MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_PCC);
    atomic_store(&v.requests, 0);
    if (setjmp(panicked) == 0) {
        mc_met_core(&v);
        fail_msg("damaged state went unnoticed");
    }
    assert_int_equal(atomic_load(&v.requests), 0);
}

/* What can't be read isn't survived. */
static void without_registers(void **state)
{
    machine_reset(0);
    assert_false(mc_survivable());
    machine_set_msr(MSR_IA32_MCG_STATUS, MCG_STATUS_RIPV);
    assert_false(mc_survivable());
    machine_set_msr(MSR_IA32_MCG_CAP, 1);
    assert_false(mc_survivable());
    machine_set_msr(MSR_IA32_MC0_CTL + 1, 0);
    assert_true(mc_survivable());
    set_up(state);
    machine_set_msr(MSR_IA32_MC0_CTL + 4 * 9 + 1, MCI_STATUS_VAL | MCI_STATUS_UC);
    machine_set_msr(MSR_IA32_MC0_CTL + 4 * 7 + 1, MCI_STATUS_VAL);
    mc_forget();
    assert_true(*machine_msr(MSR_IA32_MC0_CTL + 4 * 9 + 1) == 0);
    assert_true(*machine_msr(MSR_IA32_MC0_CTL + 4 * 7 + 1) == MCI_STATUS_VAL);
    assert_int_equal(*machine_msr(MSR_IA32_MCG_STATUS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(by_bank, set_up),
        cmocka_unit_test_setup(damaged_context_on_amd, set_up),
        cmocka_unit_test_setup(the_judge_of_the_core, set_up),
        cmocka_unit_test_setup(without_registers, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
