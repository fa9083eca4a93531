/* SPDX-License-Identifier: MIT */
/* Events on AMD: which interrupted deliveries are made again; when an NMI may be injected, and
 * that the core's own single step leaves no trace. */
#include "unit.h"

#include "fake/machine.h"
#include <guest/phys.h>
#include <smp/stop.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/msr.h>

static const struct event nmi = { .vector = EXC_NMI, .type = EVENT_NMI };
static const struct event interrupt = { .vector = 0x30, .type = EVENT_INTR };
static struct svm_cpu cpu;
static struct vmcb os;
static struct vcpu v;
static unsigned kicks;

struct svm_features svm_features;
struct guest_phys_ops guest_phys_ops;
static uint8_t tss[256]; /* mapped at TSS */
static bool tss_absent;
#define TSS 0x5000u

static void *map_tss(gpa_t at, size_t len)
{
    assert_true(at.a >= TSS && at.a + len <= TSS + sizeof(tss));
    return tss + (at.a - TSS);
}

void svm_get_paging(struct vcpu *c, struct guest_paging *p)
{
    (void)c;
    *p = (struct guest_paging){ .cr0 = CR0_PE, .cpl = 3 };
}

enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    assert_ptr_equal(phys, &guest_phys_ops);
    assert_int_equal(p->cpl, 0);
    assert_int_equal(access, ACCESS_WRITE | ACCESS_NO_AD);
    out->gpa = gpa(va.a);
    return tss_absent ? WALK_FAULT : WALK_OK;
}

void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
void kick(struct vcpu *t) { assert_ptr_equal(t, &v); kicks++; }

/* #DE, #BR, #UD, #NM, 9, #TS, #NP, #SS, #GP, #PF and all from 15 on but #MC. */
#define EXCEPTION_FAULTS 0xfffbfee1u

static void guest_with(uint64_t rflags, uint64_t cr0, uint64_t shadow)
{
    guest_phys_ops.map = map_tss;
    memset(&os, 0, sizeof(os));
    os.tr.base = TSS;
    os.cr0 = cr0;
    os.interrupt_shadow = shadow;
    cpu = (struct svm_cpu){ .os = &os };
    v = (struct vcpu){ .vendor = &cpu, .regs = { .rflags = RFLAGS_ONE | rflags } };
    kicks = 0;
}

static bool stepping(void) { return v.regs.rflags & RFLAGS_TF; }

static void a_shadow_blocks_where_the_stack_may_be_half_loaded(void **state)
{
    (void)state;
    guest_with(RFLAGS_IF, CR0_PE, 1);
    assert_true(svm_nmi_ready(&v));
    guest_with(RFLAGS_IF, 0, 1);
    assert_false(svm_nmi_ready(&v));
    guest_with(0, CR0_PE, 1);
    assert_false(svm_nmi_ready(&v));
    guest_with(0, CR0_PE, 0);
    assert_true(svm_nmi_ready(&v));
}

/* TF in the guest's RFLAGS at a delivery would be saved in the guest's frame, and come back. */
static void an_event_is_delivered_without_our_tf(void **state)
{
    (void)state;
    guest_with(RFLAGS_IF, CR0_PE, 0);
    assert_true(svm_inject(&v, &interrupt));
    assert_false(svm_nmi_ready(&v));
    svm_want_nmi_window(&v);
    assert_false(stepping());
    assert_int_equal(kicks, 1);
    assert_true(atomic_load(&v.requests) & REQ_NMI);
    svm_load_event(&v);
    assert_int_equal(os.event_inj & 0xff, 0x30);
    assert_true(svm_nmi_ready(&v));
}

static void a_step_over_a_shadow_ends_with_the_guests_own_tf(void **state)
{
    (void)state;
    for (uint64_t tf = 0; tf <= RFLAGS_TF; tf += RFLAGS_TF) {
        guest_with(tf, CR0_PE, 1);
        svm_want_nmi_window(&v);
        assert_true(stepping());
        assert_true(svm_nmi_step_done(&v));
        assert_int_equal(v.regs.rflags & RFLAGS_TF, tf);
        assert_false(svm_nmi_step_done(&v)); /* the next #DB is the guest's */
        guest_with(tf, CR0_PE, 1);
        svm_want_nmi_window(&v);
        svm_nmi_step_aborted(&v);
        assert_int_equal(v.regs.rflags & RFLAGS_TF, tf);
        assert_true(atomic_load(&v.requests) & REQ_NMI); /* to be tried anew */
        assert_false(svm_nmi_step_done(&v));
    }
}

