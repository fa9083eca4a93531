/* SPDX-License-Identifier: MIT */
/* The small decoder: prefixes, ModRM lengths, plain stores, MOV CRn. */
#include <insn/insn.h>
#include <insn/parts.h>

bool insn_prefixes(const uint8_t *buf, size_t n, unsigned bits, struct prefixes *p)
{
    *p = (struct prefixes){ 0 };
    if (n > INSN_MAX) {
        n = INSN_MAX;
    }
    for (; p->len < n; p->len++) {
        uint8_t b = buf[p->len];

        if (bits == 64 && (b & 0xf0u) == 0x40u) {
            p->rex = b;
            continue;
        }
        switch (b) {
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
            p->segment = b;
            break;
        case 0x66:
            p->opsize = true;
            break;
        case 0x67:
            p->addrsize = true;
            break;
        case 0xf0:
            p->lock = true;
            break;
        case 0xf2: case 0xf3:
            p->rep = true;
            break;
        default:
            return true;
        }
        p->rex = 0;
    }
    return false;
}

unsigned insn_length_of(const uint8_t *buf, size_t n, unsigned bits,
                        const uint8_t *opcode, size_t oplen)
{
    struct prefixes p;
    unsigned start = 0;

    if (n > INSN_MAX) {
        n = INSN_MAX;
    }
    if (n == 0 || oplen == 0) {
        return 0;
    }
    if (buf[0] != opcode[0]) { /* nearly always equal: no prefix */
        if (!insn_prefixes(buf, n, bits, &p) || p.lock) {
            return 0;          /* LOCK is #UD on all of these */
        }
        start = p.len;
    }
    if (oplen > n - start) {
        return 0;
    }
    for (size_t i = 0; i < oplen; i++) {
        if (buf[start + i] != opcode[i]) {
            return 0;
        }
    }
    return start + (unsigned)oplen;
}

unsigned insn_address_bits(unsigned bits, bool override)
{
    switch (bits) {
    case 64:
        return override ? 32 : 64;
    case 32:
        return override ? 16 : 32;
    default:
        return override ? 32 : 16;
    }
}

unsigned insn_modrm_length(const uint8_t *buf, size_t n, unsigned abits)
{
    unsigned mod = buf[0] >> 6, base = buf[0] & 7u, len = 1;

    if (abits == 16) {
        return mod == 1 ? 2 : mod == 2 || base == 6 ? 3 : 1;
    }
    if (base == 4) {
        if (n < 2) {
            return 0;
        }
        base = buf[1] & 7u;
        len = 2;
    }
    return mod == 1 ? len + 1 : mod == 2 || base == 5 ? len + 4 : len;
}

uint64_t insn_imm(const uint8_t *buf, unsigned bytes)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes; i++) {
        v |= (uint32_t)buf[i] << (8 * i);
    }
    switch (bytes) {
    case 1:
        return (uint64_t)(int64_t)(int8_t)v;
    case 2:
        return (uint64_t)(int64_t)(int16_t)v;
    default:
        return (uint64_t)(int64_t)(int32_t)v;
    }
}

/* Read what follows the opcode of MOV r/m,r or (`imm`) MOV r/m,imm, at buf[0..n). Returns how many
 * bytes that is, or 0. */
static unsigned store_operands(const uint8_t *buf, size_t n, const struct prefixes *p,
                               unsigned abits, bool imm, struct insn_store *out)
{
    unsigned len, reg, bytes;

    if (n == 0 || buf[0] >> 6 == 3) {
        return 0;
    }
    reg = (buf[0] >> 3) & 7u;
    len = insn_modrm_length(buf, n, abits);
    if (len == 0 || len > n) {
        return 0;
    }
    if (!imm) {
        if (out->size == 1 && p->rex == 0 && reg >= 4) {
            return 0; /* AH, CH, DH, BH */
        }
        out->src = INSN_SRC_REG;
        out->reg = (uint8_t)(reg | (p->rex & REX_R) << 1);
        return len;
    }
    bytes = out->size > 4 ? 4 : out->size;
    if (reg != 0 || bytes > n - len) {
        return 0;
    }
    out->src = INSN_SRC_IMM;
    out->imm = insn_imm(buf + len, bytes);
    if (out->size < 8) {
        out->imm &= (1ULL << (8 * out->size)) - 1;
    }
    return len + bytes;
}

bool insn_decode_store(const uint8_t *buf, size_t n, unsigned bits, struct insn_store *out)
{
    struct prefixes p;
    unsigned abits, taken;
    uint8_t opcode;

    if (n > INSN_MAX) {
        n = INSN_MAX;
    }
    if (!insn_prefixes(buf, n, bits, &p) || p.lock || p.rep) {
        return false;
    }
    *out = (struct insn_store){ 0 };
    opcode = buf[p.len];
    out->len = p.len + 1;
    /* Bit 0 of all six opcodes: 0 = byte, 1 = operand size. */
    out->size = !(opcode & 1u) ? 1 : p.rex & REX_W ? 8 : p.opsize == (bits == 16) ? 4 : 2;
    abits = insn_address_bits(bits, p.addrsize);

    switch (opcode) {
    case 0x88: case 0x89:
        taken = store_operands(buf + out->len, n - out->len, &p, abits, false, out);
        break;
    case 0xc6: case 0xc7:
        taken = store_operands(buf + out->len, n - out->len, &p, abits, true, out);
        break;
    case 0xa2: case 0xa3: /* the source is AL or eAX, reg 0 */
        taken = abits / 8;
        break;
    default:
        return false;
    }
    out->len += taken;
    return taken != 0 && out->len <= n;
}
