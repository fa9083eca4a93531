/* SPDX-License-Identifier: MIT */
/* The core that the test's firmware starts, and a call that looks at the registers. */
#include <hw/callee_saved.inc>

    .section .rodata
    .globl payload_start, payload_end
    .balign 4096
payload_start:
    .incbin "core.bin"
payload_end:

    /*
     * uint64_t live_call_checked(uint64_t target, void *arg, uint64_t cr3, uint64_t *broken):
     * boot_live_call with known words in the registers that it must keep, and *broken with a bit
     * for each that it hasn't.
     */
    .text
    .globl live_call_checked
live_call_checked:
    push_callee_saved
    pushq %rcx
    movabsq $0x1111222233334444, %rbx
    leaq 1(%rbx), %rbp
    leaq 2(%rbx), %r12
    leaq 3(%rbx), %r13
    leaq 4(%rbx), %r14
    leaq 5(%rbx), %r15
    call boot_live_call
    popq %rcx
    movabsq $0x1111222233334444, %rdx
    .irp reg, rbx, rbp, r12, r13, r14, r15
    cmpq %rdx, %\reg
    je 1f
    btsq $0, (%rcx)
1:  incq %rdx
    .endr
    pop_callee_saved
    ret
    .section .note.GNU-stack, "", @progbits
