/* SPDX-License-Identifier: MIT */
/* hypapp/store.c: what an instruction stores, and what is left when that is done. */
#include "unit.h"
#include <hypapp/hypapp.h>
#include <x86/cpu.h>

#define CODE 0x1000u
#define FROM 0x2000u
#define TO   0x5000u
#define SIZE 0x8000u

static uint8_t ram[SIZE];
static struct vcpu cpu;
static struct hyp_caller caller;
static unsigned shadows;
static uint64_t absent, elsewhere;   /* pages */
struct guest_phys_ops guest_phys_ops;

void hyp_caller(struct vcpu *v, struct hyp_caller *c)
{
    (void)v;
    *c = caller;
}

enum gm_result gm_read_kernel(const struct hyp_caller *c, gva_t from, void *to, size_t len,
                              struct gm_fault *f)
{
    (void)c;
    (void)f;
    for (size_t i = 0; i < len; i++) {
        if (from.a + i >= SIZE || (from.a + i) / PAGE_SIZE == absent) {
            return GM_FAULT;
        }
    }
    memcpy(to, ram + from.a, len);
    return GM_OK;
}

/* Linear addresses are physical ones, but for a page that isn't there and one that is elsewhere. */
enum walk_result guest_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                            gva_t va, unsigned access, struct walk *out)
{
    (void)phys;
    (void)p;
    assert_true(access & ACCESS_NO_AD);
    if (va.a >= SIZE || va.a / PAGE_SIZE == absent) {
        return WALK_FAULT;
    }
    *out = (struct walk){ .ptr = ram + va.a,
                          .gpa = gpa(va.a + (va.a / PAGE_SIZE == elsewhere ? SIZE : 0)) };
    return WALK_OK;
}

static void get_paging(struct vcpu *v, struct guest_paging *p)
{
    (void)v;
    *p = caller.paging;
}

static void get_segment(struct vcpu *v, enum segment_index i, struct segment *s)
{
    (void)v;
    *s = (struct segment){ .base = i == SEG_GS ? 0x100 : i == SEG_CS ? 0 : 0x10 };
}

static bool walked, queued;
static bool event_queued(struct vcpu *v) { (void)v; return queued; }

static void clear_shadow(struct vcpu *v)
{
    (void)v;
    shadows++;
}

static const struct virt_ops ops = { .get_paging = get_paging, .get_segment = get_segment,
                                     .clear_shadow = clear_shadow, .event_queued = event_queued };
const struct virt_ops *virt = &ops;

static bool run(enum cpu_mode mode, const char *code, unsigned len, uint64_t g,
                struct hyp_store *out)
{
    const struct exit e = { .fault = { .addr = gpa(g), .access = ACCESS_WRITE, .walk = walked } };

    memset(ram, 0x90, sizeof(ram));
    memcpy(ram + cpu.regs.rip, code, len);
    for (unsigned i = 0; i < 64; i++) {
        ram[FROM + i] = (uint8_t)(0xa0 + i);
    }
    caller = (struct hyp_caller){ .paging = { .mode = mode } };
    return hyp_store(&cpu, &e, out);
}

static int setup(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof(cpu));
    cpu.regs.rip = CODE;
    cpu.regs.rflags = RFLAGS_RF;
    for (unsigned i = 0; i < 16; i++) {
        cpu.regs.gpr[i] = 0x1122334455667700ull + i;
    }
    cpu.regs.gpr[GPR_RDI] = TO;
    cpu.regs.gpr[GPR_RSI] = FROM;
    absent = elsewhere = 99;
    shadows = 0;
    return 0;
}

