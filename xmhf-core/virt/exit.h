/* SPDX-License-Identifier: MIT */
/*
 * The neutral form of an exit. A vendor back end (virt/svm, virt/vmx) decodes the
 * hardware's exit into a struct exit; common code under exit/ decides what happens.
 */
#ifndef XMHF_VIRT_EXIT_H
#define XMHF_VIRT_EXIT_H

#include <xmhf/access.h>
#include <xmhf/exits.h>
#include <xmhf/types.h>

/* The order of the SDM's exit qualification (vol. 3, table 28-2). */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_EVENT };

/* Likewise table 28-3. */
enum cr_how { CR_MOV, CR_CLTS = 2, CR_LMSW };

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
        struct {
            gpa_t addr;
            unsigned access;                               /* ACCESS_* */
            bool walk;                                     /* the CPU's own access to one of the
                                                              guest's page tables, or for none of
                                                              the instruction's operands */
            bool reserved;                                 /* our entry for it has bits that the CPU
                                                              doesn't know, whoever set them */
            bool has_linear;
            uint64_t linear;                               /* of the access, if has_linear */
        } fault;                                           /* NESTED_FAULT */
        struct {
            uint8_t vector;
            bool has_error;
            uint32_t error;
            uint64_t addr;                                 /* CR2 for #PF */
        } exception;
        struct {
            uint8_t cr;                                    /* 0, 3 or 4 */
            bool decoded;                                  /* how, and by MOV gpr, by LMSW source */
            uint8_t how;                                   /* enum cr_how */
            uint8_t gpr;
            uint16_t source;
        } cr;                                              /* CR_WRITE */
        struct { uint8_t vector; } sipi;
        struct {
            uint16_t selector;                             /* of the new TSS */
            uint8_t source;                                /* enum task_source */
            /* by an event that no instruction asked for */
            bool external;
            bool nmi;
            bool has_error;
            uint32_t error;                                /* of that event */
        } task;                                            /* TASK_SWITCH */
        struct { bool ran; } entry;                        /* ENTRY_FAILED: the guest had run */
    };
};

#endif
