/* SPDX-License-Identifier: MIT */
/* From a VM exit to a struct exit (SDM vol. 3, 28.2 and appendix C): reads only. What there is to
 * do about it is act.c's. */
#include <virt/vmx/vmx.h>

static void decode_io(struct exit *e)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);

    e->kind = EXIT_IO;
    e->io.size = (uint8_t)((q & 7) + 1);
    e->io.in = q & BIT(3);
    e->io.string = q & BIT(4);
    e->io.rep = q & BIT(5);
    e->io.port = (uint16_t)(q >> 16);
    e->io.next_rip = 0;
}

static void decode_ept(struct exit *e)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);

    e->kind = EXIT_NESTED_FAULT;
    e->fault.addr = gpa(vmcs_read(VMCS_GUEST_PHYSICAL));
    e->fault.access = (q & EPT_QUAL_WRITE ? ACCESS_WRITE : 0)
        | (q & EPT_QUAL_FETCH ? ACCESS_EXEC : 0);
    if (!e->fault.access) {
        e->fault.access = ACCESS_READ;
    }
    e->fault.reserved = false;
    e->fault.walk = (q & (EPT_QUAL_LINEAR | EPT_QUAL_FINAL)) != (EPT_QUAL_LINEAR | EPT_QUAL_FINAL);
    e->fault.has_linear = q & EPT_QUAL_LINEAR;
    e->fault.linear = e->fault.has_linear ? vmcs_read(VMCS_GUEST_LINEAR) : 0;
}

/* An entry of ours that the CPU can't take, as one with an address bit that is a key of TDX (SDM
 * vol. 3, 29.3.3.1): it tells the address and nothing else. The access has not been done. */
static void decode_misconfiguration(struct exit *e)
{
    e->kind = EXIT_NESTED_FAULT;
    e->fault.addr = gpa(vmcs_read(VMCS_GUEST_PHYSICAL));
    e->fault.access = ACCESS_READ;
    e->fault.reserved = true;
    e->fault.walk = false; /* not told */
    e->fault.has_linear = false;
}

static void decode_exception(struct exit *e)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_INTR_INFO);
    uint8_t vector = (uint8_t)(info & INTR_INFO_VECTOR);

    if ((info >> INTR_INFO_TYPE_SHIFT & 7) == INTR_TYPE_NMI) {
        e->kind = EXIT_NMI;
        return;
    }
    e->kind = EXIT_EXCEPTION;
    e->exception.vector = vector;
    e->exception.has_error = info & INTR_INFO_ERROR;
    e->exception.error = e->exception.has_error ? (uint32_t)vmcs_read(VMCS_EXIT_ERROR_CODE) : 0;
    e->exception.addr = vector == EXC_PF ? vmcs_read(VMCS_EXIT_QUALIFICATION) : 0;
}

/* Which of them can exit the masks say (26.1.3). */
static void decode_cr(struct exit *e)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);

    e->kind = EXIT_CR_WRITE;
    e->cr.cr = q & 0xf;
    e->cr.how = q >> 4 & 3;
    e->cr.gpr = q >> 8 & 15;
    e->cr.source = (uint16_t)(q >> 16);
    e->cr.decoded = true;
}

/* By an event through a task gate, or by an instruction, whose length counts; so does that of a
 * software interrupt (26.4.2, 28.2.5). */
static void decode_task(struct exit *e)
{
    uint64_t q = vmcs_read(VMCS_EXIT_QUALIFICATION);
    uint32_t info = (uint32_t)vmcs_read(VMCS_IDT_INFO), type = info >> INTR_INFO_TYPE_SHIFT & 7;
    bool by_event = q >> 30 == TASK_EVENT && (info & INTR_INFO_VALID);
    bool soft = by_event && type >= INTR_TYPE_SOFT_INT;

    e->kind = EXIT_TASK_SWITCH;
    e->task.selector = (uint16_t)q;
    e->task.source = q >> 30 & 3;
    e->task.external = by_event && !soft;
    e->task.nmi = by_event && type == INTR_TYPE_NMI;
    e->task.has_error = by_event && (info & INTR_INFO_ERROR);
    e->task.error = e->task.has_error ? (uint32_t)vmcs_read(VMCS_IDT_ERROR_CODE) : 0;
    e->insn_len = !by_event || soft ? (unsigned)vmcs_read(VMCS_EXIT_INSN_LEN) : 0;
}

