/* SPDX-License-Identifier: MIT */
/* Exception entries of the core, fault-safe MSR access, and parking a CPU. The frame built
 * here is struct trap_frame in cpu/traps.h. */
#include <hw/callee_saved.inc>
#include <xmhf/live_layout.h>

    .text

    .macro trap_entry vector, has_error
    .align 16
    .if \has_error == 0
    pushq $0
    .endif
    pushq $\vector
    jmp trap_common
    .endm

    .globl trap_entries
    .align 16
trap_entries:
    .set i, 0
    .rept 32
    .if i == 8 || (i >= 10 && i <= 14) || i == 17 || i == 21 || i == 29 || i == 30
    trap_entry i, 1
    .else
    trap_entry i, 0
    .endif
    .set i, i + 1
    .endr
    /* every other vector: an interrupt that we never asked for */
    .align 16
    .globl trap_spurious
trap_spurious:
    iretq

    /*
     * Vector 30 while interrupts are drained: an interrupt, or #SX, which has an error code. The
     * CPU aligns the stack before it pushes (APM vol. 2, 8.9.3), so six words leave it aligned.
     */
    .align 16
    .globl trap_maybe_sx
trap_maybe_sx:
    testb $8, %spl
    jnz trap_spurious
    pushq $30
    jmp trap_common

    .align 16
trap_common:
    cld
    .irp r, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
    pushq %\r
    .endr
    push_callee_saved
    movq %rsp, %rdi
    call trap_handle
    pop_callee_saved
    .irp r, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    popq %\r
    .endr
    addq $16, %rsp
    iretq

    /* bool hw_rdmsr_safe(uint32_t msr, uint64_t *v) */
    .globl hw_rdmsr_safe
hw_rdmsr_safe:
    movl %edi, %ecx
1:  rdmsr
    shlq $32, %rdx
    movl %eax, %eax
    orq %rdx, %rax
    movq %rax, (%rsi)
    movl $1, %eax
    ret
    /* bool hw_wrmsr_safe(uint32_t msr, uint64_t v) */
    .globl hw_wrmsr_safe
hw_wrmsr_safe:
    movl %edi, %ecx
    movl %esi, %eax
    movq %rsi, %rdx
    shrq $32, %rdx
2:  wrmsr
    movl $1, %eax
    ret
    /* bool hw_xsetbv_safe(uint64_t v): XCR0 */
    .globl hw_xsetbv_safe
hw_xsetbv_safe:
    xorl %ecx, %ecx
    movl %edi, %eax
    movq %rdi, %rdx
    shrq $32, %rdx
3:  xsetbv
    movl $1, %eax
    ret
safe_fault:
    xorl %eax, %eax
    ret

    .section .fixup_table, "a"
    .quad 1b, safe_fault
    .quad 2b, safe_fault
    .quad 3b, safe_fault
    .text

    /*
     * void hw_native_return(const struct live_cpu *c, uint64_t efer, uint64_t value). EFER comes
     * last: without NXE the core's data can't be used any more, its code can.
     */
    .globl hw_native_return
hw_native_return:
    movq LIVE_RIP(%rdi), %r9
    movq LIVE_RSP(%rdi), %r8
    movzwl LIVE_SELECTOR+2(%rdi), %ecx /* CS */
    lgdt LIVE_GDTR(%rdi)
    lidt LIVE_IDTR(%rdi)
    movw LIVE_SELECTOR+4(%rdi), %ss /* then no NMI until the next instruction is through */
    movq %r8, %rsp
    pushq %rcx
    pushq %r9
    movq %rdx, %r10
    movl $0xc0000080, %ecx
    movl %esi, %eax
    movq %rsi, %rdx
    shrq $32, %rdx
    wrmsr
    movq %r10, %rax
    lretq

    /*
     * void hw_stop(const atomic_bool *wiped, void (*then)(void)): the stack is being wiped
     * meanwhile, so nothing is on it until that is over. Then an NMI may come, and an SMI for which
     * firmware wants all CPUs.
     */
    .globl hw_stop
hw_stop:
    cli
1:  pause
    cmpb $0, (%rdi)
    je 1b
    testq %rsi, %rsi
    jz 2f
    call *%rsi
2:  hlt
    jmp 2b

    .section .note.GNU-stack, "", @progbits
