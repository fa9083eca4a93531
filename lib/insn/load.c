/* SPDX-License-Identifier: MIT */
/* Plain loads: MOV and its extending forms. */
#include <insn/load.h>
#include <insn/parts.h>

/* Opcodes with a ModRM byte (SDM vol. 2, appendix A). `size` 0: the operand's. */
static const struct row { uint16_t opcode; uint8_t size; bool narrow, sign; } rows[] = {
    { 0x8a, 1, true, false },    { 0x8b, 0, false, false },   /* narrow: the register is as small */
    { 0x0fb6, 1, false, false }, { 0x0fb7, 2, false, false },
    { 0x0fbe, 1, false, true },  { 0x0fbf, 2, false, true },
    { 0x63, 4, false, true },                                 /* MOVSXD, in 64-bit code only */
};

static const struct row *find(unsigned opcode, unsigned bits)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].opcode == opcode && (opcode != 0x63 || bits == 64)) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool with_modrm(const uint8_t *buf, size_t n, unsigned bits, const struct prefixes *p,
                       const struct row *r, struct insn_load *out)
{
    if (out->len >= n || buf[out->len] >> 6 == 3) {
        return false;
    }
    const unsigned reg = buf[out->len] >> 3 & 7u;
    const unsigned taken = insn_modrm_length(buf + out->len, n - out->len,
                                             insn_address_bits(bits, p->addrsize));
    const bool high = r->narrow && p->rex == 0 && reg >= 4;
    out->to_size = r->narrow ? 1 : out->to_size;
    /* 66 63: MOVSXD of 16 bits */
    out->size = r->size && r->size < out->to_size ? r->size : out->to_size;
    out->sign = r->sign;
    out->reg = (uint8_t)(high ? reg - 4 : reg | (p->rex & REX_R) << 1);
    out->shift = high ? 8 : 0;
    out->len += taken;
    return taken != 0 && out->len <= n;
}

bool insn_decode_load(const uint8_t *buf, size_t n, unsigned bits, struct insn_load *out)
{
    struct prefixes p;

    n = n > INSN_MAX ? INSN_MAX : n;
    if (!insn_prefixes(buf, n, bits, &p) || p.lock || p.rep) {
        return false;
    }
    *out = (struct insn_load){ .len = p.len + 1 };
    out->to_size = p.rex & REX_W ? 8 : p.opsize == (bits == 16) ? 4 : 2;
    unsigned opcode = buf[p.len];
    if (opcode == 0xa0 || opcode == 0xa1) {
        out->to_size = opcode == 0xa0 ? 1 : out->to_size;
        out->size = out->to_size;
        out->len += insn_address_bits(bits, p.addrsize) / 8;
        return out->len <= n;
    }
    if (opcode == 0x0f && out->len < n) {
        opcode = opcode << 8 | buf[out->len++];
    }
    const struct row *r = find(opcode, bits);
    return r && with_modrm(buf, n, bits, &p, r, out);
}
