/* SPDX-License-Identifier: MIT */
/*
 * Hands the CPU that runs this to the core (include/xmhf/live.h), from wherever it is loaded.
 *
 * uint64_t boot_live_call(uint64_t target, void *arg, uint64_t shared_cr3)
 * What a call must keep lies on the stack above the structure, where the core has no reason to go:
 * it comes back to 1: with RSP and the answer alone.
 */

#include <hw/callee_saved.inc>
#include <xmhf/live_layout.h>

    .text
    .globl boot_live_call
boot_live_call:
    pushfq
    cli
    cld
    push_callee_saved
    subq $LIVE_SIZE, %rsp /* aligned by 16 now */
    leaq 1f(%rip), %rax
    movq %rax, LIVE_RIP(%rsp)
    movq %rsp, LIVE_RSP(%rsp)
    movq %cr0, %rax
    movq %rax, LIVE_CR0(%rsp)
    movq %cr2, %rax
    movq %rax, LIVE_CR2(%rsp)
    movq %cr3, %rax
    movq %rax, LIVE_CR3(%rsp)
    movq %cr4, %rax
    movq %rax, LIVE_CR4(%rsp)
    movq %rdx, LIVE_SHARED(%rsp)
    movw %es, LIVE_SELECTOR(%rsp)
    movw %cs, LIVE_SELECTOR+2(%rsp)
    movw %ss, LIVE_SELECTOR+4(%rsp)
    movw %ds, LIVE_SELECTOR+6(%rsp)
    movw %fs, LIVE_SELECTOR+8(%rsp)
    movw %gs, LIVE_SELECTOR+10(%rsp)
    sldt LIVE_SELECTOR+12(%rsp)
    str LIVE_SELECTOR+14(%rsp)
    sgdt LIVE_GDTR(%rsp)
    sidt LIVE_IDTR(%rsp)
    movl $0, LIVE_PAD(%rsp)
    movq %rdx, %cr3
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rsp, %rsi
    call *%rax
1:  movq LIVE_CR3(%rsp), %rcx
    movq %rcx, %cr3
    addq $LIVE_SIZE, %rsp
    pop_callee_saved
    popfq
    ret

    .section .note.GNU-stack, "", @progbits
