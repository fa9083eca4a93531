/* SPDX-License-Identifier: MIT */
/* What 64-bit PALs try: X(name, code, only an exception will do, vector, or this one). */
#ifndef PAL_ATTACKS64_H
#define PAL_ATTACKS64_H

/* RDI, RSI, RDX and RCX are set by the call. */
#define ATTACK_PROLOGUE ""
#define HARMLESS "mov (%rdx), %rax; push %rax; pop %rax; cpuid; rdtsc; ret"

#define ATTACKS(X) \
    X(syscall,      "mov $39, %eax; syscall",                         1, 6, -1) \
    X(int80,        "mov $20, %eax; int $0x80",                       0, 13, -1) \
    X(int3,         "int3",                                           0, 3, -1) \
    X(int1,         ".byte 0xf1",                                     0, 1, 6) \
    X(int_0x20,     "int $0x20",                                      0, 13, -1) \
    X(int_0xfe,     "int $0xfe",                                      0, 13, -1) \
    X(sysenter,     "sysenter",                                       1, 6, 13) \
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
    X(in,           "mov $0x60, %edx; in %dx, %al",                   0, 13, -1) \
    X(in_imm,       "in $0x71, %eax",                                 0, 13, -1) \
    X(out,          "mov $0xcf9, %edx; mov $6, %al; out %al, %dx",    0, 13, -1) \
    X(ins,          "mov %rdx, %rdi; mov $0x60, %edx; insb",          0, 13, -1) \
    X(hlt,          "hlt",                                            1, 13, -1) \
    X(cli,          "cli",                                            1, 13, -1) \
    X(sti,          "sti",                                            1, 13, -1) \
    X(rdmsr,        "mov $0xc0000080, %ecx; rdmsr",                   0, 13, -1) \
    X(wrmsr,        "mov $0xc0000082, %ecx; mov %edi, %eax; xor %edx, %edx; wrmsr", 0, 13, -1) \
    X(rdpmc,        "xor %ecx, %ecx; rdpmc",                          0, 13, -1) \
    X(mov_cr3,      "mov %cr3, %rax",                                 0, 13, -1) \
    X(to_cr0,       "mov %rdi, %cr0",                                 0, 13, -1) \
    X(mov_dr7,      "mov %dr7, %rax",                                 0, 13, -1) \
    X(lgdt,         "lgdt (%rdx)",                                    0, 13, -1) \
    X(lidt,         "lidt (%rdx)",                                    0, 13, -1) \
    X(ltr,          "mov $0x40, %eax; ltr %ax",                       0, 13, -1) \
    X(clts,         "clts",                                           0, 13, -1) \
    X(invd,         "invd",                                           0, 13, -1) \
    X(wbinvd,       "wbinvd",                                         0, 13, -1) \
    X(invlpg,       "invlpg (%rdx)",                                  0, 13, -1) \
    X(swapgs,       "swapgs",                                         0, 13, -1) \
    X(xsetbv,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; xsetbv", 0, 13, 6) \
    X(vmrun,        "mov %rdx, %rax; .byte 0x0f, 0x01, 0xd8",         0, 13, 6) \
    X(vmload,       "mov %rdx, %rax; .byte 0x0f, 0x01, 0xda",         0, 13, 6) \
    X(stgi,         ".byte 0x0f, 0x01, 0xdc",                         0, 13, 6) \
    X(skinit,       "xor %eax, %eax; .byte 0x0f, 0x01, 0xde",         0, 13, 6) \
    X(load_fs,      "mov $0x33, %eax; mov %ax, %fs; mov %fs:0, %rax", 1, 13, 14) \
    X(load_ss,      "mov $0x2b, %eax; mov %ax, %ss",                  1, 13, -1) \
    X(divide,       "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; div %ecx", 1, 0, -1) \
    X(ud2,          "ud2",                                            1, 6, -1) \
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
