/* SPDX-License-Identifier: MIT */
/* Shadows, the single-step trap after an emulated instruction, and when an NMI may be injected. */
#include "unit.h"

#include "fake/machine.h"
#include <smp/stop.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

/* fields of the VMCS; all others are 0 */
static uint64_t blocked, pending, debugctl, qualification;
static struct vmx_cpu cpu;
static struct vcpu v;

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }

static uint64_t *field_at(uint64_t field)
{
    static uint64_t zero;

    zero = 0;
    return field == VMCS_GUEST_INTERRUPTIBILITY ? &blocked
        : field == VMCS_GUEST_PENDING_DEBUG ? &pending
        : field == VMCS_GUEST_DEBUGCTL ? &debugctl
        : field == VMCS_EXIT_QUALIFICATION ? &qualification : &zero;
}

bool hw_vmread(uint64_t field, uint64_t *value)
{
    *value = *field_at(field);
    return true;
}

bool hw_vmwrite(uint64_t field, uint64_t value)
{
    *field_at(field) = value;
    return true;
}

static void guest_with(uint64_t rflags, uint64_t interruptibility, uint64_t pending_debug)
{
    memset(&cpu, 0, sizeof(cpu));
    v = (struct vcpu){ .vendor = &cpu, .regs = { .rflags = RFLAGS_ONE | rflags } };
    blocked = interruptibility;
    pending = pending_debug;
    debugctl = 0;
}

static void shadows_end(void **state)
{
    (void)state;
    guest_with(RFLAGS_IF, BLOCKED_BY_STI | BLOCKED_BY_NMI, 0);
    vmx_clear_shadow(&v);
    assert_int_equal(blocked, BLOCKED_BY_NMI);
    assert_int_equal(pending, 0);
    guest_with(0, BLOCKED_BY_MOV_SS, 1); /* a data breakpoint that MOV SS holds back */
    vmx_clear_shadow(&v);
    assert_int_equal(blocked, 0);
    assert_int_equal(pending, 1);
}

/* An instruction that runs again: no step is due, but interrupts come first. */
static void a_shadow_ends_without_a_step(void **state)
{
    (void)state;
    guest_with(RFLAGS_TF | RFLAGS_IF, BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI, 0);
    vmx_end_shadow(&v);
    assert_int_equal(blocked, BLOCKED_BY_NMI);
    assert_int_equal(pending, 0);
}

static void a_single_step_is_due(void **state)
{
    (void)state;
    guest_with(RFLAGS_TF, 0, 0);
    vmx_clear_shadow(&v);
    assert_int_equal(pending, PENDING_DEBUG_BS);
    guest_with(RFLAGS_TF, BLOCKED_BY_MOV_SS, 1 | PENDING_DEBUG_BS);
    vmx_clear_shadow(&v);
    assert_int_equal(pending, 1 | PENDING_DEBUG_BS);
    assert_int_equal(blocked, 0);
}

/* With BTF only branches are stepped, and nothing that exits is one (SDM vol. 3, 18.4.3). */
static void stepping_on_branches_is_not_stepping(void **state)
{
    (void)state;
    guest_with(RFLAGS_TF, 0, 0);
    debugctl = DEBUGCTL_BTF;
    vmx_clear_shadow(&v);
    assert_int_equal(pending, 0);
}

/* An entry that injects an NMI drops what is pending (SDM vol. 3, 27.7.3). */
static void a_due_trap_goes_before_an_nmi(void **state)
{
    (void)state;
    guest_with(0, 0, 0);
    assert_true(vmx_nmi_ready(&v));
    guest_with(RFLAGS_TF, 0, 0);
    vmx_clear_shadow(&v);
    assert_false(vmx_nmi_ready(&v));
    guest_with(0, BLOCKED_BY_NMI, 0);
    assert_false(vmx_nmi_ready(&v));
}

