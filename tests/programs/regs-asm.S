/* SPDX-License-Identifier: MIT */
/*
 * For pal_regs.c: a PAL that writes down everything it can see and then fills all registers with
 * its secret, and a caller that does the same around the call. One text for both widths: W is a
 * word, AX the register of that width.
 *
 * pal_word regs_pal(mode, data, buffer, rounds): what it sees at entry comes back in `buffer`
 * (struct regs_seen). `data`: three pages of the PAL's own: what it saw and what it filled in, the
 * image that it fills from, and what is there after it was interrupted.
 */
#include "regs.h"

#ifdef __x86_64__
#define AX rax
#define BX rbx
#define CX rcx
#define DX rdx
#define SI rsi
#define DI rdi
#define BP rbp
#define SP rsp
#define XSAVE xsave64
#define XRSTOR xrstor64
#define FXSAVE fxsave64
#define FXRSTOR fxrstor64
#define REG_SECRET (SECRET32 << 32 | SECRET32)
#define REG_CALLER (CALLER32 << 32 | CALLER32)
#define STOS rep stosq
#define MOVS rep movsq
#else
#define AX eax
#define BX ebx
#define CX ecx
#define DX edx
#define SI esi
#define DI edi
#define BP ebp
#define SP esp
#define XSAVE xsave
#define XRSTOR xrstor
#define FXSAVE fxsave
#define FXRSTOR fxrstor
#define REG_SECRET SECRET32
#define REG_CALLER CALLER32
#define STOS rep stosl
#define MOVS rep movsl
#endif

/* Registers 0 to 15 by number into SEEN_GPR at `base`, which is in SI. */
.macro save_gprs
    mov %AX, SEEN_GPR + 0 * W(%SI)
    mov %CX, SEEN_GPR + 1 * W(%SI)
    mov %DX, SEEN_GPR + 2 * W(%SI)
    mov %BX, SEEN_GPR + 3 * W(%SI)
    mov %SP, SEEN_GPR + 4 * W(%SI)
    mov %BP, SEEN_GPR + 5 * W(%SI)
    mov %DI, SEEN_GPR + 7 * W(%SI)
#ifdef __x86_64__
    mov %r8, SEEN_GPR + 8 * W(%SI)
    mov %r9, SEEN_GPR + 9 * W(%SI)
    mov %r10, SEEN_GPR + 10 * W(%SI)
    mov %r11, SEEN_GPR + 11 * W(%SI)
    mov %r12, SEEN_GPR + 12 * W(%SI)
    mov %r13, SEEN_GPR + 13 * W(%SI)
    mov %r14, SEEN_GPR + 14 * W(%SI)
    mov %r15, SEEN_GPR + 15 * W(%SI)
#endif
.endm

.macro save_rest
    mov %es, %eax
    mov %AX, SEEN_SEGMENTS + 0 * W(%SI)
    mov %cs, %eax
    mov %AX, SEEN_SEGMENTS + 1 * W(%SI)
    mov %ss, %eax
    mov %AX, SEEN_SEGMENTS + 2 * W(%SI)
    mov %ds, %eax
    mov %AX, SEEN_SEGMENTS + 3 * W(%SI)
    mov %fs, %eax
    mov %AX, SEEN_SEGMENTS + 4 * W(%SI)
    mov %gs, %eax
    mov %AX, SEEN_SEGMENTS + 5 * W(%SI)
.endm

/* Does this machine have XSAVE, switched on? EAX = 0: no. Changes EBX, ECX, EDX. */
.macro test_xsave
    mov $1, %eax
    cpuid
    mov %ecx, %eax
    and $1 << 27, %eax
.endm

/* All general registers but SP get `value`. */
.macro fill_gprs value
    mov $\value, %AX
    mov %AX, %BX
    mov %AX, %CX
    mov %AX, %DX
    mov %AX, %SI
    mov %AX, %DI
    mov %AX, %BP
