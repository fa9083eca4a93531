/* SPDX-License-Identifier: MIT */
/* Which machine checks in the core are survived: by what the banks and MCG_STATUS say. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/mc.h>
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
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_AR, MCG_STATUS_RIPV | MCG_STATUS_EIPV, false },
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_PCC, MCG_STATUS_RIPV, false },
        { MCI_STATUS_VAL | MCI_STATUS_UC | MCI_STATUS_OVER, MCG_STATUS_RIPV, false },
        /* corrected, or not valid */
        { MCI_STATUS_VAL | MCI_STATUS_OVER | MCI_STATUS_AR, MCG_STATUS_RIPV | MCG_STATUS_EIPV, true },
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
        cmocka_unit_test_setup(without_registers, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
