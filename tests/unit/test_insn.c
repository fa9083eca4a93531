/* SPDX-License-Identifier: MIT */
/* The small decoder: what Linux, iPXE and memtest86+ really execute, prefixes, truncation,
 * and random bytes of which none beyond the end may be read. */
#include "unit.h"

#include <insn/insn.h>
#include <insn/load.h>
#include <insn/operand.h>

static const uint8_t op_cpuid[] = { 0x0f, 0xa2 };
static const uint8_t op_wrmsr[] = { 0x0f, 0x30 };
static const uint8_t op_vmcall[] = { 0x0f, 0x01, 0xc1 };

#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Bytes at the end of their own heap block, so that ASan sees a read beyond. */
static uint8_t *exact(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n == 0 ? 1 : n);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    return copy;
}

static void length_plain(void **state)
{
    (void)state;
    for (unsigned bits = 16; bits <= 64; bits *= 2) {
        assert_int_equal(insn_length_of(op_cpuid, 2, bits, op_cpuid, 2), 2);
        assert_int_equal(insn_length_of(op_vmcall, 3, bits, op_vmcall, 3), 3);
        assert_int_equal(insn_length_of(op_vmcall, 2, bits, op_vmcall, 3), 0);
        assert_int_equal(insn_length_of(op_cpuid, 2, bits, op_wrmsr, 2), 0);
        assert_int_equal(insn_length_of(op_cpuid, 0, bits, op_cpuid, 2), 0);
    }
    /* more bytes behind it don't matter */
    assert_int_equal(insn_length_of(BYTES(0x0f, 0xa2, 0x90, 0x90), 64, op_cpuid, 2), 2);
    assert_int_equal(insn_length_of(BYTES(0x90, 0x0f, 0xa2), 64, op_cpuid, 2), 0);
}

static void length_prefixes(void **state)
{
    static const uint8_t legacy[] = {
        0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3,
    };
    uint8_t buf[24];

    (void)state;
    for (size_t i = 0; i < sizeof(legacy); i++) {
        for (size_t j = 0; j < sizeof(legacy); j++) {
            const uint8_t code[] = { legacy[i], legacy[j], 0x0f, 0xa2 };
            for (unsigned bits = 16; bits <= 64; bits *= 2) {
                assert_int_equal(insn_length_of(code, 4, bits, op_cpuid, 2), 4);
            }
        }
    }
    for (unsigned rex = 0x40; rex < 0x50; rex++) {
        const uint8_t code[] = { (uint8_t)rex, 0x0f, 0xa2 };
        const uint8_t ignored[] = { (uint8_t)rex, 0x66, 0x0f, 0xa2 };
        assert_int_equal(insn_length_of(code, 3, 64, op_cpuid, 2), 3);
        assert_int_equal(insn_length_of(ignored, 4, 64, op_cpuid, 2), 4);
        assert_int_equal(insn_length_of(code, 3, 32, op_cpuid, 2), 0); /* INC or DEC */
        assert_int_equal(insn_length_of(code, 3, 16, op_cpuid, 2), 0);
    }
    assert_int_equal(insn_length_of(BYTES(0xf0, 0x0f, 0xa2), 64, op_cpuid, 2), 0);
    /* 15 bytes are an instruction, 16 aren't */
    memset(buf, 0x66, sizeof(buf));
    memcpy(buf + 13, op_cpuid, 2);
    assert_int_equal(insn_length_of(buf, 24, 64, op_cpuid, 2), 15);
    memset(buf, 0x66, sizeof(buf));
    memcpy(buf + 14, op_cpuid, 2);
    assert_int_equal(insn_length_of(buf, 24, 64, op_cpuid, 2), 0);
}

/* --- stores ---------------------------------------------------------------------- */

struct store_case {
    const char *what;
    unsigned bits;
    uint8_t code[16];
    unsigned n;                  /* length expected, and of `code` */
    unsigned size;
    enum insn_src src;
    unsigned reg;
    uint64_t imm;
};

#define R INSN_SRC_REG
#define I INSN_SRC_IMM

