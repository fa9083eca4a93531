/* SPDX-License-Identifier: MIT */
/* Shadows, the single-step trap after an emulated instruction, and when an NMI may be injected. */
#include "unit.h"

#include "fake/machine.h"
#include <irq/stop.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>

static uint64_t blocked, pending, debugctl; /* fields of the VMCS; all others are 0 */
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
        : field == VMCS_GUEST_DEBUGCTL ? &debugctl : &zero;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shadows_end),
        cmocka_unit_test(a_single_step_is_due),
        cmocka_unit_test(stepping_on_branches_is_not_stepping),
        cmocka_unit_test(a_due_trap_goes_before_an_nmi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
