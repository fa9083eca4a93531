/* SPDX-License-Identifier: MIT */
/* A crash record's numbers in words; all names come from the core's own headers. */
#include <logdecode/words.h>

#include <mm/host_map.h>
#include <stdio.h>
#include <string.h>
#include <xmhf/exits.h>
#include <x86/cpu.h>
#include <x86/msr.h>
#include <x86/vmcb.h>
#include <x86/vmx.h>

/* --- names ------------------------------------------------------------------------ */

const char *words_msr(uint32_t index)
{
    static const struct { uint32_t index; const char *name; } names[] = {
#include <msr_names.inc> /* made of include/x86/msr.h */
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].index == index) {
            return names[i].name;
        }
    }
    return NULL;
}

static const char *exception_name(unsigned vector)
{
    static const char *const names[32] = {
        [EXC_DE] = "#DE, divide error", [EXC_DB] = "#DB, debug exception",
        [EXC_NMI] = "NMI", [EXC_BP] = "#BP, breakpoint", [EXC_OF] = "#OF, overflow",
        [EXC_BR] = "#BR, bound range exceeded", [EXC_UD] = "#UD, invalid opcode",
        [EXC_NM] = "#NM, device not available", [EXC_DF] = "#DF, double fault",
        [EXC_TS] = "#TS, invalid TSS", [EXC_NP] = "#NP, segment not present",
        [EXC_SS] = "#SS, stack fault", [EXC_GP] = "#GP, general protection",
        [EXC_PF] = "#PF, page fault", [EXC_MF] = "#MF, x87 floating-point error",
        [EXC_AC] = "#AC, alignment check", [EXC_MC] = "#MC, machine check",
        [EXC_XM] = "#XM, SIMD floating-point exception", [EXC_VE] = "#VE, virtualization exception",
        [EXC_CP] = "#CP, control protection", [EXC_HV] = "#HV, hypervisor injection",
        [EXC_VC] = "#VC, VMM communication", [EXC_SX] = "#SX, security exception",
    };

    return vector < 32 && names[vector] ? names[vector] : "an exception unknown to this program";
}

/* --- the exception ------------------------------------------------------------------ */

static const char *const stack_names[] = { "main", "NMI", "#MC", "#DF" };

/* "CPU N's main stack", for an address in its place. */
static void stack_of(uint64_t addr, char *out, size_t size)
{
    uint64_t at = host_stack_end(addr) - 1 - STACK_VA;
    unsigned which = (unsigned)(at % STACK_SLOT / STACK_PITCH);

    snprintf(out, size, "CPU %u's %s stack", (unsigned)(at / STACK_SLOT), stack_names[which]);
}

static void where(uint64_t addr, char *out, size_t size)
{
    char stack[64];

    if (addr < PAGE_SIZE) {
        snprintf(out, size, "a null pointer's neighbourhood");
    } else if (host_stack_end(addr) == addr) {
        snprintf(out, size, "the core's image");
    } else {
        stack_of(addr, stack, sizeof(stack));
        snprintf(out, size, addr < host_stack_floor(addr) ? "the guard pages below %s" : "%s",
                 stack);
    }
}

static void page_fault(const struct log_record *r, char *out, size_t size)
{
    char place[96];
    const char *how = r->error & 16 ? "fetch from" : r->error & 2 ? "write to" : "read of";
    const char *why = r->error & 8 ? "a reserved bit is set in its page tables"
                    : r->error & 1 ? "the mapping forbids it" : "nothing is mapped there";

    if (r->has & REC_FAULT) {
        where(r->fault, place, sizeof(place));
        snprintf(out, size, "%s 0x%llx, %s: %s", how, (unsigned long long)r->fault, place, why);
    } else {
        snprintf(out, size, "%s an address that is not in the record (it could be a guest's "
                 "word): %s", how, why);
    }
}

