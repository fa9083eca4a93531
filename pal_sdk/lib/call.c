/* SPDX-License-Identifier: MIT */
/* Calls of PALs by System V's, Microsoft's and the i386 convention, and of resume stubs. */
#include "call.h"
#include <string.h>

#define REGISTERS 6u /* arguments in registers, at most */

/*
 * Call `entry`. `args` has at least as many arguments as go in registers; `n` more are on the
 * stack, at `stack`. out[0..2] become RAX, RCX, RDX. What the caller needs back is on the stack,
 * and out[3] says where: a thread that has lost its registers goes on at pal_call_lost, with RBP as
 * out[3] says and with RAX, RCX and RDX as the call would have left them.
 */
#ifdef __x86_64__
#define SYMBOLS(name) ".globl " name "\n" name ":\n"
#define BEGIN \
    "push %rbp; mov %rsp, %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n" \
    "push %rdx\n" \
    "mov %rbp, 24(%rdx)\n"
#define END \
    "lea -48(%rbp), %rsp; pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n" \
    "mov %rax, (%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); ret\n"
#define PUT_ON_STACK /* RCX words from R8 on */ \
    "mov %rdi, %rax; mov %rsi, %rbx\n" \
    "lea 1(%rcx), %rdx; and $-2, %rdx; shl $3, %rdx; sub %rdx, %rsp\n" \
    "1: test %rcx, %rcx; jz 2f; dec %rcx\n" \
    "mov (%r8,%rcx,8), %rdx; mov %rdx, (%rsp,%rcx,8); jmp 1b\n"
/* System V itself: RDI entry, RSI args (6), RDX out, RCX n, R8 stack. */
__asm__(".text\n"
        SYMBOLS("pal_module_call_sysv") BEGIN PUT_ON_STACK
        "2: mov (%rbx), %rdi; mov 8(%rbx), %rsi; mov 16(%rbx), %rdx; mov 24(%rbx), %rcx\n"
        "mov 32(%rbx), %r8; mov 40(%rbx), %r9\n"
        "call *%rax\n"
        SYMBOLS("pal_call_lost") END
        /* To Microsoft's, whose arguments on the stack (n, all) count from the first. */
        SYMBOLS("pal_module_call_ms") BEGIN PUT_ON_STACK
        "2: mov (%rbx), %rcx; mov 8(%rbx), %rdx; mov 16(%rbx), %r8; mov 24(%rbx), %r9\n"
        "call *%rax\n" END
        /* RDI stub, RSI token, RDX out. */
        SYMBOLS("pal_call_resume") BEGIN
        "mov (%rsi), %rax; mov 8(%rsi), %rdx\n"
        "call *%rdi\n" END);
typedef void (PAL_ABI *caller)(const void *entry, const pal_word *args, pal_word out[4], pal_word n,
                               const pal_word *stack);
extern const uint8_t pal_module_call_sysv[], pal_module_call_ms[];

static void call(uint32_t convention, const void *entry, const pal_word *args, unsigned n,
                 pal_word out[4])
{
    if (convention == XMHF_MICROSOFT) {
        ((caller)(uintptr_t)pal_module_call_ms)(entry, args, out, n < 4 ? 4 : n, args);
    } else {
        ((caller)(uintptr_t)pal_module_call_sysv)(entry, args, out, n < 6 ? 0 : n - 6, args + 6);
    }
}
#else
#ifdef _WIN32
#define SYMBOLS(name) ".globl _" name "\n_" name ":\n"
#else
#define SYMBOLS(name) ".globl " name "\n" name ":\n"
#endif
#define BEGIN \
    "push %ebp; mov %esp, %ebp; push %ebx; push %esi; push %edi\n" \
    "mov 16(%ebp), %eax; mov %ebp, 12(%eax); mov 12(%ebp), %esi\n"
#define END \
    "lea -12(%ebp), %esp; mov 16(%ebp), %ebx\n" \
    "mov %eax, (%ebx); mov %ecx, 4(%ebx); mov %edx, 8(%ebx)\n" \
    "pop %edi; pop %esi; pop %ebx; pop %ebp; ret\n"
/* cdecl: entry, args, out, n. */
__asm__(".text\n"
        SYMBOLS("pal_module_call_cdecl") BEGIN
        "mov 20(%ebp), %ecx; lea (,%ecx,4), %edx; sub %edx, %esp; and $-16, %esp\n"
        "1: test %ecx, %ecx; jz 2f; dec %ecx\n"
        "mov (%esi,%ecx,4), %edx; mov %edx, (%esp,%ecx,4); jmp 1b\n"
        "2: call *8(%ebp)\n"
        SYMBOLS("pal_call_lost") END
        /* stub, token, out. */
        SYMBOLS("pal_call_resume") BEGIN
        "and $-16, %esp\n"
        "mov (%esi), %eax; mov 4(%esi), %edx; mov 8(%esi), %ecx; mov 12(%esi), %ebx\n"
        "call *8(%ebp)\n" END);
typedef void (PAL_ABI *caller)(const void *entry, const pal_word *args, pal_word out[4],
                               pal_word n);
extern const uint8_t pal_module_call_cdecl[];

static void call(uint32_t convention, const void *entry, const pal_word *args, unsigned n,
                 pal_word out[4])
{
    (void)convention;
    ((caller)(uintptr_t)pal_module_call_cdecl)(entry, args, out, n);
}
#endif
typedef void (PAL_ABI *resumer)(const void *stub, const uint64_t token[2], pal_word out[4]);
extern const uint8_t pal_call_resume[];

void pal_raw_call(uint32_t convention, const void *entry, const pal_word *args, unsigned n,
                  pal_word out[4])
{
    pal_word all[PAL_CALL_WORDS];

    n = n < PAL_CALL_WORDS ? n : PAL_CALL_WORDS; /* no entry takes more */
    for (unsigned i = 0; i < n; i++) {
        all[i] = args[i];
    }
    for (unsigned i = n; i < REGISTERS; i++) { /* they are loaded even if there are fewer */
        all[i] = 0;
    }
    __asm__ volatile("" : : "r"(all) : "memory"); /* pointers may lead anywhere */
    call(convention, entry, all, n, out);
    __asm__ volatile("" : : : "memory");
}

void pal_raw_resume(const void *stub, const uint64_t token[2], pal_word out[4])
{
    __asm__ volatile("" : : "r"(token) : "memory");
    ((resumer)(uintptr_t)pal_call_resume)(stub, token, out);
    __asm__ volatile("" : : : "memory");
}
