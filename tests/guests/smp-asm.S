/* SPDX-License-Identifier: MIT */
/* A trampoline for APs that first writes down all registers it can read. */
#include "layout.h"

#define DUMP_DATA 0xa000

    .section .rodata
    .code16
    .globl dump_start, dump_end
/* In a page of its own (DS has base 0): an emulator doesn't have to translate this again. */
#define AT(label) DUMP_DATA + (label - dump_data)
dump_start:
    movl %eax, AT(d_eax)
    movl %ecx, AT(d_ecx)
    movl %edx, AT(d_edx)
    movl %ebx, AT(d_ebx)
    movl %esp, AT(d_esp)
    movl %ebp, AT(d_ebp)
    movl %esi, AT(d_esi)
    movl %edi, AT(d_edi)
    movw %es, AT(d_es)
    movw %cs, AT(d_cs)
    movw %ss, AT(d_ss)
    movw %ds, AT(d_ds)
    movw %fs, AT(d_fs)
    movw %gs, AT(d_gs)
    pushfl                      /* to 0:fffc */
    popl %eax
    movl %eax, AT(d_eflags)
    .irp reg, cr0, cr2, cr3, cr4, dr0, dr1, dr2, dr3, dr6, dr7
    movl %\reg, %eax
    movl %eax, AT(d_\reg)
    .endr
    sidtl AT(d_idt)
    sgdtl AT(d_gdt)
    movl $0xc0000080, %ecx
    rdmsr
    movl %eax, AT(d_efer)
    movl $0x277, %ecx
    rdmsr
    movl %eax, AT(d_pat)
    movl %edx, AT(d_pat) + 4
    movl $0xc0000082, %ecx
    rdmsr
    movl %eax, AT(d_lstar)
    movl %edx, AT(d_lstar) + 4
    movl $0x176, %ecx
    rdmsr
    movl %eax, AT(d_sysenter)
    incl AT(d_rounds)
    lock incl AT(d_done)
1:  cli
    hlt
    jmp 1b
dump_end:

    .align 8
dump_data:
d_eax:    .long 0
d_ecx:    .long 0
d_edx:    .long 0
d_ebx:    .long 0
d_esp:    .long 0
d_ebp:    .long 0
d_esi:    .long 0
d_edi:    .long 0
d_es:     .word 0
d_cs:     .word 0
d_ss:     .word 0
d_ds:     .word 0
d_fs:     .word 0
d_gs:     .word 0
d_eflags: .long 0
d_cr0:    .long 0
d_cr2:    .long 0
d_cr3:    .long 0
d_cr4:    .long 0
d_dr0:    .long 0
d_dr1:    .long 0
d_dr2:    .long 0
d_dr3:    .long 0
d_dr6:    .long 0
d_dr7:    .long 0
d_efer:   .long 0
d_pat:    .quad 0
d_lstar:  .quad 0
d_sysenter: .long 0
d_idt:    .word 0
          .long 0
d_gdt:    .word 0
          .long 0
d_rounds: .long 0
d_done:   .long 0
    .section .note.GNU-stack, "", @progbits
