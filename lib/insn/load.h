/* SPDX-License-Identifier: MIT */
/* Plain loads from memory: the MOV forms that drivers use on their devices (SDM vol. 2; APM vol.
 * 3). */
#ifndef XMHF_INSN_LOAD_H
#define XMHF_INSN_LOAD_H

#include <insn/insn.h>

struct insn_load {
    unsigned len;          /* bytes of the whole instruction */
    uint8_t size;          /* of the memory operand: 1, 2, 4 or 8 bytes */
    uint8_t to_size;       /* of the register */
    bool sign;             /* sign-extended; else with zeros */
    uint8_t reg;           /* enum gpr order */
    uint8_t shift;         /* 8: AH, CH, DH, BH */
};

/* MOV r,r/m (8A, 8B), MOV eAX,moffs (A0, A1), MOVZX, MOVSX, MOVSXD. False for anything else, a
 * register as source, or if truncated. */
bool insn_decode_load(const uint8_t *buf, size_t n, unsigned bits, struct insn_load *out);

#endif
