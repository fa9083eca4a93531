/* SPDX-License-Identifier: MIT */
/*
 * A deliberately small x86 instruction decoder: lengths of the instructions that exit
 * without the CPU telling their length, and the MOV forms used on the APIC page.
 * Not an emulator. (SDM vol. 2, chapter 2; APM vol. 3, chapter 1.)
 */
#ifndef XMHF_INSN_H
#define XMHF_INSN_H

#include <xmhf/types.h>

#define INSN_MAX 15

/* Default operand size of the code segment: 16, 32 or 64 (64-bit mode). */

/*
 * Length in bytes of the instruction at buf[0..n), if, after any legal prefixes
 * (incl. REX when bits == 64), its opcode bytes are exactly `opcode[0..oplen)`, else 0.
 * For CPUID (0F A2), RDMSR (0F 32), WRMSR (0F 30), VMCALL (0F 01 C1), VMMCALL
 * (0F 01 D9), INVD (0F 08), XSETBV (0F 01 D1) and friends without ModRM operands.
 */
unsigned insn_length_of(const uint8_t *buf, size_t n, unsigned bits,
                        const uint8_t *opcode, size_t oplen);

enum insn_src { INSN_SRC_REG, INSN_SRC_IMM };

struct insn_store {
    unsigned len;          /* of the whole instruction, bytes */
    unsigned size;         /* of the store: 1, 2, 4 or 8 bytes */
    enum insn_src src;
    uint8_t reg;           /* enum gpr order; for 1-byte stores without REX 4..7 = AH..BH
                              are refused */
    uint64_t imm;          /* sign-extended to the operand's size */
};

/* Decode a plain store to memory: MOV r/m,r (88, 89), MOV r/m,imm (C6 /0, C7 /0),
 * MOV moffs,eAX (A2, A3). False for anything else, for LOCK/REP, or if truncated. */
bool insn_decode_store(const uint8_t *buf, size_t n, unsigned bits, struct insn_store *out);

#endif
