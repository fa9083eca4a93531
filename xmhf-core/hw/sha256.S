/* SPDX-License-Identifier: MIT */
/*
 * SHA-256's block function by the CPU's SHA extensions (SDM vol. 2, SHA256RNDS2, SHA256MSG1,
 * SHA256MSG2). The XMM registers are the guest's: those used are kept on the stack and put back.
 * These are SSE forms, which leave the upper halves of YMM and ZMM registers alone.
 */

    .section .rodata
    .align 16
round_constants: /* FIPS 180-4, 4.2.2 */
    .long 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5
    .long 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
    .long 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3
    .long 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
    .long 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc
    .long 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
    .long 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7
    .long 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
    .long 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13
    .long 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
    .long 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3
    .long 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
    .long 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5
    .long 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
    .long 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208
    .long 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
byte_order:      /* PSHUFB: each 32-bit word the other way round */
    .quad 0x0405060700010203, 0x0c0d0e0f08090a0b

    .text

/* Four rounds: xmm1 has A, B, E, F, xmm2 C, D, G, H (high to low), each pair of rounds swaps
 * their parts. Words t to t+3 are in \w0. */
    .macro four_rounds t, w0
    movdqa \w0, %xmm0
    paddd round_constants + 4 * (\t)(%rip), %xmm0
    sha256rnds2 %xmm0, %xmm1, %xmm2
    pshufd $0x0e, %xmm0, %xmm0
    sha256rnds2 %xmm0, %xmm2, %xmm1
    .endm

/* Words t+16 to t+19, in place of t to t+3 in \w0; the twelve between are in the others. */
    .macro four_words w0, w1, w2, w3
    sha256msg1 \w1, \w0
    movdqa \w3, %xmm7
    palignr $4, \w2, %xmm7
    paddd %xmm7, \w0
    sha256msg2 \w3, \w0
    .endm

    .macro sixteen t
    four_rounds \t, %xmm3
    four_words %xmm3, %xmm4, %xmm5, %xmm6
    four_rounds \t + 4, %xmm4
    four_words %xmm4, %xmm5, %xmm6, %xmm3
    four_rounds \t + 8, %xmm5
    four_words %xmm5, %xmm6, %xmm3, %xmm4
    four_rounds \t + 12, %xmm6
    four_words %xmm6, %xmm3, %xmm4, %xmm5
    .endm

    .macro load_words at, w
    movdqu \at(%rsi), \w
    pshufb %xmm10, \w
    .endm

    /* void hw_sha256_blocks(uint32_t state[8], const void *data, size_t blocks) */
    .globl hw_sha256_blocks
hw_sha256_blocks:
    subq $16 * 11, %rsp
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    movups %xmm\n, 16 * \n(%rsp)
    .endr
    movdqa byte_order(%rip), %xmm10
    /* A, B, C, D and E, F, G, H become A, B, E, F and C, D, G, H. */
    movdqu (%rdi), %xmm1            /* low to high: A B C D */
    movdqu 16(%rdi), %xmm2          /* E F G H */
    pshufd $0xb1, %xmm1, %xmm1      /* B A D C */
    pshufd $0x1b, %xmm2, %xmm7      /* H G F E */
    movdqa %xmm7, %xmm2
    punpcklqdq %xmm1, %xmm2         /* H G B A */
    punpckhqdq %xmm1, %xmm7         /* F E D C */
    movdqa %xmm7, %xmm1
    shufps $0xe4, %xmm2, %xmm1      /* F E B A */
    shufps $0xe4, %xmm7, %xmm2      /* H G D C */
    testq %rdx, %rdx
    jz 2f
    .align 16
1:  movdqa %xmm1, %xmm8
    movdqa %xmm2, %xmm9
    load_words 0, %xmm3
    load_words 16, %xmm4
    load_words 32, %xmm5
    load_words 48, %xmm6
    sixteen 0
    sixteen 16
    sixteen 32
    four_rounds 48, %xmm3
    four_rounds 52, %xmm4
    four_rounds 56, %xmm5
    four_rounds 60, %xmm6
    paddd %xmm8, %xmm1
    paddd %xmm9, %xmm2
    addq $64, %rsi
    decq %rdx
    jnz 1b
2:  movdqa %xmm1, %xmm7             /* F E B A */
    shufps $0xee, %xmm2, %xmm7      /* B A D C */
    shufps $0x44, %xmm2, %xmm1      /* F E H G */
    pshufd $0xb1, %xmm7, %xmm7      /* A B C D */
    pshufd $0xb1, %xmm1, %xmm1      /* E F G H */
    movdqu %xmm7, (%rdi)
    movdqu %xmm1, 16(%rdi)
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
    movups 16 * \n(%rsp), %xmm\n
    .endr
    addq $16 * 11, %rsp
    ret

    .section .note.GNU-stack, "", @progbits
