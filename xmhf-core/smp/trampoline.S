/* SPDX-License-Identifier: MIT */
/* Where the other CPUs (APs) start after their SIPI: in real mode, at page << 8:0. Copied to the
 * low page; smp.c fills in the parameters at its end. Goes to 64-bit mode and jumps to ap_main. */

#include <hw/xd_enable.inc>
#include <smp/low_page.inc>

    .section .rodata
    .globl trampoline_start, trampoline_end, trampoline_params
    .code16
trampoline_start:
    cli
    cld
    low_page_base
    low_page_address trampoline, tramp_gdt, trampoline_gdtr, 2
    low_page_address trampoline, tramp_32, trampoline_jump
    low_page_address trampoline, tramp_64, tramp_jump64
    low_page_protect trampoline, 0x9fffffff /* caches on */

    .code32
tramp_32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %ebx, %esi
    xd_enable                           /* as boot/multiboot/entry.S on the boot CPU */
    movl %esi, %ebx
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl (trampoline_params - trampoline_start)(%ebx), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    ljmpl *(tramp_jump64 - trampoline_start)(%ebx)

    .code64
tramp_64:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movq (trampoline_params - trampoline_start + 8)(%rbx), %rdi   /* vcpu */
    movq (trampoline_params - trampoline_start + 16)(%rbx), %rsp  /* stack */
    movq (trampoline_params - trampoline_start + 24)(%rbx), %rax  /* ap_main */
    xorl %ebp, %ebp
    pushq %rbp
    jmp *%rax

    .balign 8
tramp_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
trampoline_gdtr:
    .short . - tramp_gdt - 1
    .long 0
    .balign 4
trampoline_jump:
    .long 0
    .short 8
    .balign 4
tramp_jump64:
    .long 0
    .short 24
    .balign 8
trampoline_params:
    .quad 0, 0, 0, 0
trampoline_end:
    .section .note.GNU-stack, "", @progbits
