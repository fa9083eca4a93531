/* SPDX-License-Identifier: MIT */
/* Intel VMX: probing, turning it on, bitmaps, and the run loop's entry. */
#include <cpu/clock.h>
#include <cpu/cpu.h>
#include <guest/ipi.h>
#include <guest/state.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/pool.h>
#include <policy/asked.h>
#include <policy/cr.h>
#include <policy/msr_policy.h>
#include <policy/regions.h>
#include <virt/fast_path.h>
#include <virt/vmx/vmx.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

void vmx_park(const atomic_uint *wake, const atomic_uint *nmis_seen);
void vmx_enter(struct vcpu_regs *regs, struct exit *e, const atomic_uint *nmis_seen, bool launched);
void vmx_exited(struct vcpu_regs *regs, struct exit *e, unsigned how);

#define STALE_INIT_TICKS 20000 /* more than an entry and an exit take */

struct vmx_common vmx_common;

/* The boot CPU's answer decides; every other CPU must be able to do the same. */
static const char *probe(void)
{
    const char *missing = vmx_switched_off();
    struct vmx_caps caps;

    if (missing) {
        return missing;
    }
    vmx_caps_read(&caps);
    if ((missing = vmx_missing(&caps)) != NULL) {
        return missing;
    }
    if (vmx_common.caps.present) {
        return vmx_unlike(&caps, &vmx_common.caps, &vmx_common.os, &vmx_common.sandbox,
                          !ipi_traps_icr());
    }
    vmx_common.caps = caps;
    vmx_controls_choose(&caps, hw_cpuid, VMX_FOR_OS, &vmx_common.os);
    vmx_controls_choose(&caps, hw_cpuid, VMX_FOR_SANDBOX, &vmx_common.sandbox);
    return NULL;
}

/* Reads of the low and the high range, then writes; a set bit exits (25.6.9). The x2APIC's
 * ICR passes where INIT and SIPI give exits on their target. */
static void fill_msr_bitmap(uint8_t *bitmap)
{
    for (uint32_t i = 0; i < 0x4000; i++) {
        uint32_t msr = i < 0x2000 ? i : 0xc0000000u + (i - 0x2000);
        uint8_t bit = (uint8_t)(1u << (i % 8));

        if (msr_read_action(msr) != MSR_PASS || asked_msr(msr, ACCESS_READ)) {
            bitmap[i / 8] |= bit;
        }
        if ((msr_write_action(msr) != MSR_PASS && (msr != MSR_X2APIC_ICR || ipi_traps_icr()))
            || asked_msr(msr, ACCESS_WRITE)) {
            bitmap[0x800 + i / 8] |= bit;
        }
    }
}

/* Instructions that only work in a guest with a control that this CPU lacks. */
static void hide_features(void)
{
    for (size_t i = 0; i < vmx_feature_count; i++) {
        const struct vmx_feature *f = &vmx_features[i];

        if (vmx_feature_shown(f, hw_cpuid)
            && !vmx_may_set(&vmx_common.caps, VMX_PROC2, f->proc2_bit)) {
            log_line("%s is hidden: VMX can't give it to the guest", f->name);
            cpuid_policy_hide(f->leaf, f->sub, f->reg, f->mask);
        }
    }
}

/* CPUID may show counters without the MSR (Bochs does), so it is also tried. */
static bool has_perf_global(void)
{
    uint64_t value;

    return hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_PERFMON
        && (hw_cpuid(CPUID_PERFMON, 0).eax & 0xff) >= 2
        && hw_rdmsr_safe(MSR_IA32_PERF_GLOBAL_CTRL, &value);
}

