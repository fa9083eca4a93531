/* SPDX-License-Identifier: MIT */
/* Numbers that the assembly and the C of the tiny guests share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define CPU_LIMIT 16

/* One block of 64 KiB per CPU, aligned to its size so that any stack address in it leads
 * to it: struct cpu, a page for code under test, and the stacks. */
#define BLOCK_SIZE       0x10000
#define BLOCK_CODE       0x1000
#define BLOCK_TRAP_TOP   0x5000  /* IST 1: all vectors but NMI */
#define BLOCK_NMI_TOP    0x7000  /* IST 2 */
#define BLOCK_EXEC_TOP   0x8000  /* stack of code under test */
#define BLOCK_MAIN_TOP   0x10000

#define SEL_CODE64  0x08
#define SEL_DATA    0x10
#define SEL_CODE32  0x18
#define SEL_USER32  0x23
#define SEL_USER_DATA 0x2b
#define SEL_USER64  0x33
#define SEL_CODE16  0x38
#define SEL_DATA16  0x40
#define SEL_USER16  0x4b
#define SEL_TSS     0x50
#define GDT_ENTRIES 16      /* from 0x60 on for the test */

#define TRAMPOLINE  0x8000       /* where APs start; a page below 64 KiB, which no loader uses */
#define VECTOR_DONE 0x80         /* INT 80h ends code under test */

/* Offsets in struct exec (guest.h asserts them). */
#define EXEC_RIP    128
#define EXEC_CS     136
#define EXEC_RFLAGS 144
#define EXEC_RSP    152
#define EXEC_SS     160

#endif
