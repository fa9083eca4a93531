/* SPDX-License-Identifier: MIT */
/*
 * From 64-bit mode to 32-bit mode with PAE paging, there to ring 3 or to virtual-8086 code, and
 * back at the first trap or interrupt.
 */
#include "asm.h"
#include "layout.h"
#include "legacy.h"

    .text
    .code64
    .globl legacy_enter
    /* void legacy_enter(struct legacy *l): interrupts are off */
legacy_enter:
    push_callee_saved
    movl %edi, legacy_now
    movq %rsp, legacy_rsp
    movq %cr3, %rax
    movl %eax, legacy_cr3
    sidt legacy_idt64
    lidt legacy_idt_ptr
    pushq $SEL_CODE32
    pushq $down
    lretq

    .code32
down:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $legacy_stack_top, %esp
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    movl legacy_now, %edi
    movl LEGACY_CR3(%edi), %eax
    movl %eax, %cr3             /* with the paging to come this loads the PDPTEs */
    SET_PG
    movw $SEL_TSS32, %ax
    ltr %ax
    movl LEGACY_PATCH(%edi), %ecx
    testl %ecx, %ecx
    jz 1f
    movl LEGACY_VALUE(%edi), %eax
    movl %eax, (%ecx)
    movl LEGACY_VALUE + 4(%edi), %eax
    movl %eax, 4(%ecx)
1:  testl $0x20000, LEGACY_EFLAGS(%edi)
    jz 2f
    pushl LEGACY_DS(%edi)       /* GS, FS, DS, ES of virtual-8086 code */
    pushl LEGACY_DS(%edi)
    pushl LEGACY_DS(%edi)
    pushl LEGACY_DS(%edi)
2:  pushl LEGACY_SS(%edi)
    pushl LEGACY_ESP(%edi)
    pushl LEGACY_EFLAGS(%edi)
    pushl LEGACY_CS(%edi)
    pushl LEGACY_EIP(%edi)
    movw $SEL_USER_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movl LEGACY_EAX(%edi), %eax
    movl LEGACY_ECX(%edi), %ecx
    movl LEGACY_EDX(%edi), %edx
    movl LEGACY_EBX(%edi), %ebx
    movl LEGACY_EBP(%edi), %ebp
    movl LEGACY_ESI(%edi), %esi
    movl LEGACY_EDI(%edi), %edi
    iret

    .align 16
    .globl legacy_traps
legacy_traps:                   /* 16 bytes each */
    .set i, 0
    .rept 256
    .align 16
    .if !(i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30)
    pushl $0
    .endif
    pushl $i
    jmp trapped
    .set i, i + 1
    .endr

    .align 16
trapped:                        /* PUSHA: EDI ESI EBP ESP EBX EDX ECX EAX, then vector, error */
    pushal
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movl legacy_now, %edi
    .macro KEEP from, to
    movl \from(%esp), %eax
    movl %eax, \to(%edi)
    .endm
    KEEP 0, LEGACY_EDI
    KEEP 4, LEGACY_ESI
    KEEP 8, LEGACY_EBP
    KEEP 16, LEGACY_EBX
    KEEP 20, LEGACY_EDX
    KEEP 24, LEGACY_ECX
    KEEP 28, LEGACY_EAX
    KEEP 32, LEGACY_VECTOR
    KEEP 36, LEGACY_ERROR
    KEEP 40, LEGACY_EIP
    KEEP 44, LEGACY_CS
    KEEP 48, LEGACY_EFLAGS
    KEEP 52, LEGACY_ESP
    KEEP 56, LEGACY_SS
    movl %cr2, %eax
    movl %eax, LEGACY_CR2(%edi)
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl legacy_cr3, %eax
    movl %eax, %cr3
    SET_LME
    SET_PG
    ljmp $SEL_CODE64, $up
    .code64
up:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq legacy_rsp, %rsp
    lidt legacy_idt64
    pop_callee_saved
    ret

    .data
    .align 8
legacy_idt_ptr:
    .word 256 * 8 - 1
    .quad legacy_idt
    .bss
    .align 16
    .globl legacy_idt, legacy_stack_top
legacy_idt: .skip 256 * 8
legacy_idt64: .skip 16
legacy_rsp: .skip 8
legacy_cr3: .skip 4
legacy_now: .skip 4
    .align 16
    .skip 4096
legacy_stack_top:
    .section .note.GNU-stack, "", @progbits
