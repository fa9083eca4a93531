/* SPDX-License-Identifier: MIT */
/* The architectural state of a vCPU in a form that neither vendor has. */
#ifndef XMHF_VIRT_STATE_H
#define XMHF_VIRT_STATE_H

#include <cpu/vcpu.h>

struct segment {
    uint16_t selector;
    uint16_t attr;     /* AMD form: type/S/DPL/P in bits 7:0, AVL/L/DB/G in 11:8 */
    uint32_t limit;    /* in bytes */
    uint64_t base;
};

enum segment_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

enum table_register { TABLE_GDTR, TABLE_IDTR };

/* By what system calls enter a kernel. */
struct syscall_msrs {
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
};

/* The full architectural state a vCPU starts with (guest/state.c makes the variants, guest/live.c
 * that of a CPU that is running). */
struct vcpu_state {
    struct vcpu_regs regs;
    struct segment seg[SEG_COUNT];
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, efer, dr6, dr7, pat, debugctl;
    struct syscall_msrs msrs;
    bool by_init;      /* PAT, the MSRs of system calls, CR0.CD and NW stay as the vCPU has them */
};

#endif
