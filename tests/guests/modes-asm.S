/* SPDX-License-Identifier: MIT */
/*
 * One tour through the CPU's modes, run at TRAMPOLINE: 64-bit, compatibility, 32-bit without
 * paging, PAE paging, two-level paging, real mode, and back. Each stop is a PROBE, which
 * writes down the control registers and makes the hypervisor decode an instruction there.
 */
#include "asm.h"
#include "layout.h"
#include "modes.h"

#define AT(label) (TRAMPOLINE + label - modes_start)
#define REC(n, field) (MODES_RECORD + (n) * 32 + (field) * 4)

    /* `prefix` is r in 64-bit code: a control register has the mode's size. */
    .macro PROBE n, prefix=e
    mov %cr0, %\prefix\()ax
    movl %eax, REC(\n, 0)
    mov %cr4, %\prefix\()ax
    movl %eax, REC(\n, 1)
    movl $0xc0000080, %ecx
    rdmsr
    movl %eax, REC(\n, 2)
    xorl %eax, %eax
    cpuid
    movl %ebx, REC(\n, 3)
    cmpl $0, MODES_CALL
    je 9f
    movl $0x100, %eax           /* XMHF_HC_INFO */
    xorl %ecx, %ecx             /* XMHF_INFO_VERSION */
    .byte 0x0f, 0x01, 0xc1      /* VMCALL: #UD on AMD */
    movl %eax, REC(\n, 5)
    cmpl $1, MODES_CALL
    je 9f
    movl $0x100, %eax
    .byte 0x0f, 0x01, 0xd9      /* VMMCALL */
    movl %eax, REC(\n, 4)
9:
    .endm

    .section .rodata
    .globl modes_start, modes_end
    .code64
modes_start:
    push_callee_saved
    movq %rsp, MODES_RSP
    sidt MODES_IDT
    movl $MODES_STACK, %esp
    pushq $SEL_CODE32
    pushq $AT(compat)
    lretq

    .code32
compat:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    PROBE 0
    movl %cr3, %eax
    movl %eax, MODES_CR3
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0             /* leaves long mode */
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    PROBE 1

    movl MODES_PAE, %eax        /* CR4.PAE is still set */
    movl %eax, %cr3
    SET_PG
    PROBE 2
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0

    movl %cr4, %eax
    andl $~0x20, %eax
    orl $0x10, %eax             /* PSE */
    movl %eax, %cr4
    movl MODES_TWO, %eax
    movl %eax, %cr3
    SET_PG
    PROBE 3
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0

    lidt AT(real_idt)
    ljmp $SEL_CODE16, $AT(prot16)
    .code16
prot16:
    movw $SEL_DATA16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    PROBE 4
    movl %cr0, %eax
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $TRAMPOLINE >> 4, $real - modes_start /* a code segment with a base */
real:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $MODES_STACK, %sp
    PROBE 5
    /* #UD by the real-mode vector table: UD2, and, where there is a hypervisor, a hypercall
     * number that nobody has. */
    movl 24, %ebx
    movw $real_ud - modes_start, 24
    movw %cs, 26
    ud2
    nop
    cmpl $0, MODES_CALL
    je 1f
    movl $0x6fff, %eax
    .byte 0x0f, 0x01, 0xd9
    movl $0x6fff, %eax
    .byte 0x0f, 0x01, 0xc1
1:  movl %ebx, 24
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $AT(prot32)
real_ud:                        /* skips three bytes: UD2 and NOP, or a hypercall */
    incl MODES_UD
    pushw %bp
    movw %sp, %bp
    addw $3, 2(%bp)
    popw %bp
    iretw

    .code32
prot32:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    PROBE 6
    movl %cr4, %eax
    andl $~0x10, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl MODES_CR3, %eax
    movl %eax, %cr3
    SET_LME
    SET_PG
    ljmp $SEL_CODE64, $AT(long64)
    .code64
long64:
    movw $SEL_DATA, %ax
    movw %ax, %ss
    PROBE 7, r
    lidt MODES_IDT
    movq MODES_RSP, %rsp
    pop_callee_saved
    ret

    .align 8
real_idt:
    .word 0x3ff
    .long 0
modes_end:
    .section .note.GNU-stack, "", @progbits