/* Whatever is delivered ends the shadow, and TF demands no pending step then (27.3.1.5). */
static void a_delivery_ends_shadows(void **state)
{
    static const uint32_t shadows[] = { BLOCKED_BY_STI, BLOCKED_BY_MOV_SS };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        guest_with(RFLAGS_TF | RFLAGS_IF, shadows[i] | BLOCKED_BY_NMI, 0);
        qualification = DR6_BS;
        vmx_pass_exception(&v, EXC_DB | INTR_TYPE_HARDWARE << INTR_INFO_TYPE_SHIFT);
        assert_true(vmx_event_queued(&v));
        vmx_load_event(&v);
        assert_int_equal(blocked, BLOCKED_BY_NMI);
        assert_int_equal(pending, 0);
    }
}

/* RFLAGS.RF in the frame: set for faults, else as it was (SDM vol. 3, 18.3.1.1). */
static void a_fault_sets_rf(void **state)
{
    /* #DE, #BR, #UD, #NM, 9, #TS, #NP, #SS, #GP, #PF and all from 15 on but #MC */
    const uint32_t faults = 0xfffbfee1u;

    (void)state;
    for (unsigned type = 0; type < 8; type++) {
        for (unsigned vector = 0; vector < 256; vector++) {
            const struct event ev = { .vector = (uint8_t)vector, .type = (uint8_t)type };
            bool fault = type == INTR_TYPE_HARDWARE && vector < 32 && (faults >> vector & 1);

            for (uint64_t rf = 0; rf <= RFLAGS_RF; rf += RFLAGS_RF) {
                guest_with(RFLAGS_IF | rf, 0, 0);
                assert_true(vmx_inject(&v, &ev));
                vmx_load_event(&v);
                assert_int_equal(v.regs.rflags & RFLAGS_RF, fault ? RFLAGS_RF : rf);
            }
        }
    }
}

static void dr6_tells_why(void **state)
{
    static const struct { uint64_t before, qualification, after; } cases[] = {
        { DR6_AT_INIT, 0, DR6_AT_INIT },
        { DR6_AT_INIT, DR6_BS, DR6_AT_INIT | DR6_BS },
        { DR6_AT_INIT | 5, 2, DR6_AT_INIT | 2 },
        { DR6_AT_INIT, DR6_BLD, DR6_AT_INIT & ~DR6_BLD },
        { DR6_AT_INIT & ~DR6_BLD, 1, (DR6_AT_INIT & ~DR6_BLD) | 1 }, /* the OS sets that again */
        { DR6_AT_INIT, DR6_RTM | 1, (DR6_AT_INIT & ~DR6_RTM) | 1 },
        { DR6_AT_INIT & ~DR6_RTM, 1, DR6_AT_INIT | 1 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        guest_with(0, 0, 0);
        machine.dr6 = cases[i].before;
        qualification = cases[i].qualification;
        vmx_pass_exception(&v, EXC_DB | INTR_TYPE_HARDWARE << INTR_INFO_TYPE_SHIFT);
        assert_int_equal(machine.dr6, cases[i].after);
    }
}

/* In a shadow of STI an NMI window may be open, and exit for ever. */
static void which_window(void **state)
{
    (void)state;
    guest_with(RFLAGS_IF, BLOCKED_BY_STI, 0);
    assert_false(vmx_nmi_ready(&v));
    vmx_want_nmi_window(&v);
    assert_int_equal(cpu.window, 1u << PROC_INTR_WINDOW);
    assert_true(cpu.window_changed && cpu.any_flag);
    guest_with(0, BLOCKED_BY_NMI, 0);
    vmx_want_nmi_window(&v);
    assert_int_equal(cpu.window, 1u << PROC_NMI_WINDOW);
    guest_with(0, BLOCKED_BY_STI, 0); /* those are the sandbox's then */
    v.in_sandbox = true;
    vmx_want_nmi_window(&v);
    assert_int_equal(cpu.window, 1u << PROC_NMI_WINDOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shadows_end),
        cmocka_unit_test(a_shadow_ends_without_a_step),
        cmocka_unit_test(a_single_step_is_due),
        cmocka_unit_test(stepping_on_branches_is_not_stepping),
        cmocka_unit_test(a_due_trap_goes_before_an_nmi),
        cmocka_unit_test(a_delivery_ends_shadows),
        cmocka_unit_test(a_fault_sets_rf),
        cmocka_unit_test(dr6_tells_why),
        cmocka_unit_test(which_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
