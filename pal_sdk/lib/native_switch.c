/* SPDX-License-Identifier: MIT */
/* Into a PAL's code in this process, on its own stack, and out again: by its return, by a
 * hypercall, or because it died. */
#include "native.h"

static __thread struct native_context *current;

PAL_ABI struct native_context *pal_native_current(void);
PAL_ABI struct native_context *pal_native_current(void)
{
    return current;
}

bool native_inside(void)
{
    return current != NULL;
}

#if defined(_WIN32) && !defined(__x86_64__)
#define S(name) "_" name
#else
#define S(name) name
#endif
#define LABEL(name) ".globl " S(name) "\n" S(name) ":\n"

#ifdef __x86_64__
#define SAVE \
    "push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; sub $8, %rsp\n" \
    "stmxcsr (%rsp); fnstcw 4(%rsp); mov %rsp, (%rdi)\n"
__asm__(".text\n"
        /* RDI context, in all of them. The PAL's registers begin as zeros, but for arguments. */
        LABEL("pal_native_in") SAVE
        "mov 8(%rdi), %rsp; mov %rdi, %rax\n"
        "mov 40(%rax), %rdi; mov 48(%rax), %rsi; mov 56(%rax), %rdx; mov 64(%rax), %rcx\n"
        "mov 72(%rax), %r8; mov 80(%rax), %r9; mov 16(%rax), %rax\n"
        "xor %ebx, %ebx; xor %ebp, %ebp; xor %r10d, %r10d; xor %r11d, %r11d\n"
        "xor %r12d, %r12d; xor %r13d, %r13d; xor %r14d, %r14d; xor %r15d, %r15d\n"
        "jmp *%rax\n"
        LABEL("pal_native_on") SAVE
        "fxrstor64 128(%rdi); mov 8(%rdi), %rsp\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"
        "pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax; popfq; ret\n"
        LABEL("pal_native_returned")
        "push %rax; push %rax; call " S("pal_native_current") "; pop %rcx; pop %rcx\n"
        "mov %rcx, 24(%rax); movq $0, 32(%rax); jmp 1f\n"
        LABEL("pal_native_gate")
        "pushfq; push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi\n"
        "push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, %rbx; and $-16, %rsp; cld; call " S("pal_native_current") "\n"
        "mov %rbx, 8(%rax); fxsave64 128(%rax); movq $1, 32(%rax)\n"
        "1: mov %rax, %rdi\n"
        "2: mov (%rdi), %rsp; cld; ldmxcsr (%rsp); fninit; fldcw 4(%rsp); add $8, %rsp\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n"
        /* RAX context */
        LABEL("pal_native_died") "mov %rax, %rdi; movq $2, 32(%rdi); jmp 2b\n"
        /* RDI address, ESI whether it is written, too. A fault goes on behind. */
        LABEL("pal_native_touch")
        "mov (%rdi), %al; test %esi, %esi; jz 1f; lock orb $0, (%rdi)\n"
        "1: mov $1, %eax; ret\n"
        LABEL("pal_native_untouched") "xor %eax, %eax; ret\n");
#else
#define SAVE \
    "push %ebp; push %ebx; push %esi; push %edi; sub $8, %esp\n" \
    "mov 28(%esp), %eax; stmxcsr (%esp); fnstcw 4(%esp); mov %esp, (%eax)\n"
__asm__(".text\n"
        /* The context is the argument; then in EAX. */
        LABEL("pal_native_in") SAVE
        "mov 4(%eax), %esp; mov 8(%eax), %eax\n"
        "xor %ebx, %ebx; xor %ebp, %ebp; xor %esi, %esi; xor %edi, %edi; xor %ecx, %ecx\n"
        "xor %edx, %edx; jmp *%eax\n"
        LABEL("pal_native_on") SAVE
        "fxrstor 128(%eax); mov 4(%eax), %esp; popal; popfl; ret\n"
        LABEL("pal_native_returned")
        "sub $8, %esp; push %eax; push %eax; call " S("pal_native_current") "; pop %ecx\n"
        "mov %ecx, 12(%eax); movl $0, 16(%eax); jmp 1f\n"
        LABEL("pal_native_gate")
        "pushfl; pushal; mov %esp, %ebx; and $-16, %esp; cld\n"
        "call " S("pal_native_current") "\n"
        "mov %ebx, 4(%eax); fxsave 128(%eax); movl $1, 16(%eax)\n"
        "1: mov (%eax), %esp; cld; ldmxcsr (%esp); fninit; fldcw 4(%esp); add $8, %esp\n"
        "pop %edi; pop %esi; pop %ebx; pop %ebp; ret\n"
        LABEL("pal_native_died") "movl $2, 16(%eax); jmp 1b\n"
        LABEL("pal_native_touch")
        "mov 4(%esp), %ecx; mov (%ecx), %al; cmpl $0, 8(%esp); je 1f; lock orb $0, (%ecx)\n"
        "1: mov $1, %eax; ret\n"
        LABEL("pal_native_untouched") "xor %eax, %eax; ret\n");
#endif

typedef void (PAL_ABI *switcher)(struct native_context *c);
extern const uint8_t pal_native_in[], pal_native_on[];

static void cross(const uint8_t *how, struct native_context *c)
{
    current = c;
    __asm__ volatile("" : : : "memory");
    ((switcher)(uintptr_t)how)(c);
    __asm__ volatile("" : : : "memory");
    current = NULL;
}

void native_go_in(struct native_context *c)
{
    cross(pal_native_in, c);
}

void native_go_on(struct native_context *c)
{
    cross(pal_native_on, c);
}

/* --- memory of arguments -------------------------------------------------------------- */

typedef int (PAL_ABI *toucher)(uintptr_t address, int write);
extern const uint8_t pal_native_touch[], pal_native_untouched[];

#define PAGE_BITS 12

bool native_reachable(uintptr_t address, size_t bytes, bool write, pal_word *where)
{
    const toucher touch = (toucher)(uintptr_t)pal_native_touch;
    const uintptr_t last = address + bytes - 1;
    uintptr_t at = address;

    *where = address;
    if (last < address) { /* the end of all addresses is in between */
        return false;
    }
    for (; at >> PAGE_BITS != last >> PAGE_BITS; at = ((at >> PAGE_BITS) + 1) << PAGE_BITS) {
        if (!touch(at, write)) {
            *where = at;
            return false;
        }
    }
    *where = at;
    return touch(at, write) != 0;
}

/* --- what ends a PAL ------------------------------------------------------------------- */

static void die(struct native_context *c, struct pal_fault *f)
{
    c->fault = *f;
    f->ip = (uintptr_t)pal_native_died;
    f->ax = (uintptr_t)c;
    f->sp = c->outside;
}

static bool caught(struct pal_fault *f)
{
    if (f->ip >= (uintptr_t)pal_native_touch && f->ip < (uintptr_t)pal_native_untouched) {
        f->ip = (uintptr_t)pal_native_untouched;
        return true;
    }
    if (!current) {
        return false;
    }
    die(current, f);
    return true;
}

bool native_expired(struct pal_fault *f)
{
    struct native_context *c = current;

    if (!c || f->ip < c->begin || f->ip >= c->end) {
        return false;
    }
    f->vector = NATIVE_EXPIRED;
    die(c, f);
    return true;
}

bool native_catch_faults(void)
{
    return pal_os_on_fault(caught);
}
