/* SPDX-License-Identifier: MIT */
/* Loads and stores of descriptor-table registers, as the CPU does them, and the hypapp's say. */
#include "guest_stub.h"


#include <policy/asked.h>

static enum hyp_answer answer;
static unsigned asks;
static struct { enum hyp_table which; uint64_t base; uint32_t limit; } asked;
static enum hyp_answer table_write(struct vcpu *cpu, enum hyp_table which, uint64_t base,
                                   uint32_t limit)
{
    (void)cpu;
    asks++;
    asked.which = which;
    asked.base = base;
    asked.limit = limit;
    return answer;
}
const struct hypapp hypapp = { .name = "test", .table_write = table_write };

static int setup(void **state)
{
    (void)state;
    guest_reset();
    tables[TABLE_GDTR].base = 0x6000;
    tables[TABLE_GDTR].limit = 0xff;
    answer = HYP_CORE;
    asks = 0;
    return 0;
}

static int setup_all(void **state)
{
    assert_int_equal(asked_add_tables(15), 0);
    return setup(state);
}

/* What became of the instruction in `code`: true: done. */
static bool done(void)
{
    const struct exit e = { .kind = EXIT_TABLE };

    asks = 0;
    exit_table(&v, &e);
    assert_int_equal(skips + gps + faults + agains, answer != HYP_SWITCHED);
    return skips;
}

/* On VMX all of them exit where one was asked for. */
static void others_are_carried_out(void **state)
{
    static const uint8_t in_ram[10] = { 0x34, 0x12, 0x00, 0x10, 0x32, 0x54, 0x00, 0x80, 0xff,
                                        0xff };

    (void)state;
    assert_int_equal(asked_add_tables(1u << HYP_GDT), 0);
    answer = HYP_REFUSE;
    memcpy(ram + 0xffa, in_ram, sizeof(in_ram));
    v.regs.gpr[GPR_RBX] = 0x5ffa;
    USE(0x0f, 0x01, 0x1b); /* LIDT [RBX] */
    assert_true(done() && asks == 0 && tables[TABLE_IDTR].limit == 0x1234);
    USE(0x0f, 0x01, 0x13); /* LGDT [RBX] */
    assert_true(!done() && asks == 1 && gps == 1);
}

static void pointers(void **state)
{
    static const uint8_t in_ram[10] = { 0x34, 0x12, 0x00, 0x10, 0x32, 0x54, 0x00, 0x80, 0xff,
                                        0xff };

    (void)state;
    memcpy(ram + 0xffa, in_ram, sizeof(in_ram)); /* across pages */
    v.regs.gpr[GPR_RBX] = 0x5ffa;
    USE(0x0f, 0x01, 0x1b); /* LIDT [RBX] */
    assert_true(done() && asks == 1 && v.regs.rip == 0x1003);
    assert_true(asked.which == HYP_IDT && asked.base == 0xffff800054321000
                && asked.limit == 0x1234);
    assert_true(tables[TABLE_IDTR].base == 0xffff800054321000
                && tables[TABLE_IDTR].limit == 0x1234);
    ram[0x1003] = 0x12; /* a base that isn't canonical */
    USE(0x0f, 0x01, 0x1b);
    assert_true(!done() && gps == 1 && asks == 0);
    ram[0x1003] = 0xff;
    answer = HYP_REFUSE;
    USE(0x0f, 0x01, 0x13); /* LGDT [RBX] */
    assert_true(!done() && gps == 1 && asked.which == HYP_GDT && tables[TABLE_GDTR].base == 0x6000);
    answer = HYP_CORE;
    guest.cpl = 3;
    USE(0x0f, 0x01, 0x13);
    assert_true(!done() && gps == 1 && asks == 0);
    guest.cpl = 0;
    USE(0x0f, 0x01, 0xd3); /* a register: another instruction */
    assert_true(!done() && gps == 1);
    v.regs.gpr[GPR_RBX] = 0x6ffb; /* the last byte isn't there */
    USE(0x0f, 0x01, 0x13);
    assert_true(!done() && faults == 1 && asks == 0);
    /* 32- and 16-bit operands */
    guest = (struct guest_paging){ .mode = MODE_PROT32, .cr0 = CR0_PE };
    segments[SEG_DS] = (struct segment){ .attr = SEG_ATTR_DATA32, .limit = 0xffffffff,
                                         .base = 0x1000 };
    v.regs.gpr[GPR_RBX] = 0x4ffa;
    USE(0x0f, 0x01, 0x13);
    assert_true(done() && tables[TABLE_GDTR].base == 0x54321000
                && tables[TABLE_GDTR].limit == 0x1234);
    USE(0x66, 0x0f, 0x01, 0x13);
    assert_true(done() && tables[TABLE_GDTR].base == 0x321000);
    segments[SEG_DS].limit = 0x4ffe;
    USE(0x0f, 0x01, 0x13);
    assert_true(!done() && injected.vector == EXC_GP && injected.error == 0);
}

