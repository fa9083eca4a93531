/* SPDX-License-Identifier: MIT */
/*
 * What a sandbox's entry does to a CPU that ring 0 has prepared: branch records and counters stop,
 * and are as before afterwards; selectors that the last sandbox has loaded are the template's.
 * No emulator has branch records or Intel's counter control, so only this shows it.
 */
#include "unit.h"

#include "fake/machine.h"
#include <virt/svm/svm.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

static struct vcpu v;
static struct svm_cpu svm_cpu;
static struct vmcb os_vmcb, sandbox_vmcb;
static struct vmx_cpu vmx_cpu;
static uint64_t selector[SEG_COUNT];
static struct segment vmx_seg[SEG_COUNT];
static uint64_t field[0x7000];
static unsigned segments_written;
static const struct sandbox sb = { .nested_root = { MIB(1) }, .tag = 7, .mode = SANDBOX_64 };

struct svm_features svm_features;
hpa_t svm_iopm, svm_msrpm, svm_nested_root;
struct vmx_common vmx_common;

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

/* --- a VMCS that has nothing but selectors ------------------------------------------ */

bool hw_vmptrld(uint64_t address) { return address != 0; }
bool hw_vmwrite(uint64_t which, uint64_t value) { field[which] = value; return true; }
const char *vmcs_name(uint32_t encoding) { (void)encoding; return "?"; }
void vmx_write_controls(const struct vmx_controls *c) { (void)c; }
void vmx_write_host_state(struct vcpu *cpu) { (void)cpu; }
void vmx_write_zero_fields(void) { }
uint64_t vmx_eptp(hpa_t root) { return root.a; }
void vmx_flush_ept(uint64_t eptp) { (void)eptp; }
void vmx_flush_vpid(uint16_t vpid) { (void)vpid; }

uint64_t vmx_fixed_cr(const struct vmx_caps *c, unsigned cr, uint64_t value)
{
    (void)c;
    (void)cr;
    return value;
}

bool hw_vmread(uint64_t which, uint64_t *value)
{
    *value = which == VMCS_GUEST_ES_SEL ? selector[SEG_ES]
        : which == VMCS_GUEST_DS_SEL ? selector[SEG_DS]
        : which == VMCS_GUEST_FS_SEL ? selector[SEG_FS]
        : which == VMCS_GUEST_GS_SEL ? selector[SEG_GS] : field[which];
    return true;
}

void vmx_write_segment(enum segment_index i, const struct segment *s)
{
    selector[i] = s->selector;
    vmx_seg[i] = *s;
    segments_written++;
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    machine_set_cpuid(CPUID_EXTENDED, 0, (struct cpuid_regs){ .eax = 0x80000008 });
    machine_set_cpuid(CPUID_EXT_AMD, 0, (struct cpuid_regs){ .ecx = CPUID_8_1_ECX_PERFCTR_EXT });
    for (unsigned i = 0; i < 12; i++) {
        machine_set_msr(MSR_AMD_PERF_CTL0_EXT + i, 0);
    }
    machine_set_msr(MSR_IA32_DEBUGCTL, 0);
    machine_set_msr(MSR_IA32_PERF_GLOBAL_CTRL, 0);
    svm_features.asids = 16;
    v.counting = false;
    svm_cpu = (struct svm_cpu){ .os = &os_vmcb, .sandbox = &sandbox_vmcb };
    vmx_cpu = (struct vmx_cpu){ .os = 0x1000, .sandbox = 0x2000 };
    return 0;
}

/* --- AMD ------------------------------------------------------------------------------ */

static void amd_branch_records_stop(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    *machine_msr(MSR_IA32_DEBUGCTL) = 3; /* LBR, BTF */
    svm_debugctl_changes(&svm_cpu);      /* as each write for the OS says (test_state) */
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(*machine_msr(MSR_IA32_DEBUGCTL), 0);
    svm_sandbox_leave(&v);
    assert_int_equal(*machine_msr(MSR_IA32_DEBUGCTL), 3);
}

