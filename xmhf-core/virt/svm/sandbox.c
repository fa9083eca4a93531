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
    struct svm_cpu *s = svm(v);
    struct vmcb *c = s->sandbox;

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
    svm_debugctl_changes(s);
}

/* The last run, even of the same sandbox, may have loaded null selectors. */
static void mend_segments(struct vmcb *c, const struct segment *seg)
{
    static const enum segment_index loadable[] = SANDBOX_LOADABLE;

    for (size_t i = 0; i < ARRAY_SIZE(loadable); i++) {
        svm_write_segment(c, loadable[i], &seg[loadable[i]]);
    }
}

/* All that 16-bit code has of its own. VMLOAD loads LDTR, FS and GS, VMRUN the rest (APM vol. 2,
 * 15.5.1, 15.5.2). */
static void own_segments(struct vmcb *c, const struct segment *seg)
{
    for (unsigned i = 0; i < SANDBOX_OWN_SEGMENTS; i++) {
        svm_write_segment(c, (enum segment_index)i, &seg[i]);
    }
}

static inline bool segments_changed(const struct vmcb *c)
{
    const unsigned is = SANDBOX_DATA_SELECTOR;

    return c->es.selector != is || c->ds.selector != is || c->fs.selector != is
        || c->gs.selector != is;
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

/* Another sandbox than the last one on this CPU. */
static void change_sandbox(struct svm_cpu *s, const struct sandbox *sb)
{
    struct vmcb *c = s->sandbox;

    c->n_cr3 = sb->nested_root.a;
    c->cr3 = sb->cr3.a;
    if (c->ldtr.attrib & SEG_ATTR_P) { /* the last one was of 16-bit code */
        own_segments(c, sandbox_template[sb->mode].seg);
    } else {
        svm_write_segment(c, SEG_CS, &sandbox_template[sb->mode].seg[SEG_CS]);
    }
    choose_asid(s, c, sb->tag);
    s->last_tag = sb->tag;
}

/* What only some entries do. */
__attribute__((noinline))
static void prepare_sandbox(struct vcpu *v, struct svm_cpu *s, const struct sandbox *sb)
{
    if (s->last_tag != sb->tag) {
        change_sandbox(s, sb);
    }
    if (sb->segments) { /* null or in its LDT: they always look changed, and this is reached */
        own_segments(s->sandbox, sb->segments);
    } else if (segments_changed(s->sandbox)) {
        mend_segments(s->sandbox, sandbox_template[sb->mode].seg);
    }
    /* Branch records and single-stepping on branches that ring 0 set up must not see us. */
    s->saved_debugctl = s->debugs ? hw_rdmsr(MSR_IA32_DEBUGCTL) : 0;
    if (s->saved_debugctl) {
        hw_wrmsr(MSR_IA32_DEBUGCTL, 0);
    }
    if (v->counting) {
        svm_pmu_pause(&s->pmu);
    }
}

void svm_sandbox_enter(struct vcpu *v, const struct sandbox *sb)
{
    struct svm_cpu *s = svm(v);
    struct vmcb *c = s->sandbox;

    c->interrupt_shadow = 0;
    c->cr2 = 0;
    /* Where the CPU has this field the guest's SPEC_CTRL is here, or else in the MSR, which nobody
     * changes (APM vol. 2, appendix B; CPUID 8000_000A EDX[20]). */
    c->spec_ctrl = s->os->spec_ctrl;
    if (s->last_tag != sb->tag || segments_changed(c) || s->debugs || v->counting) {
        prepare_sandbox(v, s, sb);
    }
}

/* And some exits. */
__attribute__((noinline))
static void restore_os(struct svm_cpu *s)
{
    if (s->sandbox->tlb_control != SVM_TLB_NOTHING) {
        /* The sandbox was left for a request before VMRUN, which would have flushed the ASID. Have
         * the next entry flush it. */
        s->asid_tag[s->sandbox->asid - 2] = s->last_tag = 0;
        s->sandbox->tlb_control = SVM_TLB_NOTHING;
    }
    if (s->saved_debugctl) {
        hw_wrmsr(MSR_IA32_DEBUGCTL, s->saved_debugctl);
        s->saved_debugctl = 0;
    }
    if (s->pmu.count > 0) {
        svm_pmu_resume(&s->pmu);
    }
}

void svm_sandbox_leave(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (s->sandbox->tlb_control != SVM_TLB_NOTHING || s->saved_debugctl || s->pmu.count > 0) {
        restore_os(s);
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
    if (s->last_tag == tag) {
        s->last_tag = 0;
    }
}