#ifdef __x86_64__
    mov %AX, %r8
    mov %AX, %r9
    mov %AX, %r10
    mov %AX, %r11
    mov %AX, %r12
    mov %AX, %r13
    mov %AX, %r14
    mov %AX, %r15
#endif
.endm

    .section pal_code, "ax"
    .balign 16
    .globl regs_pal
regs_pal:
    /* From here on the stack has: data, mode, rounds. */
#ifdef __x86_64__
    save_gprs
    mov %rsi, SEEN_GPR + 6 * W(%rsi)
    pushfq
    popq SEEN_FLAGS(%rsi)
    cld
    push %rcx                   /* rounds */
    push %rdi                   /* mode */
    push %rsi                   /* data */
    mov %rdx, %rbp
#else
    push %esi
    mov 12(%esp), %esi          /* data */
    pop SEEN_GPR + 6 * W(%esi)
    save_gprs
    pushfl
    popl SEEN_FLAGS(%esi)
    cld
    mov 12(%esp), %ebp          /* buffer */
    mov 16(%esp), %ecx
    mov 4(%esp), %edi
    push %ecx
    push %edi
    push %esi
#endif
    save_rest
    /* FPU and SIMD */
    lea SEEN_XSTATE(%SI), %DI
    xor %eax, %eax
    mov $XSTATE_ROOM / W, %ecx
    STOS
    test_xsave
    test %eax, %eax
    jz 1f
    xor %ecx, %ecx
    xgetbv
    mov %eax, SEEN_XCR0(%SI)
    mov $-1, %eax
    mov %eax, %edx
    XSAVE SEEN_XSTATE(%SI)
    jmp 2f
1:  FXSAVE SEEN_XSTATE(%SI)
2:  push %SI
    mov %BP, %DI
    mov $PAGE / W, %ecx
    MOVS
    pop %SI
    mov W(%SP), %eax
    test $MODE_FILL, %eax
    jnz fill
    mov $DONE, %eax
    add $3 * W, %SP
    ret

    /* The second page becomes an image full of the secret, and is loaded. */
fill:
    lea PAGE(%SI), %DI
    mov $REG_SECRET, %AX
    mov $PAGE / W, %ecx
    STOS
    lea PAGE(%SI), %DI
    movw $0x27f, 0(%DI)         /* control word: another precision */
    movw $0x3800, 2(%DI)
    movw $0xff, 4(%DI)          /* all eight registers are in use */
    movl $0x7fbf, 24(%DI)       /* MXCSR: rounding, all flags, all masked */
    lea 512(%DI), %DI           /* XSAVE header */
    xor %eax, %eax
    mov $64 / W, %ecx
    STOS
    mov SEEN_XCR0(%SI), %eax
    and $~0x18, %eax            /* MPX: not every pattern is valid */
    mov %eax, PAGE + 512(%SI)
    test_xsave
    lea PAGE(%SI), %DI
    test %eax, %eax
    jz 1f
    mov $-1, %eax
    mov %eax, %edx
    XRSTOR (%DI)
    XSAVE SEEN_XSTATE(%SI)
    jmp 2f
1:  FXRSTOR (%DI)
    FXSAVE SEEN_XSTATE(%SI)
2:  mov W(%SP), %eax
    test $MODE_SELECTORS, %eax
    jz 1f
    mov $1, %ecx                /* null selectors, but not quite the same ones */
    mov %ecx, %es
    mov $2, %ecx
    mov %ecx, %fs
    mov $3, %ecx
    mov %ecx, %gs
    mov %ecx, %ds               /* 32-bit code has no data but its stack from here on */
1:  test $MODE_SPIN, %eax
    jnz spin
    test $MODE_DIE, %eax
    jnz 2f
    /* Return with the secret everywhere but in the result. */
    fill_gprs REG_SECRET
    add $3 * W, %SP
    std
    mov $DONE, %eax
    cmp $DONE - 1, %eax         /* arithmetic flags of ours */
    ret
2:  fill_gprs REG_SECRET
    ud2

    /* Count down in memory, all registers full of the secret, then look whether all is there. */
spin:
    fill_gprs REG_SECRET
