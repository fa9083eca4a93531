/* SPDX-License-Identifier: MIT */
/* From a #VMEXIT to a struct exit (APM vol. 2, appendix C and 15.9-15.15): reads only. What there
 * is to do about it is act.c's. */
#include <guest/walk.h>
#include <virt/svm/svm.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

static void decode_io(const struct vmcb *c, struct exit *e)
{
    uint64_t i = c->exit_info1;

    e->kind = EXIT_IO;
    e->io.port = (uint16_t)(i >> 16);
    e->io.in = i & 1;
    e->io.string = i & BIT(2);
    e->io.rep = i & BIT(3);
    e->io.size = i & BIT(4) ? 1 : i & BIT(5) ? 2 : 4;
    e->io.next_rip = c->exit_info2;
}

static void decode_npf(const struct vmcb *c, struct exit *e)
{
    uint64_t i = c->exit_info1;

    e->kind = EXIT_NESTED_FAULT;
    e->fault.addr = gpa(c->exit_info2);
    e->fault.access = (i & PF_WRITE ? ACCESS_WRITE : 0) | (i & PF_FETCH ? ACCESS_EXEC : 0);
    if (!e->fault.access) {
        e->fault.access = ACCESS_READ;
    }
    e->fault.walk = !(i & NPF_FINAL);
    e->fault.reserved = i & PF_RSVD;
    /* The linear address of data isn't told. */
    e->fault.has_linear = (i & PF_FETCH) && !(c->exit_int_info & SVM_EVENT_VALID);
    e->fault.linear = c->efer & EFER_LMA && (c->cs.attrib & SEG_ATTR_L) ? c->rip
        : (uint32_t)(c->cs.base + c->rip);
}

static void decode_exception(const struct vmcb *c, struct exit *e)
{
    unsigned vector = (unsigned)(c->exit_code - SVM_EXIT_EXCEPTION0);

    if (vector == EXC_SX && (uint32_t)c->exit_info1 == SX_INIT) {
        e->kind = EXIT_INIT;
        return;
    }
    e->kind = EXIT_EXCEPTION;
    e->exception.vector = (uint8_t)vector;
    e->exception.has_error = EXC_ERROR_CODE_MASK >> vector & 1;
    e->exception.error = (uint32_t)c->exit_info1;
    e->exception.addr = c->exit_info2;
}

/* With decode assists EXITINFO1 has the register of a MOV, and nothing of CLTS and LMSW (APM vol.
 * 2, 15.33.1). */
static void decode_cr(const struct vmcb *c, struct exit *e)
{
    e->kind = EXIT_CR_WRITE;
    e->cr.cr = (uint8_t)(c->exit_code - SVM_EXIT_CR_WRITE0);
    e->cr.decoded = c->exit_info1 & BIT(63);
    e->cr.how = CR_MOV;
    e->cr.gpr = (uint8_t)(c->exit_info1 & 15);
}

const uint8_t svm_simple_kinds[SVM_SIMPLE_KINDS] = {
    [SVM_EXIT_INTR] = EXIT_INTR,
    [SVM_EXIT_NMI] = EXIT_NMI,
    [SVM_EXIT_SMI] = EXIT_SMI,
    [SVM_EXIT_INIT] = EXIT_INIT,
    [SVM_EXIT_IDTR_WRITE] = EXIT_TABLE,
    [SVM_EXIT_GDTR_WRITE] = EXIT_TABLE,
    [SVM_EXIT_LDTR_WRITE] = EXIT_TABLE,
    [SVM_EXIT_TR_WRITE] = EXIT_TABLE,
    [SVM_EXIT_CPUID] = EXIT_CPUID,
    [SVM_EXIT_INVD] = EXIT_INVD,
    [SVM_EXIT_SHUTDOWN] = EXIT_SHUTDOWN,
    [SVM_EXIT_VMMCALL] = EXIT_HYPERCALL,
    [SVM_EXIT_XSETBV] = EXIT_XSETBV,
    [SVM_EXIT_INVLPGA] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_VMRUN] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_VMLOAD] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_VMSAVE] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_STGI] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_CLGI] = EXIT_HIDDEN_INSN,
    [SVM_EXIT_SKINIT] = EXIT_HIDDEN_INSN,
};

static void decode_other(const struct vmcb *c, const struct vcpu *v, struct exit *e)
{
    const uint64_t code = c->exit_code;

    if (code == SVM_EXIT_MSR) {
        e->kind = c->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR;
        e->msr.index = (uint32_t)v->regs.gpr[GPR_RCX];
    } else if (code == SVM_EXIT_IOIO) {
        decode_io(c, e);
    } else if (code == SVM_EXIT_NPF) {
        decode_npf(c, e);
    } else if (code >= SVM_EXIT_EXCEPTION0 && code < SVM_EXIT_EXCEPTION0 + 32) {
        decode_exception(c, e);
    } else if (code >= SVM_EXIT_CR_WRITE0 && code < SVM_EXIT_CR_WRITE0 + 16) {
        decode_cr(c, e);
    } else if (code == ~0ULL || code == 0xffffffffULL) {
        e->kind = EXIT_ENTRY_FAILED; /* 64-bit -1, and what some emulators store */
    } else {
        e->kind = EXIT_UNKNOWN;
    }
}

void svm_decode(const struct vmcb *c, const struct vcpu *v, struct exit *e)
{
    uint64_t code = c->exit_code;

    e->raw = code;
    e->insn_len = svm_features.edx & CPUID_8_A_EDX_NRIPS ? svm_insn_len(c) : 0;
    e->kind = (enum exit_kind)svm_simple_kind(code);
    if (e->kind == EXIT_NONE) {
        decode_other(c, v, e);
    }
}