/* Firmware may have left a bit; and one that the OS has cleared since may come back. */
static void amd_branch_records_of_firmware(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    *machine_msr(MSR_IA32_DEBUGCTL) = 1;
    svm_sandbox_init(&v);
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(*machine_msr(MSR_IA32_DEBUGCTL), 0);
    svm_sandbox_leave(&v);
    assert_int_equal(*machine_msr(MSR_IA32_DEBUGCTL), 1);
    *machine_msr(MSR_IA32_DEBUGCTL) = 0;
    svm_sandbox_enter(&v, &sb);
    *machine_msr(MSR_IA32_DEBUGCTL) = 2; /* not the old value comes back */
    svm_sandbox_leave(&v);
    assert_int_equal(*machine_msr(MSR_IA32_DEBUGCTL), 2);
}

static void amd_counters_stop(void **state)
{
    const uint64_t on = 0x530076 | PERF_CTL_EN;

    (void)state;
    v.vendor = &svm_cpu;
    v.counting = true;
    *machine_msr(MSR_AMD_PERF_CTL0_EXT + 4) = on;
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(*machine_msr(MSR_AMD_PERF_CTL0_EXT + 4) & PERF_CTL_EN, 0);
    svm_sandbox_leave(&v);
    assert_int_equal(*machine_msr(MSR_AMD_PERF_CTL0_EXT + 4), on);
}

static void amd_selectors_are_the_template(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    svm_sandbox_enter(&v, &sb);
    sandbox_vmcb.tlb_control = SVM_TLB_NOTHING; /* it ran */
    svm_sandbox_leave(&v);
    /* Another run of the same sandbox. */
    sandbox_vmcb.es.selector = 1;
    sandbox_vmcb.ds.selector = 3;
    sandbox_vmcb.ds.attrib = 0;
    sandbox_vmcb.fs.selector = 2;
    sandbox_vmcb.gs.selector = 1;
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(sandbox_vmcb.es.selector, 0x2b);
    assert_int_equal(sandbox_vmcb.ds.selector, 0x2b);
    assert_int_not_equal(sandbox_vmcb.ds.attrib, 0);
    assert_int_equal(sandbox_vmcb.fs.selector, 0x2b);
    assert_int_equal(sandbox_vmcb.gs.selector, 0x2b);
    svm_sandbox_leave(&v);
}

/* With CR4.MCE clear it would be a shutdown, which ends the PAL and tells the OS nothing. */
static void amd_machine_checks_are_exceptions(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    svm_sandbox_init(&v);
    assert_true(sandbox_vmcb.cr4 & CR4_MCE);
    assert_true(sandbox_vmcb.intercept_exceptions >> EXC_MC & 1);
}

/* CPUs that switch SPEC_CTRL have it in each VMCB: a PAL runs with what its thread has. */
static void amd_speculation_is_as_in_the_os(void **state)
{
    (void)state;
    v.vendor = &svm_cpu;
    os_vmcb.spec_ctrl = 6; /* STIBP, SSBD */
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(sandbox_vmcb.spec_ctrl, 6);
    svm_sandbox_leave(&v);
    os_vmcb.spec_ctrl = 0;
    svm_sandbox_enter(&v, &sb);
    assert_int_equal(sandbox_vmcb.spec_ctrl, 0);
    svm_sandbox_leave(&v);
}

/* --- Intel ---------------------------------------------------------------------------- */

static void intel_counters_stop(void **state)
{
    (void)state;
    v.vendor = &vmx_cpu;
    vmx_common.perf_global = true;
    *machine_msr(MSR_IA32_PERF_GLOBAL_CTRL) = 0x70000000f;
    vmx_sandbox_enter(&v, &sb);
    assert_int_equal(*machine_msr(MSR_IA32_PERF_GLOBAL_CTRL), 0);
    vmx_sandbox_leave(&v);
    assert_int_equal(*machine_msr(MSR_IA32_PERF_GLOBAL_CTRL), 0x70000000f);
}

