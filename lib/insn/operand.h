/* SPDX-License-Identifier: MIT */
/*
 * Operands of the instructions that load and store system registers: 0F 00, 0F 01, 0F 06, 0F 20 and
 * 0F 22 (SDM vol. 2, tables 2-1 to 2-3; APM vol. 3, 1.4).
 */
#ifndef XMHF_INSN_OPERAND_H
#define XMHF_INSN_OPERAND_H

#include <insn/insn.h>

#define INSN_NO_REG 0xff

/* Of a ModRM byte: a register, or base + index * scale + disp in `segment`. */
struct insn_operand {
    bool is_reg;
    uint8_t reg;           /* if is_reg: enum gpr order */
    uint8_t base, index;   /* enum gpr order, or INSN_NO_REG */
    uint8_t scale;         /* 1, 2, 4, 8 */
    bool rip;              /* disp counts from the next instruction */
    uint8_t segment;       /* the override's prefix byte, 0 if none */
    bool stack;            /* without an override the segment is SS, not DS */
    uint8_t address_bits;  /* 16, 32 or 64 */
    int32_t disp;
};

struct insn_system {
    unsigned len;          /* of the whole instruction */
    uint8_t opcode;        /* its second byte: 00, 01, 06, 20, 22 */
    uint8_t field;         /* the ModRM byte's reg field, with REX.R (and LOCK, for CR8) */
    uint8_t operand_bits;  /* 16, 32 or 64 */
    struct insn_operand rm;
};

/* False for anything else, or if it is cut off. */
bool insn_decode_system(const uint8_t *buf, size_t n, unsigned bits, struct insn_system *out);

/* The memory operand of an instruction of one or two opcode bytes and a ModRM byte, whichever it
 * is. False: a register, or it is cut off. */
bool insn_memory_operand(const uint8_t *buf, size_t n, unsigned bits, struct insn_operand *out);

/* The low `bits` (1 to 64) of a value, as operands and addresses of that size have it. */
static inline uint64_t insn_low(uint64_t value, unsigned bits)
{
    return bits == 64 ? value : value & ((1ULL << bits) - 1);
}

/* A result of `size` bytes for a general register, at bit `shift` (8: AH to BH). One of 4 bytes has
 * zeros above; a shorter one leaves what is around it (SDM vol. 1, 3.4.1.1). */
static inline void insn_set_register(uint64_t *reg, unsigned shift, unsigned size, uint64_t value)
{
    const uint64_t mask = (size == 1 ? 0xffULL : 0xffffULL) << shift;

    *reg = size == 8 ? value : size == 4 ? (uint32_t)value
         : (*reg & ~mask) | (value << shift & mask);
}

#endif
