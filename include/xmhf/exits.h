/* SPDX-License-Identifier: MIT */
/* The kinds of VM exits: what the core handles, and what its counters are counted by. */
#ifndef XMHF_EXITS_H
#define XMHF_EXITS_H

/* X(name, sentence): also the index of the exit counters (XMHF_INFO_EXITS). */
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
    X(CR_WRITE,     "write to a control register") \
    X(XSETBV,       "XSETBV") \
    X(HIDDEN_INSN,  "instruction of a feature that is hidden from the guest") \
    X(SMI,          "SMI") \
    X(ENTRY_FAILED, "the CPU refused the guest state") \
    X(UNKNOWN,      "exit unknown to this back end") \
    X(TASK_SWITCH,  "hardware task switch") \
    X(TABLE,        "descriptor-table register, if the hypapp asked for it")

enum exit_kind {
#define X(name, sentence) EXIT_##name,
    EXIT_KINDS(X)
#undef X
    EXIT_KIND_COUNT
};

#endif