/* By MOV: bytes, their number, the instruction's length. */
static void test_mov(void **state)
{
    static const struct {
        const char *code; unsigned n; const char *bytes; unsigned len; enum cpu_mode mode;
    } cases[] = {
        { "\x88\x0f", 2, "\x01", 1, MODE_LONG64 },                       /* mov [rdi], cl */
        { "\x88\x2f", 2, "\x77", 1, MODE_LONG64 },                       /* mov [rdi], ch */
        { "\x66\x89\x0f", 3, "\x01\x77", 2, MODE_LONG64 },
        { "\x89\x0f", 2, "\x01\x77\x66\x55", 4, MODE_LONG64 },           /* memcpy_orig's */
        { "\x44\x89\x44\x17\xfc", 5, "\x08\x77\x66\x55", 4, MODE_LONG64 },
        { "\x48\x89\x0f", 3, "\x01\x77\x66\x55\x44\x33\x22\x11", 8, MODE_LONG64 },
        { "\xc6\x07\xcc", 3, "\xcc", 1, MODE_LONG64 },
        { "\xc7\x07\x01\x02\x03\x04", 6, "\x01\x02\x03\x04", 4, MODE_LONG64 },
        { "\x48\xc7\x07\xff\xff\xff\xff", 7, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, MODE_LONG64 },
        { "\x89\x0f", 2, "\x01\x77\x66\x55", 4, MODE_PROT32 },
        { "\x89\x0d", 2, "\x01\x77", 2, MODE_PROT16 },
    };
    struct hyp_store s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        assert_true(run(cases[i].mode, cases[i].code, cases[i].n, TO + 3, &s));
        assert_int_equal(s.gpa.a, TO + 3);
        assert_int_equal(s.len, cases[i].len);
        assert_memory_equal(s.bytes, cases[i].bytes, s.len);
        const struct vcpu_regs before = cpu.regs;
        hyp_store_done(&cpu, &s);
        assert_int_equal(cpu.regs.rip, CODE + cases[i].n);
        assert_int_equal(cpu.regs.rflags, 0);
        assert_int_equal(shadows, 1);
        assert_memory_equal(cpu.regs.gpr, before.gpr, sizeof(before.gpr));
    }
}

static void test_not(void **state)
{
    static const struct { const char *code; unsigned n; } cases[] = {
        { "\x01\x0f", 2 }, { "\xf0\x0f\xb1\x0f", 4 }, { "\x87\x0f", 2 }, { "\x0f\x7f\x07", 3 },
        { "\xff\x07", 2 }, { "\x0f\x0b", 2 }, { "\x8b\x0f", 2 },
    };
    struct hyp_store s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(state);
        assert_false(run(MODE_LONG64, cases[i].code, cases[i].n, TO, &s));
    }
    cpu.regs.gpr[GPR_RCX] = 4;
    cpu.regs.rflags = RFLAGS_DF;
    assert_false(run(MODE_LONG64, "\xf3\xa4", 2, TO, &s));
    cpu.regs.rflags = 0;
    assert_false(run(MODE_LONG64, "\xf3\xa4", 2, TO + 8, &s)); /* another place than RDI's */
    absent = FROM / PAGE_SIZE;
    assert_false(run(MODE_LONG64, "\xf3\xa4", 2, TO, &s));
    absent = CODE / PAGE_SIZE;
    assert_false(run(MODE_LONG64, "\xf3\xa4", 2, TO, &s));
}

/* The CPU's own stores, to a table that it walks or to an event's stack, are not those of what is
 * at RIP. */
static void test_not_the_operand(void **state)
{
    struct hyp_store s;

    (void)state;
    walked = true;
    assert_false(run(MODE_LONG64, "\x89\x0f", 2, TO, &s));
    walked = false;
    queued = true;
    assert_false(run(MODE_LONG64, "\x89\x0f", 2, TO, &s));
    queued = false;
    assert_true(run(MODE_LONG64, "\x89\x0f", 2, TO, &s));
}

/* Code at a page's end, with the next one there or not. */
static void test_page_end(void **state)
{
    struct hyp_store s;

    (void)state;
    cpu.regs.rip = CODE + PAGE_SIZE - 3;
    assert_true(run(MODE_LONG64, "\xc7\x07\x01\x02\x03\x04", 6, TO, &s));
    assert_int_equal(s.insn_len, 6);
    absent = CODE / PAGE_SIZE + 1;
    assert_false(run(MODE_LONG64, "\xc7\x07\x01\x02\x03\x04", 6, TO, &s));
    cpu.regs.rip = CODE + PAGE_SIZE - 2;
    assert_true(run(MODE_LONG64, "\x89\x0f", 2, TO, &s));
}

#define FOUR  "\xa0\xa1\xa2\xa3"
#define EIGHT "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7"
#define HIGH  (1ull << 40)

