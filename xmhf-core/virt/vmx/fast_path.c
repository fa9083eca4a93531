/* SPDX-License-Identifier: MIT */
/* CPUID between an exit and the next entry of virt/vmx/entry.S (see virt/fast_path.h). */
#include <virt/fast_path.h>
#include <virt/vmx/vmx.h>

_Static_assert(offsetof(struct vcpu, regs.gpr) == offsetof(struct vcpu, regs), "entry.S");
_Static_assert(VMCS_EXIT_REASON == 0x4402 && VMX_EXIT_CPUID == 10, "entry.S");

HW_KEEPS_REGISTERS bool vmx_fast_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = fast_vcpu(regs);
    uint64_t rip, len, rflags, cr4, blocked;

    if (!v || vmx(v)->any_flag
        || !hw_vmread(VMCS_GUEST_INTERRUPTIBILITY, &blocked) || (blocked & BLOCKED_SHADOWS)
        || !hw_vmread(VMCS_GUEST_RIP, &rip) || !hw_vmread(VMCS_EXIT_INSN_LEN, &len)
        || !hw_vmread(VMCS_GUEST_RFLAGS, &rflags) || !(rip = fast_next(rip, len, rflags))
        || !hw_vmread(VMCS_GUEST_CR4, &cr4)) {
        return false;
    }
    const struct cpuid_regs *r = cpuid_again(v, (uint32_t)regs->gpr[GPR_RAX],
                                             (uint32_t)regs->gpr[GPR_RCX], cr4);
    if (!r || !hw_vmwrite(VMCS_GUEST_RIP, rip)) {
        return false;
    }
    regs->gpr[GPR_RAX] = r->eax;
    regs->gpr[GPR_RBX] = r->ebx;
    regs->gpr[GPR_RCX] = r->ecx;
    regs->gpr[GPR_RDX] = r->edx;
    exit_note(v, EXIT_CPUID, VMX_EXIT_CPUID);
    return true;
}
