/* SPDX-License-Identifier: MIT */
/*
 * How a tiny guest starts. The file is a Linux bzImage (Linux' Documentation/arch/x86/
 * boot.rst): bare, the emulator's BIOS runs the real-mode setup here, which makes
 * boot_params and enters protected mode; the hypervisor enters at entry32 right away.
 */
#include "asm.h"
#include "layout.h"

    .section .setup, "awx"
    .code16
    .org 0x1f1
    .byte 7                     /* setup_sects: 4 KiB with the boot sector */
    .word 0
    .long guest_syssize
    .word 0, 0xffff, 0
    .word 0xaa55
    .byte 0xeb, header_end - 0x202
    .ascii "HdrS"
    .word 0x020c                /* protocol 2.12 */
    .long 0
    .word 0, 0
    .byte 0, 1                  /* LOADED_HIGH */
    .word 0
    .long 0x100000              /* code32_start */
    .long 0, 0, 0
    .word 0
    .byte 0, 0
    .long 0                     /* cmd_line_ptr */
    .long 0x7fffffff            /* initrd_addr_max */
    .long 0x100000              /* kernel_alignment */
    .byte 0, 20                 /* not relocatable: linked at 1 MiB */
    .word 0
    .long 2047                  /* cmdline_size */
    .long 0
    .quad 0
    .long 0, 0
    .quad 0
    .quad 0x100000              /* pref_address */
    .long guest_init_size
    .long 0
header_end:
    jmp setup_main

    /* Behind the E820 table that setup_main fills: 0x2d0 to 0xcd0. DS is the setup's
     * segment, CS is 0x20 paragraphs higher. */
    .org 0xd00
setup_main:
    cld
    movw %ds, %ax
    movw %ax, %es
    xorl %ebx, %ebx
    movw $0x2d0, %di
    movb $0, 0x1e8
1:  movl $0xe820, %eax
    movl $0x534d4150, %edx
    movl $20, %ecx
    int $0x15
    jc 2f
    addw $20, %di
    incb 0x1e8
    cmpb $100, 0x1e8
    jae 2f
    testl %ebx, %ebx
    jnz 1b
2:  cli
    xorl %esi, %esi
    movw %ds, %si
    shll $4, %esi
    addl %esi, setup_gdt_ptr + 2
    lgdtl setup_gdt_ptr
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    ljmpl $0x10, $0x100000

    .align 8
setup_gdt:
    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
setup_gdt_ptr:
    .word 31
    .long setup_gdt

    .section .entry32, "ax"
    .code32
    .globl entry32
entry32:
    cli
    cld
    lgdt start_gdt_ptr
    ljmp $SEL_CODE32, $1f
1:  movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
    movl $cpu_blocks + BLOCK_MAIN_TOP, %esp
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    xorl %eax, %eax
    rep stosb
    movl %esi, boot_params
    call make_tables
    movl %cr4, %eax
    orl $0x20, %eax             /* PAE */
    movl %eax, %cr4
    movl $page_pml4, %eax
    movl %eax, %cr3
    SET_LME
    movl $0x80000011, %eax
    movl %eax, %cr0
    ljmp $SEL_CODE64, $entry64

    /* Identity, 4 GiB in 2 MiB pages, open to ring 3; the last GiB uncached. */
make_tables:
    movl $page_pdpt + 7, page_pml4
    movl $page_pd + 7, %eax
    movl $page_pdpt, %edi
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    cmpl $page_pdpt + 32, %edi
    jb 1b
    movl $0x87, %eax
    movl $page_pd, %edi
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    cmpl $page_pd + 0x3000, %edi
    jne 3f
    orl $0x18, %eax
3:  cmpl $page_pd + 0x4000, %edi
    jb 2b
    ret

    .code64
entry64:
    leaq cpu_blocks + BLOCK_MAIN_TOP, %rsp
    xorl %ebp, %ebp
    call guest_start
1:  hlt
    jmp 1b

    .section .rodata
    .align 8
    .globl start_gdt
