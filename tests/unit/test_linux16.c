/* SPDX-License-Identifier: MIT */
/* Loading a guest in real mode: which images, their places, the set-up area, and what the BIOS
 * is made to answer about memory. */
#define _GNU_SOURCE
#include "linux_image.h"

#include <debug/log.h>
#include <guest/int15.h>
#include <guest/linux16.h>
#include <guest/phys.h>
#include <mm/host_map.h>
#include <util/e820.h>
#include <util/string.h>

static uint8_t area[LINUX16_AREA];
static uint8_t low[MIB(1)];
static bool low_is_there;
static struct boot_info bi;
static struct linux16_plan plan;
static const char *why;

struct boot_mem guest_map[BOOT_MEM_MAX];
unsigned guest_map_count;

void log_error(const char *fmt, ...) { (void)fmt; }

size_t str_copy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

void *host_phys(uint64_t at, uint64_t size)
{
    return low_is_there && at + size <= sizeof(low) ? low + at : NULL;
}

/* An image without a 32-bit entry, like iPXE's; 64 MiB of RAM. */
static int setup(void **state)
{
    (void)state;
    make_image(0xcc, 0x203);
    image[0x211] = 0x01;
    put32(0x214, 0);
    put32(0x218, 0);
    put32(0x21c, 0);
    memset(&bi, 0, sizeof(bi));
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = 0x9f000, .type = BOOT_MEM_USABLE };
    bi.mem[1] = (struct boot_mem){ .start = MIB(1), .size = MIB(55), .type = BOOT_MEM_USABLE };
    bi.mem[2] = (struct boot_mem){ .start = MIB(56), .size = MIB(8), .type = 2 };
    bi.mem_count = 3;
    bi.module_count = 1;
    bi.module[0].start = MIB(16);
    bi.module[0].size = KIB(300);
    snprintf(bi.module[0].cmdline, sizeof(bi.module[0].cmdline), "autoboot net0");
    memcpy(guest_map, bi.mem, sizeof(guest_map));
    guest_map_count = 3;
    memset(low, 0, sizeof(low));
    low_is_there = true;
    why = NULL;
    return 0;
}

static void which_images(void **state)
{
    (void)state;
    assert_true(linux16_wanted(image, sizeof(image)));
    assert_false(linux16_wanted(image, 0x2ff)); /* no room for the header */
    put32(0x214, 0x100000);
    /* an address, but too old for the 32-bit one */
    assert_true(linux16_wanted(image, sizeof(image)));
    put16(0x206, 0x205);
    assert_true(linux16_wanted(image, sizeof(image)));
    put16(0x206, 0x206);
    assert_false(linux16_wanted(image, sizeof(image))); /* it has a 32-bit entry */
    put32(0x214, 0);
    assert_true(linux16_wanted(image, sizeof(image)));
    put16(0x206, 0x201);
    assert_false(linux16_wanted(image, sizeof(image))); /* before cmd_line_ptr */
    put16(0x206, 0x202);
    assert_true(linux16_wanted(image, sizeof(image)));
    image[0x202] = 'h';
    assert_false(linux16_wanted(image, sizeof(image)));
}

static void places(void **state)
{
    (void)state;
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.area, 0x10000);
    assert_int_equal(plan.setup_size, SETUP_SIZE);
    assert_int_equal(plan.kernel_size, KIB(300) - SETUP_SIZE);
    image[0x1f1] = 0; /* means 4 */
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.setup_size, 5 * 512);
}

/* Modules in low memory are stepped over, all of them. */
static void modules_in_low_memory(void **state)
{
    (void)state;
    bi.module_count = 2;
    bi.module[1].start = 0x18000;
    bi.module[1].size = 0x1000;
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.area, 0x19000);
    bi.module[0].start = 0x20000;
    bi.module[0].size = 0x10000;
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.area, 0x30000);
}

static void refused(const char *reason)
{
    why = NULL;
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), -1);
    assert_non_null(why);
    assert_non_null(strstr(why, reason));
}

static void refusals(void **state)
{
    (void)state;
    bi.module[0].size = SETUP_SIZE; /* nothing behind the set-up code */
    refused("shorter");
    setup(NULL);
    image[0x1f1] = 64; /* 32.5 KiB of set-up code */
    refused("shorter");
    setup(NULL);
    image[0x211] = 0;
    refused("zImage");
    setup(NULL);
    bi.module_count = 2; /* the initrd must move, and there is no place */
    bi.module[1].start = MIB(1);
    bi.module[1].size = MIB(40);
    refused("initrd");
    setup(NULL);
    memset(bi.module[0].cmdline, 'x', 256);
    refused("too long");
    put16(0x206, 0x207); /* one that says how long */
    put32(0x238, 256);
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    put32(0x238, 255);
    refused("too long");
    setup(NULL);
    bi.module[0].size = MIB(56); /* the kernel would reach into what isn't RAM */
    refused("1 MiB");
    setup(NULL);
    bi.mem[0].size = 0x1f000;
    refused("640 KiB");
}

/* GRUB puts modules from 1 MiB on: where the kernel must go lie the image itself, and the
 * initrd. */