1:  subl $1, 2 * W(%SP)
    jnz 1b
    mov $REG_SECRET, %AX
    cmp %AX, %BX
    jne bad
    cmp %AX, %CX
    jne bad
    cmp %AX, %DX
    jne bad
    cmp %AX, %SI
    jne bad
    cmp %AX, %DI
    jne bad
    cmp %AX, %BP
    jne bad
#ifdef __x86_64__
    cmp %AX, %r8
    jne bad
    cmp %AX, %r9
    jne bad
    cmp %AX, %r10
    jne bad
    cmp %AX, %r11
    jne bad
    cmp %AX, %r12
    jne bad
    cmp %AX, %r13
    jne bad
    cmp %AX, %r14
    jne bad
    cmp %AX, %r15
    jne bad
#endif
    mov (%SP), %SI
    test_xsave
    lea 2 * PAGE + SEEN_XSTATE(%SI), %DI
    test %eax, %eax
    jz 1f
    mov $-1, %eax
    mov %eax, %edx
    XSAVE (%DI)
    jmp 2f
1:  FXSAVE (%DI)
2:  lea SEEN_XSTATE(%SI), %SI
    mov $XSTATE_ROOM / 4, %ecx
    cld
    repe cmpsl
    jne bad
    /* The fill has worked: the secret was in an XMM register. */
    mov (%SP), %SI
    cmpl $SECRET32, SEEN_XSTATE + 160(%SI)
    jne bad
    mov $DONE, %eax
    add $3 * W, %SP
    ret
bad:
    mov $BAD, %eax
    add $3 * W, %SP
    ret

/* --- the caller ------------------------------------------------------------------------- */

    .text
/* void regs_call(void): regs_entry with regs_args, all registers filled with the caller's
 * pattern; struct regs_seen regs_before and regs_after. */
    .globl regs_call
regs_call:
    push %BX
    push %BP
    push %SI
    push %DI
#ifdef __x86_64__
    push %r12
    push %r13
    push %r14
    push %r15
    pushq $0                    /* the stack is aligned at the call */
#else
    push %ds
    push %es
#endif
    mov %SP, regs_sp
    mov $-1, %eax
    mov %eax, %edx
    cmpl $0, regs_have_xsave
    je 1f
    XRSTOR regs_image
    XSAVE regs_before + SEEN_XSTATE
    jmp 2f
1:  FXRSTOR regs_image
    FXSAVE regs_before + SEEN_XSTATE
2:  lea regs_before, %SI
    save_rest
#ifdef __x86_64__
    fill_gprs REG_CALLER
    mov regs_args, %rdi
    mov regs_args + 8, %rsi
    mov regs_args + 16, %rdx
    mov regs_args + 24, %rcx
    pushq $CALLER_FLAGS
    popfq
    call *regs_entry
#else
    push regs_args + 12
    push regs_args + 8
    push regs_args + 4
    push regs_args
    fill_gprs REG_CALLER
    pushl $CALLER_FLAGS
    popfl
    call *regs_entry
#endif
    mov %SI, regs_after + SEEN_GPR + 6 * W
    lea regs_after, %SI
    save_gprs
#ifdef __x86_64__
    pushfq
    popq SEEN_FLAGS(%SI)
#else
    pushfl
    popl SEEN_FLAGS(%SI)
#endif
    cld
    save_rest
    mov $-1, %eax
    mov %eax, %edx
    cmpl $0, regs_have_xsave
    je 1f
    XSAVE regs_after + SEEN_XSTATE
    jmp 2f
1:  FXSAVE regs_after + SEEN_XSTATE
2:  fninit
    ldmxcsr regs_mxcsr
    mov regs_sp, %SP
#ifdef __x86_64__
    pop %r15
    pop %r15
    pop %r14
    pop %r13
    pop %r12
#else
    pop %es
    pop %ds
#endif
    pop %DI
    pop %SI
    pop %BP
    pop %BX
    ret
regs_mxcsr:
    .long 0x1f80
    .section .note.GNU-stack, "", @progbits
