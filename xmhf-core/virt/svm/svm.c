/* SPDX-License-Identifier: MIT */
/* AMD SVM: probing, turning it on, bitmaps, and the run loop's entry. */
#include <cpu/cpu.h>
#include <debug/log.h>
#include <guest/state.h>
#include <hw/cpu.h>
#include <hw/insn.h>
#include <mm/pool.h>
#include <policy/asked.h>
#include <policy/cr.h>
#include <policy/msr_policy.h>
#include <policy/regions.h>
#include <util/string.h>
#include <virt/svm/caps.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

void svm_enter(struct vcpu_regs *regs, struct exit *e, const struct vmcb *vmcb, uint64_t vmcb_hpa,
               uint64_t host_vmcb_hpa);
void svm_exited(struct vcpu_regs *regs, struct exit *e);
void svm_vmsave(uint64_t vmcb);
void svm_gif_window(void);
void svm_park(const atomic_uint *wake);

#define MSRPM_PAGES 2
#define IOPM_PAGES 3

struct svm_features svm_features;
hpa_t svm_iopm, svm_msrpm, svm_nested_root;
static uint8_t *msrpm;
static uint64_t cr_intercepted;

static const char *probe(void)
{
    const char *missing = svm_missing();

    if (!missing) {
        struct cpuid_regs r = hw_cpuid(CPUID_SVM, 0);
        svm_features.edx = r.edx;
        svm_features.asids = r.ebx < 64 ? r.ebx : 64;
    }
    return missing;
}

/* Two bits per MSR: 0 = intercept read, 1 = intercept write (APM vol. 2, 15.11). */
static void msrpm_fill_range(uint32_t first, size_t byte_offset)
{
    for (uint32_t i = 0; i < 0x2000; i++) {
        uint32_t msr = first + i;
        bool read = msr_read_action(msr) != MSR_PASS || asked_msr(msr, ACCESS_READ);
        bool write = msr_write_action(msr) != MSR_PASS || asked_msr(msr, ACCESS_WRITE);
        unsigned bits = (read ? 1u : 0u) | (write ? 2u : 0u);
        uint8_t *p = msrpm + byte_offset + i / 4;
        *p = (uint8_t)(*p | bits << (i % 4 * 2));
    }
}

/* Everything is intercepted first; then the bits of the MSRs that pass are cleared. */
static void msrpm_fill(void)
{
    static const struct { uint32_t first; size_t offset; } ranges[] = {
        { 0x00000000, 0 }, { 0xc0000000, 0x800 }, { 0xc0010000, 0x1000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        msrpm_fill_range(ranges[i].first, ranges[i].offset);
    }
}

static int init(hpa_t nested_root)
{
    uint8_t *iopm = pool_boot_pages(IOPM_PAGES);

    msrpm = pool_boot_pages(MSRPM_PAGES);
    if (!iopm || !msrpm) {
        return -1;
    }
    msrpm_fill();
    regions_fill_ports(iopm);
    asked_fill_ports(iopm);
    svm_iopm = core_hpa(iopm);
    svm_msrpm = core_hpa(msrpm);
    svm_nested_root = nested_root;
    /* A CR4 bit of a hidden feature that this CPU has must be refused; where the CPU
     * itself refuses it, no exit is needed. */
    if (cr4_hidden_present(hw_cpuid)) {
        cr_intercepted = SVM_CR4_WRITE;
    }
    cr_intercepted |= (asked_cr(0) ? SVM_CR0_WRITE : 0) | (asked_cr(3) ? SVM_CR3_WRITE : 0)
        | (asked_cr(4) ? SVM_CR4_WRITE : 0);
    return 0;
}

static uint64_t table_intercepts(void)
{
    static const uint64_t bits[] = { [HYP_GDT] = SVM_I1_GDTR_WRITE, [HYP_IDT] = SVM_I1_IDTR_WRITE,
                                     [HYP_LDT] = SVM_I1_LDTR_WRITE, [HYP_TR] = SVM_I1_TR_WRITE };
    uint64_t all = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        all |= asked_tables() & 1u << i ? bits[i] : 0;
    }
    return all;
}

