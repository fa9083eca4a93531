/* SPDX-License-Identifier: MIT */
/* The guest's memory for hypapps: with the caller's rights, the kernel's, and by physical
 * address. */
#include "unit.h"

#include <guest/map.h>
#include <hypapp/memory.h>
#include <virt/virt.h>
#include <x86/cpu.h>

#define PAGES 16u
#define HOLE  15u /* no RAM; so is all behind it */

static uint8_t ram[PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned rights[PAGES];

static void *map(gpa_t g, size_t len)
{
    return g.a <= HOLE * PAGE_SIZE && len <= HOLE * PAGE_SIZE - g.a ? ram + g.a : NULL;
}

static unsigned rights_of(gpa_t page) { return rights[page.a >> PAGE_SHIFT]; }

struct guest_phys_ops guest_phys_ops = { .map = map, .maxphyaddr = 40 };
static const struct virt_ops ops;
const struct virt_ops *virt = &ops;

static void put(uint64_t at, uint64_t e) { memcpy(ram + at, &e, 8); }

/* Linear page n is page n of RAM: a kernel page if n is even, read-only if 3 divides it. */
static void begin(struct hyp_caller *c, unsigned cpl)
{
    memset(ram, 0, sizeof(ram));
    for (unsigned i = 0; i < PAGES; i++) {
        rights[i] = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC;
        put(0x4000 + 8 * i, i * PAGE_SIZE | PTE_P | (i % 3 ? PTE_RW : 0) | (i % 2 ? PTE_US : 0));
    }
    put(0x1000, 0x2000 | PTE_P | PTE_RW | PTE_US);
    put(0x2000, 0x3000 | PTE_P | PTE_RW | PTE_US);
    put(0x3000, 0x4000 | PTE_P | PTE_RW | PTE_US);
    guest_phys_ops.rights = NULL;
    *c = (struct hyp_caller){ .paging = {
        .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000, .cr4 = CR4_PAE | CR4_SMAP | CR4_SMEP
        | CR4_PKE,
        .efer = EFER_LME | EFER_LMA | EFER_NXE, .mode = MODE_LONG64, .cpl = (uint8_t)cpl, .pkru = 3,
    } };
}

static void as_the_kernel(void **state)
{
    uint8_t before[sizeof(ram)], got[2 * PAGE_SIZE];
    struct gm_fault f;
    struct hyp_caller c;
    unsigned r;
    gpa_t g;

    (void)state;
    for (unsigned cpl = 0; cpl < 4; cpl += 3) {
        begin(&c, cpl);
        memset(ram + 0x7000, 0x77, PAGE_SIZE);
        memset(ram + 0x8000, 0x88, PAGE_SIZE);
        memcpy(before, ram, sizeof(ram));
        assert_int_equal(gm_read_kernel(&c, gva(0x7ff0), got, 32, &f), GM_OK);
        assert_true(got[15] == 0x77 && got[16] == 0x88 && got[31] == 0x88);
        assert_int_equal(gm_translate(&c, gva(0x8123), ACCESS_WRITE, &g, &r, &f), GM_OK);
        assert_true(g.a == 0x8123 && r == (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC));
        assert_int_equal(gm_translate(&c, gva(0x9123), ACCESS_EXEC, &g, NULL, &f), GM_OK);
        assert_int_equal(gm_translate(&c, gva(0x9123), ACCESS_WRITE, &g, NULL, &f), GM_FAULT);
        assert_true(f.addr.a == 0x9123 && f.canonical);
        assert_int_equal(gm_translate(&c, gva(0xf000), ACCESS_READ, &g, NULL, &f), GM_NOT_RAM);
        assert_int_equal(gm_read_kernel(&c, gva(0x200000), got, 1, &f), GM_FAULT);
        assert_int_equal(gm_read(&c, gva(0x8000), got, 1, &f), GM_FAULT); /* not as ring 3 */
        put(0x1000, 0x2000 | PTE_P | PTE_RW | PTE_US);
        memcpy(ram + 0x2000, before + 0x2000, PAGE_SIZE * 3);
        assert_memory_equal(ram, before, sizeof(ram)); /* no bit was set by the kernel's reads */
    }
}

static void by_physical_address(void **state)
{
    static const size_t lengths[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 100, 4096, 5000 };
    uint8_t want[sizeof(ram)], data[5000], got[5000];
    struct hyp_caller c;

    (void)state;
    begin(&c, 3);
    guest_phys_ops.rights = rights_of;
    memset(rights, 0, sizeof(rights)); /* nobody has any */
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + 1);
    }
    for (unsigned n = 0; n < ARRAY_SIZE(lengths); n++) {
        for (uint64_t at = 0x4ff0; at < 0x5012; at++) {
            memcpy(want, ram, sizeof(ram));
            memcpy(want + at, data, lengths[n]);
            assert_int_equal(gp_write(gpa(at), data, lengths[n]), GM_OK);
            assert_memory_equal(ram, want, sizeof(ram));
            assert_int_equal(gp_read(gpa(at), got, lengths[n]), GM_OK);
            assert_memory_equal(got, data, lengths[n]);
        }
    }
    const uint64_t end = HOLE * PAGE_SIZE;
    memcpy(want, ram, sizeof(ram));
    assert_int_equal(gp_write(gpa(end - 4), data, 4), GM_OK);
    memcpy(want + end - 4, data, 4);
    assert_int_equal(gp_write(gpa(end - 4), data + 8, 5), GM_NOT_RAM);
    assert_int_equal(gp_write(gpa(~0ULL - 3), data, 8), GM_NOT_RAM);
    assert_int_equal(gp_write(gpa(BIT(40)), data, 8), GM_NOT_RAM);
    assert_int_equal(gp_read(gpa(end - 1), got, 2), GM_NOT_RAM);
    assert_int_equal(gp_read(gpa(~0ULL), got, 1), GM_NOT_RAM);
    assert_memory_equal(ram, want, sizeof(ram));
}

/* A caller's rights aren't enough for a page that the hypapp has taken a right of. */
static void what_is_taken_stays_taken(void **state)
{
    struct hyp_caller c;
    struct gm_fault f;
    uint64_t word = 0x1122334455667788;

    (void)state;
    begin(&c, 3);
    c.paging.pkru = 0;
    guest_phys_ops.rights = rights_of;
    assert_int_equal(gm_write(&c, gva(0x7008), &word, 8, &f), GM_OK);
    assert_int_equal(gm_write(&c, gva(0x6ffc), &word, 8, &f), GM_FAULT);
    rights[7] = ACCESS_READ | ACCESS_EXEC;
    assert_int_equal(gm_write(&c, gva(0x7008), &word, 8, &f), GM_NOT_RAM);
    assert_int_equal(gm_read(&c, gva(0x7008), &word, 8, &f), GM_OK);
    rights[7] = 0;
    assert_int_equal(gm_read(&c, gva(0x7008), &word, 8, &f), GM_NOT_RAM);
    rights[7] = ACCESS_READ;
    /* the table: its accessed bit is set already, for another page it isn't */
    rights[4] = ACCESS_READ;
    assert_int_equal(gm_read(&c, gva(0x7008), &word, 8, &f), GM_OK);
    assert_int_equal(gm_read(&c, gva(0xb008), &word, 8, &f), GM_NOT_RAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_kernel),
        cmocka_unit_test(by_physical_address),
        cmocka_unit_test(what_is_taken_stays_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
