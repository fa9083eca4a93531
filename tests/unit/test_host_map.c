/* SPDX-License-Identifier: MIT */
/* The core's own tables, walked here: windows to firmware's tables outside of RAM. */
#include "unit.h"

#include <debug/log.h>
#include <fake/machine.h>
#include <mm/host_map.h>
#include <mm/pool.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>
#include <xmhf/core_image.h>

#define POOL_PAGES 512

static uint64_t pool[POOL_PAGES][512] __attribute__((aligned(PAGE_SIZE)));
static unsigned taken;

const uint8_t core_text_end[1], core_rodata_end[1];

void *pool_boot_need(size_t n)
{
    assert_true(n == 1 && taken < POOL_PAGES);
    return pool[taken++];
}

hpa_t core_hpa(const void *va) { return hpa((uintptr_t)va); }
void *core_va(hpa_t h) { return (void *)(uintptr_t)h.a; }
void panic(const char *fmt, ...) { fail_msg("panic: %s", fmt); abort(); }

/* What the CPU finds for `va`: the leaf's entry, whose size is *size; 0 if there is none. */
static uint64_t leaf(const void *va, uint64_t *size)
{
    const uint64_t *table = (const uint64_t *)(uintptr_t)host_cr3();

    for (unsigned shift = 39;; shift -= 9) {
        uint64_t e = table[(uintptr_t)va >> shift & 511];

        *size = 1ULL << shift;
        if (!(e & PTE_P) || shift == 12 || (e & PTE_PS)) {
            return e & PTE_P ? e : 0;
        }
        table = (const uint64_t *)(uintptr_t)(e & PTE_ADDR);
    }
}

/* Where `va` leads; the page must be there. */
static uint64_t physical(const void *va, uint64_t *flags)
{
    uint64_t size, e = leaf(va, &size);

    assert_true(e != 0);
    *flags = e & ~PTE_ADDR;
    return (e & PTE_ADDR & ~(size - 1)) | ((uintptr_t)va & (size - 1));
}

static const struct boot_info bi = {
    .protected_base = MIB(500), .protected_size = MIB(8) - 3 * PAGE_SIZE, .core_image_size = MIB(1),
    .mem_count = 3,
    .mem = { { 0, 0x9fc00, BOOT_MEM_USABLE, 0 }, { MIB(1), MIB(509), BOOT_MEM_USABLE, 0 },
             { MIB(510), MIB(2), BOOT_MEM_RESERVED, 0 } },
};

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ .eax = CPUID_ADDRESS_SIZES });
    machine_set_cpuid(CPUID_ADDRESS_SIZES, 0, (struct cpuid_regs){ .eax = 39 });
    memset(pool, 0, sizeof(pool));
    taken = 0;
    host_map_init(&bi);
    return 0;
}

static void assert_window(uint64_t addr, size_t len)
{
    const uint8_t *p = host_map_firmware(addr, len);
    uint64_t flags;

    assert_non_null(p);
    for (size_t off = 0; off < len; off += off + PAGE_SIZE < len ? PAGE_SIZE : len - off) {
        assert_int_equal(physical(p + off, &flags), addr + off);
        assert_true(flags & PTE_NX);
        assert_false(flags & PTE_RW);
    }
    assert_int_equal(physical(p + len - 1, &flags), addr + len - 1);
}

static void tables_anywhere(void **state)
{
    uint64_t flags;

    (void)state;
    /* RAM: the direct map */
    assert_int_equal(physical(host_map_firmware(MIB(3), 100), &flags), MIB(3));
    assert_true(flags & PTE_RW);
    assert_window(MIB(511) + 12, 36);          /* reserved */
    assert_window(MIB(511) - 5, 0x12345);      /* unaligned, many pages */
    assert_window(MIB(510) - 7, 36);           /* half in RAM */
    assert_window(GIB(3) + 0x123, 36);         /* in no entry at all */
    assert_window(GIB(40) + 0xfff, MIB(2));    /* above 4 GiB, as large as they may be */
    assert_window((1ULL << 39) - 36, 36);      /* up to the CPU's last byte */
}

static void not_everywhere(void **state)
{
    (void)state;
    assert_null(host_map_firmware(MIB(511), 0));
    assert_null(host_map_firmware(MIB(511), MIB(2) + 1));
    assert_null(host_map_firmware((1ULL << 39) - 35, 36)); /* reserved bits: a fault */
    assert_null(host_map_firmware(1ULL << 39, 1));
    assert_null(host_map_firmware(UINT64_MAX - 3, 36));
    assert_null(host_map_firmware(MIB(500), 36)); /* the protected range */
    assert_null(host_map_firmware(MIB(508) - 3 * PAGE_SIZE - 1, 36));
    assert_null(host_map_firmware(MIB(500) - 35, 36));
}

/* The protected range at its own addresses only, and what the guest has of its last 2 MiB at the
 * guest's only. */
static void the_range_and_what_is_behind_it(void **state)
{
    const uint64_t end = MIB(508) - 3 * PAGE_SIZE;
    uint64_t flags, size;

    (void)state;
    for (uint64_t pa = MIB(500); pa < MIB(510); pa += PAGE_SIZE) {
        const void *direct = (const void *)(uintptr_t)(DIRECT_VA + pa);
        const void *own = (const void *)(uintptr_t)(CORE_VA + pa - MIB(500));

        assert_int_equal(leaf(pa < end ? direct : own, &size), 0);
        assert_int_equal(physical(pa < end ? own : direct, &flags), pa);
        assert_true(flags & PTE_RW && flags & PTE_NX);
    }
}

