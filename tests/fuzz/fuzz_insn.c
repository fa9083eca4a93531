/* SPDX-License-Identifier: MIT */
/* The small decoder against a second one, written by the opcode map, on any bytes. */
#include <insn/insn.h>
#include <insn/load.h>
#include <insn/operand.h>
#include <insn/write.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond) do { if (!(cond)) { abort(); } } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct mov_cr { unsigned len; uint8_t cr, gpr; bool to_cr; };

/* A reader that knows when it ran out. */
struct in { const uint8_t *p; size_t left; bool out; unsigned used; };

static unsigned next(struct in *in)
{
    if (in->left == 0 || in->used == 15) {
        in->out = true;
        return 0;
    }
    in->left--;
    in->used++;
    return *in->p++;
}

static void skip(struct in *in, unsigned n)
{
    while (n-- != 0) {
        next(in);
    }
}

struct ref { unsigned opsize, rex; bool addr, lock, rep; unsigned opcode; };

/* All prefixes and the first opcode byte. */
static struct ref ref_start(struct in *in, unsigned bits)
{
    struct ref r = { 0 };

    for (;;) {
        unsigned b = next(in);

        if (bits == 64 && b >= 0x40 && b <= 0x4f && !in->out) {
            r.rex = b;
            continue;
        }
        if (b == 0x66) {
            r.opsize = 1;
        } else if (b == 0x67) {
            r.addr = true;
        } else if (b == 0xf0) {
            r.lock = true;
        } else if (b == 0xf2 || b == 0xf3) {
            r.rep = true;
        } else if (!strchr("\x26\x2e\x36\x3e\x64\x65", (int)b) || b == 0) {
            r.opcode = b;
            return r;
        }
        r.rex = 0;
        if (in->out) {
            return r;
        }
    }
}

/* ModRM and what belongs to it: the reg field; false for a register operand. */
static bool ref_memory(struct in *in, unsigned abits, unsigned *reg)
{
    unsigned modrm = next(in), mod = modrm / 64, rm = modrm % 8;

    *reg = modrm / 8 % 8;
    if (mod == 3) {
        return false;
    }
    if (abits == 16) {
        skip(in, mod == 0 ? (rm == 6 ? 2 : 0) : mod);
        return true;
    }
    if (rm == 4) {
        unsigned sib = next(in);
        skip(in, mod == 0 ? (sib % 8 == 5 ? 4 : 0) : mod == 1 ? 1 : 4);
        return true;
    }
    skip(in, mod == 0 ? (rm == 5 ? 4 : 0) : mod == 1 ? 1 : 4);
    return true;
}

static bool ref_store(const uint8_t *data, size_t n, unsigned bits, struct insn_store *out)
{
    struct in in = { .p = data, .left = n };
    struct ref r = ref_start(&in, bits);
    unsigned abits = bits == 64 ? (r.addr ? 32 : 64) : (bits == 32) != r.addr ? 32 : 16;
    unsigned word = bits == 64 && r.rex >= 0x48 ? 8 : (bits == 16) == (r.opsize != 0) ? 4 : 2;
    unsigned reg = 0;

    memset(out, 0, sizeof(*out));
    if (in.out || r.lock || r.rep) {
        return false;
    }
    switch (r.opcode) {
    case 0x88: case 0x89: case 0xc6: case 0xc7:
        out->size = r.opcode % 2 ? word : 1;
        if (!ref_memory(&in, abits, &reg)) {
            return false;
        }
        break;
    case 0xa2: case 0xa3:
        out->size = r.opcode % 2 ? word : 1;
        skip(&in, abits / 8);
        break;
    default:
        return false;
    }
    if (r.opcode < 0x90) {
        if (out->size == 1 && r.rex == 0 && reg >= 4) {
            return false;
        }
        out->reg = (uint8_t)(reg + (r.rex % 8 >= 4 ? 8 : 0));
    } else if (r.opcode >= 0xc6) {
        unsigned bytes = out->size == 8 ? 4 : out->size;
        int64_t imm = 0;

        if (reg != 0) {
            return false;
        }
        out->src = INSN_SRC_IMM;
        for (unsigned i = 0; i < bytes; i++) {
            imm += (int64_t)next(&in) << 8 * i;
        }
        if (out->size == 8 && imm > 0x7fffffff) {
            imm -= 0x100000000;
        }
        out->imm = (uint64_t)imm;
    }
    out->len = in.used;
    return !in.out;
}

