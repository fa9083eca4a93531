/* SPDX-License-Identifier: MIT */
/* CPUID between an exit and the next entry of virt/svm/entry.S (see virt/quick.h). */
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

_Static_assert(offsetof(struct vmcb, exit_code) == 0x70 && SVM_EXIT_CPUID == 0x72, "entry.S");

/* How long is the CPUID that exited? 0: that isn't known without a look at the guest's memory. */
QUICK_INLINE uint64_t cpuid_length(const struct vcpu *v, const struct vmcb *c)
{
    if (svm_features.edx & CPUID_8_A_EDX_NRIPS) {
        return svm_insn_len(c);
    }
    bool wide = (c->cs.attrib & SEG_ATTR_L) && (c->efer & EFER_LMA);
    const uint8_t *code = known_code(v, wide, c->cr3, c->rip, 2);
    return code && code[0] == 0x0f && code[1] == 0xa2 ? 2 : 0;
}

HW_KEEPS_REGISTERS bool svm_quick_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = quick_vcpu(regs);

    if (!v) {
        return false;
    }
    struct vmcb *c = svm(v)->os;
    uint64_t len = cpuid_length(v, c), next = quick_next(c->rip, len, c->rflags);
    if (len == 0 || next == 0 || (c->interrupt_shadow & SVM_SHADOW) || c->event_inj
        || c->tlb_control || svm_illegal(c)) {
        return false;
    }
    const struct cpuid_regs *r = cpuid_again(v, (uint32_t)c->rax, (uint32_t)regs->gpr[GPR_RCX],
                                             c->cr4);
    if (!r) {
        return false;
    }
    c->rip = next;
    c->rax = r->eax;
    regs->gpr[GPR_RBX] = r->ebx;
    regs->gpr[GPR_RCX] = r->ecx;
    regs->gpr[GPR_RDX] = r->edx;
    exit_note(v, EXIT_CPUID, SVM_EXIT_CPUID);
    return true;
}
