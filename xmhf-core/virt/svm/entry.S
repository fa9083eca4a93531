/* SPDX-License-Identifier: MIT */
/*
 * The world switch (APM vol. 2, 15.5). GIF is 0 on entry and on return: neither interrupts
 * nor NMIs reach the core outside svm_gif_window.
 *
 * void svm_enter(struct vcpu_regs *regs, uint64_t vmcb_hpa, uint64_t host_vmcb_hpa,
 *                const struct vmcb *vmcb)
 * Loads and stores all general registers but RAX and RSP, which live in the VMCB.
 */
#include <hw/registers.inc>
#include <hw/window.inc>

#define VMCB_EXIT_CODE 0x70
#define EXIT_CODE_CPUID 0x72
#define EXIT_CODE_NPF 0x400

/* To the struct vcpu_regs that RAX points to. */
.macro store_all
    store_regs rax, REGS_CPUID, REGS_OTHERS
    movq %rdi, REG_RDI(%rax)
.endm

    .text
    .globl svm_enter
svm_enter:
    push_callee_saved
    pushq %rdi
    pushq %rdx
    pushq %rsi
    pushq %rcx
    movq %rsi, %rax
    load_regs rdi, REGS_CPUID, REGS_OTHERS
    movq REG_RDI(%rdi), %rdi
    vmload
1:  vmrun
    movq (%rsp), %rax
    cmpq $EXIT_CODE_CPUID, VMCB_EXIT_CODE(%rax)
    jne 2f
    movq 24(%rsp), %rax
    store_regs rax, REGS_CPUID
    movq %rdi, REG_RDI(%rax)
    movq %rax, %rdi
    call svm_fast_cpuid /* keeps all registers but RAX */
    testb %al, %al
    load_regs rdi, REGS_CPUID
    movq REG_RDI(%rdi), %rdi
    movq 8(%rsp), %rax
    jnz 1b
    jmp 4f
2:  cmpq $EXIT_CODE_NPF, VMCB_EXIT_CODE(%rax)
    jne 4f
    movq 24(%rsp), %rax
    store_all
    movq %rax, %rdi
    call svm_fast_store /* keeps all registers but RAX */
    testb %al, %al
    movq REG_RDI(%rdi), %rdi
    movq 8(%rsp), %rax
    jnz 1b
4:  movq 8(%rsp), %rax
    vmsave
    movq 24(%rsp), %rax
    store_all
    addq $16, %rsp
    popq %rax
    vmload
    popq %rdi
    pop_callee_saved
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
