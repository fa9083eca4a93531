/* SPDX-License-Identifier: MIT */
/*
 * The world switch (APM vol. 2, 15.5). GIF is 0 on entry and on return: neither interrupts
 * nor NMIs reach the core outside svm_gif_window.
 *
 * void svm_enter(struct vcpu_regs *regs, uint64_t vmcb_hpa, uint64_t host_vmcb_hpa,
 *                const struct vmcb *vmcb)
 * Loads and stores all general registers but RAX and RSP, which live in the VMCB.
 */
#include <hw/window.inc>

#define VMCB_EXIT_CODE 0x70
#define EXIT_CODE_CPUID 0x72
#define EXIT_CODE_NPF 0x400

/* To the struct vcpu_regs that RAX points to. */
.macro STORE_REGISTERS
    movq %rcx, 8(%rax)
    movq %rdx, 16(%rax)
    movq %rbx, 24(%rax)
    movq %rbp, 40(%rax)
    movq %rsi, 48(%rax)
    movq %rdi, 56(%rax)
    movq %r8, 64(%rax)
    movq %r9, 72(%rax)
    movq %r10, 80(%rax)
    movq %r11, 88(%rax)
    movq %r12, 96(%rax)
    movq %r13, 104(%rax)
    movq %r14, 112(%rax)
    movq %r15, 120(%rax)
.endm

    .text
    .globl svm_enter
svm_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    pushq %rdx
    pushq %rsi
    pushq %rcx
    movq %rsi, %rax
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
    vmload
1:  vmrun
    movq (%rsp), %rax
    cmpq $EXIT_CODE_CPUID, VMCB_EXIT_CODE(%rax)
    jne 2f
    movq 24(%rsp), %rax
    movq %rcx, 8(%rax)
    movq %rdx, 16(%rax)
    movq %rbx, 24(%rax)
    movq %rdi, 56(%rax)
    movq %rax, %rdi
    call svm_fast_cpuid /* keeps all registers but RAX */
    testb %al, %al
    movq 8(%rdi), %rcx
    movq 16(%rdi), %rdx
    movq 24(%rdi), %rbx
    movq 56(%rdi), %rdi
    movq 8(%rsp), %rax
    jnz 1b
    jmp 4f
2:  cmpq $EXIT_CODE_NPF, VMCB_EXIT_CODE(%rax)
    jne 4f
    movq 24(%rsp), %rax
    STORE_REGISTERS
    movq %rax, %rdi
    call svm_fast_store /* keeps all registers but RAX */
    testb %al, %al
    movq 56(%rdi), %rdi
    movq 8(%rsp), %rax
    jnz 1b
4:  movq 8(%rsp), %rax
    vmsave
    movq 24(%rsp), %rax
    STORE_REGISTERS
    addq $16, %rsp
    popq %rax
    vmload
    popq %rdi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    /* void svm_vmsave(uint64_t vmcb) */
    .globl svm_vmsave
svm_vmsave:
    movq %rdi, %rax
    vmsave
    ret

    /* Let a held-back NMI or SMI be taken by the core's handlers: void svm_gif_window(void) */
    .globl svm_gif_window
svm_gif_window:
    stgi
    nop
    clgi
    ret

    /*
     * void svm_park(const atomic_uint *wake): sleep until an NMI, unless *wake is non-zero. Called
     * with GIF=0, so NMIs are held back until STGI; none slips in before the HLT.
     */
    .globl svm_park
svm_park:
    cmpl $0, (%rdi)
    jne 3f
1:  stgi
    hlt
2:  clgi
3:  ret
    nmi_window 1b, 2b, 2b
    .section .note.GNU-stack, "", @progbits