/* Exits that the hypapp asked for, and that the CPU may not have. */
static bool add_asked(void)
{
    const struct { bool asked; enum vmx_control word; unsigned bit; const char *name; } more[] = {
        { asked_cr(3), VMX_PROC, PROC_CR3_LOAD_EXITING, "CR3-load exiting" },
        { asked_tables() != 0, VMX_PROC2, PROC2_DESC_EXITING, "descriptor-table exiting" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        if (more[i].asked && !vmx_may_set(&vmx_common.caps, more[i].word, more[i].bit)) {
            log_error("cannot start: the hypapp needs %s, which this CPU lacks", more[i].name);
            return false;
        }
        vmx_common.os.word[more[i].word] |= more[i].asked ? 1u << more[i].bit : 0;
    }
    return true;
}

static int init(hpa_t nested_root)
{
    uint8_t *io = pool_boot_pages(2), *msr = pool_boot_pages(1);

    if (!io || !msr) {
        return -1;
    }
    for (unsigned i = 0; i < VMX_CAP_COUNT; i++) {
        if (vmx_common.caps.faulted >> i & 1) {
            log_line("MSR 0x%x should exist and doesn't", MSR_IA32_VMX_BASIC + i);
        }
    }
    fill_msr_bitmap(msr);
    regions_fill_ports(io);
    asked_fill_ports(io);
    vmx_common.msr_bitmap = core_hpa(msr);
    vmx_common.io_bitmap = core_hpa(io);
    vmx_common.os_eptp = vmx_eptp(nested_root);
    /* PE and PG are the guest's own (unrestricted guest); NE must be 1; caches stay on. */
    vmx_common.cr0_mask = (vmx_cap(&vmx_common.caps, MSR_IA32_VMX_CR0_FIXED0)
                           & ~(CR0_PE | CR0_PG)) | CR0_CD | CR0_NW | asked_cr(0);
    vmx_common.cr4_hidden = vmx_cap(&vmx_common.caps, MSR_IA32_VMX_CR4_FIXED0)
        | cr4_hidden_present(hw_cpuid);
    vmx_common.cr4_mask = vmx_common.cr4_hidden | asked_cr(4);
    if (!add_asked()) {
        return -1;
    }
    vmx_common.perf_global = has_perf_global();
    hide_features();
    return 0;
}

/* A region for VMXON or a VMCS starts with the revision (25.2). */
static uint64_t new_region(void)
{
    uint32_t *region = pool_boot_pages(1);

    if (!region) {
        return 0;
    }
    *region = (uint32_t)(vmx_cap(&vmx_common.caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
    return core_hpa(region).a;
}

static bool traces(void)
{
    return hw_cpuid(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES
        && (hw_cpuid(CPUID_EXT_FEATURES, 0).ebx & CPUID_7_0_EBX_PT);
}

static bool turn_on(struct vmx_cpu *s)
{
    uint64_t control = hw_rdmsr(MSR_IA32_FEATURE_CONTROL);

    if (!(control & FEATURE_CONTROL_LOCK)) {
        hw_wrmsr(MSR_IA32_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
    }
    if (traces() && hw_rdmsr_safe(MSR_IA32_RTIT_CTL, &s->had_rtit)) {
        hw_wrmsr_safe(MSR_IA32_RTIT_CTL, 0); /* else firmware's trace may go on (33.5) */
    }
    hw_write_cr0(vmx_fixed_cr(&vmx_common.caps, 0, hw_read_cr0()));
    hw_write_cr4(vmx_fixed_cr(&vmx_common.caps, 4, hw_read_cr4()));
    s->on = hw_vmxon(s->vmxon);
    return s->on;
}

/* What is cached of guest-physical addresses is tagged with the EPTP (29.4.2), but of this root it
 * may be from long ago. */
static void set_root(struct vcpu *v, hpa_t nested_root)
{
    vmcs_write(VMCS_EPTP, vmx_eptp(nested_root));
    vmx(v)->flush_nested = true;
}

/* SDM vol. 3, 25.6.2 and 29.3.3; other CPUs are compared with the boot CPU's controls (probe). */
static bool user_exec(void)
{
    bool may = vmx_may_set(&vmx_common.caps, VMX_PROC2, PROC2_EXEC_BY_MODE);

    vmx_common.os.word[VMX_PROC2] |= may ? 1u << PROC2_EXEC_BY_MODE : 0;
    return may;
}

static void flush_nested(struct vcpu *v) { vmx(v)->flush_nested = true; }

static void os_init(struct vcpu *v)
{
    struct vcpu_state initial;

    vmx_write_controls(&vmx_common.os);
    vmx_write_zero_fields();
    vmx_write_host_state(v);
    vmcs_write(VMCS_EPTP, vmx_common.os_eptp);
    vmcs_write(VMCS_MSR_BITMAP, vmx_common.msr_bitmap.a);
    vmcs_write(VMCS_IO_BITMAP_A, vmx_common.io_bitmap.a);
    vmcs_write(VMCS_IO_BITMAP_B, vmx_common.io_bitmap.a + PAGE_SIZE);
    if (vmx_common.os.word[VMX_PROC2] >> PROC2_VPID & 1) {
        vmcs_write(VMCS_VPID, VMX_VPID_OS);
    }
    vmcs_write(VMCS_CR0_MASK, vmx_common.cr0_mask);
    vmcs_write(VMCS_CR4_MASK, vmx_common.cr4_mask);
    /* A guest whose #DB or #AC raises itself again would never leave the CPU's microcode. */
    vmcs_write(VMCS_EXCEPTION_BITMAP, 1u << EXC_DB | 1u << EXC_AC);
    state_reset(&initial);
    vmx_set_state(v, &initial);
}

static int cpu_init(struct vcpu *v)
{
    _Static_assert(sizeof(struct vmx_cpu) <= PAGE_SIZE, "one page");
    struct vmx_cpu *s = pool_boot_pages(1);

    if (!s || !(s->vmxon = new_region()) || !(s->os = new_region())
        || !(s->sandbox = new_region())) {
        return -1;
    }
    v->vendor = s;
    if (!turn_on(s)) {
        log_line("VMXON failed");
        return -1;
    }
    if (!hw_vmclear(s->sandbox) || !hw_vmptrld(s->sandbox)) {
        return -1;
    }
    vmx_sandbox_init(v);
    if (!hw_vmclear(s->os) || !hw_vmptrld(s->os)) {
        return -1;
    }
    os_init(v);
    s->flush_nested = true;
    hw_iret(); /* whoever started us may have left NMIs blocked */
    return 0;
}

/* VMCLEAR writes back what the CPU has of them in its caches (25.11.1). */
static void cpu_off(struct vcpu *v)
{
    struct vmx_cpu *s = vmx(v);

    if (!s || !s->on) {
        return;
    }
    (void)hw_vmclear(s->sandbox);
    (void)hw_vmclear(s->os);
    s->launched[0] = s->launched[1] = false;
    hw_vmxoff();
    s->on = false;
    if (s->had_rtit) {
        hw_wrmsr_safe(MSR_IA32_RTIT_CTL, s->had_rtit);
    }
}

/* The host's state in both VMCSs has the tables and selectors that the core will have. */
static bool cpu_on(struct vcpu *v)
{
    struct vmx_cpu *s = vmx(v);

    if (s->on) {
        return true;
    }
    s->flush_nested = true;
    return turn_on(s) && hw_vmptrld(s->os);
}

/* Write what has changed since the OS's last entry. This function and the next two are out of
 * line, so that the usual exits save no registers for them. */
static void prepare_os(struct vcpu *v, struct vmx_cpu *s)
{
    if (s->flush_nested) {
        vmx_flush_ept(vmcs_read(VMCS_EPTP));
    }
    if (s->flush_nested || s->flush_linear) {
        vmx_flush_vpid(VMX_VPID_OS);
    }
    s->flush_nested = s->flush_linear = false;
    if (s->window_changed) {
        s->window_changed = false;
        vmcs_write(VMCS_PROC_CONTROLS, vmx_common.os.word[VMX_PROC]
                   | s->window);
    }
    if (s->queued.full) {
        vmx_load_event(v);
        s->loaded = true;
    }
    if (s->after_sipi) {
        s->entry_rip = v->regs.rip;
        s->entry_tsc = clock_now();
    }
}

static void read_registers(struct vcpu *v)
{
    v->regs.rip = vmcs_read(VMCS_GUEST_RIP);
    v->regs.gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
    v->regs.rflags = vmcs_read(VMCS_GUEST_RFLAGS);
}

__attribute__((noinline))
static void not_entered(struct vcpu *v, struct vmx_cpu *s, struct exit *e, unsigned how)
{
    if (how == 3) { /* it ran until an exit that took the fast path */
        s->launched[v->in_sandbox] = true;
        read_registers(v);
    }
    if (how != 2) { /* an NMI came while we were in the core */
        e->kind = EXIT_NMI;
        e->raw = VMX_EXIT_EXCEPTION_NMI;
        e->insn_len = 0;
    } else {
        e->kind = EXIT_ENTRY_FAILED;
        e->entry.ran = false;
        e->raw = vmcs_read(VMCS_INSN_ERROR);
        vmx_log_entry_failure(0);
    }
    if (s->loaded) {
        s->loaded = false;
        vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
    }
}

/*
 * An INIT that comes while a CPU waits for a SIPI is blocked, but it stays pending: the usual
 * INIT, SIPI of a guest gives the SIPI exit first and the INIT at once after the next entry.
 * That SIPI has answered it already (notes/bugs/stale-init.md).
 */
static bool is_stale_init(struct vcpu *v, uint32_t reason)
{
    return reason == VMX_EXIT_INIT && v->regs.rip == vmx(v)->entry_rip
        && clock_since(vmx(v)->entry_tsc) < STALE_INIT_TICKS;
}

/* An exit after an entry with one of the flags of `any_flag`. */
__attribute__((noinline))
static void decode_flagged(struct vcpu *v, struct vmx_cpu *s, uint32_t reason, struct exit *e)
{
    bool after_sipi = s->after_sipi;

    if (s->loaded && (reason & VMX_ENTRY_FAILED)) {
        s->loaded = false; /* nothing was delivered, and the field isn't cleared (27.8) */
        vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
    } else if (s->loaded) { /* it is delivered, or IDT-vectoring information tells of it */
        s->loaded = s->queued.full = false;
    }
    if (s->smi_bit_stuck) {
        vmx_clear_smi_bit();
    }
    vmx_take_exit(v, reason, e);
    if (after_sipi && reason != VMX_EXIT_SIPI) {
        s->after_sipi = is_stale_init(v, reason);
        e->kind = s->after_sipi ? EXIT_NONE : e->kind;
    }
}

/* After an exit, or what came instead of one: vmx_enter goes on here. `how`: see
 * virt/vmx/entry.S. */
void vmx_exited(struct vcpu_regs *regs, struct exit *e, unsigned how)
{
    struct vcpu *v = vcpu_of(regs);
    struct vmx_cpu *s = vmx(v);

    if (how != 0) {
        not_entered(v, s, e, how);
        return;
    }
    read_registers(v);
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    /* a failed VMLAUNCH: not yet (27.8) */
    s->launched[v->in_sandbox] |= !(reason & VMX_ENTRY_FAILED);
    if (s->any_flag) {
        decode_flagged(v, s, reason, e);
    } else if (!vmx_decode_plain(reason, e)) {
        vmx_take_exit(v, reason, e);
    }
}

static inline void enter(struct vcpu *v, struct vmx_cpu *s, struct exit *e)
{
    vmcs_write(VMCS_GUEST_RIP, v->regs.rip);
    vmcs_write(VMCS_GUEST_RSP, v->regs.gpr[GPR_RSP]);
    vmcs_write(VMCS_GUEST_RFLAGS, v->regs.rflags);
    vmx_enter(&v->regs, e, &v->nmis_seen, s->launched[v->in_sandbox]);
}

__attribute__((noinline))
static void prepare_and_enter(struct vcpu *v, struct vmx_cpu *s, struct exit *e)
{
    prepare_os(v, s);
    enter(v, s, e);
}

static void run(struct vcpu *v, struct exit *e)
{
    struct vmx_cpu *s = vmx(v);

    if (!v->in_sandbox && (s->queued.full || s->any_flag)) {
        prepare_and_enter(v, s, e);
    } else {
        enter(v, s, e);
    }
}

static void set_cr2(struct vcpu *v, uint64_t cr2)
{
    (void)v;
    hw_write_cr2(cr2); /* neither entries nor exits change it, and the core never faults */
}

/* Wait-for-SIPI as a guest state is optional: hypervisors below us tend not to have it. */
static bool traps_icr(void)
{
    return !(vmx_cap(&vmx_common.caps, MSR_IA32_VMX_MISC) & VMX_MISC_WAIT_FOR_SIPI);
}

static void take_interrupts(struct vcpu *v)
{
    (void)v;
    cpu_take_interrupts();
}

/* Make the next entry wait for a SIPI in the hardware; the SIPI exits. (SIPIs that reach a CPU in
 * the core are lost.) What such an entry may not have in the VMCS is cleared (27.3.1.5); the rest
 * of the state is loaded when the SIPI comes. */
static void park(struct vcpu *v)
{
    if (ipi_traps_icr()) {
        vmx_park(&v->requests, &v->nmis_seen);
        return;
    }
    vmx(v)->queued.full = false;
    vmx_set_window(vmx(v), 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_SIPI);
    atomic_store(&v->waiting, true);
}

static unsigned max_leaf_level(void)
{
    return vmx_ept_1g() ? 3 : 2;
}

const struct virt_ops vmx_ops = {
    .name = "Intel VMX",
    .nested = &ept_format,
    .misc_enable = true,
    .hypercall_insn = { 0x0f, 0x01, 0xc1 },
    .traps_icr = traps_icr,
    .probe = probe, .init = init,
    .cpu_init = cpu_init, .cpu_off = cpu_off, .cpu_on = cpu_on,
    .max_leaf_level = max_leaf_level, .split_exec = vmx_split_exec,
    .set_root = set_root, .flush_nested = flush_nested, .user_exec = user_exec,
    .set_state = vmx_set_state, .run = run,
    .get_paging = vmx_get_paging, .get_cr4 = vmx_get_cr4, .get_segment = vmx_get_segment,
    .inject = vmx_inject, .event_queued = vmx_event_queued,
    .nmi_ready = vmx_nmi_ready, .want_nmi_window = vmx_want_nmi_window,
    .clear_shadow = vmx_clear_shadow, .end_shadow = vmx_end_shadow, .set_cr2 = set_cr2,
    .state_msr_read = vmx_state_msr_read, .state_msr_write = vmx_state_msr_write,
    .set_cr = vmx_set_cr,
    .set_cr3 = vmx_set_cr3, .get_cr = vmx_get_cr,
    .legalise = vmx_legalise,
    .get_table = vmx_get_table, .set_table = vmx_set_table, .set_segment = vmx_set_segment,
    .load_task = vmx_load_task,
    .event_done = vmx_event_done,
    .sandbox_enter = vmx_sandbox_enter, .sandbox_leave = vmx_sandbox_leave,
    .sandbox_forget = vmx_sandbox_forget, .take_interrupts = take_interrupts, .park = park,
};
