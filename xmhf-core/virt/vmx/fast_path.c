/* SPDX-License-Identifier: MIT */
/* CPUID between an exit and the next entry of virt/vmx/entry.S (see virt/fast_path.h). */
#include <smp/smp.h>
#include <virt/fast_path.h>
#include <virt/vmx/vmx.h>

_Static_assert(offsetof(struct vcpu, regs.gpr) == offsetof(struct vcpu, regs), "entry.S");
_Static_assert(VMCS_EXIT_REASON == 0x4402 && VMX_EXIT_CPUID == 10, "entry.S");

unsigned vmx_fast_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = fast_vcpu(regs);
    uint64_t rip, len, rflags, cr4, blocked;

    if (!v || vmx(v)->any_flag
        || !hw_vmread(VMCS_GUEST_INTERRUPTIBILITY, &blocked) || (blocked & BLOCKED_SHADOWS)
        || !hw_vmread(VMCS_GUEST_RIP, &rip) || !hw_vmread(VMCS_EXIT_INSN_LEN, &len)
        || !hw_vmread(VMCS_GUEST_RFLAGS, &rflags) || !fast_moves(rip, rip + len, rflags)
        || !hw_vmread(VMCS_GUEST_CR4, &cr4)) {
        return FAST_NO;
    }
    const struct cpuid_regs *r = cpuid_again(v, (uint32_t)regs->gpr[GPR_RAX],
                                             (uint32_t)regs->gpr[GPR_RCX], cr4);
    if (!r) {
        return FAST_NEW;
    }
    if (!hw_vmwrite(VMCS_GUEST_RIP, rip + len)) {
        return FAST_NO;
    }
    regs->gpr[GPR_RAX] = r->eax;
    regs->gpr[GPR_RBX] = r->ebx;
    regs->gpr[GPR_RCX] = r->ecx;
    regs->gpr[GPR_RDX] = r->edx;
    exit_note(v, EXIT_CPUID, VMX_EXIT_CPUID);
    return FAST_DONE;
}

void vmx_new_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = vcpu_of(regs);

    regs->rip = vmcs_read(VMCS_GUEST_RIP);
    regs->gpr[GPR_RSP] = vmcs_read(VMCS_GUEST_RSP);
    regs->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    exit_note(v, EXIT_CPUID, VMX_EXIT_CPUID);
    cpuid_answer(v, vmx_get_cr4(v));
    vmcs_write(VMCS_GUEST_RIP, regs->rip + vmcs_read(VMCS_EXIT_INSN_LEN));
    /* The hypapp may have asked for something that the run loop does: then this NMI, which the core
     * takes here, calls the entry off. */
    if (atomic_load_explicit(&v->requests, memory_order_relaxed) || vmx(v)->any_flag
        || vmx(v)->queued.full) {
        kick(v);
    }
}
