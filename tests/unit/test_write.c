/* SPDX-License-Identifier: MIT */
/* Instructions that write memory: their decoding by hand-made bytes, their results against this
 * CPU's own, and the handler that carries them out but for the guarded bytes. */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log.h>
#include <exit/dispatch.h>
#include <exit/guarded.h>
#include <guest/facs.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <hw/insn.h>
#include <insn/write.h>
#include <mm/host_map.h>
#include <policy/regions.h>
#include <virt/virt.h>
#include <x86/cpu.h>

/* --- decoding --------------------------------------------------------------------------- */

static const struct {
    unsigned bits, n;
    uint8_t code[12];
    struct insn_write w; /* but for what the code says: lengths */
} cases[] = {
    { 64, 4, { 0xf0, 0x0f, 0xb1, 0x17 },
      { .op = WRITE_CMPXCHG, .size = 4, .lock = true, .reg = 2 } },
    { 64, 5, { 0xf0, 0x4c, 0x0f, 0xb1, 0x0f },
      { .op = WRITE_CMPXCHG, .size = 8, .lock = true, .reg = 9 } },
    { 64, 3, { 0x89, 0x42, 0x0c }, { .op = WRITE_MOV, .size = 4, .reg = 0 } },
    { 64, 8, { 0x48, 0xc7, 0x42, 0x18, 0, 0, 0, 0 },
      { .op = WRITE_MOV, .size = 8, .has_imm = true } },
    { 32, 6, { 0x89, 0x15, 0x0c, 0, 0xfe, 0x1f }, { .op = WRITE_MOV, .size = 4, .reg = 2 } },
    { 32, 2, { 0x88, 0x20 }, { .op = WRITE_MOV, .size = 1, .reg = 0, .shift = 8 } },
    { 64, 3, { 0x40, 0x88, 0x20 }, { .op = WRITE_MOV, .size = 1, .reg = 4 } },
    { 32, 5, { 0xa3, 0x0c, 0, 0xfe, 0x1f }, { .op = WRITE_MOV, .size = 4 } },
    { 64, 9, { 0xa2, 1, 2, 3, 4, 5, 6, 7, 8 }, { .op = WRITE_MOV, .size = 1 } },
    { 16, 3, { 0x66, 0xf3, 0xa5 }, { .op = WRITE_MOVS, .size = 4, .rep = true } },
    { 64, 3, { 0x65, 0x48, 0xa5 }, { .op = WRITE_MOVS, .size = 8, .segment = 0x65 } },
    { 64, 2, { 0xf3, 0xaa }, { .op = WRITE_STOS, .size = 1, .rep = true } },
    { 64, 5, { 0xf0, 0x0f, 0xba, 0x2f, 0x1f }, { .op = WRITE_BTS, .size = 4, .lock = true,
                                                 .has_imm = true, .imm = 0x1f } },
    { 64, 4, { 0xf0, 0x83, 0x27, 0xfd },
      { .op = WRITE_AND, .size = 4, .lock = true, .has_imm = true,
        .imm = ~2ULL } },
    { 64, 6, { 0x66, 0x81, 0x4f, 0x10, 0x34, 0x12 }, { .op = WRITE_OR, .size = 2, .has_imm = true,
                                                       .imm = 0x1234 } },
    { 64, 4, { 0xf0, 0x0f, 0xc7, 0x0f }, { .op = WRITE_CMPXCHG8B, .size = 8, .lock = true } },
};

static void forms_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct insn_write *e = &cases[i].w;
        struct insn_write w;

        for (unsigned n = 0; n < cases[i].n; n++) {
            uint8_t *copy = malloc(n + (n == 0));
            memcpy(copy, cases[i].code, n);
            if (insn_decode_write(copy, n, cases[i].bits, &w)) {
                fail_msg("case %zu is taken when cut to %u bytes", i, n);
            }
            free(copy);
        }
        assert_true(insn_decode_write(cases[i].code, cases[i].n, cases[i].bits, &w));
        assert_int_equal(w.len, cases[i].n);
        assert_true(w.op == e->op && w.size == e->size && w.lock == e->lock && w.rep == e->rep);
        assert_true(w.has_imm == e->has_imm && w.reg == e->reg && w.shift == e->shift);
        assert_true(w.imm == e->imm && w.segment == e->segment);
    }
}

