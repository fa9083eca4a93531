/* SPDX-License-Identifier: MIT */
/* Offsets in struct job and struct legacy of widths.c, which its assembly shares. */
#ifndef GUEST_WIDTHS_H
#define GUEST_WIDTHS_H

/* struct job: what ring 3 calls, and what it must get. */
#define JOB_STUB      0   /* 8 bytes each */
#define JOB_A         8
#define JOB_B         16
#define JOB_C         24
#define JOB_P         32
#define JOB_D         40
#define JOB_RESULT    48
#define JOB_COUNT     56
#define JOB_SEGMENTS  64  /* not 0: 32-bit code looks at FS, GS and the upper GiBs at the end */
#define JOB_FS        72  /* what it saw by FS, by GS, and in the second and third GiB */
#define JOB_GS        80
#define JOB_GIB1      88
#define JOB_GIB2      96
#define JOB_START     104 /* of a call that is measured, and */
#define JOB_LEAST     112 /* the least ticks of one so far; lower halves */

/* struct legacy: ring 3 of a 32-bit kernel, and its state. */
#define LEGACY_CR3    0
#define LEGACY_CR4    4
#define LEGACY_PATCH  8   /* PDPTEs in memory to clear once the CPU has them; 0: none */
#define LEGACY_EAX    12
#define LEGACY_ECX    16
#define LEGACY_EDX    20
#define LEGACY_EBX    24
#define LEGACY_ESI    28
#define LEGACY_EDI    32
#define LEGACY_EBP    36
#define LEGACY_EIP    40
#define LEGACY_ESP    44
#define LEGACY_VECTOR 48
#define LEGACY_ERROR  52
#define LEGACY_EFLAGS 56
#define LEGACY_TICKS  60  /* timer interrupts meanwhile */
#define LEGACY_BEFORE 64
#define STATE_WORDS   44
#define STATE_FXSAVE  176 /* 4 * STATE_WORDS, a multiple of 16 */
#define STATE_BYTES   688
#define LEGACY_AFTER  (LEGACY_BEFORE + STATE_BYTES)

#define SEL_TSS32     0x60
#define SEL_FS        0x6b
#define SEL_GS        0x73
#define FS_LIMIT      0x57
#define TIMER         0x50

#endif
