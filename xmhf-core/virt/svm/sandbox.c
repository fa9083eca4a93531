/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's VMCB: nothing live in it comes from the OS. Filled once per CPU from
 * constants; an entry sets only the address space, the mode and the registers.
 */
#include <hw/insn.h>
#include <mm/pool.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/msr.h>

#define SANDBOX_CODE64 (SEG_ATTR_CODE64 | SEG_ATTR_DPL)
#define SANDBOX_CODE32 (SEG_ATTR_CODE32 | SEG_ATTR_DPL)
#define SANDBOX_DATA   (SEG_ATTR_DATA32 | SEG_ATTR_DPL)

static const struct vmcb_segment sandbox_data = { 0x2b, SANDBOX_DATA, 0xffffffff, 0 };

void svm_sandbox_init(struct vcpu *v)
{
    struct vmcb *c = svm(v)->sandbox;
    c->intercept_cr = c->intercept_dr = 0xffffffff;
    c->intercept_exceptions = 0xffffffff;
    c->intercept1 = 0xffffffffu & ~(uint32_t)(SVM_I1_VINTR | SVM_I1_PAUSE
        | BIT(5) /* CR0 selective write */ | BIT(14) /* RDTSC */ | BIT(16) /* PUSHF */
        | BIT(17) /* POPF */ | BIT(20) /* IRET */ | BIT(25) /* INVLPG */);
    c->intercept1 |= (uint32_t)SVM_I1_IRET;
    c->intercept2 = 0xffffffffu & ~(uint32_t)SVM_I2_RDTSCP;
    c->iopm_base = svm_iopm.a;   /* never consulted with IOPL 0 and no TSS, but valid */
    c->msrpm_base = svm_msrpm.a;
    c->np_enable = 1;
    c->ss = sandbox_data;
    c->cs = (struct vmcb_segment){ 0x33, SANDBOX_CODE64, 0xffffffff, 0 };
    c->tr = (struct vmcb_segment){ 0, SEG_ATTR_TSS_BUSY, 0, 0 };
    c->ldtr = (struct vmcb_segment){ 0, SEG_ATTR_LDT, 0, 0 };
    c->cpl = 3;
    c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    /* Without MCE a machine check would be a shutdown (APM vol. 2, 8.2.18), no exception. */
    c->cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | (hw_read_cr4() & CR4_OSXSAVE);
    c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME; /* SCE = 0: SYSCALL is #UD */
    c->dr6 = DR6_AT_INIT;
    c->dr7 = DR7_AT_INIT;
    c->g_pat = 0x0606060606060606ULL; /* everything write-back */
}

/* This CPU's ASID for `tag`; a tag that isn't in its slot takes it, flushed. */
static void choose_asid(struct svm_cpu *s, struct vmcb *c, uint64_t tag)
{
    uint32_t slots = svm_features.asids - 2;
    uint32_t slot = (uint32_t)(tag % slots);

    c->asid = 2 + slot;
    c->tlb_control = SVM_TLB_NOTHING;
    if (s->asid_tag[slot] != tag) {
        s->asid_tag[slot] = tag;
        c->tlb_control = svm_features.edx & BIT(6) ? SVM_TLB_FLUSH_ASID : SVM_TLB_FLUSH_ALL;
    }
}

void svm_sandbox_enter(struct vcpu *v, const struct sandbox *sb)
{
    struct svm_cpu *s = svm(v);
    struct vmcb *c = s->sandbox;

    c->n_cr3 = sb->nested_root.a;
    c->cr3 = sb->cr3.a;
    c->cs.attrib = sb->wide ? SANDBOX_CODE64 : SANDBOX_CODE32;
    c->cs.selector = sb->wide ? 0x33 : 0x23;
    /* The one before may have loaded null selectors, which need no table. */
    c->es = c->ds = sandbox_data;
    c->fs = c->gs = (struct vmcb_segment){ 0, 0, 0, 0 };
    c->interrupt_shadow = 0;
    c->cr2 = 0;
    /* Where the CPU has this field the guest's SPEC_CTRL is here, or else in the MSR, which nobody
     * changes (APM vol. 2, appendix B; CPUID 8000_000A EDX[20]). */
    c->spec_ctrl = s->os->spec_ctrl;
    choose_asid(s, c, sb->tag);
    /* Branch records and single-stepping on branches that ring 0 set up must not see us. */
    if (!hw_rdmsr_safe(MSR_IA32_DEBUGCTL, &s->saved_debugctl)) {
        s->saved_debugctl = 0; /* Bochs' AMD CPU has SVM and not this */
    }
    if (s->saved_debugctl) {
        hw_wrmsr(MSR_IA32_DEBUGCTL, 0);
    }
    if (v->counting) {
        svm_pmu_pause(&s->pmu);
    }
    s->active = c;
}

void svm_sandbox_leave(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (s->sandbox->tlb_control != SVM_TLB_NOTHING) {
        /* Left for a request before VMRUN, which would have flushed: next time, then. */
        s->asid_tag[s->sandbox->asid - 2] = 0;
        s->sandbox->tlb_control = SVM_TLB_NOTHING;
    }
    if (s->saved_debugctl) {
        hw_wrmsr(MSR_IA32_DEBUGCTL, s->saved_debugctl);
    }
    if (s->pmu.count > 0) {
        svm_pmu_resume(&s->pmu);
    }
    s->active = s->os;
}

void svm_sandbox_forget(struct vcpu *v, uint64_t tag)
{
    struct svm_cpu *s = svm(v);
    uint32_t slot = (uint32_t)(tag % (svm_features.asids - 2));

    /* Tags are never used twice, so a stale slot is harmless; this frees it early. */
    if (s->asid_tag[slot] == tag) {
        s->asid_tag[slot] = 0;
    }
}
