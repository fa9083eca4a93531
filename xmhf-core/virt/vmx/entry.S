/* SPDX-License-Identifier: MIT */
/*
 * The world switch: enters the guest or a sandbox by VMLAUNCH or VMRESUME, and takes its exit (SDM
 * vol. 3, chapters 27 and 28).
 *
 * void vmx_enter(struct vcpu_regs *regs, struct exit *e, const atomic_uint *nmis_seen,
 *                bool launched)
 * Loads and stores all general registers but RSP, which is in the VMCS. Goes on in
 * vmx_exited(regs, e, how), which returns to the caller. `how`: 0 after an exit, 1 if an NMI came
 * before the entry (nothing was entered), 2 if the instruction failed, 3 if an NMI came before the
 * entry that ends the fast path (virt/fast_path.h).
 *
 * After an exit the registers that C functions may change are stored first: those that they keep
 * are still the guest's when virt/vmx/fast_path.c ends the exit by itself.
 *
 * An NMI that the core takes between the look at *nmis_seen and the entry would go unnoticed
 * until the next exit: it is made to return to where the entry is given up. The same for the fast
 * path's entry.
 */
#include <hw/callee_saved.inc>
#include <hw/registers.inc>
#include <hw/window.inc>

#define VMCS_HOST_RSP 0x6c14
#define VMCS_EXIT_REASON 0x4402
#define EXIT_REASON_CPUID 10
#define FAST_DONE 1

    .text
    .globl vmx_enter, vmx_exit
    nmi_window vmx_window_start, vmx_window_end, vmx_window_abort
    nmi_window vmx_fast_window_start, vmx_fast_window_end, vmx_fast_window_abort
vmx_enter:
    push_callee_saved
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movl $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
vmx_window_start:
    cmpl $0, (%rdx)
    jne vmx_window_abort
    testl %ecx, %ecx
    movq REG_RAX(%rdi), %rax
    load_regs rdi, REGS_KEPT, REGS_CHANGED
    movq REG_RDI(%rdi), %rdi
    jz 1f
    vmresume
    jmp 2f
1:  vmlaunch
vmx_window_end:
2:  movl $2, %edx
    jmp 3f
vmx_window_abort:
    movl $1, %edx
    jmp 3f
vmx_exit:
    pushq %rdi
    movq 8(%rsp), %rdi
    movq %rax, REG_RAX(%rdi)
    store_regs rdi, REGS_CHANGED
    popq REG_RDI(%rdi)
    movl $VMCS_EXIT_REASON, %eax
    vmread %rax, %rax
    xorl %edx, %edx
    cmpl $EXIT_REASON_CPUID, %eax
    je 5f
4:  store_regs rdi, REGS_KEPT
3:  popq %rdi
    popq %rsi
    addq $8, %rsp
    pop_callee_saved
    jmp vmx_exited

5:  call vmx_fast_cpuid
    movq (%rsp), %rdi
    cmpl $FAST_DONE, %eax
    movl $0, %edx
    jb 4b
    je 6f
    call vmx_new_cpuid
    movq (%rsp), %rdi
6:  movq 16(%rsp), %rax
vmx_fast_window_start:
    cmpl $0, (%rax)
    jne vmx_fast_window_abort
    movq REG_RAX(%rdi), %rax
    load_regs rdi, REGS_CHANGED
    movq REG_RDI(%rdi), %rdi
    vmresume
vmx_fast_window_end:
    movl $2, %edx
    jmp 7f
vmx_fast_window_abort:
    movl $3, %edx
7:  movq (%rsp), %rdi
    jmp 4b

    /*
     * void vmx_park(const atomic_uint *wake, const atomic_uint *nmis_seen): sleep until an NMI,
     * unless *wake is non-zero or an NMI was taken before. An NMI between the looks and the HLT
     * returns behind the HLT.
     */
    .globl vmx_park
vmx_park:
1:  cmpl $0, (%rdi)
    jne 2f
    cmpl $0, (%rsi)
    jne 2f
    hlt
2:  ret
    nmi_window 1b, 2b, 2b
    .section .note.GNU-stack, "", @progbits