static const struct store_case stores[] = {
    { "Linux native_apic_mem_write: mov %esi,-0xa03000(%rdi)", 64,
      { 0x89, 0xb7, 0x00, 0xd0, 0x5f, 0xff }, 6, 4, R, 6, 0 },
    { "Linux: movl $0,0xffffffffff5fd0b0 (EOI)", 64,
      { 0xc7, 0x04, 0x25, 0xb0, 0xd0, 0x5f, 0xff, 0, 0, 0, 0 }, 11, 4, I, 0, 0 },
    { "Linux: mov %eax,0xffffffffff5fd300 (ICR)", 64,
      { 0x89, 0x04, 0x25, 0x00, 0xd3, 0x5f, 0xff }, 7, 4, R, 0, 0 },
    { "Linux xchg alternative, as MOV with DS prefix", 64,
      { 0x3e, 0x89, 0xb7, 0x00, 0xd0, 0x5f, 0xff }, 7, 4, R, 6, 0 },
    { "Linux 32-bit: mov %edx,0xfffec000(%eax)", 32,
      { 0x89, 0x90, 0x00, 0xc0, 0xfe, 0xff }, 6, 4, R, 2, 0 },
    { "Linux 32-bit: movl $0x0,0xfffec0b0", 32,
      { 0xc7, 0x05, 0xb0, 0xc0, 0xfe, 0xff, 0, 0, 0, 0 }, 10, 4, I, 0, 0 },
    { "Linux 32-bit: mov %eax,0xfffec310", 32, { 0xa3, 0x10, 0xc3, 0xfe, 0xff }, 5, 4, R, 0, 0 },
    { "SeaBIOS: movl $0xc4500,0xfee00300", 32,
      { 0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00 }, 10, 4, I, 0, 0xc4500 },
    { "SeaBIOS: mov %eax,0xfee00300", 32, { 0xa3, 0x00, 0x03, 0xe0, 0xfe }, 5, 4, R, 0, 0 },
    { "iPXE: mov %ecx,(%eax,%edx,1)", 32, { 0x89, 0x0c, 0x10 }, 3, 4, R, 1, 0 },
    { "memtest86+: mov %esi,(%rax,%rdx,4)", 64, { 0x89, 0x34, 0x90 }, 3, 4, R, 6, 0 },
    { "memtest86+: mov %r8d,0x10(%r12)", 64, { 0x45, 0x89, 0x44, 0x24, 0x10 }, 5, 4, R, 8, 0 },
    { "mov %r15d,0(%r13)", 64, { 0x45, 0x89, 0x7d, 0x00 }, 4, 4, R, 15, 0 },
    { "mov %rax,(%rdi)", 64, { 0x48, 0x89, 0x07 }, 3, 8, R, 0, 0 },
    { "movq $-1,(%rdi)", 64, { 0x48, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff }, 7, 8, I, 0, ~0ULL },
    { "movl $-1,(%rdi)", 64, { 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff }, 6, 4, I, 0, 0xffffffff },
    { "movw $0x8001,(%rdi)", 64, { 0x66, 0xc7, 0x07, 0x01, 0x80 }, 5, 2, I, 0, 0x8001 },
    { "66 and REX.W: W wins", 64, { 0x66, 0x48, 0xc7, 0x07, 1, 0, 0, 0x80 }, 8, 8, I, 0,
      0xffffffff80000001 },
    { "REX before 66 doesn't count", 64, { 0x48, 0x66, 0xc7, 0x07, 1, 2 }, 6, 2, I, 0, 0x201 },
    { "movb $0x80,(%rdi)", 64, { 0xc6, 0x07, 0x80 }, 3, 1, I, 0, 0x80 },
    { "mov %bl,(%rdi)", 64, { 0x88, 0x1f }, 2, 1, R, 3, 0 },
    { "mov %sil,(%rdi)", 64, { 0x40, 0x88, 0x37 }, 3, 1, R, 6, 0 },
    { "mov %r12b,(%rdi)", 64, { 0x44, 0x88, 0x27 }, 3, 1, R, 12, 0 },
    { "mov %ax,(%rdi)", 64, { 0x66, 0x89, 0x07 }, 3, 2, R, 0, 0 },
    { "mov %ecx,(%rip+4)", 64, { 0x89, 0x0d, 4, 0, 0, 0 }, 6, 4, R, 1, 0 },
    { "mov %ecx,(%edi) by 67", 64, { 0x67, 0x89, 0x0f }, 3, 4, R, 1, 0 },
    { "mov %ecx,8(%rsp)", 64, { 0x89, 0x4c, 0x24, 8 }, 4, 4, R, 1, 0 },
    { "mov %ecx,0x100(%rbp,%rax,8)", 64, { 0x89, 0x8c, 0xc5, 0, 1, 0, 0 }, 7, 4, R, 1, 0 },
    { "mov %ecx,disp32(,%rax,8)", 64, { 0x89, 0x0c, 0xc5, 0, 1, 0, 0 }, 7, 4, R, 1, 0 },
    { "movabs %eax,moffs64", 64, { 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, 9, 4, R, 0, 0 },
    { "movabs %rax,moffs64, REX.B ignored", 64, { 0x49, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8 }, 10, 8,
      R, 0, 0 },
    { "mov %al,moffs32 by 67", 64, { 0x67, 0xa2, 1, 2, 3, 4 }, 6, 1, R, 0, 0 },
    { "16-bit: mov %ax,(%bx,%si)", 16, { 0x89, 0x00 }, 2, 2, R, 0, 0 },
    { "16-bit: mov %eax,disp16", 16, { 0x66, 0x89, 0x06, 0x34, 0x12 }, 5, 4, R, 0, 0 },
    { "16-bit: mov %ax,1(%bp)", 16, { 0x89, 0x46, 0x01 }, 3, 2, R, 0, 0 },
    { "16-bit: mov %ax,0x1234(%bp)", 16, { 0x89, 0x86, 0x34, 0x12 }, 4, 2, R, 0, 0 },
    { "16-bit unreal: mov %eax,%ds:(%ebx)", 16, { 0x67, 0x66, 0x89, 0x03 }, 4, 4, R, 0, 0 },
    { "16-bit unreal: movl $imm,0xfee00300", 16,
      { 0x66, 0x67, 0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x10, 0x46, 0x0c, 0x00 }, 12, 4, I, 0,
      0xc4610 },
    { "16-bit: mov %ax,moffs16", 16, { 0xa3, 0x34, 0x12 }, 3, 2, R, 0, 0 },
    { "16-bit: mov %ax,moffs32", 16, { 0x67, 0xa3, 0, 3, 0xe0, 0xfe }, 6, 2, R, 0, 0 },
    { "32-bit: mov %cx,(%si) by 66 67", 32, { 0x66, 0x67, 0x89, 0x0c }, 4, 2, R, 1, 0 },
    { "32-bit: mov %ecx,disp16 by 67", 32, { 0x67, 0x89, 0x0e, 0x34, 0x12 }, 5, 4, R, 1, 0 },
    { "32-bit: segment FS", 32, { 0x64, 0x89, 0x08 }, 3, 4, R, 1, 0 },
};

static void store_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
        const struct store_case *c = &stores[i];
        struct insn_store s;

        print_message("# %s\n", c->what);
        for (unsigned n = 0; n <= c->n; n++) { /* cut off anywhere: refused */
            uint8_t *code = exact(c->code, n);
            assert_int_equal(insn_decode_store(code, n, c->bits, &s), n == c->n);
            free(code);
        }
        assert_int_equal(s.len, c->n);
        assert_int_equal(s.size, c->size);
        assert_int_equal(s.src, c->src);
        if (c->src == INSN_SRC_REG) {
            assert_int_equal(s.reg, c->reg);
        } else {
            assert_true(s.imm == c->imm);
        }
    }
}

