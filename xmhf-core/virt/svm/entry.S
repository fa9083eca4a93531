/* SPDX-License-Identifier: MIT */
/*
 * The world switch: enters the guest or a sandbox by VMRUN, and takes its exit (APM vol. 2, 15.5).
 * GIF is 0 on entry and on return: neither interrupts nor NMIs reach the core outside
 * svm_gif_window.
 *
 * void svm_enter(struct vcpu_regs *regs, struct exit *e, const struct vmcb *vmcb,
 *                uint64_t vmcb_hpa, uint64_t host_vmcb_hpa)
 * Loads and stores all general registers but RAX and RSP, which live in the VMCB. Goes on in
 * svm_exited(regs, e), which returns to the caller.
 *
 * After an exit the registers that C functions may change are stored first: those that they keep
 * are still the guest's when virt/svm/fast_path.c ends the exit by itself.
 */
#include <hw/callee_saved.inc>
#include <hw/registers.inc>
#include <hw/window.inc>

#define VMCB_EXIT_CODE 0x70
#define EXIT_CODE_CPUID 0x72
#define EXIT_CODE_NPF 0x400
#define FAST_DONE 1

    .text
    .globl svm_enter
svm_enter:
    push_callee_saved
    pushq %rsi
    pushq %r8
    pushq %rdi
    pushq %rdx
    pushq %rcx
    movq %rcx, %rax
    load_regs rdi, REGS_KEPT, REGS_CHANGED
    movq REG_RDI(%rdi), %rdi
    vmload
1:  vmrun
    movq 16(%rsp), %rax
    movq %rdi, REG_RDI(%rax)
    movq %rax, %rdi
    store_regs rdi, REGS_CHANGED
    movq 8(%rsp), %rax
    movq VMCB_EXIT_CODE(%rax), %rax
    cmpq $EXIT_CODE_CPUID, %rax
    je 2f
    cmpq $EXIT_CODE_NPF, %rax
    je 4f
6:  movq (%rsp), %rax
    vmsave
    store_regs rdi, REGS_KEPT
    addq $24, %rsp
    popq %rax
    vmload
    popq %rsi
    pop_callee_saved
    jmp svm_exited

2:  call svm_fast_cpuid
    movq 16(%rsp), %rdi
    cmpl $FAST_DONE, %eax
    jb 6b
    je 5f
    movq (%rsp), %rax /* any code may run for a new question: as the host */
    vmsave
    movq 24(%rsp), %rax
    vmload
    call svm_new_cpuid
    movq 16(%rsp), %rdi
    movq (%rsp), %rax
    vmload
5:  movq (%rsp), %rax
    load_regs rdi, REGS_CHANGED
    movq REG_RDI(%rdi), %rdi
    jmp 1b

4:  call svm_fast_store
    movq 16(%rsp), %rdi
    testl %eax, %eax
    jnz 5b
    jmp 6b

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