static void blocked_until_the_iret_has_run(void **state)
{
    (void)state;
    guest_with(0, CR0_PE, 1);
    assert_true(svm_inject(&v, &nmi));
    svm_load_event(&v);
    assert_int_equal(os.interrupt_shadow, 0);
    assert_false(svm_nmi_ready(&v));
    assert_true(os.intercept1 & SVM_I1_IRET);
    svm_nmi_iret(&v);
    assert_false(os.intercept1 & SVM_I1_IRET);
    assert_true(stepping());
    svm_nmi_step_aborted(&v); /* an NPT violation, say: the IRET has not run */
    assert_false(stepping());
    assert_false(svm_nmi_ready(&v));
    assert_true(os.intercept1 & SVM_I1_IRET);
    svm_nmi_iret(&v);
    v.regs.rflags = RFLAGS_ONE | RFLAGS_TF; /* as IRET loads them */
    assert_true(svm_nmi_step_done(&v));
    assert_true(stepping()); /* the guest's own */
    assert_true(svm_nmi_ready(&v));
}

/* An instruction carried out by software: single-stepped it traps, stepped by branches it
 * doesn't. */
static void a_step_is_due_but_not_with_btf(void **state)
{
    (void)state;
    machine_reset(0);
    guest_with(RFLAGS_TF, CR0_PE, 1);
    svm_clear_shadow(&v); /* a CPU without DEBUGCTL */
    assert_true(svm_event_queued(&v) && os.interrupt_shadow == 0);
    machine_set_msr(MSR_IA32_DEBUGCTL, 1);
    guest_with(RFLAGS_TF, CR0_PE, 0);
    svm_clear_shadow(&v);
    assert_true(svm_event_queued(&v) && (os.dr6 & DR6_BS));
    *machine_msr(MSR_IA32_DEBUGCTL) = DEBUGCTL_BTF;
    guest_with(RFLAGS_TF, CR0_PE, 1);
    svm_clear_shadow(&v);
    assert_false(svm_event_queued(&v));
    assert_int_equal(os.dr6 & DR6_BS, 0);
    assert_int_equal(os.interrupt_shadow, 0);
    guest_with(0, CR0_PE, 0);
    svm_clear_shadow(&v);
    assert_false(svm_event_queued(&v));
}

/* An instruction that runs again: no step is due, but interrupts come first. */
static void a_shadow_ends_without_a_step(void **state)
{
    (void)state;
    guest_with(RFLAGS_TF | RFLAGS_IF, CR0_PE, 1);
    svm_end_shadow(&v);
    assert_int_equal(os.interrupt_shadow, 0);
    assert_false(svm_event_queued(&v));
}

/* The handler of an NMI that came through a task gate: its IRET switches tasks, and the CPU saves
 * our TF in the TSS that it leaves, of 32 or 16 bits. The guest's own stays there. */
static void a_task_switch_leaves_no_tf(void **state)
{
    static const struct {
        uint16_t attr;
        unsigned at;
    } kinds[] = { { 0x8b, 0x25 }, { 0x83, 0x11 } };

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(kinds) * 3; i++) {
        uint64_t tf = i & 1 ? RFLAGS_TF : 0;
        unsigned at = kinds[i / 2 % 2].at, how = i / 4;

        guest_with(tf, CR0_PE, 0);
        os.tr = (struct vmcb_segment){ .selector = 0x28, .attrib = kinds[i / 2 % 2].attr,
                                       .base = TSS };
        os.intercept_exceptions = 1u << EXC_DB;
        cpu.nmi = how == 2 ? NMI_OPEN : NMI_IN_HANDLER;
        memset(tss, 0xff, sizeof(tss));
        how == 2 ? svm_want_nmi_window(&v) : svm_nmi_iret(&v);
        assert_true(os.intercept_exceptions >> EXC_GP & os.intercept_exceptions >> EXC_PF & 1);
        os.tr.base = 0x9000; /* the CPU has switched */
        v.regs.rflags = RFLAGS_ONE; /* the new task's */
        if (how == 1) {
            svm_nmi_step_aborted(&v); /* by an exit behind the switch: the IRET is done */
            assert_true(atomic_load(&v.requests) & REQ_NMI);
        } else {
            assert_true(svm_nmi_step_done(&v));
        }
        assert_true(svm_nmi_ready(&v));
        assert_int_equal(v.regs.rflags, RFLAGS_ONE);
        assert_int_equal(os.intercept_exceptions, 1u << EXC_DB);
        for (unsigned b = 0; b < sizeof(tss); b++) {
            assert_int_equal(tss[b], b == at && !tf ? 0xfe : 0xff);
        }
    }
}