static void others_are_not(void **state)
{
    static const uint8_t codes[][8] = {
        { 0x83, 0x3f, 0x00 }, { 0x39, 0x07 }, { 0x0f, 0xa3, 0x07 }, /* CMP, CMP, BT */
        { 0x89, 0xc8 }, { 0xf7, 0xe7 }, { 0xff, 0x37 },             /* to a register, MUL, PUSH */
        { 0xc6, 0x4f, 0x00, 0x00 }, { 0x48, 0x0f, 0xc7, 0x0f },     /* no opcode, CMPXCHG16B */
        { 0x0f, 0x29, 0x07 }, { 0xe8, 0, 0, 0, 0 }, { 0x0f, 0xae, 0x07 }, { 0x0f },
    };
    struct insn_write w;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        assert_false(insn_decode_write(codes[i], i + 1 == ARRAY_SIZE(codes) ? 1 : 8, 64, &w));
    }
}

/* --- results ------------------------------------------------------------------------------ */

#define NATIVE(name, insn, type) \
    static uint64_t name(uint64_t old, uint64_t src, uint64_t *flags) \
    { \
        type m = (type)old; \
        uint64_t f = *flags; \
        __asm__ volatile("pushq %1; popfq; " insn "; pushfq; popq %1" \
                         : "+m"(m), "+r"(f) : "r"((type)src) : "cc", "memory"); \
        *flags = f; \
        return m; \
    }
/* The red zone is in the way of PUSH: no leaf functions of the compiler's making. */
#define ALL(what) \
    NATIVE(what##1, #what "b %2, %0", uint8_t) NATIVE(what##2, #what "w %2, %0", uint16_t) \
    NATIVE(what##4, #what "l %2, %0", uint32_t) NATIVE(what##8, #what "q %2, %0", uint64_t)
#define ALL1(what) \
    NATIVE(what##1, #what "b %0", uint8_t) NATIVE(what##2, #what "w %0", uint16_t) \
    NATIVE(what##4, #what "l %0", uint32_t) NATIVE(what##8, #what "q %0", uint64_t)
ALL(add) ALL(or) ALL(adc) ALL(sbb) ALL(and) ALL(sub) ALL(xor)
ALL1(inc) ALL1(dec) ALL1(not) ALL1(neg)

#define ROW(op, what) { op, { what##1, what##2, what##4, what##8 } }
static const struct {
    enum insn_write_op op;
    uint64_t (*native[4])(uint64_t, uint64_t, uint64_t *);
} natives[] = {
    ROW(WRITE_ADD, add), ROW(WRITE_OR, or), ROW(WRITE_ADC, adc), ROW(WRITE_SBB, sbb),
        ROW(WRITE_AND, and),
    ROW(WRITE_SUB, sub), ROW(WRITE_XOR, xor), ROW(WRITE_INC, inc), ROW(WRITE_DEC, dec),
    ROW(WRITE_NOT, not), ROW(WRITE_NEG, neg), ROW(WRITE_XADD, add),
};

static void results_are_the_cpus(void **state)
{
    static const uint64_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff,
                                      0x80000000,
                                      0x7fffffffffffffffULL, 0x8000000000000000ULL, ~0ULL };
    uint64_t random = 99;

    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        unsigned k = i % ARRAY_SIZE(natives), s = i / ARRAY_SIZE(natives) % 4;
        uint64_t mask = s == 3 ? ~0ULL : (1ULL << (8u << s)) - 1, shown = 0x8d5;
        uint64_t a = unit_random(&random), b = unit_random(&random);
        a = (i & 0x10000 ? a : a % 3 ? a : edges[a / 3 % ARRAY_SIZE(edges)]) & mask;
        b = (b % 3 ? b : edges[b / 3 % ARRAY_SIZE(edges)]) & mask;
        uint64_t before = 0x202 | (unit_random(&random) & 0x8d5), f = before, g = before;
        uint64_t want = natives[k].native[s](a, b, &f);
        uint64_t got = insn_write_result(natives[k].op, 1u << s, a, b, &g) & mask;

        if (natives[k].op == WRITE_AND || natives[k].op == WRITE_OR || natives[k].op == WRITE_XOR) {
            shown &= ~0x10ULL; /* AF is undefined */
        }
        if (got != want || ((f ^ g) & shown)) {
            fail_msg("op %u size %u of %llx and %llx: %llx flags %llx, not %llx flags %llx",
                     natives[k].op,
                     1u << s, (unsigned long long)a, (unsigned long long)b, (unsigned long long)got,
                     (unsigned long long)g, (unsigned long long)want, (unsigned long long)f);
        }
    }
}

/* --- the handler --------------------------------------------------------------------------- */

#define PAGE_AT 0x7000ULL
#define FACS_AT 0x7040ULL

static struct vcpu v;
static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096))), ram[PAGE_SIZE];
static uint8_t code[INSN_MAX];
static unsigned code_len, faults, skipped;
static bool protects;
/* of all caches; those that found our vector in the page */
static unsigned write_backs, vectors_written;
const struct virt_ops *virt;

