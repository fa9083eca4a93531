/* SPDX-License-Identifier: MIT */
/* Which addresses are RAM: the map's usable ones, and where RAM may be plugged in but nothing else
 * is. */
#include "unit.h"

#include <guest/ram.h>

#define LIMIT (1ULL << 46)

static struct ram_map ram;

static const struct boot_mem map[] = {
    { 0, 0x9fc00, BOOT_MEM_USABLE, 0 },
    { 0x9fc00, 0x400, BOOT_MEM_RESERVED, 0 },
    { MIB(1), MIB(511), BOOT_MEM_USABLE, 0 },
    { MIB(512), MIB(1), BOOT_MEM_ACPI, 0 },
    { MIB(700), MIB(1), BOOT_MEM_FIRMWARE_RAM, 0 },
    { 0xe0000000, MIB(256), BOOT_MEM_RESERVED, 0 },
    { GIB(4), GIB(2), BOOT_MEM_USABLE, 0 },
    { GIB(6), MIB(1), BOOT_MEM_NVS, 0 },
    { GIB(10), GIB(1), BOOT_MEM_RESERVED, 0 },
};

static void build(const struct acpi_range *hotplug, unsigned n)
{
    memset(&ram, 0xee, sizeof(ram));
    ram_build(map, ARRAY_SIZE(map), hotplug, n, LIMIT, &ram);
    for (unsigned i = 0; i < ram.count; i++) {
        assert_true(ram.piece[i].start < ram.piece[i].end);
        assert_int_equal((ram.piece[i].start | ram.piece[i].end) & PAGE_MASK, 0);
    }
}

static bool has(uint64_t at) { return ram_has(&ram, at, PAGE_SIZE); }

static void as_the_map_says(void **state)
{
    (void)state;
    build(NULL, 0);
    assert_int_equal(ram.boot, ram.count);
    /* the largest first */
    assert_true(ram.piece[0].start == GIB(4) && ram.piece[1].start == MIB(1));
    assert_true(has(0) && has(0x9e000) && has(MIB(512) - PAGE_SIZE) && has(GIB(6) - PAGE_SIZE));
    assert_false(has(0x9f000) || has(0xa0000) || has(MIB(512)) || has(0xe0000000)
                 || has(0xfee00000));
    assert_true(has(MIB(700)) && !has(MIB(701)));
    assert_false(has(GIB(6)) || has(GIB(7)) || has(GIB(10)));
    assert_false(ram_has(&ram, MIB(512) - PAGE_SIZE, PAGE_SIZE + 1));
    assert_false(ram_has(&ram, MIB(512) - PAGE_SIZE, UINT64_MAX));
    assert_int_equal(ram_bytes(&ram), 0x9f000 + MIB(512) + GIB(2));
}

/* Entries of RAM that touch are one piece, however many kinds UEFI has for them; those that share a
 * page aren't, for neither has it whole. */
static void neighbours_are_one_piece(void **state)
{
    static struct boot_mem m[40];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
        m[i] = (struct boot_mem){ MIB(16) + i * 0x3000, 0x3000,
                                  i % 2 ? BOOT_MEM_FIRMWARE_RAM : BOOT_MEM_USABLE, 0 };
    }
    ram_build(m, ARRAY_SIZE(m), NULL, 0, LIMIT, &ram);
    assert_int_equal(ram.count, 1);
    assert_true(ram.piece[0].start == MIB(16) && ram.piece[0].end == MIB(16) + 40 * 0x3000);
    m[20].type = BOOT_MEM_RESERVED;
    m[30].start -= 0x800;
    m[30].size += 0x800;
    m[29].size -= 0x800;
    ram_build(m, ARRAY_SIZE(m), NULL, 0, LIMIT, &ram);
    assert_int_equal(ram.count, 3);
    assert_false(has(m[20].start) || has(m[20].start + 0x2000)
                 || has(MIB(16) + 30 * 0x3000 - PAGE_SIZE));
    assert_true(has(m[20].start - PAGE_SIZE) && has(m[21].start) && has(MIB(16) + 30 * 0x3000)
                && has(MIB(16) + 29 * 0x3000));
}

/* Never a device's hole below 4 GiB, nor what an entry of another type says. */
static void and_where_it_may_be_plugged_in(void **state)
{
    static const struct acpi_range all[] = { { 0, UINT64_MAX } };

    (void)state;
    build(all, 1);
    assert_true(has(GIB(7)) && has(GIB(10) - PAGE_SIZE) && has(GIB(11)) && has(LIMIT - PAGE_SIZE));
    assert_true(has(GIB(6) + MIB(2))); /* whole 2 MiB pages */
    assert_false(has(GIB(6)) || has(GIB(6) + MIB(1)) || has(GIB(10)) || has(LIMIT));
    assert_false(has(0x9f000) || has(0xa0000) || has(0xf0000) || has(MIB(512)) || has(MIB(600))
                 || has(0xe0000000) || has(0xfec00000) || has(0xfee00000)
                 || has(GIB(4) - PAGE_SIZE));
    assert_true(has(MIB(100)) && has(GIB(5)));
    assert_int_equal(ram.boot, 4);
    assert_int_equal(ram_bytes(&ram), 0x9f000 + MIB(512) + GIB(2)); /* what there is at boot */
}

static void as_qemu_says(void **state)
{
    static const struct acpi_range dimms[] = { { GIB(7), GIB(7) + MIB(512) },
                                               { GIB(20), GIB(21) + 5 } };

    (void)state;
    build(dimms, 2);
    assert_true(has(GIB(7)) && has(GIB(7) + MIB(511)) && has(GIB(20)));
    assert_false(has(GIB(7) - PAGE_SIZE) || has(GIB(7) + MIB(512)) || has(GIB(21)));
    assert_int_equal(ram.count, ram.boot + 2);
}

static void a_full_list(void **state)
{
    static struct boot_mem islands[BOOT_MEM_MAX];
    static struct acpi_range ranges[ACPI_HOTPLUG_MAX];

    (void)state;
    for (unsigned i = 0; i < BOOT_MEM_MAX; i++) {
        islands[i] = (struct boot_mem){ GIB(4) + i * GIB(2), GIB(1), BOOT_MEM_USABLE, 0 };
    }
    for (unsigned i = 0; i < ACPI_HOTPLUG_MAX; i++) {
        /* each has 128 gaps: more than there is room for */
        ranges[i] = (struct acpi_range){ GIB(4), GIB(4096) };
    }
    ram_build(islands, BOOT_MEM_MAX, ranges, ACPI_HOTPLUG_MAX, LIMIT, &ram);
    assert_int_equal(ram.boot, BOOT_MEM_MAX);
    assert_int_equal(ram.count, RAM_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_map_says),
        cmocka_unit_test(neighbours_are_one_piece),
        cmocka_unit_test(and_where_it_may_be_plugged_in),
        cmocka_unit_test(as_qemu_says),
        cmocka_unit_test(a_full_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
