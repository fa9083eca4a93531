/* SPDX-License-Identifier: MIT */
/* The task-state segments of 32 and 16 bits (SDM vol. 3, 8.2.1, 8.6). */
#ifndef XMHF_GUEST_TSS_H
#define XMHF_GUEST_TSS_H

/* In a system descriptor's type. */
#define TSS_BUSY 2u
#define TSS_TYPE_32 8u
#define SEG_ACCESSED 1u
#define SEG_ATTR_V86 0x0f3u /* every segment of virtual-8086 mode */

#define TSS32_SIZE      104u
#define TSS32_CR3       0x1cu
#define TSS32_SAVED     0x20u /* EIP, EFLAGS, EAX to EDI, ES, CS, SS, DS, FS, GS */
#define TSS32_SAVED_LEN 64u
#define TSS32_LDT       0x60u
#define TSS32_TRAP      0x64u /* bit 0: T */

#define TSS16_SIZE      44u
#define TSS16_SAVED     0x0eu /* IP, FLAGS, AX to DI, ES, CS, SS, DS */
#define TSS16_SAVED_LEN 28u
#define TSS16_LDT       0x2au

#endif