static const char *said = "";
void log_line(const char *fmt, ...) { said = fmt; }
void hw_wbinvd(void)
{
    static const uint32_t vector = 0x9d800;

    write_backs++;
    vectors_written += memcmp(page + 0x40 + 12, &vector, 4) == 0;
}
void hyp_inject_gp(struct vcpu *w) { (void)w; faults++; }
void exit_skip(struct vcpu *w, unsigned len) { w->regs.rip += len; skipped++; }
void *host_map_page(uint64_t addr) { assert_int_equal(addr, PAGE_AT); return page; }
bool guest_phys_beyond(gpa_t g) { return g.a >= 1ULL << 39; }
int guest_phys_write_protect(gpa_t g) { assert_int_equal(g.a, PAGE_AT); return protects ? 0 : -1; }
struct guest_phys_ops guest_phys_ops;

unsigned exit_fetch(struct vcpu *w, uint8_t *buf, struct guest_paging *p)
{
    (void)w;
    memcpy(buf, code, INSN_MAX);
    *p = (struct guest_paging){ .mode = MODE_LONG64 };
    return code_len;
}

/* Linear addresses below 4096 are RAM. */
enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys, (void)p;
    assert_int_equal(access, ACCESS_READ);
    out->ptr = va.a < PAGE_SIZE ? ram + va.a : NULL;
    return va.a < PAGE_SIZE ? WALK_OK : WALK_FAULT;
}

static unsigned regions;

int region_add(enum region_space space, const struct region *r)
{
    assert_true(space == REGION_MEMORY && r->base == PAGE_AT && r->size == PAGE_SIZE);
    assert_true(r->access == ACCESS_WRITE && r->handle == exit_guarded_write);
    regions++;
    return 0;
}

static void store(uint64_t at)
{
    const struct exit e = { .kind = EXIT_NESTED_FAULT,
                            .fault = { .addr = gpa(at), .access = ACCESS_WRITE } };

    exit_guarded_write(&v, &e);
}

static int setup(void **state)
{
    struct acpi_info acpi = { .facs = { FACS_AT, 0 } };

    (void)state;
    memset(page, 0xa5, sizeof(page));
    memset(&v, 0, sizeof(v));
    memcpy(page + 0x40, "FACS\x40\0\0\0", 8);
    faults = skipped = 0;
    protects = true;
    uint64_t at;
    if (!facs_page(0, &at)) {
        assert_null(facs_guard(&acpi));
        facs_take(0x9d800);
    }
    memset(page + 0x40 + 8, 0xa5, 56);
    return 0;
}