static void set_intercepts(struct vmcb *c)
{
    c->intercept_cr = (uint32_t)cr_intercepted;
    /* #UD: VMCALL. #DB and #AC: a delivery that raises itself again would never end inside
     * the CPU (APM vol. 2, 8.2.2; CVE-2015-8104, CVE-2015-5307). */
    c->intercept_exceptions = 1u << EXC_UD | 1u << EXC_DB | 1u << EXC_AC;
    c->intercept1 = (uint32_t)(SVM_I1_NMI | SVM_I1_SMI | SVM_I1_INIT | SVM_I1_CPUID | SVM_I1_INVD
        | SVM_I1_INVLPGA | SVM_I1_IOIO | SVM_I1_MSR | SVM_I1_SHUTDOWN
        | table_intercepts());
    c->intercept2 = (uint32_t)(SVM_I2_VMRUN | SVM_I2_VMMCALL | SVM_I2_VMLOAD | SVM_I2_VMSAVE
        | SVM_I2_STGI | SVM_I2_CLGI | SVM_I2_SKINIT | SVM_I2_XSETBV);
    c->iopm_base = svm_iopm.a;
    c->msrpm_base = svm_msrpm.a;
    c->asid = SVM_ASID_OS;
    c->np_enable = 1;
    c->n_cr3 = svm_nested_root.a;
}

/*
 * With VM_CR.R_INIT an INIT that isn't intercepted raises #SX instead of resetting the CPU (APM
 * vol. 2, 15.28, 15.30.1): one that a device sends while the core runs. Emulators ignore the bit.
 */
static bool redirect_init(void)
{
    uint64_t vm_cr;

    return hw_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr)
        && hw_wrmsr_safe(MSR_AMD_VM_CR, vm_cr | VM_CR_R_INIT)
        && hw_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_R_INIT);
}

/* From now on an INIT resets this CPU again: firmware's last steps to a reset may be one. */
static void let_init(void)
{
    uint64_t vm_cr;

    if (hw_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr)) {
        (void)hw_wrmsr_safe(MSR_AMD_VM_CR, vm_cr & ~VM_CR_R_INIT);
    }
}

/* Turn SVM on, and keep what VMLOAD is to load after an exit. */
static bool cpu_on(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (!hw_wrmsr_safe(MSR_EFER, hw_rdmsr(MSR_EFER) | EFER_SVME)) {
        return false;
    }
    hw_wrmsr(MSR_AMD_VM_HSAVE_PA, s->hsave_hpa);
    hw_clgi();
    svm_vmsave(s->host_hpa);
    s->r_init = redirect_init();
    return true;
}

static void cpu_off(struct vcpu *v)
{
    const struct svm_cpu *s = svm(v);

    if (!s || !(hw_rdmsr(MSR_EFER) & EFER_SVME)) {
        return;
    }
    if (!s->had_r_init) {
        let_init();
    }
    hw_stgi();
    (void)hw_wrmsr_safe(MSR_AMD_VM_HSAVE_PA, s->had_hsave);
    hw_wrmsr(MSR_EFER, hw_rdmsr(MSR_EFER) & ~EFER_SVME);
}

/* For cpu_off. */
static void note_native(struct svm_cpu *s)
{
    uint64_t vm_cr;

    s->had_r_init = hw_rdmsr_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_R_INIT);
    if (!hw_rdmsr_safe(MSR_AMD_VM_HSAVE_PA, &s->had_hsave)) {
        s->had_hsave = 0;
    }
}

static int cpu_init(struct vcpu *v)
{
    struct svm_cpu *s = pool_boot_pages(1);
    void *hsave = pool_boot_pages(1), *host = pool_boot_pages(1);
    struct vcpu_state initial;

    _Static_assert(sizeof(struct svm_cpu) <= PAGE_SIZE, "one page");
    if (!s || !hsave || !host || !(s->os = pool_boot_pages(1))
        || !(s->sandbox = pool_boot_pages(1))) {
        return -1;
    }
    s->os_hpa = core_hpa(s->os).a;
    s->sandbox_hpa = core_hpa(s->sandbox).a;
    s->host_hpa = core_hpa(host).a;
    s->hsave_hpa = core_hpa(hsave).a;
    note_native(s);
    v->vendor = s;
    if (!cpu_on(v)) {
        log_line("SVM can't be switched on");
        return -1;
    }
    set_intercepts(s->os);
    s->os->intercept_exceptions |= s->r_init ? 1u << EXC_SX : 0;
    state_reset(&initial);
    svm_set_state(v, &initial);
    svm_sandbox_init(v);
    return 0;
}

