/* SPDX-License-Identifier: MIT */
/* What the decoders of lib/insn share: prefixes and the lengths of operands. */
#ifndef XMHF_INSN_PARTS_H
#define XMHF_INSN_PARTS_H

#include <xmhf/types.h>

/* What the prefixes said, and where the opcode starts. */
struct prefixes {
    unsigned len;
    uint8_t rex;          /* 0 if none, else 0x40..0x4f */
    uint8_t segment;      /* the last override's byte, 0 if none */
    bool opsize, addrsize, lock, rep;
};

#define REX_W 8u
#define REX_R 4u
#define REX_B 1u

/* Read prefixes. False if buf (or INSN_MAX) ends before an opcode. A REX counts only
 * directly before the opcode (SDM vol. 2, 2.2.1; APM vol. 3, 1.2.7). */
bool insn_prefixes(const uint8_t *buf, size_t n, unsigned bits, struct prefixes *p);

/* Address size in bits (SDM vol. 1, table 3-4). */
unsigned insn_address_bits(unsigned bits, bool override);

/* Bytes of ModRM, SIB and displacement of the memory operand at buf[0..n), n > 0; 0 if
 * the SIB byte is cut off (SDM vol. 2, tables 2-1 to 2-3). */
unsigned insn_modrm_length(const uint8_t *buf, size_t n, unsigned abits);

/* The little-endian immediate of 1, 2 or 4 bytes at buf, sign-extended. */
uint64_t insn_imm(const uint8_t *buf, unsigned bytes);

#endif
