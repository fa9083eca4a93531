/* SPDX-License-Identifier: MIT */
/* hyp_mmio: which instructions reach the device, what the hypapp is asked, what is left in
 * registers. */
#include "guest_stub.h"

#include <debug/log.h>
#include <insn/load.h>
#include <mm/host_map.h>
#include <policy/regions.h>

const struct hypapp hypapp = { .name = "test" };
static uint8_t device[2][PAGE_SIZE];
static unsigned rights_taken[2], lines;
static bool no_rights;

void log_line(const char *fmt, ...) { (void)fmt; lines++; }
volatile void *host_map_mmio(uint64_t addr) { return device[(addr >> PAGE_SHIFT) & 1]; }
int guest_phys_device_rights(gpa_t g, unsigned rights)
{
    rights_taken[(g.a >> PAGE_SHIFT) & 1] = rights;
    return no_rights ? -1 : 0;
}

static enum hyp_answer answer;
static struct hyp_mmio seen[4];
static unsigned asks;
static uint64_t give;
static enum hyp_answer fn(struct vcpu *cpu, struct hyp_mmio *m)
{
    (void)cpu;
    seen[asks++ % 4] = *m;
    m->value = give ? give : m->value;
    return answer;
}

#define DEVICE 0xfed00000ull

static int setup(void **state)
{
    (void)state;
    guest_reset();
    memset(device, 0, sizeof(device));
    for (unsigned i = 0; i < 16; i++) {
        device[0][i] = (uint8_t)(0x80 + i);
    }
    answer = HYP_CORE;
    give = 0;
    lines = 0;
    return 0;
}

static void touch(uint64_t at, unsigned access)
{
    const struct exit e = { .kind = EXIT_NESTED_FAULT,
                            .fault = { .addr = gpa(at), .access = access } };
    const struct region *r = region_find(REGION_MEMORY, at, 1, access);

    asks = 0;
    assert_non_null(r);
    r->handle(&v, &e);
    assert_int_equal(skips + gps + faults + agains, 1);
}

static void ranges(void **state)
{
    (void)state;
    assert_int_equal(hyp_mmio(gpa(DEVICE), PAGE_SIZE, ACCESS_READ, fn), -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE), PAGE_SIZE, ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC, fn),
                     -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE), PAGE_SIZE, ACCESS_WRITE, NULL), -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE + 8), PAGE_SIZE, ACCESS_WRITE, fn), -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE), 100, ACCESS_WRITE, fn), -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE), 65 * PAGE_SIZE, ACCESS_WRITE, fn), -1);
    assert_int_equal(hyp_mmio(gpa(DEVICE), PAGE_SIZE, ACCESS_READ | ACCESS_WRITE, fn), 0);
    assert_int_equal(hyp_mmio(gpa(DEVICE), PAGE_SIZE, ACCESS_READ | ACCESS_WRITE, fn), -1);
    assert_int_equal(rights_taken[0], 0);
    assert_int_equal(hyp_mmio(gpa(DEVICE + PAGE_SIZE), PAGE_SIZE, ACCESS_WRITE, fn), 0);
    assert_int_equal(rights_taken[1], ACCESS_READ | ACCESS_EXEC);
    assert_null(region_find(REGION_MEMORY, DEVICE + PAGE_SIZE, 1, ACCESS_READ));
    no_rights = true; /* RAM, say */
    assert_int_equal(hyp_mmio(gpa(DEVICE + 4 * PAGE_SIZE), PAGE_SIZE, ACCESS_WRITE, fn), -1);
}

