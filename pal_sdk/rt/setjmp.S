/* SPDX-License-Identifier: MIT */
/* setjmp and longjmp, by the convention of the image: what a called function must keep. */
#include "rt_asm.h"

#ifdef __x86_64__
#ifdef _WIN64
#define BUFFER %rcx
#define VALUE  %edx
#else
#define BUFFER %rdi
#define VALUE  %esi
#endif

FUNCTION(setjmp)
    movq    (%rsp), %rax
    movq    %rax, (BUFFER)
    leaq    8(%rsp), %rax
    movq    %rax, 8(BUFFER)
    movq    %rbx, 16(BUFFER)
    movq    %rbp, 24(BUFFER)
    movq    %r12, 32(BUFFER)
    movq    %r13, 40(BUFFER)
    movq    %r14, 48(BUFFER)
    movq    %r15, 56(BUFFER)
    stmxcsr 64(BUFFER)
    fnstcw  68(BUFFER)
#ifdef _WIN64
    movq    %rdi, 72(BUFFER)
    movq    %rsi, 80(BUFFER)
    movups  %xmm6, 96(BUFFER)
    movups  %xmm7, 112(BUFFER)
    movups  %xmm8, 128(BUFFER)
    movups  %xmm9, 144(BUFFER)
    movups  %xmm10, 160(BUFFER)
    movups  %xmm11, 176(BUFFER)
    movups  %xmm12, 192(BUFFER)
    movups  %xmm13, 208(BUFFER)
    movups  %xmm14, 224(BUFFER)
    movups  %xmm15, 240(BUFFER)
#endif
    xorl    %eax, %eax
    ret
END(setjmp)

FUNCTION(longjmp)
    movl    VALUE, %eax
    testl   %eax, %eax
    jne     1f
    incl    %eax
1:  movq    16(BUFFER), %rbx
    movq    24(BUFFER), %rbp
    movq    32(BUFFER), %r12
    movq    40(BUFFER), %r13
    movq    48(BUFFER), %r14
    movq    56(BUFFER), %r15
    ldmxcsr 64(BUFFER)
    fldcw   68(BUFFER)
#ifdef _WIN64
    movups  96(BUFFER), %xmm6
    movups  112(BUFFER), %xmm7
    movups  128(BUFFER), %xmm8
    movups  144(BUFFER), %xmm9
    movups  160(BUFFER), %xmm10
    movups  176(BUFFER), %xmm11
    movups  192(BUFFER), %xmm12
    movups  208(BUFFER), %xmm13
    movups  224(BUFFER), %xmm14
    movups  240(BUFFER), %xmm15
    movq    72(BUFFER), %rdi
    movq    80(BUFFER), %rsi
#endif
    movq    8(BUFFER), %rsp
    jmp     *(BUFFER)
END(longjmp)

#else

FUNCTION(setjmp)
    movl    4(%esp), %eax
    movl    (%esp), %ecx
    movl    %ecx, (%eax)
    leal    4(%esp), %ecx
    movl    %ecx, 4(%eax)
    movl    %ebx, 8(%eax)
    movl    %ebp, 12(%eax)
    movl    %esi, 16(%eax)
    movl    %edi, 20(%eax)
    fnstcw  24(%eax)
    xorl    %eax, %eax
    ret
END(setjmp)

FUNCTION(longjmp)
    movl    4(%esp), %ecx
    movl    8(%esp), %eax
    testl   %eax, %eax
    jne     1f
    incl    %eax
1:  movl    8(%ecx), %ebx
    movl    12(%ecx), %ebp
    movl    16(%ecx), %esi
    movl    20(%ecx), %edi
    fldcw   24(%ecx)
    movl    4(%ecx), %esp
    jmp     *(%ecx)
END(longjmp)
#endif

#ifdef __ELF__
    .section .note.GNU-stack, "", @progbits
#endif