static void set_root(struct vcpu *v, hpa_t nested_root)
{
    svm(v)->os->n_cr3 = nested_root.a;
    svm(v)->flush_os = true;
}

/* A step over IRET may hold a pointer to the guest's TSS. */
static void flush_nested(struct vcpu *v)
{
    svm(v)->flush_os = true;
    svm(v)->step_flags = NULL;
}

/* All entries of the ASID, nested ones too, or without that feature of all ASIDs (APM vol. 2,
 * 15.16). */
static uint8_t flush_control(void)
{
    return svm_features.edx & CPUID_8_A_EDX_FLUSH_BY_ASID ? SVM_TLB_FLUSH_ASID : SVM_TLB_FLUSH_ALL;
}

/* Did the guest run before the CPU said that its state is refused? A CPU says that of an entry
 * only; QEMU also of instructions. An event that wasn't delivered is queued again. `v->regs` are
 * the registers of the entry, the VMCB has those of the exit. */
static bool svm_ran(struct vcpu *v, const struct vmcb *c)
{
    struct svm_cpu *s = svm(v);
    bool undelivered = c->exit_int_info & SVM_EVENT_VALID; /* svm_save_event takes it */
    bool ran = !undelivered && (v->regs.rip != c->rip || v->regs.rflags != c->rflags);

    if (c == s->os && !ran && (c->event_inj & SVM_EVENT_VALID)) {
        s->queued.full = true;
    }
    return ran;
}

/* Exits that there is more to do about than to say what kind they are. */
#define NOT_PLAIN (1u << EXIT_NONE | 1u << EXIT_NMI | 1u << EXIT_SMI | 1u << EXIT_INIT)

static inline void take_registers(struct vcpu *v, struct vmcb *c)
{
    c->event_inj = 0;
    c->tlb_control = SVM_TLB_NOTHING;
    v->regs.gpr[GPR_RAX] = c->rax;
    v->regs.gpr[GPR_RSP] = c->rsp;
    v->regs.rip = c->rip;
    v->regs.rflags = c->rflags;
    if (v->in_sandbox) {
        c->rax = c->rsp = 0; /* a sandbox's registers are in v->regs only, which a reset wipes */
    }
}

/* Any exit. Apart from svm_exited, which saves no registers of the core's. */
__attribute__((noinline))
static void look_closer(struct vcpu *v, struct exit *e)
{
    struct svm_cpu *s = svm(v);
    struct vmcb *c = svm_active(v);
    const bool refused = c->exit_code == ~0ULL || c->exit_code == 0xffffffffULL;
    const bool ran = refused && svm_ran(v, c);

    take_registers(v, c);
    if (c->exit_int_info & SVM_EVENT_VALID) {
        svm_save_event(v);
    }
    if (c == s->os && s->nmi >= NMI_STEPPING_IRET
        && c->exit_code != SVM_EXIT_EXCEPTION0 + EXC_DB) {
        svm_nmi_step_aborted(v);
    }
    svm_take_exit(v, c, e);
    if (refused) {
        e->entry.ran = ran;
        s->flush_os = true; /* whether it has flushed isn't said */
    }
    if (e->kind == EXIT_NMI || e->kind == EXIT_SMI
        || (s->r_init && c->exit_code == SVM_EXIT_INIT)) {
        svm_gif_window(); /* the core's own handler takes what is held back */
    }
}

/* After an exit: svm_enter goes on here. */
void svm_exited(struct vcpu_regs *regs, struct exit *e)
{
    struct vcpu *v = vcpu_of(regs);
    struct svm_cpu *s = svm(v);
    struct vmcb *c = svm_active(v);
    const unsigned kind = svm_simple_kind(c->exit_code);

    if ((NOT_PLAIN >> kind & 1) || (c->exit_int_info & SVM_EVENT_VALID)
        || s->nmi >= NMI_STEPPING_IRET) {
        look_closer(v, e);
        return;
    }
    take_registers(v, c);
    e->raw = c->exit_code;
    e->insn_len = svm_features.edx & CPUID_8_A_EDX_NRIPS ? svm_insn_len(c) : 0;
    e->kind = (enum exit_kind)kind;
}

