/* SPDX-License-Identifier: MIT */
/* Guest state in the VMCB: whole states, paging state, segments, MSRs that live there. */
#include <guest/state.h>
#include <hw/insn.h>
#include <virt/svm/svm.h>
#include <virt/try_msr.h>
#include <x86/cpu.h>
#include <x86/msr.h>

static void load_syscall_msrs(struct vmcb *c, const struct syscall_msrs *m)
{
    c->star = m->star;
    c->lstar = m->lstar;
    c->cstar = m->cstar;
    c->sfmask = m->sfmask;
    c->kernel_gs_base = m->kernel_gs_base;
    c->sysenter_cs = m->sysenter_cs;
    c->sysenter_esp = m->sysenter_esp;
    c->sysenter_eip = m->sysenter_eip;
}

void svm_set_state(struct vcpu *v, const struct vcpu_state *st)
{
    struct svm_cpu *s = svm(v);
    struct vmcb *c = s->os;

    v->regs = st->regs;
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        svm_write_segment(c, (enum segment_index)i, &st->seg[i]);
    }
    c->gdtr = (struct vmcb_segment){ .limit = st->gdt_limit, .base = st->gdt_base };
    c->idtr = (struct vmcb_segment){ .limit = st->idt_limit, .base = st->idt_base };
    c->cpl = 0;
    c->cr0 = state_cr0(st, c->cr0);
    c->cr2 = st->cr2;
    c->cr3 = st->cr3;
    c->cr4 = st->cr4;
    c->efer = st->efer | EFER_SVME;
    c->dr6 = st->dr6;
    c->dr7 = st->dr7;
    if (!st->by_init) {
        c->g_pat = st->pat;
        load_syscall_msrs(c, &st->msrs);
    }
    c->interrupt_shadow = 0;
    c->v_intr = svm_has_vnmi() ? SVM_V_NMI_ENABLE : 0; /* none pending, none blocked */
    c->intercept1 &= ~(uint32_t)SVM_I1_IRET;
    if (s->nmi >= NMI_STEPPING_IRET) {
        c->intercept_exceptions = s->step_exceptions;
    }
    s->queued.full = false;
    s->nmi = NMI_OPEN;
    s->flush_os = true;
}

/* Without VM: long mode doesn't have it (APM vol. 2, 1.2.4), and asks first, for it is the usual
 * one. */
static inline enum cpu_mode mode_of(const struct vmcb *c, bool vm86)
{
    if ((c->efer & EFER_LMA) && (c->cs.attrib & SEG_ATTR_L)) {
        return MODE_LONG64;
    }
    if (!(c->cr0 & CR0_PE) || vm86) {
        return MODE_REAL;
    }
    return c->cs.attrib & SEG_ATTR_DB ? MODE_PROT32 : MODE_PROT16;
}

void svm_get_paging(struct vcpu *v, struct guest_paging *p)
{
    const struct vmcb *c = svm_active(v);
    const uint64_t rflags = c->rflags;

    p->cr0 = c->cr0;
    p->cr3 = c->cr3;
    p->cr4 = c->cr4;
    p->efer = c->efer;
    p->cpl = rflags & RFLAGS_VM ? 3 : c->cpl;
    p->ac = rflags & RFLAGS_AC;
    p->mode = mode_of(c, rflags & RFLAGS_VM);
    p->pkru = c->cr4 & CR4_PKE ? hw_rdpkru() : 0;
}

void svm_get_segment(struct vcpu *v, enum segment_index i, struct segment *out)
{
    const struct vmcb_segment *s = svm_segment(svm_active(v), i);

    *out = (struct segment){ s->selector, s->attrib, s->limit, s->base };
}

