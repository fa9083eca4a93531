/* SPDX-License-Identifier: MIT */
/*
 * The gate of libpal-rt's tests, in place of the real one: random numbers are the low bytes of a
 * counter, or the error that the test wants; a call was interrupted 7 times; anything else is an
 * unknown command.
 */
#include "../../pal_sdk/rt/rt_asm.h"

#define HC_PAL_INTERRUPTED 0x105 /* as in xmhf/hypercall.h */
#define HC_RANDOM          0x109

#ifdef __x86_64__
#define AX  %rax
#define CX  %rcx
#define DX  %rdx
#define ERROR C(rt_test_error)(%rip)
#define COUNTER counter(%rip)
#else
#define AX  %eax
#define CX  %ecx
#define DX  %edx
#define ERROR C(rt_test_error)
#define COUNTER counter
#endif

FUNCTION(pal_rt_gate)
    push    CX
    push    DX
    cmpl    $HC_PAL_INTERRUPTED, %eax
    jne     1f
    movl    $7, %eax
    jmp     3f
1:  cmpl    $HC_RANDOM, %eax
    movl    $2, %eax /* TV_UNKNOWN_COMMAND */
    jne     3f
    movl    ERROR, %eax
    testl   %eax, %eax
    jne     3f
2:  test    DX, DX
    je      3f
    incl    COUNTER
    movl    COUNTER, %eax
    movb    %al, (CX)
    inc     CX
    dec     DX
    movl    $0, %eax
    jmp     2b
3:  pop     DX
    pop     CX
    ret
END(pal_rt_gate)

    .data
    .globl C(rt_test_error)
C(rt_test_error):
    .long 0
counter:
    .long 0

#ifdef __ELF__
    .section .note.GNU-stack, "", @progbits
#endif
