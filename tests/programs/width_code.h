/* SPDX-License-Identifier: MIT */
/* The code of one PAL for each width, whatever the program's: for the tiny guest widths and the
 * program pal_widths. */
#ifndef XMHF_TESTS_WIDTH_CODE_H
#define XMHF_TESTS_WIDTH_CODE_H

#include <stdint.h>
#include <xmhf/image.h>

#define WIDTH_CODE   512u   /* bytes of each, from the symbol on */
#define WIDTH_DIE_AT 256u   /* offset of `die`; its access is there, of 32-bit code 4 bytes on */

#ifdef __x86_64__
#define WIDTH_NATIVE ".code64\n"
#else
#define WIDTH_NATIVE ".code32\n"
#endif

/*
 * f(uint32_t a, uint64_t b, int16_t c, uint64_t *p, uint64_t d): r = ((a + b) ^ d) + c, *p += r;
 * returns r, in 16-bit code its lower half. Each leaves ones in all registers that it can write,
 * null selectors, DF set, and the FPU with other settings. die(same) reads a byte at b; in 16-bit
 * code, whose limits not every emulator knows, it executes HLT.
 */
__asm__(
    ".pushsection .rodata\n"
    ".code64\n"
    ".balign 256\n"
    "width64:\n"
    "    lea (%rdi, %rsi), %rax\n"
    "    xor %r8, %rax\n"
    "    add %rdx, %rax\n"
    "    add %rax, (%rcx)\n"
    "    mov $300, %ecx\n"
    "1:  loop 1b\n"
    "    or $-1, %rcx\n"
    "    .irp r, rbx, rbp, rsi, rdi, rdx, r8, r9, r10, r11, r12, r13, r14, r15\n"
    "    mov %rcx, %\\r\n"
    "    .endr\n"
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "    pcmpeqd %xmm\\n, %xmm\\n\n"
    "    .endr\n"
    "    movl $0x7f80, -8(%rsp)\n"
    "    ldmxcsr -8(%rsp)\n"
    "    fldz\n"
    "    fldcw width64_cw(%rip)\n"
    "    xor %ecx, %ecx\n"
    "    .irp s, ds, es, fs, gs\n"
    "    mov %ecx, %\\s\n"
    "    .endr\n"
    "    std\n"
    "    ret\n"
    "width64_cw: .word 0xf7f\n"
    ".balign 256\n"
    "    mov (%rsi), %al\n"
    "    ret\n"
    ".balign 256\n"
    ".code32\n"
    "width32:\n"
    "    mov 4(%esp), %eax\n"
    "    xor %edx, %edx\n"
    "    add 8(%esp), %eax\n"
    "    adc 12(%esp), %edx\n"
    "    xor 24(%esp), %eax\n"
    "    xor 28(%esp), %edx\n"
    "    mov 16(%esp), %ebx\n"
    "    mov %ebx, %ecx\n"
    "    sar $31, %ecx\n"
    "    add %ebx, %eax\n"
    "    adc %ecx, %edx\n"
    "    mov 20(%esp), %edi\n"
    "    add %eax, (%edi)\n"
    "    adc %edx, 4(%edi)\n"
    "    mov $300, %ecx\n"
    "1:  loop 1b\n"
    "    or $-1, %ecx\n"
    "    .irp r, ebx, ebp, esi, edi\n"
    "    mov %ecx, %\\r\n"
    "    .endr\n"
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
    "    pcmpeqd %xmm\\n, %xmm\\n\n"
    "    .endr\n"
    "    movl $0x7f80, -8(%esp)\n"
    "    ldmxcsr -8(%esp)\n"
    "    movl $0xf7f, -8(%esp)\n"
    "    fldz\n"
    "    fldcw -8(%esp)\n"
    "    xor %ecx, %ecx\n"
    "    .irp s, ds, es, fs, gs\n"
    "    mov %ecx, %\\s\n"
    "    .endr\n"
    "    std\n"
    "    ret\n"
    ".balign 256\n"
    "    mov 8(%esp), %ecx\n"
    "    mov (%ecx), %al\n"
    "    ret\n"
    ".balign 256\n"
    ".code16\n"
    "width16:\n"
    "    mov %sp, %bp\n"
    "    mov 2(%bp), %eax\n"
    "    xor %edx, %edx\n"
    "    add 6(%bp), %eax\n"
    "    adc 10(%bp), %edx\n"
    "    xor 20(%bp), %eax\n"
    "    xor 24(%bp), %edx\n"
    "    movswl 14(%bp), %ecx\n"
    "    mov %ecx, %ebx\n"
    "    sar $31, %ebx\n"
    "    add %ecx, %eax\n"
    "    adc %ebx, %edx\n"
    "    les 16(%bp), %di\n"
    "    add %eax, %es:(%di)\n"
    "    adc %edx, %es:4(%di)\n"
    "    mov $300, %cx\n"
    "1:  loop 1b\n"
    "    movl $0x7f80, -8(%bp)\n"
    "    ldmxcsr -8(%bp)\n"
    "    or $-1, %ecx\n"
    "    .irp r, ebx, ebp, esi, edi\n"
    "    mov %ecx, %\\r\n"
    "    .endr\n"
    "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
    "    pcmpeqd %xmm\\n, %xmm\\n\n"
    "    .endr\n"
    "    fldz\n"
    "    xor %ecx, %ecx\n"
    "    .irp s, ds, es, fs, gs\n"
    "    mov %cx, %\\s\n"
    "    .endr\n"
    "    mov %eax, %edx\n"
    "    shr $16, %edx\n"
    "    std\n"
    "    ret\n"
    ".balign 256\n"
    "    hlt\n"
    ".balign 256\n"
    WIDTH_NATIVE
    ".popsection\n");
extern const uint8_t width64[], width32[], width16[];

static inline uint64_t width_result(uint32_t a, uint64_t b, int16_t c, uint64_t d)
{
    return ((a + b) ^ d) + (uint64_t)(int64_t)c;
}

/* What both entries take. */
#define WIDTH_PARAMS 5u
static const struct xmhf_image_param width_params[WIDTH_PARAMS] = {
    { TV_PARAM_INTEGER, XMHF_IN, 4, 0, 0 },
    { TV_PARAM_INTEGER, XMHF_IN, 8, 0, 0 },
    { TV_PARAM_INTEGER, XMHF_IN, 2 | XMHF_INTEGER_SIGNED, 0, 0 },
    { TV_PARAM_POINTER, XMHF_INOUT, 8, 0, 0 },
    { TV_PARAM_INTEGER, XMHF_IN, 8, 0, 0 },
};

#endif
