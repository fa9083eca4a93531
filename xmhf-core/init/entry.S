/* SPDX-License-Identifier: MIT */
/* The image header (include/xmhf/core_image.h) and the core's first instructions. */

#define BOOT_INFO_START 108      /* offsetof(struct boot_info, start), and ... */
#define BOOT_START_LIVE 3        /* ... a value of it: init/live.c has a look at both */

    .section .header, "a"
    .quad 0x45524f4346484d58
    .quad core_file_size
    .quad core_mem_size
    .quad core_entry
    .quad core_take

    .text
    .globl core_entry
core_entry:
    cmpl $BOOT_START_LIVE, BOOT_INFO_START(%rdi)
    je live_entry /* on the caller's stack */
    leaq boot_stack_top(%rip), %rsp
    xorl %ebp, %ebp
    call core_main
1:  cli
    hlt
    jmp 1b

    .bss
    .align 4096
    .skip 16384
boot_stack_top:
    .section .note.GNU-stack, "", @progbits