/* Without a switch, in long mode, or with a TSS that isn't there, memory stays as it is. */
static void else_no_tss_is_touched(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        guest_with(0, CR0_PE, 0);
        os.tr.base = TSS;
        os.efer = how == 1 ? EFER_LMA : 0;
        tss_absent = how == 2;
        cpu.nmi = NMI_IN_HANDLER;
        memset(tss, 0xff, sizeof(tss));
        svm_nmi_iret(&v);
        os.tr.base = how == 0 ? TSS : 0x9000;
        assert_true(svm_nmi_step_done(&v));
        for (unsigned b = 0; b < sizeof(tss); b++) {
            assert_int_equal(tss[b], 0xff);
        }
    }
    tss_absent = false;
}

/* vNMI (APM vol. 2, 15.21.10): no step, no intercept of IRET; the CPU keeps one NMI and blocks. */
static void vnmi_needs_no_step(void **state)
{
    (void)state;
    svm_features.edx = CPUID_8_A_EDX_VNMI;
    guest_with(0, CR0_PE, SVM_SHADOW);
    os.v_intr = SVM_V_NMI_ENABLE | SVM_V_NMI_MASK;
    assert_true(svm_inject(&v, &interrupt));
    assert_true(svm_nmi_ready(&v));
    assert_true(svm_inject(&v, &nmi));
    assert_int_equal(os.v_intr, SVM_V_NMI_ENABLE | SVM_V_NMI_MASK | SVM_V_NMI);
    svm_load_event(&v);
    assert_int_equal(os.event_inj & 0xff, 0x30);
    assert_false(stepping());
    /* its delivery was interrupted */
    os.exit_int_info = SVM_EVENT_VALID | EVENT_NMI << 8 | EXC_NMI;
    svm_save_event(&v);
    assert_int_equal(os.v_intr, SVM_V_NMI_ENABLE | SVM_V_NMI);
    svm_load_event(&v);
    assert_int_equal(os.event_inj & 0xff, EXC_NMI);
    assert_int_equal(os.intercept1, 0);
    assert_int_equal(cpu.nmi, NMI_OPEN);
    svm_features.edx = 0;
}

static void an_interrupted_delivery_unblocks(void **state)
{
    (void)state;
    guest_with(0, CR0_PE, 0);
    assert_true(svm_inject(&v, &nmi));
    svm_load_event(&v);
    os.exit_int_info = os.event_inj;
    svm_save_event(&v);
    assert_true(svm_event_queued(&v));
    svm_load_event(&v);
    assert_int_equal(os.event_inj & 0xff, EXC_NMI);
    assert_false(svm_nmi_ready(&v));
}

/* An exit while this was being delivered; then the next entry. What that injects, 0: nothing. */
static uint64_t interrupted(uint64_t info)
{
    guest_with(RFLAGS_IF, CR0_PE, 0);
    os.exit_int_info = info;
    svm_save_event(&v);
    if (!svm_event_queued(&v)) {
        return 0;
    }
    svm_load_event(&v);
    assert_false(svm_event_queued(&v)); /* once */
    return os.event_inj;
}

static uint64_t event_of(enum event_type type, unsigned vector)
{
    return SVM_EVENT_VALID | (uint64_t)type << 8 | vector;
}

