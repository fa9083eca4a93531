/* SPDX-License-Identifier: MIT */
/* xmhf-core/guest/live.c: the states of running CPUs, with the tables that firmware has and odd
 * ones; each state that is made must be one that VMX and SVM enter. */
#include "unit.h"

#include <guest/live.h>
#include <x86/cpu.h>

#define GDT_AT 0x7ea1b000ULL
#define LDT_AT 0x7ea1b800ULL
#define TSS_AT 0xffffa00012345000ULL

static uint8_t memory[PAGE_SIZE]; /* at GDT_AT */
static uint64_t gone_from;        /* what can't be read: memory from here on */
static struct live_state cpu;
static struct live_limits limits;
static struct vcpu_state made;

static bool read(uint64_t linear, void *to, size_t len)
{
    assert_true(len == 8 || len == 16);
    if (linear < GDT_AT || linear + len > GDT_AT + sizeof(memory) || linear + len > gone_from) {
        return false;
    }
    memcpy(to, memory + (linear - GDT_AT), len);
    return true;
}

static void put(unsigned offset, uint64_t low)
{
    memcpy(memory + offset, &low, sizeof(low));
}

static void put_system(unsigned offset, uint64_t base, uint32_t limit, unsigned type)
{
    put(offset, (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)(0x80 | type) << 40
        | (uint64_t)(limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56);
    put(offset + 8, base >> 32);
}

/* As EDK2's DXE core runs: null TR and LDTR, CS 38h, data 30h. */
static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    gone_from = UINT64_MAX;
    put(0x30, 0x00cf93000000ffff);
    put(0x38, 0x00af9b000000ffff);
    put_system(0x40, TSS_AT, 0x67, 11);
    put_system(0x50, LDT_AT, 0x1f, 2);
    put(0x808, 0x00cf93000000ffff); /* in the LDT */
    put(0x810, 0x00af9b000000ffff);
    limits = (struct live_limits){
        .cr4 = 0x7ff | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
        .efer = EFER_SCE | EFER_LME | EFER_NXE, .beyond = ~0ULL << 39,
    };
    memset(&cpu, 0, sizeof(cpu));
    cpu.cpu = (struct live_cpu){
        .rip = 0x7e123456, .rsp = 0x7ff00fa0, .cr0 = 0x80010033, .cr2 = 5, .cr3 = 0x7fc01000,
        .cr4 = 0x668, .selector = { [LIVE_ES] = 0x30, [LIVE_CS] = 0x38, [LIVE_SS] = 0x30,
                                    [LIVE_DS] = 0x30, [LIVE_FS] = 0x30, [LIVE_GS] = 0x30 },
        .gdtr = { 0x5f, GDT_AT }, .idtr = { 0xfff, 0x7f000000 },
    };
    cpu.efer = EFER_LME | EFER_LMA | EFER_NXE;
    cpu.pat = 0x0007040600070406;
    cpu.dr6 = 0xffff0ff0;
    cpu.dr7 = 0x400;
    cpu.fs_base = 0x1000;
    cpu.gs_base = 0xffff880000000000;
    cpu.msrs = (struct syscall_msrs){ 1, 2, 3, 4, 5, 6, 7, 8 };
    return 0;
}

/* The SDM's rules for segments at VM entry (vol. 3, 27.3.1.2) in ring 0 of 64-bit mode, which are
 * stricter than VMRUN's. */
