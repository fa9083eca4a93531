/* SPDX-License-Identifier: MIT */
/* What 32-bit PALs try: X(name, code, only an exception will do, vector, or this one). */
#ifndef PAL_ATTACKS32_H
#define PAL_ATTACKS32_H

#include "attacks.h"

/* The arguments, where 64-bit PALs have them. */
#define ATTACK_PROLOGUE \
    "mov 4(%esp), %edi; mov 8(%esp), %esi; mov 12(%esp), %edx; mov 16(%esp), %ecx\n"
#define HARMLESS "mov (%edx), %eax; push %eax; pop %eax; cpuid; rdtsc; ret"

#define ATTACKS(X) \
    ATTACKS_ALIKE(X) \
    X(syscall,      "mov $20, %eax; syscall",                         1, 6, -1) \
    X(into,         "mov $0x7fffffff, %eax; inc %eax; into",          0, 4, 13) \
    X(bound,        "xor %eax, %eax; dec %eax; bound %eax, (%edx)",   1, 5, -1) \
    X(sysret,       "mov %edi, %ecx; sysret",                         1, 6, 13) \
    X(sysexit,      "mov %edi, %edx; .byte 0x0f, 0x35",               1, 6, 13) \
    X(far_call,     "lcall *(%edx)",                                  1, 13, -1) \
    X(far_jump,     "ljmp *(%edx)",                                   1, 13, -1) \
    X(far_return,   "push $0x23; push %edi; lret",                    1, 13, -1) \
    X(iret,         "mov %esp, %eax; push $0x2b; push %eax; pushf; push $0x23; push %edi; iret", \
                                                                      0, 13, -1) \
    X(to_64_bit,    "call 1f; 1: addl $(2f - 1b), (%esp); pop %eax; push $0x33; push " \
                    "%eax; lret; 2: nop", \
                                                                      1, 13, -1) \
    X(near_jump,    "jmp *%edi",                                      1, 14, -1) \
    X(near_call,    "call *%edi",                                     1, 14, -1) \
    X(wild_return,  "push %edi; ret",                                 1, 14, -1) \
    X(ins,          "mov %edx, %edi; mov $0x60, %edx; insb",          0, 13, -1) \
    X(mov_cr3,      "mov %cr3, %eax",                                 0, 13, -1) \
    X(to_cr0,       "mov %edi, %cr0",                                 0, 13, -1) \
    X(mov_dr7,      "mov %dr7, %eax",                                 0, 13, -1) \
    X(lgdt,         "lgdt (%edx)",                                    0, 13, -1) \
    X(lidt,         "lidt (%edx)",                                    0, 13, -1) \
    X(invlpg,       "invlpg (%edx)",                                  0, 13, -1) \
    X(swapgs,       ".byte 0x0f, 0x01, 0xf8",                         1, 6, 13) \
    X(vmrun,        "mov %edx, %eax; .byte 0x0f, 0x01, 0xd8",         0, 13, 6) \
    X(vmload,       "mov %edx, %eax; .byte 0x0f, 0x01, 0xda",         0, 13, 6) \
    X(load_fs,      "mov $0x2b, %eax; mov %ax, %fs; mov %fs:0, %eax", 1, 13, -1) \
    X(load_es,      "les (%edx), %eax",                               1, 13, -1) \
    X(thread_data,  "mov %gs:0, %eax",                                1, 13, 14) \
    X(trap_flag,    "pushf; orl $0x100, (%esp); popf; nop; nop",      1, 1, -1) \
    X(read_outside, "mov (%esi), %eax",                               1, 14, -1) \
    X(write_outside, "movl $7, (%esi)",                               1, 14, -1) \
    X(read_null,    "mov 0, %eax",                                    1, 14, -1) \
    X(read_kernel,  "mov $0xc1000000, %esi; mov (%esi), %eax",        1, 14, -1) \
    X(read_last,    "mov $0xfffffffc, %esi; mov (%esi), %eax",        1, 14, -1) \
    X(write_code,   "movb $0x90, (%ecx)",                             1, 14, -1) \
    X(run_data,     "movb $0xc3, (%edx); call *%edx",                 1, 14, -1) \
    X(run_stack,    "push $0xc3; call *%esp",                         1, 14, -1) \
    X(write_return_page, "mov (%esp), %eax; movb $0x90, (%eax)",     1, 14, -1) \
    X(stack_overflow, "1: push %eax; jmp 1b",                         1, 14, -1) \
    X(bad_stack,    "mov %esi, %esp; push %eax",                      1, 14, -1) \
    X(sse_fault,    "movl $0, -8(%esp); ldmxcsr -8(%esp); xorps %xmm0, %xmm0; divss %xmm0, %xmm0", \
                                                                      1, 19, -1) \
    X(x87_fault,    "movw $0x300, -8(%esp); fldcw -8(%esp); fld1; fldz; fdivrp; fwait; fwait", \
                                                                      1, 16, 7)

#endif
