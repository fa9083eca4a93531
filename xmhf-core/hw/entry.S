/* SPDX-License-Identifier: MIT */
/* Exception entries of the core, fault-safe MSR access, and parking a CPU. The frame built
 * here is struct trap_frame in cpu/traps.h. */

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
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    call trap_handle
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
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
    movq 0(%rdi), %r9          /* rip */
    movq 8(%rdi), %r8          /* rsp */
    movzwl 58(%rdi), %ecx      /* CS */
    lgdt 72(%rdi)
    lidt 82(%rdi)
    movw 60(%rdi), %ss         /* then no NMI until the next instruction is through */
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