static void assert_enterable(const struct vcpu_state *s)
{
    for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
        const struct segment *g = &s->seg[i];
        assert_true(i == SEG_FS || i == SEG_GS || g->base >> 32 == 0);
        if (!(g->attr & SEG_ATTR_P)) {
            assert_int_equal(g->attr, 0);
            assert_int_not_equal(i, SEG_CS);
            continue;
        }
        assert_true((g->attr & SEG_ATTR_S) && (g->attr & 1));      /* code or data, accessed */
        assert_true(!(g->attr & 8) || (g->attr & 2) || i == SEG_CS); /* readable */
        assert_true((g->limit & 0xfff) == 0xfff || !(g->attr & SEG_ATTR_G));
        assert_true(g->limit >> 20 == 0 || (g->attr & SEG_ATTR_G));
        assert_int_equal(g->attr >> 12, 0);
    }
    assert_int_equal(s->seg[SEG_CS].attr & (SEG_ATTR_L | SEG_ATTR_DB), SEG_ATTR_L);
    assert_int_equal(s->seg[SEG_CS].attr & SEG_ATTR_DPL, 0);
    assert_int_equal(s->seg[SEG_SS].attr & SEG_ATTR_DPL, 0);
    assert_int_equal(s->seg[SEG_CS].selector & 3, s->seg[SEG_SS].selector & 3);
    const struct segment *tr = &s->seg[SEG_TR], *ldt = &s->seg[SEG_LDTR];
    assert_int_equal(tr->attr & (SEG_ATTR_P | SEG_ATTR_S | 0xf), SEG_ATTR_P | 11);
    assert_int_equal(tr->selector & 4, 0);
    assert_true(ldt->attr == 0
                || (ldt->attr & (SEG_ATTR_P | SEG_ATTR_S | 0xf)) == (SEG_ATTR_P | 2));
    assert_int_equal(s->regs.rflags, RFLAGS_ONE);
    assert_true(is_canonical(tr->base, 48) && is_canonical(ldt->base, 48));
}

static void make(void)
{
    const char *why = live_make_state(&cpu, &limits, read, &made);

    if (why) {
        fail_msg("refused: %s", why);
    }
    assert_enterable(&made);
}

static void assert_refused(const char *text)
{
    const char *why = live_make_state(&cpu, &limits, read, &made);

    assert_non_null(why);
    if (!strstr(why, text)) {
        fail_msg("\"%s\" doesn't say \"%s\"", why, text);
    }
}

static void as_edk2_has_it(void **state)
{
    (void)state;
    make();
    assert_true(made.regs.rip == 0x7e123456 && made.regs.gpr[GPR_RSP] == 0x7ff00fa0);
    assert_int_equal(made.regs.gpr[GPR_RAX], 0);
    assert_true(made.cr0 == 0x80010033 && made.cr2 == 5 && made.cr3 == 0x7fc01000);
    assert_true(made.cr4 == 0x668 && made.efer == cpu.efer && made.pat == cpu.pat);
    assert_true(made.dr6 == 0xffff0ff0 && made.dr7 == 0x400 && !made.by_init);
    assert_true(made.gdt_base == GDT_AT && made.gdt_limit == 0x5f);
    assert_true(made.idt_base == 0x7f000000 && made.idt_limit == 0xfff);
    assert_memory_equal(&made.msrs, &cpu.msrs, sizeof(made.msrs));
    assert_true(made.seg[SEG_FS].base == 0x1000 && made.seg[SEG_GS].base == 0xffff880000000000);
    assert_true(made.seg[SEG_CS].selector == 0x38 && made.seg[SEG_CS].attr == SEG_ATTR_CODE64);
    assert_true(made.seg[SEG_DS].attr == SEG_ATTR_DATA32 && made.seg[SEG_DS].limit == 0xffffffff);
    assert_true(made.seg[SEG_TR].selector == 0 && made.seg[SEG_TR].limit == 0xffff);
    assert_int_equal(made.seg[SEG_LDTR].attr, 0);
}