start_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* SEL_CODE64 */
    .quad 0x00cf93000000ffff    /* SEL_DATA */
    .quad 0x00cf9b000000ffff    /* SEL_CODE32 */
    .quad 0x00cffb000000ffff    /* SEL_USER32 */
    .quad 0x00cff3000000ffff    /* SEL_USER_DATA */
    .quad 0x00affb000000ffff    /* SEL_USER64 */
    .quad 0x00009b000000ffff    /* SEL_CODE16 */
    .quad 0x000093000000ffff    /* SEL_DATA16 */
    .quad 0x0000fb000000ffff    /* SEL_USER16 */
start_gdt_ptr:
    .word . - start_gdt - 1
    .long start_gdt

    /* Copied to TRAMPOLINE: an AP from real mode straight to long mode. */
    .code16
    .globl trampoline_start, trampoline_end
trampoline_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl TRAMPOLINE + (trampoline_gdt - trampoline_start)
    movl $0x20, %eax
    movl %eax, %cr4
    movl $page_pml4, %eax
    movl %eax, %cr3
    SET_LME
    movl $0x80000011, %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE64, $ap_entry64
trampoline_gdt:
    .word 0x4f
    .long start_gdt
trampoline_end:

    .text
    .code64
ap_entry64:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $1, %eax               /* not from the APIC, which has no page in x2APIC mode */
    cpuid
    movl %ebx, %edi
    shrl $24, %edi              /* the index is the APIC id on all benches */
    movl %edi, %eax
    shll $16, %eax
    leaq cpu_blocks + BLOCK_MAIN_TOP(%rax), %rsp
    xorl %ebp, %ebp
    call ap_start
1:  hlt
    jmp 1b

    /* Entries of the IDT, 16 bytes each; trap_common builds struct trap_frame. */
    .align 16
    .globl trap_entries
trap_entries:
    .set i, 0
    .rept 256
    .align 16
    .if !(i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30)
    pushq $0
    .endif
    pushq $i
    jmp trap_common
    .set i, i + 1
    .endr

    .align 16
trap_common:
    pushq %rdi
    pushq %rsi
    pushq %rbp
    subq $8, %rsp               /* RSP's place in the encoding's order */
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    /* so far RAX RCX RDX RBX - RBP RSI RDI; R8 to R15 below them */
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    cld
    movq %rsp, %rdi
    call trap_c
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    addq $8, %rsp
    popq %rbp
    popq %rsi
    popq %rdi
    addq $16, %rsp
    iretq

    /* void exec_enter(struct exec *x, uint64_t *saved_rsp): to x's context; a trap that
     * trap_c takes for its end returns here through exec_leave. */
    .globl exec_enter, exec_leave
exec_enter:
    push_callee_saved
    pushfq
    movq %rsp, (%rsi)
    movl $SEL_USER_DATA, %eax   /* fit for rings 0 and 3; IRETQ clears what ring 3 can't have */
    movw %ax, %ds
    movw %ax, %es
    pushq EXEC_SS(%rdi)
    pushq EXEC_RSP(%rdi)
    pushq EXEC_RFLAGS(%rdi)
    pushq EXEC_CS(%rdi)
    pushq EXEC_RIP(%rdi)
    movq 0(%rdi), %rax
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 40(%rdi), %rbp
    movq 48(%rdi), %rsi
    movq 64(%rdi), %r8
    movq 72(%rdi), %r9
    movq 80(%rdi), %r10
    movq 88(%rdi), %r11
    movq 96(%rdi), %r12
    movq 104(%rdi), %r13
    movq 112(%rdi), %r14
    movq 120(%rdi), %r15
    movq 56(%rdi), %rdi
    iretq
exec_leave:
    popfq
    pop_callee_saved
    ret

    .bss
    .align 4096
    .globl page_pml4, page_pdpt, page_pd, cpu_blocks
page_pml4: .skip 4096
page_pdpt: .skip 4096
page_pd:   .skip 4 * 4096
    .align BLOCK_SIZE
cpu_blocks: .skip CPU_LIMIT * BLOCK_SIZE
    .section .note.GNU-stack, "", @progbits