static void modules_where_the_kernel_goes(void **state)
{
    (void)state;
    for (uint64_t at = MIB(1); at < MIB(1) + KIB(320); at += KIB(4)) {
        bi.module[0].start = at;
        assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
        assert_int_equal(plan.kernel_size, KIB(300) - SETUP_SIZE);
        assert_int_equal(plan.initrd_size, 0);
    }
    bi.module_count = 2;
    bi.module[0].start = MIB(1);
    bi.module[1].start = MIB(1) + KIB(200);
    bi.module[1].size = MIB(8);
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_true(plan.initrd_src == bi.module[1].start && plan.initrd_size == MIB(8));
    assert_int_equal(plan.initrd_dst, MIB(48)); /* as high as there is RAM */
    linux16_fill(area, &bi, image, &plan);
    assert_int_equal(get(area, 0x218, 4), MIB(48));
    put32(0x22c, MIB(32) - 1); /* the image's limit */
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.initrd_dst, MIB(24));
    bi.module[0].start = MIB(28); /* and not where the image still is */
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.initrd_dst, MIB(20));
    bi.module[1].start = MIB(1) + KIB(300); /* right behind the kernel, in no page of it */
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.initrd_dst, plan.initrd_src);
    bi.module[1].start = MIB(40); /* above the limit */
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    assert_int_equal(plan.initrd_dst, MIB(20));
}

static void set_up_area(void **state)
{
    (void)state;
    bi.module_count = 2;
    bi.module[1].start = MIB(20);
    bi.module[1].size = 12345;
    assert_int_equal(linux16_plan(&bi, image, &plan, &why), 0);
    memset(area, 0xee, sizeof(area));
    linux16_fill(area, &bi, image, &plan);
    assert_int_equal(get(area, 0x210, 1), 0xff);                 /* another loader */
    assert_int_equal(get(area, 0x211, 1), 0x81);                 /* LOADED_HIGH stays, heap */
    assert_int_equal(get(area, 0x224, 2), 0xe000 - 0x200);
    assert_int_equal(get(area, 0x228, 4), plan.area + 0xe000);
    assert_string_equal((char *)area + 0xe000, "autoboot net0");
    assert_int_equal(get(area, 0x218, 4), MIB(20));
    assert_int_equal(get(area, 0x21c, 4), 12345);
    assert_memory_equal(area + 0x22c, image + 0x22c, SETUP_SIZE - 0x22c);
    for (unsigned i = SETUP_SIZE; i < 0xe000; i++) {
        assert_int_equal(area[i], 0);
    }
}

/* --- INT 15h --------------------------------------------------------------------- */

static void sizes(void **state)
{
    struct int15_data d;

    (void)state;
    int15_sizes(bi.mem, 3, &d);
    assert_int_equal(d.kib_1m_16m, 0x3c00);
    assert_int_equal(d.blocks_16m, 40 * 16);
    assert_int_equal(d.kib_1m_64m, 55 * 1024);
    bi.mem[1].size = MIB(4);
    int15_sizes(bi.mem, 3, &d);
    assert_int_equal(d.kib_1m_16m, 4096);
    assert_int_equal(d.blocks_16m, 0);
    bi.mem[1].size = MIB(3000); /* E820h tells of what lies beyond */
    int15_sizes(bi.mem, 2, &d);
    assert_int_equal(d.kib_1m_64m, 0xfc00);
    assert_int_equal(d.blocks_16m, 2985 * 16);
    int15_sizes(bi.mem, 1, &d);
    assert_int_equal(d.kib_1m_16m + d.blocks_16m + d.kib_1m_64m, 0);
}

static void hook(void **state)
{
    const uint32_t old = 0xf000f859;
    uint32_t vector;

    (void)state;
    memcpy(low + 0x15 * 4, &old, 4);
    low[0x413] = 0x7f; /* 639 KiB */
    low[0x414] = 0x02;
    assert_int_equal(int15_install(), 0);
    memcpy(&vector, low + 0x15 * 4, 4);
    uint32_t page = (vector >> 16) << 4;
    assert_int_equal(vector & 0xffff, 0);
    assert_int_equal(page, 0x9e000); /* the highest page of low memory ... */
    assert_false(e820_is_usable(guest_map, guest_map_count, page, PAGE_SIZE)); /* ... is taken */
    assert_int_equal(get(low, 0x413, 2), page >> 10);
    /* The guest's whole map is there, with the page itself reserved. */
    for (unsigned i = 0; i < guest_map_count; i++) {
        struct { uint64_t start, size; uint32_t type; } __attribute__((packed)) e =
            { guest_map[i].start, guest_map[i].size, guest_map[i].type };
        assert_non_null(memmem(low + page, PAGE_SIZE, &e, sizeof(e)));
    }
    assert_non_null(memmem(low + page, PAGE_SIZE, &old, sizeof(old))); /* where other calls go */
}

static void no_place_for_the_hook(void **state)
{
    (void)state;
    guest_map_count = 1;
    guest_map[0] = (struct boot_mem){ .start = MIB(1), .size = MIB(50), .type = BOOT_MEM_USABLE };
    assert_int_equal(int15_install(), -1);
    guest_map[0] = (struct boot_mem){ .start = 0, .size = 0x1fff, .type = BOOT_MEM_USABLE };
    assert_int_equal(int15_install(), -1);
    setup(NULL);
    low_is_there = false;
    assert_int_equal(int15_install(), -1);
    setup(NULL);
    guest_map_count = BOOT_MEM_MAX; /* a map that can't take another entry */
    for (unsigned i = 0; i < BOOT_MEM_MAX; i++) {
        guest_map[i] = (struct boot_mem){ .start = i * 0x4000, .size = 0x3000,
                                          .type = BOOT_MEM_USABLE };
    }
    assert_int_equal(int15_install(), -1);
    assert_int_equal(guest_map_count, BOOT_MEM_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(which_images, setup),
        cmocka_unit_test_setup(places, setup),
        cmocka_unit_test_setup(modules_in_low_memory, setup),
        cmocka_unit_test_setup(modules_where_the_kernel_goes, setup),
        cmocka_unit_test_setup(refusals, setup),
        cmocka_unit_test_setup(set_up_area, setup),
        cmocka_unit_test_setup(sizes, setup),
        cmocka_unit_test_setup(hook, setup),
        cmocka_unit_test_setup(no_place_for_the_hook, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