static void task_register_and_ldt(void **state)
{
    (void)state;
    cpu.cpu.selector[LIVE_TR] = 0x40;
    cpu.cpu.selector[LIVE_LDTR] = 0x50;
    make();
    assert_true(made.seg[SEG_TR].base == TSS_AT && made.seg[SEG_TR].limit == 0x67);
    assert_true(made.seg[SEG_LDTR].base == LDT_AT && made.seg[SEG_LDTR].selector == 0x50);
    put_system(0x40, TSS_AT, 0x67, 9); /* in a ROM it never became busy */
    make();
    cpu.cpu.selector[LIVE_CS] = 0x14; /* code and data of the LDT */
    cpu.cpu.selector[LIVE_SS] = cpu.cpu.selector[LIVE_DS] = 0x0c;
    make();
    assert_int_equal(made.seg[SEG_CS].selector, 0x14);
    cpu.cpu.selector[LIVE_CS] = 0x1c; /* none */
    assert_refused("CS");
    cpu.cpu.selector[LIVE_CS] = 0x24; /* beyond its limit */
    assert_refused("CS");
}

static void stale_system_segments(void **state)
{
    static const struct { unsigned type; const char *why; } tss[] = {
        { 2, "TR" }, { 0, "TR" }, { 12, "TR" }, { 15, "TR" }, { 0x1b, "TR" },
    };

    (void)state;
    cpu.cpu.selector[LIVE_TR] = 0x40;
    for (size_t i = 0; i < ARRAY_SIZE(tss); i++) {
        put_system(0x40, TSS_AT, 0x67, tss[i].type);
        assert_refused(tss[i].why);
    }
    put_system(0x40, 0x0000800000000000, 0x67, 11); /* not canonical */
    assert_refused("TR");
    put_system(0x40, TSS_AT, 0x67, 11);
    memory[0x45] &= 0x7f; /* not present */
    assert_refused("TR");
    put_system(0x40, TSS_AT, 0x67, 11);
    cpu.cpu.gdtr.limit = 0x4e; /* a byte of it is missing */
    assert_refused("TR");
    cpu.cpu.gdtr.limit = 0x4f;
    make();
    cpu.cpu.selector[LIVE_TR] = 0x44; /* of an LDT */
    assert_refused("TR");
    cpu.cpu.selector[LIVE_TR] = 0;
    cpu.cpu.selector[LIVE_LDTR] = 0x50;
    assert_refused("LDTR");
    cpu.cpu.gdtr.limit = 0xffff;
    cpu.cpu.selector[LIVE_LDTR] = 0x40;
    assert_refused("LDTR");
    gone_from = GDT_AT; /* the GDT isn't mapped */
    cpu.cpu.selector[LIVE_LDTR] = 0;
    assert_refused("CS");
}

static void code_and_stack(void **state)
{
    static const uint64_t bad_code[] = {
        0, 0x00cf9b000000ffff /* 32 bits */, 0x00ef9b000000ffff /* L and D */,
        0x00affb000000ffff /* ring 3 */, 0x00af93000000ffff /* data */, 0x00af1b000000ffff,
    };
    static const uint64_t bad_stack[] = {
        0, 0x00cff3000000ffff, 0x00af9b000000ffff, 0x00cf91000000ffff /* read-only */,
    };

    (void)state;
    put(0x38, 0x00af9a000000ffff); /* accessed is set by loading */
    make();
    for (size_t i = 0; i < ARRAY_SIZE(bad_code); i++) {
        put(0x38, bad_code[i]);
        assert_refused("CS");
    }
    setup(NULL);
    cpu.cpu.selector[LIVE_CS] = 0;
    assert_refused("CS");
    setup(NULL);
    cpu.cpu.selector[LIVE_SS] = 0;
    make();
    cpu.cpu.selector[LIVE_SS] = 0x58; /* stands for bad descriptors */
    for (size_t i = 0; i < ARRAY_SIZE(bad_stack); i++) {
        put(0x58, bad_stack[i]);
        assert_refused("SS");
    }
    cpu.cpu.selector[LIVE_SS] = 1;
    assert_refused("SS");
    cpu.cpu.selector[LIVE_SS] = 0xfff0;
    assert_refused("SS");
}

