/* SPDX-License-Identifier: MIT */
/* The image header (include/xmhf/core_image.h) and the core's first instructions. */

#define BOOT_INFO_START 108      /* offsetof(struct boot_info, start), and ... */
#define BOOT_START_LIVE 3        /* ... a value of it: init/live.c has a look at both */
#define EFER 0xc0000080
#define EFER_NXE 0x800

    .section .header, "a"
    .quad 0x45524f4346484d58
    .quad core_file_size
    .quad core_mem_size
    .quad core_entry
    .quad core_take

    .text
    .globl core_entry
core_entry:
    cmpl $BOOT_START_LIVE, BOOT_INFO_START(%rdi)
    je 2f
    leaq boot_stack_top(%rip), %rsp
    xorl %ebp, %ebp
    call core_main
1:  cli
    hlt
    jmp 1b
2:  leaq live_entry(%rip), %rax
    jmp 3f

    /*
     * A CPU that is running, on its own stack: live_entry or live_take(first argument, live, efer),
     * with EFER.NXE, because the core's data isn't to be executed. If that returns nothing else has
     * changed.
     */
    .globl core_take
core_take:
    leaq live_take(%rip), %rax
3:  pushq %rbx
    pushq %r12
    pushq %r13
    movq %rax, %r12
    movl $0x80000001, %eax
    cpuid
    movl %edx, %r13d
    movl $EFER, %ecx
    rdmsr
    shlq $32, %rdx
    movl %eax, %ebx
    orq %rdx, %rbx
    btl $20, %r13d /* NX; without it the core will refuse by name */
    jnc 4f
    shrq $32, %rdx
    orl $EFER_NXE, %eax
    wrmsr
4:  movq %rbx, %rdx
    call *%r12
    movq %rax, %r12
    movl $EFER, %ecx
    movl %ebx, %eax
    movq %rbx, %rdx
    shrq $32, %rdx
    wrmsr
    movq %r12, %rax
    popq %r13
    popq %r12
    popq %rbx
    ret

    .bss
    .align 4096
    .skip 16384
    .globl boot_stack_top
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
