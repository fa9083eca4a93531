/* SPDX-License-Identifier: MIT */
/*
 * What runs after a sleep that we didn't refuse: firmware jumps here, because the waking vectors
 * are ours (guest/facs.h). RAM is as it was, PALs too, and no CPU is under the hypervisor. So the
 * protected range is zeroed and the machine is reset. Copied to the low page, real mode, CS:0; it
 * has no stack and trusts nothing but the page it is in, which no guest can write.
 */
#include <smp/low_page.inc>

#define RESET_CMOS 0x0f  /* what firmware does after a reset; 0: start afresh */

    .section .rodata
    .globl wake_start, wake_end, wake_params
    .balign 16
    .code16
wake_start:
    cli
    cld
    movb $(0x80 | RESET_CMOS), %al      /* bit 7: no NMI from now on */
    outb %al, $0x70
    xorl %eax, %eax
    outb %al, $0x71
    inb $0x92, %al                      /* A20 open, or every other MiB would stay */
    orb $2, %al
    andb $0xfe, %al
    outb %al, $0x92
    low_page_base
    low_page_address wake, wake_gdt, wake_gdtr, 2
    low_page_address wake, wake_32, wake_jump
    low_page_protect wake, 0x1fffffff   /* no paging, caches on */

    .code32
wake_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movl (wake_params - wake_start)(%ebx), %edi
    movl (wake_params - wake_start + 4)(%ebx), %ecx
    xorl %eax, %eax
    rep stosl
    wbinvd                              /* zeros in the caches only would be lost */
    movl (wake_params - wake_start + 8)(%ebx), %ebp
    testl %ebp, %ebp
    jz wake_reset
    leal 3(%ebp), %edx                  /* the UART has slept too: 115200 8N1 */
    movb $0x83, %al
    outb %al, %dx
    movl %ebp, %edx
    movb $1, %al
    outb %al, %dx
    leal 1(%ebp), %edx
    movb $0, %al
    outb %al, %dx
    leal 3(%ebp), %edx
    movb $3, %al
    outb %al, %dx
    leal (wake_text - wake_start)(%ebx), %esi
1:  lodsb
    testb %al, %al
    jz wake_reset
    movb %al, %ah
    movl $20000, %ecx
    leal 5(%ebp), %edx
2:  inb %dx, %al
    testb $0x20, %al
    loopz 2b
    movb %ah, %al
    movl %ebp, %edx
    outb %al, %dx
    jmp 1b
wake_reset:
    movl $1000000, %ecx                 /* for the last characters: inputs take about 1 us each */
3:  inb $0x61, %al
    loop 3b
    movl $0xcf9, %edx
    movb $2, %al
    outb %al, %dx
    movb $6, %al
    outb %al, %dx
    movl $100000, %ecx
4:  inb $0x61, %al
    loop 4b
    movb $0xfe, %al
    outb %al, $0x64
    movl $100000, %ecx
5:  inb $0x61, %al
    loop 5b
    lidtl (wake_none - wake_start)(%ebx)
    ud2
6:  hlt
    jmp 6b

    .balign 8
wake_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
wake_gdtr:
    .short . - wake_gdt - 1
    .long 0
wake_none:
    .short 0
    .long 0
    .balign 4
wake_jump:
    .long 0
    .short 8
    .balign 4
wake_params:
    .long 0, 0, 0
wake_text:
    .asciz "[xmhf] woken up from a sleep: protected memory is wiped, resetting\r\n"
wake_end:
    .section .note.GNU-stack, "", @progbits