static void data_segments(void **state)
{
    (void)state;
    cpu.cpu.selector[LIVE_DS] = 0xfff8; /* its descriptor has gone: flat */
    cpu.cpu.selector[LIVE_ES] = 0;
    cpu.cpu.selector[LIVE_FS] = 3;      /* null, with a ring */
    cpu.cpu.selector[LIVE_GS] = 0x58;
    put(0x58, 0x0000970012340fff);      /* 16 bits, expand-down, small */
    make();
    assert_true(made.seg[SEG_DS].selector == 0xfff8 && made.seg[SEG_DS].limit == 0xffffffff);
    assert_int_equal(made.seg[SEG_ES].attr, 0);
    assert_true(made.seg[SEG_FS].selector == 3 && made.seg[SEG_FS].attr == 0);
    assert_true(made.seg[SEG_FS].base == 0x1000);
    assert_true(made.seg[SEG_GS].limit == 0xfff && made.seg[SEG_GS].attr == 0x97);
    put(0x58, 0x00af99000000ffff); /* code that can't be read: what it was isn't known */
    make();
    assert_int_equal(made.seg[SEG_GS].attr, SEG_ATTR_DATA32);
}

static void modes_that_are_not_taken(void **state)
{
    static const struct { uint64_t bit; const char *why; } cr4[] = {
        { CR4_LA57, "5-level" }, { CR4_VMXE, "VMX" }, { CR4_SMXE, "SMX" }, { CR4_CET, "CET" },
        { CR4_PKS, "PKS" }, { CR4_UINTR, "UINTR" }, { CR4_LAM_SUP, "LAM" }, { CR4_FRED, "FRED" },
        { CR4_KL, "Key Locker" }, { 1ULL << 15, "CR4" }, { 1ULL << 40, "CR4" },
        { CR4_LASS, "CR4" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cr4); i++) {
        setup(NULL);
        cpu.cpu.cr4 |= cr4[i].bit;
        assert_refused(cr4[i].why);
    }
    setup(NULL);
    cpu.cpu.cr4 |= CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_OSXSAVE;
    make();
    cpu.efer |= EFER_SVME;
    assert_refused("SVM");
    cpu.efer = EFER_LME | EFER_LMA | 1ULL << 30;
    assert_refused("EFER");
    cpu.efer = EFER_LME | EFER_LMA; /* without NXE */
    make();
    cpu.efer = 0;
    assert_refused("64-bit mode");
    setup(NULL);
    cpu.cpu.cr0 &= ~CR0_PG;
    assert_refused("64-bit mode");
    setup(NULL);
    cpu.cpu.cr3 |= 1ULL << 47; /* memory encryption's bit */
    assert_refused("CR3");
    setup(NULL);
    cpu.cpu.gdtr.base = 1ULL << 50;
    assert_refused("canonical");
    setup(NULL);
    cpu.cpu.selector[LIVE_CS] = 0x3b;
    assert_refused("ring 0");
}

/* Whatever the tables hold: a state that can be entered, or a reason. */
static void random_tables(void **state)
{
    uint64_t seed = 20261201;
    unsigned taken = 0, refused = 0;

    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        setup(NULL);
        for (unsigned i = 0; i < 6; i++) {
            unsigned at = (unsigned)unit_below(&seed, 0x60);
            memory[at] = (uint8_t)unit_below(&seed, 256);
        }
        for (unsigned i = 0; i < LIVE_SELECTORS; i++) {
            if (unit_below(&seed, 4) == 0) {
                cpu.cpu.selector[i] = (uint16_t)unit_below(&seed, 0x70);
            }
        }
        cpu.cpu.gdtr.limit = (uint16_t)unit_below(&seed, 0x100);
        if (live_make_state(&cpu, &limits, read, &made)) {
            refused++;
        } else {
            assert_enterable(&made);
            taken++;
        }
    }
    print_message("%u taken, %u refused\n", taken, refused);
    assert_true(taken > 1000 && refused > 1000);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_edk2_has_it), TEST(task_register_and_ldt), TEST(stale_system_segments),
        TEST(code_and_stack), TEST(data_segments), TEST(modes_that_are_not_taken),
        TEST(random_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