static unsigned ref_length(const uint8_t *data, size_t n, unsigned bits, const uint8_t *op,
                           size_t oplen)
{
    struct in in = { .p = data, .left = n };
    struct ref r = ref_start(&in, bits);

    if (in.out || r.lock || r.opcode != op[0]) {
        return 0;
    }
    for (size_t i = 1; i < oplen; i++) {
        if (next(&in) != op[i] || in.out) {
            return 0;
        }
    }
    return in.used;
}

static bool ref_mov_cr(const uint8_t *data, size_t n, unsigned bits, struct mov_cr *out)
{
    struct in in = { .p = data, .left = n };
    struct ref r = ref_start(&in, bits);
    unsigned op = next(&in), modrm = next(&in);

    if (in.out || r.opcode != 0x0f || (op != 0x20 && op != 0x22)) {
        return false;
    }
    out->len = in.used;
    out->to_cr = op == 0x22;
    out->cr = (uint8_t)(modrm / 8 % 8 + (r.rex % 8 >= 4 || r.lock ? 8 : 0));
    out->gpr = (uint8_t)(modrm % 8 + (r.rex % 2 ? 8 : 0));
    return true;
}

/* MOV to or from a control register, by insn_decode_system. */
static bool decode_mov_cr(const uint8_t *buf, size_t n, unsigned bits, struct mov_cr *out)
{
    struct insn_system i;
    bool ok = insn_decode_system(buf, n, bits, &i) && i.opcode >= 0x20;

    *out = (struct mov_cr){ i.len, i.field, i.rm.reg, i.opcode == 0x22 };
    return ok;
}

static void check(const uint8_t *code, size_t n, unsigned bits)
{
    static const uint8_t ops[][3] = { { 0x0f, 0xa2 }, { 0x0f, 0x30 }, { 0x0f, 0x01, 0xc1 } };
    struct insn_store s, t;
    struct mov_cr m, k;
    struct insn_write w;
    bool ok = insn_decode_store(code, n, bits, &s);

    CHECK(ok == ref_store(code, n, bits, &t));
    if (ok) {
        CHECK(s.len == t.len && s.size == t.size && s.src == t.src && s.reg == t.reg
              && s.imm == t.imm);
    }
    bool decoded = insn_decode_write(code, n, bits, &w);
    CHECK(!decoded || (w.len <= n && w.len <= INSN_MAX && (w.size & (w.size - 1)) == 0
                       && w.size <= 8 && w.reg < 16));
    if (ok) { /* it is the other's subset */
        CHECK(decoded && w.op == WRITE_MOV && w.len == s.len && w.size == s.size && w.reg == s.reg
              && !w.shift);
        CHECK(w.has_imm == (s.src == INSN_SRC_IMM)
              && (!w.has_imm || ((w.imm ^ s.imm) << (64 - 8 * w.size)) == 0));
    }
    ok = decode_mov_cr(code, n, bits, &m);
    CHECK(ok == ref_mov_cr(code, n, bits, &k));
    if (ok) {
        CHECK(m.len == k.len && m.cr == k.cr && m.gpr == k.gpr && m.to_cr == k.to_cr);
    }
    struct insn_load l;
    CHECK(!insn_decode_load(code, n, bits, &l)
          || (l.len <= n && l.len <= INSN_MAX && l.reg < 16 && (l.size & (l.size - 1)) == 0
              && l.size <= l.to_size));
    struct insn_system y;
    CHECK(!insn_decode_system(code, n, bits, &y)
          || (y.len <= n && y.len <= INSN_MAX && y.rm.reg < 16));
    for (unsigned i = 0; i < 3; i++) {
        size_t oplen = i == 2 ? 3 : 2;
        CHECK(insn_length_of(code, n, bits, ops[i], oplen) ==
              ref_length(code, n, bits, ops[i], oplen));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The bytes in a block of their own: nothing behind them may be read. */
    uint8_t *code = malloc(size == 0 ? 1 : size);

    if (!code) {
        return 0;
    }
    if (size != 0) {
        memcpy(code, data, size);
    }
    for (unsigned bits = 16; bits <= 64; bits *= 2) {
        check(code, size, bits);
    }
    free(code);
    return 0;
}
