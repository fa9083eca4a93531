/* SPDX-License-Identifier: MIT */
/* Macros of the tiny guests' assembly. */
#ifndef GUEST_ASM_H
#define GUEST_ASM_H

#include <hw/callee_saved.inc>

/* EFER.LME = 1: 64-bit mode with the next CR0.PG. Changes EAX, ECX, EDX. */
    .macro SET_LME
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    .endm

/* CR0.PG = 1. Changes EAX. */
    .macro SET_PG
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    .endm

#endif