#define RUN(at, ...) \
    do { \
        const uint8_t bytes_[] = { __VA_ARGS__ }; \
        memcpy(code, bytes_, sizeof(bytes_)); \
        code_len = INSN_MAX; \
        store(at); \
    } while (0)

static uint32_t word_at(unsigned off)
{
    uint32_t w;

    memcpy(&w, page + 0x40 + off, 4);
    return w;
}

/* Any form at any place: guarded bytes stay, whatever else is carried out. */
static void guarded_bytes_stay(void **state)
{
    static const uint8_t forms[][5] = {
        { 0x88, 0x0b }, { 0x66, 0x89, 0x0b }, { 0x89, 0x0b }, { 0x48, 0x89, 0x0b },
        { 0xf0, 0x48, 0x09, 0x0b },
        { 0x87, 0x0b }, { 0xf0, 0x0f, 0xc1, 0x0b }, { 0xf0, 0x0f, 0xb1, 0x0b },
        { 0xf0, 0x0f, 0xc7, 0x0b },
        { 0xf0, 0xff, 0x03 }, { 0x48, 0xf7, 0x13 }, { 0x48, 0xab }, { 0x48, 0xa5 },
        { 0xc6, 0x03, 0x77 },
    };
    uint8_t before[PAGE_SIZE];
    uint64_t random = 7;

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t off = unit_below(&random, 0x60) + 0x20;
        setup(state);
        for (unsigned r = 0; r < 16; r++) {
            v.regs.gpr[r] = unit_random(&random);
        }
        v.regs.gpr[GPR_RAX] = i % 2 ? 0xa5a5a5a5u : v.regs.gpr[GPR_RAX];
        v.regs.gpr[GPR_RDI] = off;
        v.regs.gpr[GPR_RSI] = unit_below(&random, 4000);
        memcpy(before, page, sizeof(page));
        memcpy(code, forms[i % ARRAY_SIZE(forms)], 5);
        code_len = INSN_MAX;
        store(PAGE_AT + off);
        assert_int_equal(faults + skipped, 1);
        assert_memory_equal(page, before, 0x20);
        assert_memory_equal(page + 0x40, before + 0x40, 8);
        assert_memory_equal(page + 0x4c, before + 0x4c, 4);
        assert_memory_equal(page + 0x58, before + 0x58, 8);
        assert_memory_equal(page + 0x88, before + 0x88, 0x100);
    }
}

static void the_global_lock_is_taken(void **state)
{
    (void)state;
    memset(page + 0x40 + 16, 0, 4);
    v.regs.gpr[GPR_RDX] = 2;
    RUN(FACS_AT + 16, 0xf0, 0x0f, 0xb1, 0x17);
    assert_int_equal(word_at(16), 2);
    assert_true(v.regs.rflags & RFLAGS_ZF);
    assert_int_equal(v.regs.rip, 4);
    RUN(FACS_AT + 16, 0xf0, 0x0f, 0xb1, 0x17);
    assert_int_equal(word_at(16), 2);
    assert_false(v.regs.rflags & RFLAGS_ZF);
    assert_int_equal(v.regs.gpr[GPR_RAX], 2);
    assert_int_equal(faults, 0);
}

static void strings_go_on_where_they_are(void **state)
{
    (void)state;
    memcpy(ram + 0x100, "abcdefgh", 8);
    v.regs.gpr[GPR_RSI] = 0x100;
    v.regs.gpr[GPR_RDI] = 0x12345038;
    v.regs.gpr[GPR_RCX] = 12;
    for (unsigned i = 0; i < 12; i++) {
        RUN(PAGE_AT + 0x38 + i, 0xf3, 0xa4);
        assert_int_equal(v.regs.rip, i == 11 ? 2 : 0);
    }
    assert_int_equal(v.regs.gpr[GPR_RCX], 0);
    assert_int_equal(v.regs.gpr[GPR_RSI], 0x10c);
    assert_memory_equal(page + 0x38, "abcdefghFACS", 12);
    v.regs.gpr[GPR_RSI] = 0x5000; /* not RAM */
    v.regs.gpr[GPR_RDI] = 0x38;
    RUN(PAGE_AT + 0x38, 0xa4);
    assert_int_equal(faults, 1);
    RUN(PAGE_AT + 0x39, 0xaa); /* not where RDI points */
    assert_int_equal(faults, 2);
}

