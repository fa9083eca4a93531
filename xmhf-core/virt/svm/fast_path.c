/* SPDX-License-Identifier: MIT */
/* CPUID, and stores to the APIC page, between an exit and the next entry of virt/svm/entry.S (see
 * virt/fast_path.h). */
#include <guest/walk.h>
#include <smp/smp.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

_Static_assert(offsetof(struct vmcb, exit_code) == 0x70 && SVM_EXIT_CPUID == 0x72
               && SVM_EXIT_NPF == 0x400 && FAST_DONE == 1, "entry.S");

FAST_INLINE bool is_code64(const struct vmcb *c)
{
    return (c->cs.attrib & SEG_ATTR_L) && (c->efer & EFER_LMA);
}

/* Something besides the instruction waits for this exit or for the next entry. */
FAST_INLINE bool more_to_do(const struct vmcb *c)
{
    return (c->interrupt_shadow & SVM_SHADOW) || (c->event_inj | c->tlb_control) || svm_illegal(c);
}

struct opcode { uint16_t bytes; } __attribute__((packed, may_alias));
#define OPCODE_CPUID 0xa20f

/* How long is the CPUID that exited? 0: that isn't known without a look at the guest's memory. */
FAST_INLINE unsigned cpuid_length(const struct vcpu *v, const struct vmcb *c)
{
    if (svm_features.edx & CPUID_8_A_EDX_NRIPS) {
        return svm_insn_len(c);
    }
    const uint8_t *code = known_code(&v->code, is_code64(c), c->cr3, c->rip, 2);
    return code && ((const struct opcode *)code)->bytes == OPCODE_CPUID ? 2 : 0;
}

unsigned svm_fast_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = fast_vcpu(regs);

    if (!v) {
        return FAST_NO;
    }
    struct vmcb *c = svm(v)->os;
    uint64_t len = cpuid_length(v, c), next = c->rip + len;
    if (len == 0 || !fast_moves(c->rip, next, c->rflags) || more_to_do(c)) {
        return FAST_NO;
    }
    const struct cpuid_regs *r = cpuid_again(v, (uint32_t)c->rax, (uint32_t)regs->gpr[GPR_RCX],
                                             c->cr4);
    if (!r) {
        return FAST_NEW;
    }
    c->rip = next;
    c->rax = r->eax;
    regs->gpr[GPR_RBX] = r->ebx;
    regs->gpr[GPR_RCX] = r->ecx;
    regs->gpr[GPR_RDX] = r->edx;
    exit_note(v, EXIT_CPUID, SVM_EXIT_CPUID);
    return FAST_DONE;
}

void svm_new_cpuid(struct vcpu_regs *regs)
{
    struct vcpu *v = vcpu_of(regs);
    struct svm_cpu *s = svm(v);
    struct vmcb *c = s->os;

    regs->gpr[GPR_RAX] = c->rax;
    regs->gpr[GPR_RSP] = c->rsp;
    regs->rip = c->rip;
    regs->rflags = c->rflags;
    exit_note(v, EXIT_CPUID, SVM_EXIT_CPUID);
    cpuid_answer(v, c->cr4);
    c->rax = regs->gpr[GPR_RAX];
    /* cpuid_length said so */
    c->rip += svm_features.edx & CPUID_8_A_EDX_NRIPS ? svm_insn_len(c) : 2;
    /* The hypapp may have asked for something that the run loop does: this NMI exits at once. */
    if (atomic_load_explicit(&v->requests, memory_order_relaxed) | s->queued.full | s->flush_os) {
        kick(v);
    }
}

struct code_word { uint64_t bytes; } __attribute__((packed, may_alias));

/* The instruction at RIP, copied once: another CPU may be changing it. The CPU left its bytes (APM
 * vol. 2, 15.33.2), or it is in the page that such an exit was decoded in last, if the guest's
 * tables still lead there: ring 3 may have that memory by now. */
FAST_INLINE bool copy_code(const struct vcpu *v, const struct vmcb *c, uint64_t out[2])
{
    const uint8_t *code = c->insn_bytes;

    if (!is_code64(c)) {
        return false;
    }
    if (!(svm_features.edx & CPUID_8_A_EDX_DECODE_ASSISTS) || c->insn_len < sizeof(c->insn_bytes)) {
        const struct walk_memo *m = &v->store_code;
        bool same = (c->rip & PAGE_MASK) <= PAGE_SIZE - 16
            && walk_same(m, c->cr3, c->cr4, c->efer, c->rip, 0);
        code = same ? m->bytes + (c->rip & PAGE_MASK) : NULL;
    }
    if (!code) {
        return false;
    }
    out[0] = ((const volatile struct code_word *)code)[0].bytes;
    out[1] = ((const volatile struct code_word *)code)[1].bytes; /* the 16th counts for nothing */
    return true;
}

/* A store of the guest's to the xAPIC's page, and nothing else? Then which register. */
FAST_INLINE bool apic_store(const struct vmcb *c, unsigned *offset)
{
    const uint64_t wanted = NPF_FINAL | PF_WRITE;

    *offset = (unsigned)(c->exit_info2 & PAGE_MASK);
    return c->exit_info2 >> PAGE_SHIFT == APIC_PAGE >> PAGE_SHIFT && !(*offset & 15)
        && (c->exit_info1 & (wanted | PF_FETCH | PF_RSVD)) == wanted
        && !(c->exit_int_info & SVM_EVENT_VALID);
}

unsigned svm_fast_store(struct vcpu_regs *regs)
{
    struct vcpu *v = fast_vcpu(regs);
    struct fast_store st;
    uint64_t code[2];
    unsigned offset;

    if (!v) {
        return FAST_NO;
    }
    struct vmcb *c = svm(v)->os;
    if (!apic_store(c, &offset) || more_to_do(c) || !copy_code(v, c, code)
        || !fast_store((const uint8_t *)code, &st)) {
        return FAST_NO;
    }
    uint64_t next = c->rip + st.len;
    uint32_t value = st.imm ? st.value : (uint32_t)(st.reg == GPR_RAX ? c->rax : st.reg == GPR_RSP
                                                    ? c->rsp : regs->gpr[st.reg]);
    if (!fast_moves(c->rip, next, c->rflags) || !fast_apic_register(offset, value)
        || atomic_load(&v->apic_off)
        || (hw_rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD)) {
        return FAST_NO;
    }
    hw_mmio_write32(apic_page + offset, value);
    c->rip = next;
    exit_note(v, EXIT_NESTED_FAULT, SVM_EXIT_NPF);
    return FAST_DONE;
}
