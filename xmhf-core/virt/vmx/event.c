/* SPDX-License-Identifier: MIT */
/* Events on VMX: injection, re-injection of interrupted deliveries, virtual NMIs and their
 * window (SDM vol. 3, 27.6, 28.2.4, 26.7.1). */
#include <hw/cpu.h>
#include <hw/insn.h>
#include <virt/vmx/vmx.h>

bool vmx_inject(struct vcpu *v, const struct event *ev)
{
    return event_queue(&vmx(v)->queued, ev);
}

bool vmx_event_queued(struct vcpu *v)
{
    return vmx(v)->queued.full;
}

void vmx_event_done(struct vcpu *v)
{
    vmx(v)->queued.full = false;
}

void vmx_end_shadow(struct vcpu *v)
{
    uint32_t state = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

    (void)v;
    if (state & BLOCKED_SHADOWS) {
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~BLOCKED_SHADOWS);
    }
}

/*
 * Types 4 to 6 need the length of the instruction (27.2.1.3). An event that is delivered ends
 * shadows of STI and MOV SS (27.7.1), so they go: with one of them left and TF set the entry would
 * also demand a pending single step (27.3.1.5), which a #DB that exited has used up
 * (notes/bugs/step-in-a-shadow.md).
 */
void vmx_load_event(struct vcpu *v)
{
    const struct event *q = &vmx(v)->queued.event;

    vmx_end_shadow(v);

    /* In real mode the CPU pushes no error code (27.2.1.3). */
    bool error = q->has_error && (vmcs_read(VMCS_GUEST_CR0) & CR0_PE);
    if (error) {
        vmcs_write(VMCS_ENTRY_ERROR_CODE, q->error);
    }
    if (event_sets_rf(q)) {
        v->regs.rflags |= RFLAGS_RF;
    }
    if (q->type >= INTR_TYPE_SOFT_INT) {
        vmcs_write(VMCS_ENTRY_INSN_LEN, q->insn_len);
    }
    vmcs_write(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | q->vector
               | (uint32_t)q->type << INTR_INFO_TYPE_SHIFT | (error ? INTR_INFO_ERROR : 0));
}

static struct event event_of(uint32_t info, enum vmcs_field error)
{
    struct event ev = {
        .vector = (uint8_t)info, .type = (uint8_t)(info >> INTR_INFO_TYPE_SHIFT & 7),
        .has_error = info & INTR_INFO_ERROR,
    };

    if (ev.has_error) {
        ev.error = (uint32_t)vmcs_read(error);
    }
    if (ev.type >= INTR_TYPE_SOFT_INT) {
        ev.insn_len = (uint32_t)vmcs_read(VMCS_EXIT_INSN_LEN);
    }
    return ev;
}

/* An event was being delivered when the exit happened: it is delivered again. */
void vmx_save_event(struct vcpu *v)
{
    struct vmx_cpu *s = vmx(v);
    uint32_t info = (uint32_t)vmcs_read(VMCS_IDT_INFO);

    if (v->in_sandbox || !(info & INTR_INFO_VALID)) {
        return;
    }
    s->queued.event = event_of(info, VMCS_IDT_ERROR_CODE);
    s->queued.full = true;
    if (s->queued.event.type == EVENT_NMI) { /* its delivery has set the blocking already */
        uint32_t state = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~BLOCKED_BY_NMI);
    }
}

void vmx_clear_smi_bit(void)
{
    uint32_t state = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state & ~BLOCKED_BY_SMI);
}

void vmx_block_nmis_again(void)
{
    uint32_t state = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state | BLOCKED_BY_NMI);
}

/* A #DB that exits hasn't changed DR6, DR7 and DEBUGCTL yet (28.1). */
static void update_debug_registers(void)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);
    uint64_t dr6 = (hw_read_dr6() & ~0xfULL) | DR6_RTM;

    dr6 |= q & 0x600f;                /* B0-B3, BD, BS */
    dr6 &= ~(q & (DR6_BLD | DR6_RTM)); /* these two are 0 for "yes" (18.2.3) */
    hw_write_dr6(dr6);
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~BIT(13));        /* GD */
    vmcs_write(VMCS_GUEST_DEBUGCTL, vmcs_read(VMCS_GUEST_DEBUGCTL) & ~3ULL); /* LBR, BTF */
}

void vmx_pass_exception(struct vcpu *v, uint32_t info)
{
    struct event ev = event_of(info, VMCS_EXIT_ERROR_CODE);

    if (ev.vector == EXC_DB && ev.type == INTR_TYPE_HARDWARE) {
        update_debug_registers();
    }
    event_queue(&vmx(v)->queued, &ev);
}

/* Can an entry inject an NMI now (27.3.1.5)? Not while a debug trap is due, which the injection
 * would drop (27.7.3): the trap comes first. */
bool vmx_nmi_ready(struct vcpu *v)
{
    return !vmx(v)->queued.full && !atomic_load(&v->waiting)
        && !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY)
             & (BLOCKED_SHADOWS | BLOCKED_BY_NMI))
        && !vmcs_read(VMCS_GUEST_PENDING_DEBUG);
}

void vmx_set_window(struct vmx_cpu *s, uint32_t controls)
{
    s->window = controls;
    s->window_changed = true;
}

/* In a shadow of STI the NMI window may be open already (26.2): it would exit again and again,
 * before the next instruction. The interrupt window opens behind that. */
void vmx_want_nmi_window(struct vcpu *v)
{
    bool sti = !v->in_sandbox
        && (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_BY_STI);

    vmx_set_window(vmx(v), (uint32_t)BIT(sti ? PROC_INTR_WINDOW : PROC_NMI_WINDOW));
}

/* RIP was moved by software over an instruction: its shadow ends, and with TF set the
 * single-step trap is due, beside what MOV SS may have held back. With BTF only branches are
 * stepped, and nothing that exits is one (18.4.3; notes/bugs/late-single-step.md). */
void vmx_clear_shadow(struct vcpu *v)
{
    vmx_end_shadow(v);
    if ((v->regs.rflags & RFLAGS_TF) && !(vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF)) {
        vmcs_write(VMCS_GUEST_PENDING_DEBUG,
                   vmcs_read(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
    }
}