static void what_it_cannot_do_is_a_fault(void **state)
{
    (void)state;
    RUN(FACS_AT + 17, 0xf0, 0x0f, 0xb1, 0x17); /* locked and not aligned */
    RUN(PAGE_AT + 0xffe, 0x89, 0x0b);          /* into the next page */
    RUN(FACS_AT + 40, 0x0f, 0x11, 0x03);       /* MOVUPS */
    RUN(FACS_AT + 40, 0x50);                   /* PUSH */
    assert_int_equal(faults, 4);
    assert_int_equal(skipped, 0);
    code_len = 0;
    store(FACS_AT); /* fetching it has made a fault */
    assert_int_equal(faults, 4);
}

/* --- taking the vectors ---------------------------------------------------------------------- */

static void a_machine_that_cannot_be_guarded_says_so(void **state)
{
    struct acpi_info acpi = { .facs = { FACS_AT, 0 } }, none = { .facs = { 0, 0 } };
    uint64_t at;

    (void)state;
    memset(page, 0, sizeof(page));
    assert_null(facs_guard(&none));
    assert_non_null(strstr(said, "no FACS"));
    said = "";
    assert_non_null(facs_guard(&acpi)); /* no signature */
    memcpy(page + 0x40, "FACS\x10\0\0\0", 8);
    assert_non_null(facs_guard(&acpi)); /* too short */
    page[0x44] = 64;
    protects = false;
    assert_non_null(facs_guard(&acpi));
    assert_false(facs_page(0, &at));
    assert_int_equal(exit_guarded_init(), 0);
    assert_int_equal(regions, 0);
    assert_int_equal(word_at(12), 0);
    protects = true;
    memset(page + 0x40 + 8, 0x33, 56);
    write_backs = vectors_written = 0;
    assert_null(facs_guard(&acpi));
    assert_true(word_at(12) == 0x33333333 && write_backs == 0); /* guarded, and firmware's still */
    facs_take(0x9d800);
    assert_true(write_backs == 1 && vectors_written == 1);
    assert_string_equal(said, "");
    assert_int_equal(word_at(12), 0x9d800);
    assert_true(word_at(24) == 0 && word_at(28) == 0);
    assert_int_equal(word_at(16), 0x33333333);
    assert_true(facs_page(0, &at) && at == PAGE_AT && !facs_page(1, &at));
    assert_int_equal(exit_guarded_init(), 0);
    assert_int_equal(regions, 1);
}

/* An entry of ours with an address above the CPU's width, or with what runs into the next page, is
 * none. */
static void a_facs_that_cannot_be_there(void **state)
{
    static const uint64_t at[] = {
        UINT64_MAX, UINT64_MAX - 0x3f, 1ULL << 63, 1ULL << 52, 1ULL << 39, (1ULL << 39) + 0x40,
        (1ULL << 39) - 0x3f, 0xffffffff, 0xfffff000 + PAGE_SIZE - 0x3f, PAGE_AT + PAGE_SIZE - 1,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct acpi_info acpi = { .facs = { at[i], 0 } };
        uint64_t page_at;

        assert_string_equal(facs_guard(&acpi), "no FACS where the FADT says");
        assert_false(facs_page(0, &page_at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_decoded),
        cmocka_unit_test(others_are_not),
        cmocka_unit_test(results_are_the_cpus),
        cmocka_unit_test(a_facs_that_cannot_be_there),
        cmocka_unit_test(a_machine_that_cannot_be_guarded_says_so), /* before any is */
        cmocka_unit_test_setup(guarded_bytes_stay, setup),
        cmocka_unit_test_setup(the_global_lock_is_taken, setup),
        cmocka_unit_test_setup(strings_go_on_where_they_are, setup),
        cmocka_unit_test_setup(what_it_cannot_do_is_a_fault, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
