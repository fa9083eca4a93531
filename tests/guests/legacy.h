/* SPDX-License-Identifier: MIT */
/* Offsets in struct legacy, which legacy.c and legacy-asm.S share. */
#ifndef GUEST_LEGACY_H
#define GUEST_LEGACY_H

#define LEGACY_CR3    0
#define LEGACY_PATCH  4   /* where to write ... */
#define LEGACY_VALUE  8   /* ... this, once paging is on; 0: nowhere */
#define LEGACY_EAX    16
#define LEGACY_ECX    20
#define LEGACY_EDX    24
#define LEGACY_EBX    28
#define LEGACY_EBP    32
#define LEGACY_ESI    36
#define LEGACY_EDI    40
#define LEGACY_EIP    44
#define LEGACY_CS     48
#define LEGACY_EFLAGS 52
#define LEGACY_ESP    56
#define LEGACY_SS     60
#define LEGACY_DS     64  /* of virtual-8086 code, all four */
#define LEGACY_VECTOR 68
#define LEGACY_ERROR  72
#define LEGACY_CR2    76

#define SEL_TSS32     0x60

#endif