static void loads(void **state)
{
    static const struct { uint8_t code[4]; unsigned len, at, size; uint64_t gives; } cases[] = {
        { { 0x8b, 0x03 }, 2, 4, 4, 0x87868584 },
        { { 0x66, 0x8b, 0x03 }, 3, 4, 2, 0x1111111111118584 },
        { { 0x48, 0x8b, 0x03 }, 3, 8, 8, 0x8f8e8d8c8b8a8988 },
        { { 0x8a, 0x03 }, 2, 1, 1, 0x1111111111111181 },
        { { 0x8a, 0x23 }, 2, 1, 1, 0x1111111111118111 },         /* AH */
        { { 0x0f, 0xb6, 0x03 }, 3, 3, 1, 0x83 },
        { { 0x48, 0x0f, 0xbe, 0x03 }, 4, 3, 1, 0xffffffffffffff83 },
        { { 0x0f, 0xbf, 0x03 }, 3, 2, 2, 0xffff8382 },
        { { 0x48, 0x63, 0x03 }, 3, 0, 4, 0xffffffff83828180 },   /* MOVSXD */
        { { 0x66, 0x63, 0x03 }, 3, 0, 2, 0x1111111111118180 },   /* of 16 bits */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        v.regs.gpr[GPR_RAX] = 0x1111111111111111;
        use(cases[i].code, cases[i].len);
        touch(DEVICE + cases[i].at, ACCESS_READ);
        assert_true(asks == 1 && !seen[0].write && seen[0].size == cases[i].size
                    && seen[0].value == 0);
        assert_int_equal(seen[0].at.a, DEVICE + cases[i].at);
        if (v.regs.gpr[GPR_RAX] != cases[i].gives) {
            fail_msg("case %u: %#llx", i, (unsigned long long)v.regs.gpr[GPR_RAX]);
        }
        assert_int_equal(skips, 1);
    }
    answer = HYP_DONE; /* the hypapp's word in place of the device's */
    give = 0x12345678;
    USE(0x8b, 0x03);
    touch(DEVICE, ACCESS_READ);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0x12345678);
    answer = HYP_REFUSE;
    touch((skips = 0, DEVICE), ACCESS_READ);
    assert_int_equal(gps, 1);
    USE(0x8b, 0x03);
    answer = HYP_AGAIN;
    touch(DEVICE, ACCESS_READ);
    assert_int_equal(agains, 1);
}

static void stores(void **state)
{
    (void)state;
    v.regs.gpr[GPR_RAX] = 0xaabbccdd;
    USE(0x89, 0x03);
    touch(DEVICE + 0x10, ACCESS_WRITE);
    assert_true(asks == 1 && seen[0].write && seen[0].value == 0xaabbccdd && seen[0].size == 4);
    assert_memory_equal(device[0] + 0x10, ((uint8_t[]){ 0xdd, 0xcc, 0xbb, 0xaa }), 4);
    give = 0x55; /* changed on its way */
    USE(0xc6, 0x03, 0x77);
    touch(DEVICE + 0x20, ACCESS_WRITE);
    assert_true(seen[0].value == 0x77 && device[0][0x20] == 0x55);
    give = 0;
    answer = HYP_DONE;
    USE(0xc6, 0x03, 0x77);
    touch(DEVICE + 0x20, ACCESS_WRITE);
    assert_int_equal(device[0][0x20], 0x55);
    answer = HYP_CORE;
    USE(0x80, 0x0b, 0x0a); /* OR byte: a read, then a write */
    touch(DEVICE + 0x20, ACCESS_WRITE | ACCESS_READ);
    assert_true(asks == 2 && !seen[0].write && seen[1].write && seen[1].value == 0x5f
                && device[0][0x20] == 0x5f);
    USE(0x87, 0x03); /* XCHG */
    touch(DEVICE + 0x10, ACCESS_WRITE);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0xaabbccdd);
    USE(0x0f, 0x11, 0x03); /* MOVUPS */
    touch(DEVICE, ACCESS_WRITE);
    assert_true(gps == 1 && lines == 1 && asks == 0);
    USE(0x89, 0x03);
    touch(DEVICE + 0xffe, ACCESS_WRITE); /* across pages */
    assert_true(gps == 1 && asks == 0);
    USE(0x89, 0x03);
    touch(DEVICE, ACCESS_EXEC);
    assert_int_equal(gps, 1);
}

