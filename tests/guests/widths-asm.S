/* SPDX-License-Identifier: MIT */
/*
 * Ring 3 that calls a PAL until its job is done, in 32-bit and 64-bit code; and the way from 64-bit
 * mode to a 32-bit kernel with either kind of paging, whose state is written down before ring 3
 * begins and at the trap that ends it.
 */
#include "asm.h"
#include "layout.h"
#include "widths.h"

/* --- ring 3 ------------------------------------------------------------------------- */

    .text
    .code32
    .globl widths_loop32, widths_segments
widths_loop32:
    pushl job + JOB_D + 4
    pushl job + JOB_D
    pushl job + JOB_P
    pushl job + JOB_C
    pushl job + JOB_B + 4
    pushl job + JOB_B
    pushl job + JOB_A
    movl job + JOB_STUB, %eax
    call *%eax
    addl $28, %esp
    cmpl %eax, job + JOB_RESULT
    jne 2f
    cmpl %edx, job + JOB_RESULT + 4
    jne 2f
    testl %ecx, %ecx
    jnz 2f
    decl job + JOB_COUNT
    jnz widths_loop32
    cmpl $0, job + JOB_SEGMENTS
    je 2f
widths_segments:
    movl %fs:0, %eax
    movl %eax, job + JOB_FS
    movl %gs:0, %eax
    movl %eax, job + JOB_GS
    movl job + JOB_D + 0x40000000, %eax
    movl %eax, job + JOB_GIB1
    movl job + JOB_D + 0x80000000, %eax
    movl %eax, job + JOB_GIB2
    movb %fs:FS_LIMIT + 1, %al  /* #GP, unless an emulator has no limits */
2:  int $0x80

    .code64
    .globl widths_loop64
widths_loop64:
    movl job + JOB_A, %edi
    movq job + JOB_B, %rsi
    movzwl job + JOB_C, %edx
    movabsq $0xdeadbeef00000000, %rax
    orq %rax, %rdi              /* an int's upper half is anybody's */
    orq %rax, %rdx
    movq job + JOB_P, %rcx
    movq job + JOB_D, %r8
    subq $8, %rsp
    movq job + JOB_STUB, %rax
    call *%rax
    addq $8, %rsp
    cmpq %rax, job + JOB_RESULT
    jne 2f
    testq %rcx, %rcx
    jnz 2f
    decq job + JOB_COUNT
    jnz widths_loop64
2:  int $0x80

/* Calls whose ticks count, with one argument. */
    .macro MEASURED
    rdtsc
    subl job + JOB_START, %eax
    cmpl job + JOB_LEAST, %eax
    jae 1f
    movl %eax, job + JOB_LEAST
1:  decl job + JOB_COUNT
    .endm

    .globl widths_null64, widths_null32
widths_null64:
    rdtsc
    movl %eax, job + JOB_START
    movl $1, %edi
    subq $8, %rsp
    movq job + JOB_STUB, %rax
    call *%rax
    addq $8, %rsp
    MEASURED
    jnz widths_null64
    int $0x80
    .code32
widths_null32:
    rdtsc
    movl %eax, job + JOB_START
    pushl $1
    movl job + JOB_STUB, %eax
    call *%eax
    addl $4, %esp
    MEASURED
    jnz widths_null32
    int $0x80

/* --- a 32-bit kernel ------------------------------------------------------------------ */

    .code64
    .globl widths_enter
    /* void widths_enter(struct legacy *l): interrupts are off */
widths_enter:
    push_callee_saved
    movl %edi, now
    movq %rsp, saved_rsp
    movq %cr3, %rax
    movl %eax, saved_cr3
    movq %cr4, %rax
    movl %eax, saved_cr4
    fxsave64 saved_fpu
    sidt saved_idt
    lidt widths_idt_ptr
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15  /* 32-bit code can't see them, and its PAL writes them */
    movabsq $0x0123456789abcde * \n, %r\n
    movdqu widths_xmm + 16 * (\n - 8), %xmm\n
    .endr
    pushq $SEL_CODE32
    pushq $down
    lretq

    .code32
down:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $widths_stack_top, %esp
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax
    wrmsr
    movl now, %edi
    movl LEGACY_CR4(%edi), %eax
    movl %eax, %cr4
    movl LEGACY_CR3(%edi), %eax
    movl %eax, %cr3             /* with PAE paging to come this loads the PDPTEs */
    SET_PG
    movw $SEL_TSS32, %ax
    ltr %ax
    movw $SEL_FS, %ax
    movw %ax, %fs
    movw %ax, %es
    movw $SEL_GS, %ax
    movw %ax, %gs
    movw $SEL_USER_DATA, %ax
    movw %ax, %ds
    /* The tables don't have any more what the CPU has loaded. */
    movl widths_gdt, %eax
    movl $0, SEL_FS - 3(%eax)
    movl $0, SEL_FS + 1(%eax)
    movl $0, SEL_GS - 3(%eax)
    movl $0, SEL_GS + 1(%eax)
    movl LEGACY_PATCH(%edi), %eax
    testl %eax, %eax
    jz 1f
    movl $0, 8(%eax)
    movl $0, 16(%eax)
