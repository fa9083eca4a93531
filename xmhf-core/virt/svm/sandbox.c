/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's VMCB: nothing live in it comes from the OS. Filled once per CPU from
 * virt/sandbox.c's template; an entry sets only the address space, the mode and the registers.
 */
#include <hw/insn.h>
#include <mm/pool.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/msr.h>

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
    const struct vcpu_state *st = &sandbox_template[SANDBOX_64];
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        svm_write_segment(c, (enum segment_index)i, &st->seg[i]);
    }
    c->cpl = 3;
    c->cr0 = st->cr0;
    c->cr4 = st->cr4 | (hw_read_cr4() & CR4_OSXSAVE);
    c->efer = st->efer | EFER_SVME;
    c->dr6 = st->dr6;
    c->dr7 = st->dr7;
    c->g_pat = st->pat;
}

/* The mode's CS, and what the last run has loaded: null selectors, which no segment of the template
 * has. */
static void choose_segments(struct vmcb *c, enum sandbox_mode mode)
{
    static const enum segment_index loadable[] = SANDBOX_LOADABLE;
    const struct segment *seg = sandbox_template[mode].seg;

    if (c->cs.selector != seg[SEG_CS].selector) {
        svm_write_segment(c, SEG_CS, &seg[SEG_CS]);
    }
    if (c->es.selector != seg[SEG_ES].selector || c->ds.selector != seg[SEG_DS].selector
        || c->fs.selector != seg[SEG_FS].selector || c->gs.selector != seg[SEG_GS].selector) {
        for (size_t i = 0; i < ARRAY_SIZE(loadable); i++) {
            svm_write_segment(c, loadable[i], &seg[loadable[i]]);
        }
    }
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
    choose_segments(c, sb->mode);
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
}

void svm_sandbox_leave(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (s->sandbox->tlb_control != SVM_TLB_NOTHING) {
        /* The sandbox was left for a request before VMRUN, which would have flushed the ASID. Have
         * the next entry flush it. */
        s->asid_tag[s->sandbox->asid - 2] = 0;
        s->sandbox->tlb_control = SVM_TLB_NOTHING;
    }
    if (s->saved_debugctl) {
        hw_wrmsr(MSR_IA32_DEBUGCTL, s->saved_debugctl);
    }
    if (s->pmu.count > 0) {
        svm_pmu_resume(&s->pmu);
    }
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
