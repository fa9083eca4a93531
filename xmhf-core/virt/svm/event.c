/* SPDX-License-Identifier: MIT */
/* Events on SVM: injection, re-injection of interrupted deliveries, and the NMI window,
 * with and without vNMI (APM vol. 2, 15.20, 15.21.9). */
#include <debug/log.h>
#include <hw/insn.h>
#include <smp/stop.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/msr.h>

/* With vNMI the CPU latches the NMI, delivers it when it can, and blocks the next until IRET (APM
 * vol. 2, 15.21.10). */
bool svm_inject(struct vcpu *v, const struct event *ev)
{
    if (ev->type == EVENT_NMI && svm_has_vnmi()) {
        svm(v)->os->v_intr |= SVM_V_NMI;
        return true;
    }
    return event_queue(&svm(v)->queued, ev);
}

bool svm_event_queued(struct vcpu *v)
{
    return svm(v)->queued.full;
}

void svm_load_event(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);
    const struct event *q = &s->queued.event;

    /* The CPU pushes an error code if the bit says so (APM vol. 2, 15.20); in real mode none is. */
    bool error = q->has_error && (s->os->cr0 & CR0_PE);
    s->os->event_inj = SVM_EVENT_VALID | q->vector | (uint64_t)q->type << 8
        | (error ? SVM_EVENT_HAS_ERROR | (uint64_t)q->error << 32 : 0);
    s->queued.full = false;
    if (event_sets_rf(q)) {
        v->regs.rflags |= RFLAGS_RF;
    }
    if (q->type == EVENT_NMI && !svm_has_vnmi()) { /* with vNMI VMRUN sets V_NMI_MASK */
        s->nmi = NMI_IN_HANDLER;
        s->os->intercept1 |= (uint32_t)SVM_I1_IRET;
        s->os->interrupt_shadow = 0;
    }
}

/*
 * EXITINTINFO: an event was being delivered. Software interrupts, INT3 and INTO aren't
 * injected again: RIP still points at the instruction, which runs again.
 */
void svm_save_event(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);
    uint64_t info = svm_active(v)->exit_int_info;
    struct event ev = {
        .vector = (uint8_t)info, .type = (uint8_t)(info >> 8 & 7),
        .has_error = info & SVM_EVENT_HAS_ERROR, .error = (uint32_t)(info >> 32),
    };

    if (v->in_sandbox || ev.type == EVENT_SOFT_INT
        || (ev.type == EVENT_EXCEPTION && (ev.vector == EXC_BP || ev.vector == EXC_OF))) {
        return;
    }
    if (ev.type == EVENT_NMI) {
        s->nmi = NMI_OPEN;
        s->os->v_intr &= ~SVM_V_NMI_MASK; /* it is delivered again, and blocks then */
    }
    s->queued = (struct event_slot){ ev, true };
}

/* With BTF set TF steps from branch to branch, and nothing that exits is one (APM vol. 2, 13.1.1,
 * DebugCtl). */
static bool steps_branches(void)
{
    uint64_t debugctl;

    return hw_rdmsr_safe(MSR_IA32_DEBUGCTL, &debugctl) && (debugctl & DEBUGCTL_BTF);
}

/* The trap that follows each instruction. */
__attribute__((noinline))
static void single_step(struct vcpu *v)
{
    static const struct event db = { .vector = EXC_DB, .type = EVENT_EXCEPTION };
    struct svm_cpu *s = svm(v);

    if (!v->in_sandbox && !steps_branches()) {
        s->os->dr6 |= DR6_BS;
        svm_inject(v, &db);
    }
}

/* The instruction at RIP was carried out by software: its shadow ends, and if the guest
 * single-steps, the trap that follows the instruction comes now (APM vol. 2, 8.2.2;
 * notes/bugs/late-single-step.md). */
void svm_clear_shadow(struct vcpu *v)
{
    svm_active(v)->interrupt_shadow = 0;
    if (v->regs.rflags & RFLAGS_TF) {
        single_step(v);
    }
}

void svm_end_shadow(struct vcpu *v)
{
    svm(v)->os->interrupt_shadow = 0;
}

/*
 * Does a shadow keep an NMI from being delivered now? That of STI does not: CPUs differ in whether
 * it blocks NMIs. That of MOV SS does where NMIs use the current stack, which is in real mode with
 * interrupts on, or in any mode with interrupts off.
 */
static bool shadow_in_the_way(const struct vcpu *v, const struct vmcb *c)
{
    return (c->interrupt_shadow & SVM_SHADOW)
        && !((v->regs.rflags & RFLAGS_IF) && (c->cr0 & CR0_PE));
}

bool svm_nmi_ready(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (svm_has_vnmi()) {
        return true;
    }
    return s->nmi == NMI_OPEN && !s->queued.full && !shadow_in_the_way(v, s->os);
}

void svm_want_nmi_window(struct vcpu *v)
{
    struct svm_cpu *s = svm(v);

    if (s->nmi == NMI_IN_HANDLER) {
        s->os->intercept1 |= (uint32_t)SVM_I1_IRET;
    } else if (s->nmi == NMI_OPEN && s->queued.full) {
        /* An NMI of our own, held back by GIF until the event is delivered: exits right after. */
        atomic_fetch_or(&v->requests, REQ_NMI);
        kick(v);
    } else if (s->nmi == NMI_OPEN) {
        svm_step(v, NMI_STEPPING_SHADOW);
    }
}

void svm_nmi_iret(struct vcpu *v)
{
    svm(v)->os->intercept1 &= ~(uint32_t)SVM_I1_IRET;
    svm_step(v, NMI_STEPPING_IRET);
}