1:  fninit
    fldpi
    fldcw widths_cw
    ldmxcsr widths_mxcsr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    movdqu widths_xmm + 16 * \n, %xmm\n
    .endr
    leal LEGACY_BEFORE(%edi), %edi
    call dump
    movl now, %edi
    pushl $SEL_USER_DATA
    pushl LEGACY_ESP(%edi)
    pushl $0x202
    pushl $SEL_USER32
    pushl LEGACY_EIP(%edi)
    movl LEGACY_EAX(%edi), %eax
    movl LEGACY_ECX(%edi), %ecx
    movl LEGACY_EDX(%edi), %edx
    movl LEGACY_EBX(%edi), %ebx
    movl LEGACY_EBP(%edi), %ebp
    movl LEGACY_ESI(%edi), %esi
    movl LEGACY_EDI(%edi), %edi
    iret

    .macro KEEP_SEGMENT what
    xorl %eax, %eax
    \what %ax
    stosl_ds
    .endm
    .macro stosl_ds             /* ES isn't flat here */
    movl %eax, (%edi)
    addl $4, %edi
    .endm

/* The state at EDI; STATE_WORDS words and the FPU's. Changes EAX, ECX, EDX, ESI. */
dump:
    pushl %edi
    .irp cr, cr0, cr3, cr4, dr0, dr6, dr7
    movl %\cr, %eax
    stosl_ds
    .endr
    .irp seg, cs, ss, ds, es, fs, gs
    xorl %eax, %eax
    movw %\seg, %ax
    stosl_ds
    .endr
    KEEP_SEGMENT sldt
    KEEP_SEGMENT str
    movl $0, (%edi)
    movl $0, 8(%edi)
    sgdt (%edi)
    sidt 8(%edi)
    addl $16, %edi
    movl $widths_msrs, %esi
1:  movl (%esi), %ecx
    rdmsr
    stosl_ds
    movl %edx, %eax
    stosl_ds
    addl $4, %esi
    cmpl $widths_msrs_end, %esi
    jne 1b
    xorl %eax, %eax
    xorl %edx, %edx
    movl %cr4, %ecx
    testl $1 << 18, %ecx        /* OSXSAVE */
    jz 2f
    xorl %ecx, %ecx
    xgetbv
2:  stosl_ds
    popl %edi
    fxsave STATE_FXSAVE(%edi)
    ret

    .align 16
    .globl widths_timer
widths_timer:                   /* DS is ring 3's, which is flat */
    pushl %eax
    movl now, %eax
    incl LEGACY_TICKS(%eax)
    movl $0, 0xfee000b0
    popl %eax
    iret

    .align 16
    .globl widths_traps
widths_traps:                   /* 16 bytes each */
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
    movl now, %edi
    leal LEGACY_AFTER(%edi), %edi
    call dump
    movl now, %edi
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
    KEEP 48, LEGACY_EFLAGS
    KEEP 52, LEGACY_ESP
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl saved_cr4, %eax
    movl %eax, %cr4
    movl saved_cr3, %eax
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
    movq saved_rsp, %rsp
    lidt saved_idt
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq %r\n, widths_high + 8 * (\n - 8)
    movdqu %xmm\n, widths_high + 64 + 16 * (\n - 8)
    .endr
    fxrstor64 saved_fpu
    pop_callee_saved
    ret

    .data
    .align 8
widths_idt_ptr:
    .word 256 * 8 - 1
    .quad widths_idt
    .align 4
    .globl widths_msrs, widths_msrs_end, widths_xmm
widths_msrs:                    /* the order of widths.c's names */
    .long 0xc0000080, 0x174, 0x175, 0x176, 0x277, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084
    .long 0xc0000100, 0xc0000101, 0xc0000102
widths_msrs_end:
widths_mxcsr: .long 0x1fa0      /* precision exceptions have come */
widths_cw: .word 0x27f          /* 53 bits */
    .align 16
widths_xmm:
    .set i, 0
    .rept 32
    .long 0x01010101 * (i & 0xff) ^ 0x5a17c3e0
    .set i, i + 1
    .endr
    .bss
    .align 16
    .globl widths_idt, widths_stack_top, widths_gdt, widths_high, job
job: .skip 128
widths_high: .skip 192
saved_fpu: .skip 512
widths_idt: .skip 256 * 8
saved_idt: .skip 16
saved_rsp: .skip 8
saved_cr3: .skip 4
saved_cr4: .skip 4
now: .skip 4
widths_gdt: .skip 4
    .align 16
    .skip 4096
widths_stack_top:
    .section .note.GNU-stack, "", @progbits
