/* SPDX-License-Identifier: MIT */
/* The core's image inside the boot stage (notes/decisions/two-stage-image.md). */
    .section .payload, "a"
    .globl payload_start, payload_end
    .balign 4096
payload_start:
    .incbin "core.bin"
payload_end:
    .section .note.GNU-stack, "", @progbits