static inline void enter(struct vcpu *v, struct svm_cpu *s, struct vmcb *c, struct exit *e)
{
    c->rax = v->regs.gpr[GPR_RAX];
    c->rsp = v->regs.gpr[GPR_RSP];
    c->rip = v->regs.rip;
    c->rflags = v->regs.rflags;
    svm_enter(&v->regs, e, c, s->vmcb_hpa[v->in_sandbox], s->host_hpa);
}

/* Something of the OS's has changed since its last entry. */
__attribute__((noinline))
static void prepare_and_enter(struct vcpu *v, struct exit *e)
{
    struct svm_cpu *s = svm(v);

    if (svm_illegal(s->os)) {
        svm_legalise(v);
    }
    if (s->flush_os) {
        s->os->tlb_control = flush_control();
        s->flush_os = false;
    }
    if (s->queued.full) {
        svm_load_event(v);
    }
    enter(v, s, s->os, e);
}

static void run(struct vcpu *v, struct exit *e)
{
    struct svm_cpu *s = svm(v);
    struct vmcb *c = svm_active(v);

    if (!v->in_sandbox && (svm_illegal(c) || s->flush_os || s->queued.full)) {
        prepare_and_enter(v, e);
    } else {
        enter(v, s, c, e);
    }
}

static void set_cr2(struct vcpu *v, uint64_t cr2) { svm(v)->os->cr2 = cr2; }

/* SIPI has no intercept (APM vol. 2, 15.13). */
static bool traps_icr(void) { return true; }

static void take_interrupts(struct vcpu *v)
{
    (void)v;
    hw_stgi();
    cpu_take_interrupts();
    hw_clgi();
}

/* GIF = 0 holds SMIs back, and one that an I/O trap makes is lost (APM vol. 2, 15.17). IF stays
 * 0. */
static void smi_open(void) { hw_stgi(); }
static void smi_close(void) { hw_clgi(); }

static void park(struct vcpu *v) { svm_park(&v->requests); }

/* Nested tables are in the format of the CPU's own (APM vol. 2, 15.25.5): without pages of 1 GiB an
 * entry for one has a reserved bit. */
static unsigned max_leaf_level(void)
{
    return hw_cpuid(CPUID_EXT_AMD, 0).edx & CPUID_8_1_EDX_PAGE1G ? 3 : 2;
}

/* Family 10h: a machine check where one address has entries of two sizes in the TLB (Revision Guide
 * for AMD Family 10h Processors, 41322, erratum 383). Not asked by OSVW, which firmware fills. */
static bool keeps_sizes(void)
{
    const uint32_t eax = hw_cpuid(CPUID_FEATURES, 0).eax; /* APM vol. 3, appendix E.3.2 */

    return (eax >> 8 & 0xf) == 0xf && (eax >> 20 & 0xff) == 1;
}

static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };

const struct virt_ops svm_ops = {
    .name = "AMD SVM",
    .nested = &npt_format,
    .hypercall_insn = { 0x0f, 0x01, 0xd9 },
    .foreign_hypercall = vmcall,
    .traps_icr = traps_icr,
    .apic_returns = true,
    .probe = probe, .init = init,
    .cpu_init = cpu_init, .cpu_off = cpu_off, .cpu_on = cpu_on,
    .max_leaf_level = max_leaf_level, .keeps_sizes = keeps_sizes,
    .set_root = set_root, .flush_nested = flush_nested, .set_state = svm_set_state, .run = run,
    .get_paging = svm_get_paging, .get_segment = svm_get_segment,
    .inject = svm_inject, .event_queued = svm_event_queued,
    .nmi_ready = svm_nmi_ready, .want_nmi_window = svm_want_nmi_window,
    .clear_shadow = svm_clear_shadow, .end_shadow = svm_end_shadow, .set_cr2 = set_cr2,
    .state_msr_read = svm_state_msr_read, .state_msr_write = svm_state_msr_write,
    .set_cr = svm_set_cr,
    .set_cr3 = svm_set_cr3, .get_cr = svm_get_cr,
    .get_table = svm_get_table, .set_table = svm_set_table, .set_segment = svm_set_segment,
    .legalise = svm_legalise,
    .sandbox_enter = svm_sandbox_enter, .sandbox_leave = svm_sandbox_leave,
    .sandbox_forget = svm_sandbox_forget, .take_interrupts = take_interrupts,
    .smi_open = smi_open, .smi_close = smi_close, .let_init = let_init, .park = park,
};