/* Where VMLOAD and VMRUN load it from; NULL: from nowhere (APM vol. 2, 15.5.1, 15.5.2). */
static uint64_t *loaded_msr(struct vmcb *c, uint32_t msr)
{
    switch (msr) {
    case MSR_STAR: return &c->star;
    case MSR_LSTAR: return &c->lstar;
    case MSR_CSTAR: return &c->cstar;
    case MSR_SFMASK: return &c->sfmask;
    case MSR_FS_BASE: return &c->fs.base;
    case MSR_GS_BASE: return &c->gs.base;
    case MSR_KERNEL_GS_BASE: return &c->kernel_gs_base;
    case MSR_IA32_SYSENTER_CS: return &c->sysenter_cs;
    case MSR_IA32_SYSENTER_ESP: return &c->sysenter_esp;
    case MSR_IA32_SYSENTER_EIP: return &c->sysenter_eip;
    case MSR_IA32_SPEC_CTRL:
        return svm_features.edx & CPUID_8_A_EDX_SPEC_CTRL ? &c->spec_ctrl : NULL;
    default: return NULL;
    }
}

bool svm_state_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    struct vmcb *c = svm(v)->os;
    const uint64_t *loaded = loaded_msr(c, msr);

    switch (msr) {
    case MSR_EFER: *value = c->efer & ~EFER_SVME; return true;
    case MSR_IA32_PAT: *value = c->g_pat; return true;
    case MSR_IA32_DEBUGCTL: return hw_rdmsr_safe(msr, value); /* not switched without LBR_VIRT */
    default: *value = loaded ? *loaded : *value; return loaded;
    }
}

/* The CPU knows what they can hold: tried on its own, which is put back, or for a base in use on
 * LSTAR, which has to be canonical too. */
static bool loaded_write(struct vmcb *c, uint32_t msr, uint64_t value)
{
    bool base = msr == MSR_FS_BASE || msr == MSR_GS_BASE || msr == MSR_KERNEL_GS_BASE;
    uint64_t *p = loaded_msr(c, msr);

    return p && try_msr(base ? MSR_LSTAR : msr, value, p);
}

/* `value` was checked by exit/msr.c. */
bool svm_state_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
    struct vmcb *c = svm(v)->os;

    switch (msr) {
    case MSR_EFER:
        /* LMA follows the hardware, not the guest's write. */
        c->efer = (value & ~EFER_LMA) | (c->efer & EFER_LMA) | EFER_SVME;
        svm(v)->flush_os = true;
        return true;
    case MSR_IA32_PAT:
        c->g_pat = value;
        svm(v)->flush_os = true;
        return true;
    case MSR_IA32_DEBUGCTL:
        if (!hw_wrmsr_safe(msr, value)) {
            return false;
        }
        svm_debugctl_changes(svm(v));
        return true;
    default:
        return loaded_write(c, msr, value);
    }
}

bool svm_set_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
    struct vmcb *c = svm(v)->os;

    if (cr == 0) {
        c->cr0 = value;
        /* As the CPU's own MOV does (APM vol. 2, 14.6.1). */
        c->efer = (c->efer & ~EFER_LMA) | ((value & CR0_PG) && (c->efer & EFER_LME) ? EFER_LMA : 0);
    } else {
        c->cr4 = value;
    }
    svm(v)->flush_os = true;
    return true; /* the CPU looks at PDPTEs when it uses them (APM vol. 2, 15.25.10) */
}

bool svm_set_cr3(struct vcpu *v, uint64_t value)
{
    svm(v)->os->cr3 = value;
    svm(v)->flush_os = true;
    return true; /* likewise */
}

uint64_t svm_get_cr(struct vcpu *v, unsigned cr)
{
    const struct vmcb *c = svm(v)->os;

    return cr == 0 ? c->cr0 : cr == 3 ? c->cr3 : c->cr4;
}

static struct vmcb_segment *table(struct vcpu *v, enum table_register which)
{
    return which == TABLE_GDTR ? &svm(v)->os->gdtr : &svm(v)->os->idtr;
}

void svm_get_table(struct vcpu *v, enum table_register which, uint64_t *base, uint32_t *limit)
{
    *base = table(v, which)->base;
    *limit = table(v, which)->limit;
}

void svm_set_table(struct vcpu *v, enum table_register which, uint64_t base, uint32_t limit)
{
    table(v, which)->base = base;
    table(v, which)->limit = limit;
}

void svm_set_segment(struct vcpu *v, enum segment_index i, const struct segment *s)
{
    svm_write_segment(svm(v)->os, i, s);
}