static void stores(void **state)
{
    (void)state;
    tables[TABLE_IDTR].base = 0xfffffe0000000000;
    tables[TABLE_IDTR].limit = 0xfff;
    segments[SEG_TR].selector = 0x40;
    segments[SEG_LDTR].selector = 0x4321;
    v.regs.gpr[GPR_RBX] = 0x5ff8;
    guest.cpl = 3; /* without UMIP anybody may */
    USE(0x0f, 0x01, 0x0b); /* SIDT [RBX] */
    assert_true(done() && asks == 0);
    assert_memory_equal(ram + 0xff8, ((uint8_t[]){ 0xff, 0x0f, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff }),
                        10);
    read_only = true;
    USE(0x0f, 0x01, 0x03); /* SGDT */
    assert_true(!done() && faults == 1 && ram[0xff8] == 0xff);
    read_only = false;
    v.regs.gpr[GPR_RAX] = ~0ULL;
    USE(0x0f, 0x00, 0xc8); /* STR EAX */
    assert_true(done() && v.regs.gpr[GPR_RAX] == 0x40);
    v.regs.gpr[GPR_R9] = ~0ULL;
    USE(0x66, 0x41, 0x0f, 0x00, 0xc1); /* SLDT R9W */
    assert_true(done() && v.regs.gpr[GPR_R9] == 0xffffffffffff4321);
    USE(0x0f, 0x00, 0x0b); /* STR [RBX] */
    assert_true(done() && ram[0xff8] == 0x40 && ram[0xff9] == 0 && ram[0xffa] == 0);
}

/* Eight or 16 bytes of the GDT at 0x6000. */
static void descriptor(unsigned selector, uint8_t type, uint64_t base, uint32_t limit)
{
    uint8_t *d = ram + 0x1000 + (selector & 0xfff8);
    uint32_t high = (uint32_t)(base >> 32);

    memset(d, 0, 16);
    memcpy(d, &limit, 2);
    memcpy(d + 2, &base, 3);
    d[5] = type;
    d[7] = (uint8_t)(base >> 24);
    memcpy(d + 8, &high, 4);
}

static bool load_ax(uint8_t modrm, uint16_t selector)
{
    v.regs.gpr[GPR_RAX] = 0xffff0000 | selector;
    USE(0x0f, 0x00, modrm);
    return done();
}
#define LLDT 0xd0
#define LTR  0xd8

static void selectors(void **state)
{
    (void)state;
    descriptor(0x40, 0x89, 0xfffffe0000003000, 0x4087);
    assert_true(load_ax(LTR, 0x40) && asked.which == HYP_TR && asked.base == 0x40);
    assert_int_equal(segments[SEG_TR].base, 0xfffffe0000003000);
    assert_true(segments[SEG_TR].limit == 0x4087 && segments[SEG_TR].attr == 0x8b
                && ram[0x1045] == 0x8b);
    assert_false(load_ax(LTR, 0x40)); /* busy by now */
    assert_true(injected.vector == EXC_GP && injected.error == 0x40 && asks == 0);
    assert_true(!load_ax(LTR, 3) && gps == 1);
    assert_true(!load_ax(LTR, 0x44) && injected.vector == EXC_GP && injected.error == 0x44);
    /* 16 bytes don't fit */
    assert_true(!load_ax(LTR, 0xf8) && injected.vector == EXC_GP && injected.error == 0xf8);
    descriptor(0x50, 0x09, 0x3000, 0x67);
    assert_true(!load_ax(LTR, 0x50) && injected.vector == EXC_NP && injected.error == 0x50);
    descriptor(0x50, 0x81, 0x3000, 0x67);
    assert_true(!load_ax(LTR, 0x50) && injected.vector == EXC_GP); /* 16 bits, in long mode */
    descriptor(0x50, 0x89, 0x0123000000003000, 0x67);
    assert_true(!load_ax(LTR, 0x50) && injected.vector == EXC_GP);
    descriptor(0x60, 0x82, 0xffff900000004000, 0xff);
    assert_true(load_ax(LLDT, 0x60) && asked.which == HYP_LDT);
    assert_true(segments[SEG_LDTR].base == 0xffff900000004000 && segments[SEG_LDTR].attr == 0x82);
    assert_true(!load_ax(LLDT, 0x40) && injected.error == 0x40);
    assert_true(load_ax(LLDT, 0) && segments[SEG_LDTR].attr == 0);
    descriptor(0x70, 0x89, 0x3000, 0x67);
    answer = HYP_REFUSE;
    assert_true(!load_ax(LTR, 0x70) && gps == 1 && ram[0x1075] == 0x89
                && segments[SEG_TR].selector == 0x40);
    answer = HYP_DONE;
    assert_true(load_ax(LTR, 0x70) && ram[0x1075] == 0x89);
    answer = HYP_CORE;
    read_only = true; /* the busy bit can't be set */
    assert_true(!load_ax(LTR, 0x70) && faults == 1 && segments[SEG_TR].selector == 0x40);
    read_only = false;
    /* outside long mode: 8 bytes, and 16-bit TSSs */
    guest = (struct guest_paging){ .mode = MODE_PROT32, .cr0 = CR0_PE };
    descriptor(0x80, 0x81, 0x12345678, 0x2b);
    assert_true(load_ax(LTR, 0x80) && segments[SEG_TR].base == 0x12345678
                && segments[SEG_TR].attr == 0x83);
    descriptor(0xf8, 0x82, 0x5000, 0xff);
    assert_true(load_ax(LLDT, 0xf8) && segments[SEG_LDTR].limit == 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(others_are_carried_out, setup),
        cmocka_unit_test_setup(pointers, setup_all), cmocka_unit_test_setup(stores, setup),
        cmocka_unit_test_setup(selectors, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
