/* SPDX-License-Identifier: MIT */
/*
 * The guest's INT 15h memory services, without the protected range (ACPI 6.5, 15.1; Ralf
 * Brown's list for E801h and 88h). Real-mode code, copied to a reserved low page by
 * guest/int15.c, which fills in the data at the end. Everything else goes to the old handler.
 */
    .section .rodata
    .globl int15_start, int15_data, int15_end
    .code16
int15_start:
    cmpl $0xe820, %eax
    je e820
    cmpw $0xe801, %ax
    je e801
    cmpb $0x88, %ah
    je h88
chain:
    ljmp *%cs:(old_vector - int15_start)

e820:
    cmpl $0x534d4150, %edx              /* "SMAP" */
    jne chain
    cmpl %cs:(entry_count - int15_start), %ebx
    jae fail
    cmpl $20, %ecx
    jb fail
    pushw %si
    pushw %di
    pushw %ds
    pushw %cs
    popw %ds
    imull $20, %ebx, %esi
    addw $(entries - int15_start), %si
    movl $20, %ecx
    cld
    rep movsb
    popw %ds
    popw %di
    popw %si
    incl %ebx
    cmpl %cs:(entry_count - int15_start), %ebx
    jb 1f
    xorl %ebx, %ebx                     /* EBX = 0 marks the end, never CF */
1:  movl $20, %ecx
    movl $0x534d4150, %eax
    jmp ok
e801:
    movw %cs:(kib_1m_16m - int15_start), %ax
    movw %ax, %cx
    movw %cs:(blocks_16m - int15_start), %bx
    movw %bx, %dx
    jmp ok
h88:
    movw %cs:(kib_1m_64m - int15_start), %ax
ok:
    pushw %bp
    movw %sp, %bp
    andw $0xfffe, 6(%bp)                /* CF in the FLAGS that IRET will load */
    popw %bp
    iret
fail:
    movb $0x86, %ah
    pushw %bp
    movw %sp, %bp
    orw $1, 6(%bp)
    popw %bp
    iret

    .balign 4
int15_data:                             /* struct int15_data in guest/int15.c */
old_vector:  .long 0
entry_count: .long 0
kib_1m_16m:  .short 0
blocks_16m:  .short 0
kib_1m_64m:  .short 0
             .short 0
entries:
int15_end:
    .section .note.GNU-stack, "", @progbits
