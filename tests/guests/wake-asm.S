/* SPDX-License-Identifier: MIT */
/* What an attacker's waking vector would run: natively, in real mode, all memory as it was. */
    .section .rodata
    .code16
    .globl native_start, native_end
native_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movw $(native_text - native_start), %si
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  movw $0xcf9, %dx
    movb $2, %al
    outb %al, %dx
    movb $6, %al
    outb %al, %dx
3:  hlt
    jmp 3b
native_text:
    .asciz "\r\nGUEST NOTE awake by its own vector\r\n"
native_end:
    .section .note.GNU-stack, "", @progbits
