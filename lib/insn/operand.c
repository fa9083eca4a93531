/* SPDX-License-Identifier: MIT */
/* ModRM and SIB bytes taken apart. */
#include <insn/operand.h>
#include <insn/parts.h>

/* enum gpr's numbers, those of the encoding */
enum { BX = 3, SP = 4, BP = 5, SI = 6, DI = 7, R12 = 12 };

#define REX_X 2u

static int32_t displacement(const uint8_t *at, unsigned bytes)
{
    return bytes ? (int32_t)insn_imm(at, bytes) : 0;
}

/* 16-bit addresses: pairs of registers (table 2-1). */
static void operand16(const uint8_t *buf, unsigned len, struct insn_operand *o)
{
    static const uint8_t pair[8][2] = {
        { BX, SI }, { BX, DI }, { BP, SI }, { BP, DI },
        { SI, INSN_NO_REG }, { DI, INSN_NO_REG }, { BP, INSN_NO_REG }, { BX, INSN_NO_REG },
    };
    const unsigned rm = buf[0] & 7u;
    bool absolute = buf[0] >> 6 == 0 && rm == 6;

    o->base = absolute ? INSN_NO_REG : pair[rm][0];
    o->index = absolute ? INSN_NO_REG : pair[rm][1];
    o->stack = o->base == BP;
    o->disp = displacement(buf + 1, len - 1);
}

static void with_sib(uint8_t sib, unsigned mod, const struct prefixes *p, struct insn_operand *o)
{
    uint8_t base = (uint8_t)((sib & 7) | (p->rex & REX_B) << 3);
    uint8_t index = (uint8_t)((sib >> 3 & 7) | (p->rex & REX_X) << 2);

    o->base = (sib & 7) == BP && mod == 0 ? INSN_NO_REG : base;
    o->index = index == SP ? INSN_NO_REG : index;
    o->scale = (uint8_t)(1u << (sib >> 6));
}

static void operand32(const uint8_t *buf, unsigned len, const struct prefixes *p, unsigned bits,
                      struct insn_operand *o)
{
    const unsigned mod = buf[0] >> 6, rm = buf[0] & 7u;
    const unsigned before = rm == SP ? 2 : 1;

    if (rm == SP) {
        with_sib(buf[1], mod, p, o);
    } else if (mod == 0 && rm == BP) {
        o->base = INSN_NO_REG;
        o->rip = bits == 64;
    } else {
        o->base = (uint8_t)(rm | (p->rex & REX_B) << 3);
    }
    o->stack = o->base == SP || o->base == BP;
    o->disp = displacement(buf + before, len - before);
}

/* The operand whose ModRM byte is buf[0]. Bytes taken by ModRM, SIB and displacement; 0 if cut
 * off. */
static unsigned modrm_operand(const uint8_t *buf, size_t n, const struct prefixes *p, unsigned bits,
                              struct insn_operand *o)
{
    *o = (struct insn_operand){ .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1,
                                .segment = p->segment,
                                .address_bits = (uint8_t)insn_address_bits(bits, p->addrsize) };
    if (n == 0) {
        return 0;
    }
    if (buf[0] >> 6 == 3) {
        o->is_reg = true;
        o->reg = (uint8_t)((buf[0] & 7) | (p->rex & REX_B) << 3);
        return 1;
    }
    unsigned len = insn_modrm_length(buf, n, o->address_bits);
    if (len == 0 || len > n) {
        return 0;
    }
    if (o->address_bits == 16) {
        operand16(buf, len, o);
    } else {
        operand32(buf, len, p, bits, o);
    }
    return len;
}

bool insn_memory_operand(const uint8_t *buf, size_t n, unsigned bits, struct insn_operand *out)
{
    struct prefixes p;

    n = n > INSN_MAX ? INSN_MAX : n;
    if (!insn_prefixes(buf, n, bits, &p) || n - p.len < 2) {
        return false;
    }
    const unsigned at = p.len + (buf[p.len] == 0x0f ? 2 : 1);
    return modrm_operand(buf + at, n - at, &p, bits, out) != 0 && !out->is_reg;
}

bool insn_decode_system(const uint8_t *buf, size_t n, unsigned bits, struct insn_system *out)
{
    struct prefixes p;
    unsigned taken = 0;

    n = n > INSN_MAX ? INSN_MAX : n;
    *out = (struct insn_system){ 0 };
    if (!insn_prefixes(buf, n, bits, &p) || n - p.len < 2 || buf[p.len] != 0x0f) {
        return false;
    }
    out->opcode = buf[p.len + 1];
    out->len = p.len + 2;
    out->operand_bits = p.rex & REX_W ? 64 : p.opsize == (bits == 16) ? 32 : 16;
    uint8_t modrm = out->len < n ? buf[out->len] : 0;
    switch (out->opcode) {
    case 0x06: return !p.lock;
    case 0x00:
    case 0x01:
        taken = p.lock ? 0 : modrm_operand(buf + out->len, n - out->len, &p, bits, &out->rm);
        break;
    case 0x20:
    /* the mod field is ignored; LOCK is AMD's other way to name CR8 (APM vol. 3, MOV CRn) */
    case 0x22:
        taken = out->len < n;
        out->rm.is_reg = true;
        out->rm.reg = (uint8_t)((modrm & 7) | (p.rex & REX_B) << 3);
        break;
    default: return false;
    }
    out->len += taken;
    out->field = (uint8_t)((modrm >> 3 & 7) | (p.rex & REX_R) << 1
                           | (p.lock && out->opcode >= 0x20 ? 8u : 0u));
    return taken != 0;
}
