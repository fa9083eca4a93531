/* SPDX-License-Identifier: MIT */
/*
 * One instruction of the guest with RFLAGS.TF of ours, for the NMI window without vNMI. Nothing
 * of that TF stays: every exit ends the step, an exception in it exits before its frame is
 * written, and if the instruction switches tasks, what the CPU saved in the old TSS is put right
 * (notes/decisions/nmi-window-by-stepping.md, notes/bugs/nmi-step-leaks-tf.md).
 */
#include <guest/phys.h>
#include <smp/stop.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>

/* All faults. They are intercepted before anything is saved (APM vol. 2, 15.12). */
#define FAULTS (1u << EXC_DE | 1u << EXC_BR | 1u << EXC_UD | 1u << EXC_NM | 1u << EXC_TS \
                | 1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | 1u << EXC_MF \
                | 1u << EXC_AC | 1u << EXC_XM)

/* Offset of bits 15:8 of the saved flags in a TSS, TF is bit 0 of them (APM vol. 2, 12.2.5). */
#define TSS32_FLAGS 0x25
#define TSS16_FLAGS 0x11

/* Where a task switch would save the flags: in guest RAM, now mapped; else NULL. Long mode and real
 * mode have no task switches. */
static uint8_t *saved_flags(struct vcpu *v, const struct vmcb *c)
{
    struct guest_paging p;
    struct walk w;

    if (!(c->cr0 & CR0_PE) || (c->efer & EFER_LMA)) {
        return NULL;
    }
    svm_get_paging(v, &p);
    p.cpl = 0;
    uint32_t at = (uint32_t)c->tr.base + (c->tr.attrib & 8 ? TSS32_FLAGS : TSS16_FLAGS);
    return guest_walk(&guest_phys_ops, &p, gva(at), ACCESS_WRITE | ACCESS_NO_AD, &w) == WALK_OK
        ? guest_phys_ops.map(w.gpa, 1) : NULL;
}

void svm_step(struct vcpu *v, enum svm_nmi state)
{
    struct svm_cpu *s = svm(v);

    s->step_tf = v->regs.rflags & RFLAGS_TF;
    s->step_flags = s->step_tf ? NULL : saved_flags(v, s->os);
    s->step_tr = s->os->tr.base;
    s->step_exceptions = s->os->intercept_exceptions;
    s->os->intercept_exceptions |= FAULTS;
    s->nmi = state;
    v->regs.rflags |= RFLAGS_TF;
}

static void end(struct svm_cpu *s)
{
    s->os->intercept_exceptions = s->step_exceptions;
    if (s->step_flags && s->os->tr.base != s->step_tr) {
        atomic_fetch_and((_Atomic uint8_t *)s->step_flags, (uint8_t)~(RFLAGS_TF >> 8));
    }
    s->step_flags = NULL;
}

bool svm_nmi_step_done(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (s->nmi != NMI_STEPPING_IRET && s->nmi != NMI_STEPPING_SHADOW) {
        return false;
    }
    bool loaded = s->nmi == NMI_STEPPING_IRET || s->os->tr.base != s->step_tr;
    if (!loaded && !s->step_tf) { /* IRET or a task switch has loaded the guest's own */
        v->regs.rflags &= ~RFLAGS_TF;
    }
    end(s);
    s->nmi = NMI_OPEN;
    s->os->dr6 &= ~DR6_BS;
    return true;
}

/* After a task switch the flags are the new task's own, and the instruction is done. */
void svm_nmi_step_aborted(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);
    bool switched = s->os->tr.base != s->step_tr;

    if (!switched) {
        v->regs.rflags = (v->regs.rflags & ~RFLAGS_TF) | s->step_tf;
    }
    end(s);
    if (s->nmi == NMI_STEPPING_IRET && !switched) {
        s->nmi = NMI_IN_HANDLER; /* RIP is still at the IRET */
        s->os->intercept1 |= (uint32_t)SVM_I1_IRET;
    } else {
        s->nmi = NMI_OPEN;
        atomic_fetch_or(&v->requests, REQ_NMI);
    }
}