static void store_refused(void **state)
{
    static const struct { const char *what; unsigned bits; uint8_t code[8]; } bad[] = {
        { "register operand", 64, { 0x89, 0xc8 } },
        { "LOCK", 64, { 0xf0, 0x89, 0x07 } },
        { "REP", 64, { 0xf3, 0x89, 0x07 } },
        { "REPNE", 64, { 0xf2, 0xc7, 0x07, 0, 0, 0, 0 } },
        { "AH", 64, { 0x88, 0x27 } },
        { "BH", 32, { 0x88, 0x3f } },
        { "C7 /1", 64, { 0xc7, 0x0f, 0, 0, 0, 0 } },
        { "XABORT", 64, { 0xc6, 0xf8, 0x00 } },
        { "load", 64, { 0x8b, 0x07 } },
        { "XCHG", 64, { 0x87, 0x07 } },
        { "ADD", 64, { 0x01, 0x07 } },
        { "STOSD", 64, { 0xab } },
        { "VEX", 64, { 0xc5, 0xf8, 0x29, 0x07 } },
        { "0F", 64, { 0x0f, 0x29, 0x07 } },
        { "A1", 32, { 0xa1, 0, 3, 0xe0, 0xfe } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct insn_store s;
        print_message("# %s\n", bad[i].what);
        assert_false(insn_decode_store(bad[i].code, 8, bad[i].bits, &s));
    }
}

/* --- MOV CRn ---------------------------------------------------------------------- */

struct mov_cr { unsigned len; uint8_t cr, gpr; bool to_cr; };

/* MOV to or from a control register, by insn_decode_system. */
static bool decode_mov_cr(const uint8_t *buf, size_t n, unsigned bits, struct mov_cr *out)
{
    struct insn_system i;
    bool ok = insn_decode_system(buf, n, bits, &i) && i.opcode >= 0x20;

    *out = (struct mov_cr){ i.len, i.field, i.rm.reg, i.opcode == 0x22 };
    return ok;
}

static void mov_cr(void **state)
{
    struct mov_cr m;

    (void)state;
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        for (unsigned rex = 0x3f; rex < 0x50; rex++) { /* 3f: none */
            uint8_t code[4] = { (uint8_t)rex, 0x0f, 0x22, (uint8_t)modrm };
            uint8_t *p = rex == 0x3f ? code + 1 : code;
            unsigned n = rex == 0x3f ? 3 : 4;
            unsigned bits = rex == 0x3f ? 0 : rex & 0xfu;

            assert_true(decode_mov_cr(p, n, 64, &m));
            assert_true(m.to_cr);
            assert_int_equal(m.len, n);
            assert_int_equal(m.cr, modrm / 8 % 8 + (bits & 4 ? 8 : 0));
            assert_int_equal(m.gpr, modrm % 8 + (bits & 1 ? 8 : 0));
            assert_false(decode_mov_cr(p, n - 1, 64, &m));
        }
    }
    assert_true(decode_mov_cr(BYTES(0x0f, 0x20, 0xe0), 32, &m)); /* mov %cr4,%eax */
    assert_false(m.to_cr);
    assert_int_equal(m.cr, 4);
    assert_int_equal(m.gpr, 0);
    assert_true(decode_mov_cr(BYTES(0xf0, 0x0f, 0x20, 0xc0), 32, &m)); /* AMD's CR8 */
    assert_int_equal(m.cr, 8);
    assert_true(decode_mov_cr(BYTES(0x66, 0x0f, 0x22, 0xc0), 16, &m)); /* mov %eax,%cr0 */
    assert_int_equal(m.len, 4);
    assert_false(decode_mov_cr(BYTES(0x0f, 0x21, 0xc0), 64, &m)); /* MOV from DR */
    assert_false(decode_mov_cr(BYTES(0x0f, 0x01, 0xf0), 64, &m)); /* LMSW */
    assert_false(decode_mov_cr(BYTES(0x40, 0x0f, 0x22, 0xc0), 32, &m)); /* INC */
}