static void strings(void **state)
{
    (void)state;
    USE(0xf3, 0xa5); /* REP MOVSD from the device */
    v.regs.gpr[GPR_RSI] = 0x7000;
    v.regs.gpr[GPR_RDI] = 0x5ffe;
    v.regs.gpr[GPR_RCX] = 2;
    touch(DEVICE, ACCESS_READ);
    assert_true(agains == 1 && v.regs.gpr[GPR_RCX] == 1 && v.regs.gpr[GPR_RDI] == 0x6002
                && v.regs.gpr[GPR_RSI] == 0x7004);
    assert_memory_equal(ram + 0xffe, device[0], 4);
    USE(0xf3, 0xa5);
    touch(DEVICE + 4, ACCESS_READ);
    assert_true(skips == 1 && v.regs.gpr[GPR_RCX] == 0 && v.regs.rip == 0x1002);
    v.regs.gpr[GPR_RDI] = 0x7000; /* and to it */
    v.regs.gpr[GPR_RSI] = 0x6002;
    USE(0xa4);
    touch(DEVICE + 0x30, ACCESS_WRITE);
    assert_true(skips == 1 && seen[0].write && device[0][0x30] == 0x84
                && v.regs.gpr[GPR_RSI] == 0x6003);
    v.regs.gpr[GPR_RAX] = 0x1234;
    USE(0x66, 0xab); /* STOSW */
    touch(DEVICE + 0x40, ACCESS_WRITE);
    assert_true(device[0][0x40] == 0x34 && device[0][0x41] == 0x12);
    read_only = true; /* the fault comes before the access */
    v.regs.gpr[GPR_RDI] = 0x5000;
    USE(0xa4);
    touch(DEVICE, ACCESS_READ);
    assert_true(faults == 1 && asks == 0 && v.regs.gpr[GPR_RDI] == 0x5000);
}

/* What the CPU has asked the guest's tables for is done, and nothing else: another CPU may have
 * changed the instruction, or its operand's page. */
static void another_access_than_faulted(void **state)
{
    (void)state;
    v.regs.gpr[GPR_RBX] = 0x8010;
    USE(0x89, 0x03); /* a store, where a load faulted */
    touch(DEVICE + 0x10, ACCESS_READ);
    assert_true(agains == 1 && asks == 0 && device[0][0x10] == 0);
    USE(0xaa);       /* STOSB likewise */
    touch(DEVICE + 0x10, ACCESS_READ);
    assert_true(agains == 1 && asks == 0);
    USE(0x8b, 0x03);
    touch(DEVICE + 0x10, ACCESS_WRITE);
    assert_true(agains == 1 && asks == 0);
    mapped_page = DEVICE;
    USE(0x83, 0x03, 0x01); /* ADD, which may fault at its read */
    touch(DEVICE + 0x10, ACCESS_READ);
    assert_true(skips == 1 && asks == 2 && device[0][0x10] == 1);
    USE(0x0f, 0xc1, 0x03); /* XADD */
    touch(DEVICE + 0x10, ACCESS_READ);
    assert_true(skips == 1 && asks == 2);
    USE(0x83, 0x03, 0x01);
    touch(DEVICE + 0x20, ACCESS_READ); /* elsewhere by now */
    assert_true(agains == 1 && asks == 0 && device[0][0x20] == 0);
    read_only = true;
    USE(0x83, 0x03, 0x01);
    touch(DEVICE + 0x10, ACCESS_READ);
    assert_true(faults == 1 && asks == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ranges, setup), cmocka_unit_test_setup(loads, setup),
        cmocka_unit_test_setup(stores, setup), cmocka_unit_test_setup(strings, setup),
        cmocka_unit_test_setup(another_access_than_faulted, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