static void assert_picture(uint64_t base, uint64_t size)
{
    const uint8_t *p = (const uint8_t *)(uintptr_t)host_map_picture(&bi, base, size);
    uint64_t flags;

    assert_non_null(p);
    for (uint64_t off = 0; off < size; off += off + PAGE_SIZE < size ? PAGE_SIZE : size - off) {
        assert_int_equal(physical(p + off, &flags), base + off);
        assert_true(flags & PTE_NX && flags & PTE_RW);
        assert_true(flags & PTE_PCD && flags & PTE_PWT);
    }
    assert_int_equal(physical(p + size - 1, &flags), base + size - 1);
}

/* Anywhere but in RAM, ours or not, and where no address is; then no table changes. */
static void a_picture(void **state)
{
    static const uint64_t bad[][2] = {
        { 0, MIB(4) }, { GIB(2), 0 }, { GIB(2), MIB(256) + 1 }, { MIB(400), MIB(4) },
        { MIB(502), PAGE_SIZE }, { MIB(510) - 1, PAGE_SIZE }, { (1ULL << 39) - MIB(1), MIB(2) },
        { 1ULL << 39, MIB(4) }, { UINT64_MAX - MIB(1), MIB(4) },
    };

    assert_picture(0x80000000, 5120 * 800);
    setup(state);
    assert_picture(MIB(511) + 0x1000, 0x3000); /* in memory that is reserved: stolen by graphics */
    setup(state);
    assert_picture(GIB(256) + 0x123456, MIB(256));
    setup(state);
    assert_picture((1ULL << 39) - MIB(4), MIB(4));
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        unsigned before = taken;

        assert_null((const void *)(uintptr_t)host_map_picture(&bi, bad[i][0], bad[i][1]));
        assert_int_equal(taken, before);
    }
}

/* Three more calls leave a pointer as it was; at the end nothing is left. */
static void windows_come_and_go(void **state)
{
    const void *p[6];
    uint64_t flags, size;
    unsigned pages;

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        p[i] = host_map_firmware(MIB(511) + i * PAGE_SIZE, 36);
        for (unsigned k = i > 3 ? i - 3 : 0; k <= i; k++) {
            assert_int_equal(physical(p[k], &flags), MIB(511) + k * PAGE_SIZE);
        }
    }
    pages = taken;
    for (unsigned i = 0; i < 1000; i++) {
        assert_window(GIB(5) + i * MIB(64), 100);
    }
    assert_in_range(taken, pages, pages + 8); /* however many tables there are */
    host_unmap_firmware();
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(leaf(p[i], &size), 0);
    }
    host_unmap_firmware();
}

static uint64_t direct(uint64_t pa, uint64_t *size)
{
    return leaf((const void *)(uintptr_t)(DIRECT_VA + pa), size) & PTE_ADDR & ~(*size - 1);
}

/* RAM that may come later is found by host_phys; what is around it is not. */
static void more_ram(void **state)
{
    uint64_t size;

    (void)state;
    machine_set_cpuid(0x80000001, 0, (struct cpuid_regs){ .edx = BIT(26) });
    memset(pool, 0, sizeof(pool));
    taken = 0;
    host_map_init(&bi);
    assert_null(host_phys(GIB(5), 1));
    assert_true(host_map_ram(GIB(4) + MIB(512), GIB(700) + MIB(2)) == GIB(700) + MIB(2));
    assert_ptr_equal(host_phys(GIB(4) + MIB(512), PAGE_SIZE),
                     (void *)(uintptr_t)(DIRECT_VA + GIB(4) + MIB(512)));
    assert_null(host_phys(GIB(4) + MIB(512) - 1, 1));
    assert_non_null(host_phys(GIB(700) + MIB(2) - PAGE_SIZE, PAGE_SIZE));
    assert_null(host_phys(GIB(700) + MIB(2) - PAGE_SIZE, PAGE_SIZE + 1));
    assert_true(direct(GIB(4) + MIB(514), &size) == GIB(4) + MIB(514) && size == MIB(2));
    assert_true(direct(GIB(600), &size) == GIB(600) && size == GIB(1));
    assert_true(direct(GIB(700), &size) == GIB(700) && size == MIB(2));
}

/* Without 1 GiB pages each GiB takes a table; there is an end to that. */
static void more_ram_by_small_pages(void **state)
{
    unsigned before = taken;
    uint64_t end, size;

    (void)state;
    end = host_map_ram(GIB(1024), GIB(4096));
    assert_in_range(taken - before, 40, 64);
    assert_true(end >= GIB(1024 + 40) && end < GIB(1024 + 64));
    assert_true(direct(end - MIB(2), &size) == end - MIB(2) && size == MIB(2));
    assert_null(host_phys(end, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tables_anywhere, setup),
        cmocka_unit_test_setup(not_everywhere, setup),
        cmocka_unit_test_setup(the_range_and_what_is_behind_it, setup),
        cmocka_unit_test_setup(a_picture, setup),
        cmocka_unit_test_setup(windows_come_and_go, setup),
        cmocka_unit_test(more_ram),
        cmocka_unit_test_setup(more_ram_by_small_pages, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
