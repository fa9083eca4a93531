/* SPDX-License-Identifier: MIT */
/* Instructions that write memory: the opcode table, and what they compute. */
#include <insn/parts.h>
#include <insn/write.h>
#include <x86/cpu.h>

#define ANY   8  /* the reg field is a register, or unused */
#define GROUP 9  /* the reg field is the operation */

enum form {
    REG,    /* r/m, reg */
    IMM,    /* r/m, immediate of the operand's size */
    IMM8,   /* r/m, immediate byte */
    ALONE,  /* r/m */
    OFFSET, /* moffs, accumulator */
    STRING, /* by rDI */
};

/* SDM vol. 2, appendix A. `pair`: the opcode is of bytes, the next one of larger operands. */
static const struct row {
    uint16_t opcode;
    uint8_t ext, op, form;
    bool pair;
} rows[] = {
    { 0x00, ANY, WRITE_ADD, REG, true },    { 0x08, ANY, WRITE_OR, REG, true },
    { 0x10, ANY, WRITE_ADC, REG, true },    { 0x18, ANY, WRITE_SBB, REG, true },
    { 0x20, ANY, WRITE_AND, REG, true },    { 0x28, ANY, WRITE_SUB, REG, true },
    { 0x30, ANY, WRITE_XOR, REG, true },    { 0x80, GROUP, 0, IMM, true },
    { 0x83, GROUP, 0, IMM8, false },        { 0x86, ANY, WRITE_XCHG, REG, true },
    { 0x88, ANY, WRITE_MOV, REG, true },    { 0xa2, ANY, WRITE_MOV, OFFSET, true },
    { 0xa4, ANY, WRITE_MOVS, STRING, true },{ 0xaa, ANY, WRITE_STOS, STRING, true },
    { 0xc6, 0, WRITE_MOV, IMM, true },      { 0xf6, 2, WRITE_NOT, ALONE, true },
    { 0xf6, 3, WRITE_NEG, ALONE, true },    { 0xfe, 0, WRITE_INC, ALONE, true },
    { 0xfe, 1, WRITE_DEC, ALONE, true },
    { 0x0fab, ANY, WRITE_BTS, REG, false }, { 0x0fb3, ANY, WRITE_BTR, REG, false },
    { 0x0fbb, ANY, WRITE_BTC, REG, false }, { 0x0fba, 5, WRITE_BTS, IMM8, false },
    { 0x0fba, 6, WRITE_BTR, IMM8, false },  { 0x0fba, 7, WRITE_BTC, IMM8, false },
    { 0x0fb0, ANY, WRITE_CMPXCHG, REG, true }, { 0x0fc0, ANY, WRITE_XADD, REG, true },
    { 0x0fc3, ANY, WRITE_MOV, REG, false }, { 0x0fc7, 1, WRITE_CMPXCHG8B, ALONE, false },
};

/* The row of `opcode` with that reg field; a pair's bit 0 is the size. */
static const struct row *find_row(unsigned opcode, unsigned reg)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];

        if (r->opcode == (r->pair ? opcode & ~1u : opcode)
            && (r->ext == ANY || r->ext == reg || (r->ext == GROUP && reg != 7))) { /* 7: CMP */
            return r;
        }
    }
    return NULL;
}

static void use_register(struct insn_write *out, const struct prefixes *p, unsigned reg)
{
    bool high = out->size == 1 && p->rex == 0 && reg >= 4;

    out->reg = (uint8_t)(high ? reg - 4 : reg | (p->rex & REX_R) << 1);
    out->shift = high ? 8 : 0;
}

/* Operands at buf[0..n) behind the opcode. Bytes taken, or -1. */
static int operands(const uint8_t *buf, size_t n, const struct prefixes *p, const struct row *r,
                    struct insn_write *out)
{
    if (r->form == STRING || r->form == OFFSET) {
        return r->form == OFFSET ? out->address_bits / 8 : 0;
    }
    unsigned len = insn_modrm_length(buf, n, out->address_bits);
    unsigned bytes = r->form == IMM8 ? 1 : r->form != IMM ? 0 : out->size > 4 ? 4 : out->size;
    if (len == 0 || len > n || bytes > n - len) {
        return -1;
    }
    out->has_imm = bytes != 0;
    if (bytes) {
        out->imm = insn_imm(buf + len, bytes);
    } else if (r->form == REG) {
        use_register(out, p, buf[0] >> 3 & 7u);
    }
    return (int)(len + bytes);
}

static uint8_t size_of(const struct row *r, unsigned opcode, const struct prefixes *p,
                       unsigned bits)
{
    if (r->pair && !(opcode & 1)) {
        return 1;
    }
    return p->rex & REX_W ? 8 : p->opsize == (bits == 16) ? 4 : 2;
}