static void intel_selectors_are_the_template(void **state)
{
    static const enum segment_index loadable[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    (void)state;
    v.vendor = &vmx_cpu;
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 4; k++) {
            selector[loadable[k]] = 0x2b;
        }
        vmx_sandbox_enter(&v, &sb);
        vmx_sandbox_leave(&v);
        segments_written = 0;
        vmx_sandbox_enter(&v, &sb);
        vmx_sandbox_leave(&v);
        assert_int_equal(segments_written, 0); /* nothing to mend, nothing spent */
        selector[loadable[i]] = 3;
        vmx_sandbox_enter(&v, &sb);
        vmx_sandbox_leave(&v);
        assert_int_equal(selector[loadable[i]], 0x2b);
    }
}

/* --- both ----------------------------------------------------------------------------- */

static struct segment svm_seg(enum segment_index i)
{
    const struct vmcb *c = &sandbox_vmcb;
    const struct vmcb_segment *const seg[SEG_COUNT] = {
        [SEG_ES] = &c->es, [SEG_CS] = &c->cs, [SEG_SS] = &c->ss, [SEG_DS] = &c->ds,
        [SEG_FS] = &c->fs, [SEG_GS] = &c->gs, [SEG_LDTR] = &c->ldtr, [SEG_TR] = &c->tr,
    };

    return (struct segment){ seg[i]->selector, seg[i]->attrib, seg[i]->limit, seg[i]->base };
}

static void check_segment(const struct segment *a, const struct segment *b)
{
    assert_int_equal(a->selector, b->selector);
    assert_int_equal(a->attr, b->attr);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->base, b->base);
}

/* Both control structures, field by field. */
static void check_alike(void)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct segment s = svm_seg((enum segment_index)i);
        check_segment(&s, &vmx_seg[i]);
    }
    assert_int_equal(sandbox_vmcb.cr0, field[VMCS_GUEST_CR0]);
    assert_int_equal(sandbox_vmcb.cr0, field[VMCS_CR0_SHADOW]);
    assert_int_equal(sandbox_vmcb.cr4, field[VMCS_GUEST_CR4]);
    assert_int_equal(sandbox_vmcb.cr4, field[VMCS_CR4_SHADOW]);
    assert_int_equal(sandbox_vmcb.cr3, field[VMCS_GUEST_CR3]);
    assert_int_equal(sandbox_vmcb.efer, field[VMCS_GUEST_EFER] | EFER_SVME);
    assert_int_equal(sandbox_vmcb.g_pat, field[VMCS_GUEST_PAT]);
    assert_int_equal(sandbox_vmcb.dr7, field[VMCS_GUEST_DR7]);
    assert_int_equal(sandbox_vmcb.gdtr.base, field[VMCS_GUEST_GDTR_BASE]);
    assert_int_equal(sandbox_vmcb.gdtr.limit, field[VMCS_GUEST_GDTR_LIMIT]);
    assert_int_equal(sandbox_vmcb.idtr.base, field[VMCS_GUEST_IDTR_BASE]);
    assert_int_equal(sandbox_vmcb.idtr.limit, field[VMCS_GUEST_IDTR_LIMIT]);
    assert_int_equal(sandbox_vmcb.cpl, vmx_seg[SEG_SS].attr >> 5 & 3);
    assert_int_equal(sandbox_vmcb.interrupt_shadow, field[VMCS_GUEST_INTERRUPTIBILITY]);
}

static void enter_both(const struct sandbox *which)
{
    v.vendor = &svm_cpu;
    svm_sandbox_enter(&v, which);
    svm_sandbox_leave(&v);
    v.vendor = &vmx_cpu;
    vmx_sandbox_enter(&v, which);
    vmx_sandbox_leave(&v);
}