static void general_protection(const struct log_record *r, const uint8_t *insn, size_t n,
                               char *out, size_t size)
{
    bool write = n >= 2 && insn[0] == 0x0f && insn[1] == 0x30;
    const char *name = words_msr(r->msr);

    if (!(r->has & REC_MSR)) {
        snprintf(out, size, r->error ? "selector or vector 0x%llx" : "error %llu",
                 (unsigned long long)r->error);
    } else if (write) {
        snprintf(out, size, "WRMSR 0x%x: %s doesn't exist on this CPU, or not with this value",
                 r->msr, name ? name : "it");
    } else {
        snprintf(out, size, "RDMSR 0x%x: %s doesn't exist on this CPU", r->msr,
                 name ? name : "it");
    }
}

static void double_fault(const struct log_record *r, char *out, size_t size)
{
    char stack[64];

    if ((r->has & REC_REGS) && host_stack_overflowed(r->rsp)) {
        stack_of(r->rsp, stack, sizeof(stack));
        snprintf(out, size, "stack overflow: %s is full", stack);
    } else {
        snprintf(out, size, "an exception while another one was delivered");
    }
}

void words_exception(const struct log_record *r, const uint8_t *insn, size_t n, char *out,
                     size_t size)
{
    char more[240] = "";

    if (!(r->has & REC_TRAP)) {
        snprintf(out, size, r->intact ? "no exception: the core itself gave up"
                 : "an exception is not in what came through");
        return;
    }
    if (r->vector == EXC_GP) {
        general_protection(r, insn, n, more, sizeof(more));
    } else if (r->vector == EXC_PF) {
        page_fault(r, more, sizeof(more));
    } else if (r->vector == EXC_DF) {
        double_fault(r, more, sizeof(more));
    } else {
        snprintf(more, sizeof(more), "error 0x%llx", (unsigned long long)r->error);
    }
    snprintf(out, size, "%s: %s", exception_name(r->vector), more);
}

/* --- exits -------------------------------------------------------------------------- */

static const char *svm_name(uint64_t raw, char *out, size_t size)
{
#define X(name, number) if (raw == (number)) { return #name; }
    SVM_EXIT_CODES(X)
#undef X
    if (raw >= SVM_EXIT_EXCEPTION0 && raw < SVM_EXIT_EXCEPTION0 + 32) {
        snprintf(out, size, "%s", exception_name((unsigned)(raw - SVM_EXIT_EXCEPTION0)));
    } else if (raw >= SVM_EXIT_CR_WRITE0 && raw < SVM_EXIT_CR_WRITE0 + 16) {
        snprintf(out, size, "write to CR%u", (unsigned)(raw - SVM_EXIT_CR_WRITE0));
    } else if (raw == ~0ULL || raw == 0xffffffffULL) {
        snprintf(out, size, "VMRUN refused the guest state");
    } else {
        snprintf(out, size, "unknown to this program");
    }
    return out;
}

static const char *vmx_name(uint64_t raw)
{
    switch (raw & 0xffff) {
#define X(name, number) case number: return #name;
    VMX_EXIT_REASONS(X)
#undef X
    default: return "unknown to this program";
    }
}

static const char *kind_sentence(const char *kind)
{
#define X(name, sentence) if (strcmp(kind, #name) == 0) { return sentence; }
    EXIT_KINDS(X)
#undef X
    return "a kind unknown to this program";
}

void words_exit(const struct log_record *r, const struct log_exit *e, char *out, size_t size)
{
    char buf[64];
    bool svm = strstr(r->virt, "SVM") != NULL;
    const char *name = svm ? svm_name(e->raw, buf, sizeof(buf)) : vmx_name(e->raw);

    if (svm || strstr(r->virt, "VMX")) {
        snprintf(out, size, "%s: %s (%s 0x%llx, %s)", e->kind, kind_sentence(e->kind), r->virt,
                 (unsigned long long)e->raw, name);
    } else {
        snprintf(out, size, "%s: %s (0x%llx)", e->kind, kind_sentence(e->kind),
                 (unsigned long long)e->raw);
    }
}