const uint8_t vmx_plain_kinds[VMX_PLAIN_KINDS] = {
    [VMX_EXIT_CPUID] = EXIT_CPUID,
    [VMX_EXIT_INVD] = EXIT_INVD,
    [VMX_EXIT_VMCALL] = EXIT_HYPERCALL,
    [VMX_EXIT_GDTR_IDTR] = EXIT_TABLE,
    [VMX_EXIT_LDTR_TR] = EXIT_TABLE,
    [VMX_EXIT_XSETBV] = EXIT_XSETBV,
    [VMX_EXIT_GETSEC] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMCLEAR] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMLAUNCH] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMPTRLD] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMPTRST] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMREAD] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMRESUME] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMWRITE] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMXOFF] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMXON] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_INVEPT] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_INVVPID] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_VMFUNC] = EXIT_HIDDEN_INSN,
    [VMX_EXIT_PCONFIG] = EXIT_HIDDEN_INSN,
};
_Static_assert(EXIT_NONE == 0, "what isn't in the table is EXIT_NONE");

static enum exit_kind other_kind(uint32_t reason)
{
    switch (reason) {
    case VMX_EXIT_EXTERNAL_INTR: return EXIT_INTR;
    case VMX_EXIT_TRIPLE_FAULT: return EXIT_SHUTDOWN;
    case VMX_EXIT_INIT: return EXIT_INIT;
    default: return EXIT_UNKNOWN;
    }
}

/* An entry that failed: by a machine check, or because of what was to be entered (27.8, 27.9). */
static void decode_failed_entry(uint32_t reason, struct exit *e)
{
    e->kind = (reason & 0xffff) == VMX_EXIT_ENTRY_MC ? EXIT_INTR : EXIT_ENTRY_FAILED;
    e->entry.ran = false;
}

static void decode_other(uint32_t reason, const struct vcpu *v, struct exit *e)
{
    e->insn_len = 0;
    if (reason & VMX_ENTRY_FAILED) {
        decode_failed_entry(reason, e);
        return;
    }
    switch (reason & 0xffff) {
    case VMX_EXIT_EXCEPTION_NMI: decode_exception(e); return;
    case VMX_EXIT_CR_ACCESS: decode_cr(e); break;
    case VMX_EXIT_EPT_VIOLATION: decode_ept(e); return;
    case VMX_EXIT_EPT_MISCONFIG: decode_misconfiguration(e); return;
    case VMX_EXIT_SIPI:
        e->kind = EXIT_SIPI;
        e->sipi.vector = (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION);
        return;
    case VMX_EXIT_TASK_SWITCH: decode_task(e); return;
    case VMX_EXIT_NMI_WINDOW:
    case VMX_EXIT_INTR_WINDOW: e->kind = EXIT_NMI_WINDOW; return;
    case VMX_EXIT_IO: decode_io(e); break;
    case VMX_EXIT_RDMSR:
    case VMX_EXIT_WRMSR:
        e->kind = (reason & 0xffff) == VMX_EXIT_RDMSR ? EXIT_RDMSR : EXIT_WRMSR;
        e->msr.index = (uint32_t)v->regs.gpr[GPR_RCX];
        break;
    default: e->kind = other_kind(reason & 0xffff); return;
    }
    e->insn_len = (unsigned)vmcs_read(VMCS_EXIT_INSN_LEN);
}

/* No event is being delivered when an instruction exits (28.2.4). */
bool vmx_decode(uint32_t reason, const struct vcpu *v, struct exit *e)
{
    if (vmx_decode_plain(reason, e)) {
        return true;
    }
    e->raw = reason;
    decode_other(reason, v, e);
    return false;
}