/* --- random bytes ------------------------------------------------------------------ */

/* Prefix-rich random bytes in a block of exactly n: nothing beyond is read (ASan), and
 * whatever is decoded lies inside and is decoded alike with more bytes behind it. */
static void random_bytes(void **state)
{
    static const uint8_t likely[] = {
        0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x48, 0x41, 0x4f, 0x0f, 0x22, 0x20, 0x88, 0x89,
        0xc6, 0xc7, 0xa2, 0xa3, 0x04, 0x05, 0x25, 0x84, 0x44, 0xa2, 0x01, 0xc1,
    };
    uint64_t seed = 77;
    unsigned decoded = 0;

    (void)state;
    for (unsigned round = 0; round < 300000; round++) {
        unsigned n = (unsigned)unit_below(&seed, 19), bits = 16u << unit_below(&seed, 3);
        uint8_t longer[32], *code;
        struct insn_store s, t;
        struct mov_cr m;
        unsigned len;

        for (unsigned i = 0; i < sizeof(longer); i++) {
            longer[i] = unit_below(&seed, 2) ? (uint8_t)unit_random(&seed)
                                             : likely[unit_below(&seed, sizeof(likely))];
        }
        code = exact(longer, n);
        len = insn_length_of(code, n, bits, op_cpuid, 2);
        assert_true(len <= n && len <= INSN_MAX);
        if (insn_decode_store(code, n, bits, &s)) {
            decoded++;
            assert_true(s.len >= 2 && s.len <= n && s.len <= INSN_MAX && s.reg < 16);
            assert_true(insn_decode_store(longer, sizeof(longer), bits, &t));
            assert_int_equal(s.len, t.len);
            assert_int_equal(s.reg, t.reg);
            assert_true(s.imm == t.imm);
        }
        if (decode_mov_cr(code, n, bits, &m)) {
            assert_true(m.len >= 3 && m.len <= n && m.cr < 16 && m.gpr < 16);
        }
        free(code);
    }
    assert_true(decoded > 10000);
}