/* What code in the sandbox does to a segment register that it loads with 0. */
static void load_null(void)
{
    sandbox_vmcb.fs = sandbox_vmcb.es = (struct vmcb_segment){ 0, 0, 0, 0 };
    selector[SEG_FS] = selector[SEG_ES] = 0;
    vmx_seg[SEG_FS] = vmx_seg[SEG_ES] = (struct segment){ 0, 0, 0, 0 };
}

/* 16-bit code's own: null FS and GS, an LDT, different bases. */
static const struct segment own[SANDBOX_OWN_SEGMENTS] = {
    [SEG_ES] = { 0x17, SEG_ATTR_DATA_REAL | SEG_ATTR_DPL, 0xffff, 0x20000 },
    [SEG_CS] = { 0x0f, SEG_ATTR_CODE_REAL | SEG_ATTR_DPL, 0xffff, 0x10000 },
    [SEG_SS] = { 0x1f, SEG_ATTR_DATA_REAL | SEG_ATTR_DPL, 0x1fff, 0x40000 },
    [SEG_DS] = { 0x17, SEG_ATTR_DATA_REAL | SEG_ATTR_DPL, 0xffff, 0x20000 },
    [SEG_LDTR] = { 8, SEG_ATTR_LDT, 0xfff, 1ULL << 32 },
};

static void check_mode(enum sandbox_mode mode)
{
    const struct segment *seg = sandbox_template[mode].seg;

    check_alike();
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        check_segment(&vmx_seg[i], mode == SANDBOX_16 && i < SANDBOX_OWN_SEGMENTS ? &own[i]
                                                                                  : &seg[i]);
    }
    if (mode != SANDBOX_16) {
        assert_int_equal(vmx_seg[SEG_FS].selector, 0x2b);
        assert_int_equal(vmx_seg[SEG_GS].selector, 0x2b);
        assert_int_equal(vmx_seg[SEG_CS].selector, mode == SANDBOX_64 ? 0x33 : 0x23);
    }
    assert_int_equal(vmx_seg[SEG_CS].attr >> 9 & 1, mode == SANDBOX_64); /* L */
}

static void both_vendors_start_alike(void **state)
{
    (void)state;
    memset(&sandbox_vmcb, 0, sizeof(sandbox_vmcb));
    memset(field, 0, sizeof(field));
    v.vendor = &svm_cpu;
    svm_sandbox_init(&v);
    v.vendor = &vmx_cpu;
    vmx_sandbox_init(&v);
    /* Each mode after each, and after itself. */
    static const enum sandbox_mode modes[] = {
        SANDBOX_32, SANDBOX_32, SANDBOX_64, SANDBOX_64, SANDBOX_32, SANDBOX_64, SANDBOX_16,
        SANDBOX_16, SANDBOX_64, SANDBOX_16, SANDBOX_32, SANDBOX_16, SANDBOX_64,
    };
    for (unsigned n = 0; n < ARRAY_SIZE(modes); n++) {
        const struct sandbox s = { { MIB(1) }, { MIB(3) }, modes[n], 20 + n,
                                   modes[n] == SANDBOX_16 ? own : NULL };

        enter_both(&s);
        check_mode(modes[n]);
        load_null();
        enter_both(&s);
        check_mode(modes[n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(amd_branch_records_stop, setup),
        cmocka_unit_test_setup(amd_branch_records_of_firmware, setup),
        cmocka_unit_test_setup(amd_counters_stop, setup),
        cmocka_unit_test_setup(amd_selectors_are_the_template, setup),
        cmocka_unit_test_setup(amd_machine_checks_are_exceptions, setup),
        cmocka_unit_test_setup(amd_speculation_is_as_in_the_os, setup),
        cmocka_unit_test_setup(intel_counters_stop, setup),
        cmocka_unit_test_setup(intel_selectors_are_the_template, setup),
        cmocka_unit_test_setup(both_vendors_start_alike, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