static void an_interrupted_delivery_is_made_again(void **state)
{
    const uint64_t again[] = {
        event_of(EVENT_INTR, 0x20), event_of(EVENT_INTR, 0xff), event_of(EVENT_NMI, EXC_NMI),
        event_of(EVENT_EXCEPTION, EXC_DB), event_of(EVENT_EXCEPTION, EXC_DE),
            event_of(EVENT_EXCEPTION, EXC_UD),
        event_of(EVENT_EXCEPTION, EXC_AC) | SVM_EVENT_HAS_ERROR,
        event_of(EVENT_EXCEPTION, EXC_DF) | SVM_EVENT_HAS_ERROR,
        event_of(EVENT_EXCEPTION, EXC_PF) | SVM_EVENT_HAS_ERROR | 0xdULL << 32,
        event_of(EVENT_EXCEPTION, EXC_GP) | SVM_EVENT_HAS_ERROR | 0xfff8ULL << 32,
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(again); i++) {
        assert_int_equal(interrupted(again[i]), again[i]);
    }
}

/* The CPU pushes an error code wherever it is told to, and no handler in real mode expects one. */
static void no_error_code_in_real_mode(void **state)
{
    static const struct event gp = { .vector = EXC_GP, .type = EVENT_EXCEPTION, .has_error = true };

    (void)state;
    guest_with(0, 0, 0);
    assert_true(svm_inject(&v, &gp));
    svm_load_event(&v);
    assert_int_equal(os.event_inj, event_of(EVENT_EXCEPTION, EXC_GP));
    guest_with(RFLAGS_VM, CR0_PE, 0); /* virtual-8086 mode: the handler isn't in it */
    assert_true(svm_inject(&v, &gp));
    svm_load_event(&v);
    assert_int_equal(os.event_inj, event_of(EVENT_EXCEPTION, EXC_GP) | SVM_EVENT_HAS_ERROR);
}

/* RFLAGS.RF in the frame: set for faults, else as it was (SDM vol. 3, 18.3.1.1). */
static void a_fault_sets_rf(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 5; type++) {
        for (unsigned vector = 0; vector < 256; vector++) {
            const struct event ev = { .vector = (uint8_t)vector, .type = (uint8_t)type };
            bool fault = type == EVENT_EXCEPTION && vector < 32 && (EXCEPTION_FAULTS >> vector & 1);

            for (uint64_t rf = 0; rf <= RFLAGS_RF; rf += RFLAGS_RF) {
                guest_with(RFLAGS_IF | rf, CR0_PE, 0);
                assert_true(svm_inject(&v, &ev));
                svm_load_event(&v);
                assert_int_equal(v.regs.rflags & RFLAGS_RF, fault ? RFLAGS_RF : rf);
            }
        }
    }
}

/* RIP is still at these instructions: they run again. */
static void a_software_interrupt_is_not(void **state)
{
    (void)state;
    assert_int_equal(interrupted(event_of(EVENT_SOFT_INT, 0x80)), 0);
    assert_int_equal(interrupted(event_of(EVENT_SOFT_INT, EXC_PF)), 0);
    assert_int_equal(interrupted(event_of(EVENT_EXCEPTION, EXC_BP)), 0);
    assert_int_equal(interrupted(event_of(EVENT_EXCEPTION, EXC_OF)), 0);
}

static void nor_is_one_of_the_sandbox(void **state)
{
    static struct vmcb sandbox;

    (void)state;
    guest_with(0, CR0_PE, 0);
    sandbox.exit_int_info = event_of(EVENT_EXCEPTION, EXC_PF) | SVM_EVENT_HAS_ERROR;
    cpu.sandbox = &sandbox;
    v.in_sandbox = true;
    svm_save_event(&v);
    assert_false(svm_event_queued(&v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shadow_blocks_where_the_stack_may_be_half_loaded),
        cmocka_unit_test(an_event_is_delivered_without_our_tf),
        cmocka_unit_test(a_step_over_a_shadow_ends_with_the_guests_own_tf),
        cmocka_unit_test(blocked_until_the_iret_has_run),
        cmocka_unit_test(a_step_is_due_but_not_with_btf),
        cmocka_unit_test(a_shadow_ends_without_a_step),
        cmocka_unit_test(a_task_switch_leaves_no_tf),
        cmocka_unit_test(else_no_tss_is_touched),
        cmocka_unit_test(vnmi_needs_no_step),
        cmocka_unit_test(an_interrupted_delivery_unblocks),
        cmocka_unit_test(an_interrupted_delivery_is_made_again),
        cmocka_unit_test(no_error_code_in_real_mode),
        cmocka_unit_test(a_fault_sets_rf),
        cmocka_unit_test(a_software_interrupt_is_not),
        cmocka_unit_test(nor_is_one_of_the_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