static void test_string(void **state)
{
    static const struct {
        const char *code; unsigned n; enum cpu_mode mode;
        uint64_t to, from, count; /* registers */
        uint64_t g; const char *bytes; unsigned len; uint64_t left;
    } cases[] = {
        { "\xf3\xa4", 2, MODE_LONG64, TO, FROM, 4, TO, FOUR, 4, 0 },
        { "\xf3\xa4", 2, MODE_LONG64, TO, FROM, 1, TO, "\xa0", 1, 0 },
        { "\xf3\xa4", 2, MODE_LONG64, TO, FROM, 20, TO, EIGHT, 8, 12 },
        { "\xf3\xa4", 2, MODE_LONG64, TO + 0xffe, FROM, 4, TO + 0xffe, FOUR, 4, 0 }, /* two pages */
        { "\xf3\x48\xa5", 3, MODE_LONG64, TO, FROM, 2, TO, EIGHT, 8, 1 },
        { "\xa4", 1, MODE_LONG64, TO, FROM, 9, TO, "\xa0", 1, 9 },
        { "\x65\xa4", 2, MODE_LONG64, TO, FROM - 0x100, 9, TO, "\xa0", 1, 9 },
        { "\xf3\xaa", 2, MODE_LONG64, TO, FROM, 3, TO, "\x00\x00\x00", 3, 0 },
        { "\xf3\xab", 2, MODE_LONG64, TO, FROM, 2, TO, "\x00\x77\x66\x55\x00\x77\x66\x55", 8, 0 },
        /* 32-bit addresses: the upper halves don't count, and are cleared */
        { "\x67\xf3\xa4", 3, MODE_LONG64, TO | HIGH, FROM | HIGH, 4 | HIGH, TO, FOUR, 4, 0 },
        { "\xf3\xa4", 2, MODE_PROT32, TO - 0x10, FROM - 0x10, 4, TO, FOUR, 4, 0 },
    };
    struct hyp_store s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool movs = (uint8_t)cases[i].code[cases[i].n - 1] < 0xa8;
        bool wide = cases[i].code[0] != 0x67;
        setup(state);
        cpu.regs.gpr[GPR_RDI] = cases[i].to;
        cpu.regs.gpr[GPR_RSI] = cases[i].from;
        cpu.regs.gpr[GPR_RCX] = cases[i].count;
        assert_true(run(cases[i].mode, cases[i].code, cases[i].n, cases[i].g, &s));
        assert_int_equal(s.len, cases[i].len);
        assert_memory_equal(s.bytes, cases[i].bytes, s.len);
        hyp_store_done(&cpu, &s);
        uint64_t mask = wide ? ~0ull : 0xffffffff;
        assert_int_equal(cpu.regs.gpr[GPR_RDI], (cases[i].to + s.len) & mask);
        assert_int_equal(cpu.regs.gpr[GPR_RSI], (cases[i].from + (movs ? s.len : 0)) & mask);
        assert_int_equal(cpu.regs.gpr[GPR_RCX], cases[i].left);
        bool ends = cases[i].left == 0 || !s.rep;
        assert_int_equal(cpu.regs.rip, CODE + (ends ? cases[i].n : 0));
        assert_int_equal(shadows, ends);
    }
}

/* The next page is another one in memory: up to there. The source's isn't there: not at all. */
static void test_string_pages(void **state)
{
    struct hyp_store s;

    (void)state;
    elsewhere = TO / PAGE_SIZE + 1;
    cpu.regs.gpr[GPR_RDI] = TO + 0xffe;
    cpu.regs.gpr[GPR_RCX] = 4;
    assert_true(run(MODE_LONG64, "\xf3\xa4", 2, TO + 0xffe, &s));
    assert_int_equal(s.len, 2);
    hyp_store_done(&cpu, &s);
    assert_int_equal(cpu.regs.rip, CODE);
    assert_int_equal(cpu.regs.gpr[GPR_RCX], 2);
    setup(state);
    cpu.regs.gpr[GPR_RSI] = FROM + 0xffe;
    cpu.regs.gpr[GPR_RCX] = 4;
    assert_true(run(MODE_LONG64, "\xf3\xa4", 2, TO, &s));
    assert_int_equal(s.len, 4);
    absent = FROM / PAGE_SIZE + 1;
    assert_false(run(MODE_LONG64, "\xf3\xa4", 2, TO, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mov, setup), cmocka_unit_test_setup(test_not, setup),
        cmocka_unit_test_setup(test_not_the_operand, setup),
        cmocka_unit_test_setup(test_page_end, setup), cmocka_unit_test_setup(test_string, setup),
        cmocka_unit_test_setup(test_string_pages, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