bool insn_decode_write(const uint8_t *buf, size_t n, unsigned bits, struct insn_write *out)
{
    struct prefixes p;

    n = n > INSN_MAX ? INSN_MAX : n;
    if (!insn_prefixes(buf, n, bits, &p)) {
        return false;
    }
    *out = (struct insn_write){ .len = p.len + 1, .lock = p.lock, .rep = p.rep,
                                .segment = p.segment };
    unsigned opcode = buf[p.len];
    if (opcode == 0x0f && out->len < n) {
        opcode = opcode << 8 | buf[out->len++];
    }
    size_t left = n - out->len;
    const uint8_t *rest = buf + out->len;
    unsigned reg = left ? rest[0] >> 3 & 7u : 0;
    const struct row *r = find_row(opcode, reg);
    if (!r || (r->form < OFFSET && (left == 0 || rest[0] >> 6 == 3))) {
        return false;
    }
    out->op = r->ext == GROUP ? (enum insn_write_op)reg : (enum insn_write_op)r->op;
    out->size = size_of(r, opcode, &p, bits);
    out->address_bits = (uint8_t)insn_address_bits(bits, p.addrsize);
    if (out->op == WRITE_CMPXCHG8B) {
        if (out->size == 8) {
            return false; /* CMPXCHG16B */
        }
        out->size = 8;
    }
    int taken = operands(rest, left, &p, r, out);
    out->len += taken > 0 ? (unsigned)taken : 0;
    return taken >= 0 && out->len <= n;
}

#define FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* Set PF, ZF and SF by the result `r`, and the other arithmetic flags as `others` has them. */
static void set_flags(uint64_t *flags, uint64_t r, uint64_t sign, uint64_t others)
{
    uint64_t f = others;

    f |= __builtin_parity((unsigned)(r & 0xff)) ? 0 : RFLAGS_PF;
    f |= (r & (sign | (sign - 1))) == 0 ? RFLAGS_ZF : 0;
    f |= r & sign ? RFLAGS_SF : 0;
    *flags = (*flags & ~FLAGS) | f;
}

static uint64_t add(uint64_t a, uint64_t b, uint64_t carry, uint64_t sign, uint64_t *flags)
{
    uint64_t r = a + b + carry;
    uint64_t out = (a & b) | ((a | b) & ~r), over = (a ^ r) & (b ^ r);

    set_flags(flags, r, sign, (out & sign ? RFLAGS_CF : 0) | (over & sign ? RFLAGS_OF : 0)
                              | ((a ^ b ^ r) & RFLAGS_AF));
    return r;
}

static uint64_t sub(uint64_t a, uint64_t b, uint64_t borrow, uint64_t sign, uint64_t *flags)
{
    uint64_t r = a - b - borrow;
    uint64_t out = (~a & b) | (~(a ^ b) & r), over = (a ^ b) & (a ^ r);

    set_flags(flags, r, sign, (out & sign ? RFLAGS_CF : 0) | (over & sign ? RFLAGS_OF : 0)
                              | ((a ^ b ^ r) & RFLAGS_AF));
    return r;
}

static uint64_t logic(uint64_t r, uint64_t sign, uint64_t *flags)
{
    set_flags(flags, r, sign, 0);
    return r;
}

/* INC and DEC leave RFLAGS_CF. */
static uint64_t step(uint64_t old, bool up, uint64_t sign, uint64_t *flags)
{
    uint64_t carry = *flags & RFLAGS_CF;
    uint64_t r = up ? add(old, 1, 0, sign, flags) : sub(old, 1, 0, sign, flags);

    *flags = (*flags & ~RFLAGS_CF) | carry;
    return r;
}

static uint64_t bit_op(enum insn_write_op op, uint64_t old, uint64_t bit, uint64_t *flags)
{
    *flags = (*flags & ~RFLAGS_CF) | (old & bit ? RFLAGS_CF : 0);
    return op == WRITE_BTS ? old | bit : op == WRITE_BTR ? old & ~bit : old ^ bit;
}

uint64_t insn_write_result(enum insn_write_op op, unsigned size, uint64_t old, uint64_t src,
                           uint64_t *flags)
{
    uint64_t sign = 1ULL << (8 * size - 1);

    switch (op) {
    case WRITE_ADD: case WRITE_XADD: return add(old, src, 0, sign, flags);
    case WRITE_ADC: return add(old, src, *flags & RFLAGS_CF, sign, flags);
    case WRITE_SUB: return sub(old, src, 0, sign, flags);
    case WRITE_SBB: return sub(old, src, *flags & RFLAGS_CF, sign, flags);
    case WRITE_OR: return logic(old | src, sign, flags);
    case WRITE_AND: return logic(old & src, sign, flags);
    case WRITE_XOR: return logic(old ^ src, sign, flags);
    case WRITE_INC: return step(old, true, sign, flags);
    case WRITE_DEC: return step(old, false, sign, flags);
    case WRITE_NOT: return ~old;
    case WRITE_NEG: return sub(0, old, 0, sign, flags);
    case WRITE_BTS: case WRITE_BTR: case WRITE_BTC:
        return bit_op(op, old, 1ULL << (src & (8 * size - 1)), flags);
    default: return src; /* MOV, XCHG and the string forms */
    }
}
