/* SPDX-License-Identifier: MIT */
/*
 * Instructions that write memory, decoded and computed so that a handler can carry them out: the
 * forms that compilers and kernels use for plain data, with and without LOCK. No SIMD, no stack.
 * (SDM vol. 2; APM vol. 3.)
 */
#ifndef XMHF_INSN_WRITE_H
#define XMHF_INSN_WRITE_H

#include <insn/insn.h>

enum insn_write_op {
    /* in the order of the opcode's bits */
    WRITE_ADD, WRITE_OR, WRITE_ADC, WRITE_SBB, WRITE_AND, WRITE_SUB, WRITE_XOR,
    WRITE_MOV, WRITE_XCHG, WRITE_INC, WRITE_DEC, WRITE_NOT, WRITE_NEG, WRITE_BTS, WRITE_BTR,
    WRITE_BTC, WRITE_XADD, WRITE_CMPXCHG, WRITE_CMPXCHG8B, WRITE_MOVS, WRITE_STOS,
};

struct insn_write {
    unsigned len;          /* bytes of the whole instruction */
    enum insn_write_op op;
    uint8_t size;          /* of the memory operand: 1, 2, 4 or 8 bytes */
    uint8_t address_bits;  /* 16, 32 or 64 */
    uint8_t segment;       /* the override's prefix byte, 0 if none */
    bool lock, rep;
    bool has_imm;          /* the source is `imm`, else register `reg` from bit `shift` up */
    uint8_t reg;           /* enum gpr order */
    uint8_t shift;         /* 8: AH, CH, DH, BH */
    uint64_t imm;          /* sign-extended */
};

/* False for anything else, for a register as destination, or if truncated. */
bool insn_decode_write(const uint8_t *buf, size_t n, unsigned bits, struct insn_write *out);

/*
 * What `old` in memory becomes by ADD to XADD, with `src` the source operand; a bit's number counts
 * modulo the operand's size. Sets `*flags` (RFLAGS) as the instruction does. CMPXCHG's comparison
 * is SUB with `old` the accumulator.
 */
uint64_t insn_write_result(enum insn_write_op op, unsigned size, uint64_t old, uint64_t src,
                           uint64_t *flags);

#endif