/* Memory operands of each form (SDM vol. 2, tables 2-1 to 2-3). */
static void operands(void **state)
{
    static const struct { uint8_t code[9]; unsigned n, bits; struct insn_operand o; } cases[] = {
        { { 0x0f, 0x01, 0x10 }, 3, 64,
          { .base = 0, .index = INSN_NO_REG, .scale = 1, .address_bits = 64 } },
        { { 0x41, 0x0f, 0x01, 0x50, 0xf0 }, 5, 64,
          { .base = 8, .index = INSN_NO_REG, .scale = 1, .address_bits = 64, .disp = -16 } },
        { { 0x0f, 0x01, 0x15, 0x78, 0x56, 0x34, 0x12 }, 7, 64,
          { .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .rip = true, .address_bits = 64,
            .disp = 0x12345678 } },
        { { 0x0f, 0x01, 0x15, 0x78, 0x56, 0x34, 0x12 }, 7, 32,
          { .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .address_bits = 32,
            .disp = 0x12345678 } },
        { { 0x43, 0x0f, 0x01, 0x54, 0xa5, 0x08 }, 6, 64, /* [r13 + r12 * 4 + 8] */
          { .base = 13, .index = 12, .scale = 4, .address_bits = 64, .disp = 8 } },
        { { 0x0f, 0x01, 0x14, 0x24 }, 4, 64, /* [rsp] */
          { .base = 4, .index = INSN_NO_REG, .scale = 1, .stack = true, .address_bits = 64 } },
        { { 0x64, 0x0f, 0x01, 0x14, 0x25, 0x10, 0, 0, 0 }, 9, 64, /* fs:[0x10] */
          { .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .segment = 0x64,
            .address_bits = 64, .disp = 16 } },
        { { 0x0f, 0x01, 0x12 }, 3, 16, /* [bp + si] */
          { .base = 5, .index = 6, .scale = 1, .stack = true, .address_bits = 16 } },
        { { 0x0f, 0x01, 0x16, 0x34, 0x12 }, 5, 16,
          { .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .address_bits = 16,
            .disp = 0x1234 } },
        { { 0x67, 0x0f, 0x01, 0x55, 0x04 }, 5, 16, /* [ebp + 4] */
          { .base = 5, .index = INSN_NO_REG, .scale = 1, .stack = true, .address_bits = 32,
            .disp = 4 } },
    };
    struct insn_system i;

    (void)state;
    for (unsigned c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct insn_operand *o = &cases[c].o;

        assert_true(insn_decode_system(cases[c].code, cases[c].n, cases[c].bits, &i));
        assert_true(i.len == cases[c].n && (i.field & 7) == 2 && !i.rm.is_reg);
        assert_true(i.rm.base == o->base && i.rm.index == o->index && i.rm.scale == o->scale
                    && i.rm.rip == o->rip);
        assert_true(i.rm.disp == o->disp && i.rm.stack == o->stack && i.rm.segment == o->segment);
        assert_int_equal(i.rm.address_bits, o->address_bits);
        for (unsigned n = 0; n < cases[c].n; n++) {
            assert_false(insn_decode_system(cases[c].code, n, cases[c].bits, &i));
        }
    }
    assert_false(insn_decode_system(BYTES(0xf0, 0x0f, 0x01, 0x10), 64, &i)); /* LOCK */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_plain),
        cmocka_unit_test(length_prefixes),
        cmocka_unit_test(store_known),
        cmocka_unit_test(store_refused),
        cmocka_unit_test(mov_cr),
        cmocka_unit_test(operands),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
