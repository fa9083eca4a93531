/* SPDX-License-Identifier: MIT */
/* What 64-bit PALs try: X(name, code, only an exception will do, vector, or this one). */
#ifndef PAL_ATTACKS64_H
#define PAL_ATTACKS64_H

#include "attacks.h"

/* RDI, RSI, RDX and RCX are set by the call. */
#define ATTACK_PROLOGUE ""
#define HARMLESS "mov (%rdx), %rax; push %rax; pop %rax; cpuid; rdtsc; ret"

#define ATTACKS(X) \
    ATTACKS_ALIKE(X) \
    X(syscall,      "mov $39, %eax; syscall",                         1, 6, -1) \
    X(sysret,       "mov %rdi, %rcx; sysretq",                        1, 6, 13) \
    X(sysexit,      "mov %rdi, %rdx; .byte 0x0f, 0x35",               1, 6, 13) \
    X(far_call,     "lcall *(%rdx)",                                  1, 13, -1) \
    X(far_jump,     "ljmp *(%rdx)",                                   1, 13, -1) \
    X(far_return,   "push $0x33; push %rdi; lretq",                   1, 13, -1) \
    X(iret,         "mov %rsp, %rax; push $0x2b; push %rax; pushfq; push $0x33; push %rdi; iretq", \
                                                                      0, 13, -1) \
    X(near_jump,    "jmp *%rdi",                                      1, 14, -1) \
    X(near_call,    "call *%rdi",                                     1, 14, -1) \
    X(wild_return,  "push %rdi; ret",                                 1, 14, -1) \
    X(ins,          "mov %rdx, %rdi; mov $0x60, %edx; insb",          0, 13, -1) \
    X(mov_cr3,      "mov %cr3, %rax",                                 0, 13, -1) \
    X(to_cr0,       "mov %rdi, %cr0",                                 0, 13, -1) \
    X(mov_dr7,      "mov %dr7, %rax",                                 0, 13, -1) \
    X(lgdt,         "lgdt (%rdx)",                                    0, 13, -1) \
    X(lidt,         "lidt (%rdx)",                                    0, 13, -1) \
    X(invlpg,       "invlpg (%rdx)",                                  0, 13, -1) \
    X(swapgs,       "swapgs",                                         0, 13, -1) \
    X(vmrun,        "mov %rdx, %rax; .byte 0x0f, 0x01, 0xd8",         0, 13, 6) \
    X(vmload,       "mov %rdx, %rax; .byte 0x0f, 0x01, 0xda",         0, 13, 6) \
    X(load_fs,      "mov $0x33, %eax; mov %ax, %fs; mov %fs:0, %rax", 1, 13, 14) \
    X(trap_flag,    "pushfq; orq $0x100, (%rsp); popfq; nop; nop",    1, 1, -1) \
    X(read_outside, "mov (%rsi), %rax",                               1, 14, -1) \
    X(write_outside, "movq $7, (%rsi)",                               1, 14, -1) \
    X(read_null,    "mov 0, %rax",                                    1, 14, -1) \
    X(read_kernel,  "mov $0xffffffff81000000, %rsi; mov (%rsi), %rax",1, 14, -1) \
    X(non_canonical, "mov $0x8000000000000000, %rsi; mov (%rsi), %rax", 1, 13, -1) \
    X(jump_non_canonical, "mov $0x8000000000000000, %rsi; jmp *%rsi", 1, 13, -1) \
    X(write_code,   "movb $0x90, (%rcx)",                             1, 14, -1) \
    X(run_data,     "movb $0xc3, (%rdx); call *%rdx",                 1, 14, -1) \
    X(run_stack,    "push $0xc3; call *%rsp",                         1, 14, -1) \
    X(write_return_page, "mov (%rsp), %rax; movb $0x90, (%rax)",     1, 14, -1) \
    X(stack_overflow, "1: push %rax; jmp 1b",                         1, 14, -1) \
    X(bad_stack,    "mov %rsi, %rsp; push %rax",                      1, 14, -1) \
    X(sse_fault,    "movl $0, -8(%rsp); ldmxcsr -8(%rsp); xorps %xmm0, %xmm0; divss %xmm0, %xmm0", \
                                                                      1, 19, -1) \
    X(x87_fault,    "movw $0x300, -8(%rsp); fldcw -8(%rsp); fld1; fldz; fdivrp; fwait; fwait", \
                                                                      1, 16, 7)

#endif
