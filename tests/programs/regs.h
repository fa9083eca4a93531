/* SPDX-License-Identifier: MIT */
/* What regs-asm.S and pal_regs.c agree on. */
#ifndef ATTACK_REGS_H
#define ATTACK_REGS_H

#ifdef __x86_64__
#define W 8
#else
#define W 4
#endif

#define PAGE 4096

/* struct regs_seen */
#define SEEN_GPR      0
#define SEEN_FLAGS    (16 * W)
#define SEEN_SEGMENTS (17 * W) /* ES, CS, SS, DS, FS, GS */
#define SEEN_XCR0     (23 * W)
#define SEEN_XSTATE   512
#define XSTATE_ROOM   (PAGE - SEEN_XSTATE)

/* No byte of the one occurs in the other. */
#define SECRET32 0x5ec2e75b
#define CALLER32 0x3ca11e4d

/* CF, PF, AF, ZF, SF, OF and ID. */
#define CALLER_FLAGS 0x2008d5

#define MODE_FILL      1
#define MODE_SELECTORS 2
#define MODE_SPIN      4
#define MODE_DIE       8

#define DONE 0x600d
#define BAD  0xbad

#endif
