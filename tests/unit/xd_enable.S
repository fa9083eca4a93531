/* SPDX-License-Identifier: MIT */
/* hw/xd_enable.inc on a CPU made of data: CPUID, RDMSR and WRMSR are functions here. */
#define cpuid call fake_cpuid
#define rdmsr call fake_rdmsr
#define wrmsr call fake_wrmsr
#include <hw/xd_enable.inc>

    .text
    .globl run_xd_enable
run_xd_enable:
    pushq %rbx
    xd_enable
    popq %rbx
    ret

/* Leaf 0 gives the vendor; any other, EDX[20] where NX is shown. */
fake_cpuid:
    movl xd_vendor(%rip), %ebx
    movl xd_edx(%rip), %edx
    movl $0x80000008, %eax
    ret

fake_rdmsr:
    incl xd_reads(%rip)
    movl %ecx, xd_index(%rip)
    movl xd_msr(%rip), %eax
    movl xd_msr+4(%rip), %edx
    ret

fake_wrmsr:
    incl xd_writes(%rip)
    movl %ecx, xd_index(%rip)
    movl %eax, xd_msr(%rip)
    movl %edx, xd_msr+4(%rip)
    ret
    .section .note.GNU-stack, "", @progbits
