/* SPDX-License-Identifier: MIT */
/* What the VMX back end does about an exit before common code sees it, if anything; some exits end
 * here. */
#include <cpu/mc.h>
#include <hw/cpu.h>
#include <virt/vmx/vmx.h>

/* A machine check came while the entry loaded the guest's state. It counts as one that met the
 * core, for nothing of the guest has run; a PAL is put away first. The guest's state is in the VMCS
 * as it was (27.8, 27.9). */
static void entry_failed(struct vcpu *v, const struct exit *e)
{
    if (e->kind == EXIT_INTR) {
        mc_met_core(v);
    } else {
        vmx_log_entry_failure((uint32_t)e->raw);
    }
}

/* NMIs stay blocked in the core after an NMI exit until an IRET (28.5.5). */
static void nmi(struct vcpu *v)
{
    atomic_fetch_add(&v->nmis_seen, 1);
    hw_iret();
}

/* One of the OS's exited only so that it can't loop inside the CPU: it goes on. */
static void exception(struct vcpu *v, struct exit *e)
{
    if (v->in_sandbox) {
        return;
    }
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTR_INFO);
    if ((info & INTR_INFO_NMI_UNBLOCK) && e->exception.vector != EXC_DF && !vmx_event_queued(v)) {
        vmx_block_nmis_again();
    }
    vmx_pass_exception(v, info);
    e->kind = EXIT_NONE;
}

/* A misconfiguration has no qualification. */
static void nested_fault(struct vcpu *v, const struct exit *e)
{
    if (!e->fault.reserved && !v->in_sandbox
        && (vmcs_read(VMCS_EXIT_QUALIFICATION) & EPT_QUAL_NMI_UNBLOCK) && !vmx_event_queued(v)) {
        vmx_block_nmis_again();
    }
}

static void sipi(struct vcpu *v)
{
    vmx(v)->after_sipi = true;
    atomic_store(&v->waiting, false);
    vmx(v)->smi_bit_stuck = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_BY_SMI;
    hw_iret(); /* an emulator (Bochs 2.7) leaves NMIs blocked behind the wait: no kick would come */
}

/* Out of line, so that the usual exits save no registers for it. */
__attribute__((noinline))
static void act(struct vcpu *v, struct exit *e)
{
    if (e->raw & VMX_ENTRY_FAILED) {
        entry_failed(v, e);
        return;
    }
    vmx_save_event(v);
    switch (e->kind) {
    case EXIT_NMI: nmi(v); return;
    case EXIT_EXCEPTION: exception(v, e); return;
    case EXIT_NESTED_FAULT: nested_fault(v, e); return;
    case EXIT_SIPI: sipi(v); return;
    case EXIT_NMI_WINDOW: vmx_set_window(vmx(v), 0); return;
    default: return;
    }
}

void vmx_take_exit(struct vcpu *v, uint32_t reason, struct exit *e)
{
    if (!vmx_decode(reason, v, e)) {
        act(v, e);
    }
}
