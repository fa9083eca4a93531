/* SPDX-License-Identifier: MIT */
/* Entry from a multiboot1 or multiboot2 loader: 32-bit protected mode, paging off. Goes to
 * 64-bit mode with memory below 4 GiB identity mapped and calls boot_main. */

#include <hw/xd_enable.inc>
#include <xmhf/cpu_needs.h>

#define MB1_MAGIC 0x1badb002
#define MB1_FLAGS 0x00000003            /* modules on pages; memory map */
#define MB2_MAGIC 0xe85250d6

    .section .multiboot, "ax"
    .code32
    .align 8
    .long MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
    .align 8
mb2_start:
    .long MB2_MAGIC, 0, mb2_end - mb2_start, -(MB2_MAGIC + 0 + (mb2_end - mb2_start))
    /* Modules on pages. Without a word on UEFI's boot services (tag 7) the loader ends them, and
     * enters as under a BIOS (Multiboot2 2.0, 3.1.14 and 3.3). */
    .short 6, 0
    .long 8
    .short 0, 0                         /* end */
    .long 8
mb2_end:

    .globl boot_entry
boot_entry:
    cli
    cld
    movl $boot_stack_end, %esp
    movl %eax, boot_magic
    movl %ebx, boot_mbi

    /* A CPU with CPUID lets EFLAGS.ID be changed (SDM vol. 1, 3.4.3.3). */
    movl $cpuid_name, %esi
    pushfl
    popl %ebx
    xorl $0x200000, %ebx
    pushl %ebx
    popfl
    pushfl
    popl %eax
    xorl %ebx, %eax
    testl $0x200000, %eax
    jnz lacks

    /* What we use without asking again: a CPU without it gets a name, no triple fault. */
    movl $needs, %edi
check:
    cmpl $needs_nx, %edi
    jne 1f
    xd_enable
1:  movl 12(%edi), %esi                 /* the name */
    movl (%edi), %eax
    andl $0x80000000, %eax
    cpuid
    cmpl (%edi), %eax
    jb lacks
    movl (%edi), %eax
    cpuid
    cmpl $32, 8(%edi)
    je 2f
    movl %eax, boot_regs
    movl %ebx, boot_regs + 4
    movl %ecx, boot_regs + 8
    movl %edx, boot_regs + 12
    movl 4(%edi), %eax
    movl boot_regs(,%eax,4), %eax
    movl 8(%edi), %ecx
    btl %ecx, %eax
    jnc lacks
2:  addl $16, %edi
    cmpl $needs_end, %edi
    jb check
    rdtsc
    movl %eax, boot_tsc
    movl %edx, boot_tsc + 4

    /* PML4[0] -> PDPT, PDPT[0..3] -> four page directories of 2 MiB pages */
    movl $boot_pdpt + 3, boot_pml4
    movl $boot_pd + 3, %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b
    movl $0x83, %eax
    movl $boot_pd, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b

    /* PAE, and MCE as it is. UEFI firmware may have left 5-level paging on (LA57), which can be
     * turned off only here, outside of 64-bit mode (SDM vol. 3, 2.5), or CET. */
    movl %cr4, %eax
    andl $0x40, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax                    /* EFER.LME, NXE */
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax               /* PG, WP, PE */
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmp $8, $boot_long

/* %esi: the name of what is missing. As boot/common/launch.c:boot_refuse, which is 64-bit code. */
lacks:
    movl %esi, %ebp
    movl $uart_setup, %esi
1:  lodsw
    movl %eax, %edx
    lodsb
    outb %al, %dx
    cmpl $uart_setup_end, %esi
    jb 1b
    movl $0xb8000, %edi
    movl $lacks_text, %esi
    call puts
    movl %ebp, %esi
    call puts
    movl $refused_text, %esi
    call puts
6:  cli
    hlt
    jmp 6b

/* Write the text at %esi to COM1 and from %edi on to the screen. */
puts:
    lodsb
    testb %al, %al
    jz 7f
    movb %al, %bl
    movl $100000, %ecx                  /* each wait is bounded */
    movw $0x3fd, %dx
4:  inb %dx, %al
    testb $0x20, %al                    /* the UART can take one */
    loopz 4b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    cmpw $0xc000, 0x46                  /* a BIOS's INT 11h is in ROM; else there is none */
    jb puts
    cmpb $3, 0x449                      /* the BIOS's video mode: 80x25 text, or no screen */
    jne puts
    cmpb $0x0a, %al
    je 5f
    cmpb $0x20, %al
    jb puts
    movb $0x0f, %ah
    stosw
    jmp puts
5:  movl %edi, %eax                     /* blanks to the end of the row */
    subl $0xb8000, %eax
    xorl %edx, %edx
    movl $160, %ecx
    divl %ecx
    testl %edx, %edx
    jz puts
    movl $0x0f20, %eax
    stosw
    jmp 5b
7:  ret
uart_setup:                             /* COM1: 115200 baud, 8 bits, no parity */
    .short 0x3fb                        /* port, value; first the divisor's latch */
    .byte 0x80
    .short 0x3f8
    .byte 1
    .short 0x3f9
    .byte 0
    .short 0x3fb
    .byte 3
uart_setup_end:
lacks_text:
    .asciz "[xmhf] cannot start: this CPU lacks "
cpuid_name:
    .asciz "CPUID"
refused_text:
    .asciz "\r\n[xmhf] launch refused\r\n"

/* leaf, register, bit, name */
#define ROW(leaf, reg, bit, name) \
    .pushsection .rodata; 8: .asciz name; .popsection; .long leaf, reg, bit, 8b;
    .balign 4
needs:
    CPU_NEEDS(ROW)
needs_nx:
    CPU_NEEDS_NX(ROW)
needs_end:

    .code64
boot_long:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_end, %esp
    movl boot_magic, %edi
    movl boot_mbi, %esi
    movq boot_tsc, %rdx
    call boot_main
5:  cli
    hlt
    jmp 5b

    .data
    .align 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    .short . - boot_gdt - 1
    .long boot_gdt
    .align 8
boot_tsc:   .quad 0
boot_magic: .long 0
boot_mbi:   .long 0
boot_regs:  .long 0, 0, 0, 0

    .bss
    .align 4096
    .globl boot_pml4
boot_pml4:  .skip 4096
boot_pdpt:  .skip 4096
boot_pd:    .skip 4 * 4096
boot_stack: .skip 16384
boot_stack_end:
    .section .note.GNU-stack, "", @progbits
