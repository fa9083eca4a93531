/* SPDX-License-Identifier: MIT */
/*
 * The neutral form of a VM exit. A vendor back end (virt/svm, virt/vmx) decodes the
 * hardware's exit into a struct exit; common code under exit/ decides what happens.
 */
#ifndef XMHF_VIRT_EXIT_H
#define XMHF_VIRT_EXIT_H

#include <xmhf/types.h>

/* X(name, sentence): also the index of the exit counters. */
#define EXIT_KINDS(X) \
    X(NONE,         "handled by the back end") \
    X(CPUID,        "CPUID") \
    X(RDMSR,        "RDMSR outside the pass-through set") \
    X(WRMSR,        "WRMSR outside the pass-through set") \
    X(IO,           "access to an intercepted port") \
    X(HYPERCALL,    "VMCALL or VMMCALL") \
    X(NESTED_FAULT, "NPT or EPT violation") \
    X(EXCEPTION,    "intercepted exception") \
    X(NMI,          "NMI") \
    X(NMI_WINDOW,   "the guest can take an NMI again") \
    X(INTR,         "external interrupt while a PAL ran") \
    X(INIT,         "INIT signal") \
    X(SIPI,         "start-up IPI") \
    X(SHUTDOWN,     "triple fault") \
    X(INVD,         "INVD") \
    X(CR_WRITE,     "write to CR0 or CR4") \
    X(XSETBV,       "XSETBV") \
    X(HIDDEN_INSN,  "instruction of a feature that is hidden from the guest") \
    X(SMI,          "SMI") \
    X(ENTRY_FAILED, "the CPU refused the guest state") \
    X(UNKNOWN,      "exit unknown to this back end")

enum exit_kind {
#define X(name, sentence) EXIT_##name,
    EXIT_KINDS(X)
#undef X
    EXIT_KIND_COUNT
};

/* Rights of an access or of a mapping. */
#define ACCESS_READ  1u
#define ACCESS_WRITE 2u
#define ACCESS_EXEC  4u
#define ACCESS_USER  8u
#define ACCESS_PEEK  16u /* of a software walk: set no accessed or dirty bit */

struct exit {
    enum exit_kind kind;
    uint64_t raw;          /* vendor's exit code, for the log */
    unsigned insn_len;     /* bytes; 0 = the hardware didn't tell, use exit_insn_len() */
    union {
        struct { uint32_t index; } msr;                    /* RDMSR, WRMSR */
        struct {
            uint16_t port;
            uint8_t size;                                  /* 1, 2 or 4 bytes */
            bool in, string, rep;
            uint64_t next_rip;                             /* 0 = unknown */
        } io;
        struct { gpa_t addr; unsigned access; } fault;     /* NESTED_FAULT: ACCESS_* */
        struct {
            uint8_t vector;
            bool has_error;
            uint32_t error;
            uint64_t addr;                                 /* CR2 for #PF */
        } exception;
        struct { uint8_t cr, gpr; bool decoded; } cr;      /* CR_WRITE from a GPR, if decoded */
        struct { uint8_t vector; } sipi;
        struct { bool ran; } entry;                        /* ENTRY_FAILED: the guest had run */
    };
};

#endif
