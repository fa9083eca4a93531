/* SPDX-License-Identifier: MIT */
/* xmhf-core/guest/linux_boot.c with a bzImage-like header made here: named layouts, then
 * random ones whose moves are checked for lost bytes. */
#include "linux_image.h"

#include <guest/linux_boot.h>
#include <util/e820.h>

#define LOW_SIZE (4 * PAGE_SIZE)

static struct boot_info bi;
static struct linux_plan plan;
static bool initrd_first;
static const char *why;

static void module(unsigned i, uint64_t start, uint64_t size)
{
    bi.module[i].start = start;
    bi.module[i].size = size;
    bi.module_count = i + 1;
}

/* Protocol 2.15, relocatable, wants 16 MiB, needs 40 MiB; 512 MiB of RAM; GRUB's places. */
static int setup(void **state)
{
    (void)state;
    make_image(0, 0x20f);
    put16(0x1fe, 0xaa55);
    put16(0x200, 0x6aeb); /* jmp over the header: it ends at 0x26c */
    image[0x211] = 0x81;  /* LOADED_HIGH, CAN_USE_HEAP */
    put32(0x22c, 0x7fffffff);
    put32(0x230, 0x200000);
    image[0x234] = 1;
    put32(0x238, 2047);
    put64(0x258, 0x1000000);
    put32(0x260, MIB(40));
    memset(&image[0x26c], 0xcc, sizeof(image) - 0x26c); /* code: not to be copied */

    memset(&bi, 0, sizeof(bi));
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = 0x9fc00, .type = 1 };
    bi.mem[1] = (struct boot_mem){ .start = 0xf0000, .size = 0x10000, .type = 2 };
    bi.mem[2] = (struct boot_mem){ .start = MIB(1), .size = MIB(511), .type = 1 };
    bi.mem_count = 3;
    bi.protected_base = MIB(504);
    bi.protected_size = MIB(8);
    module(0, MIB(2), MIB(8));
    module(1, MIB(100), MIB(20));
    return 0;
}

static int make_plan(void)
{
    why = NULL;
    initrd_first = false;
    return linux_plan(&bi, image, &plan, &initrd_first, &why);
}

static bool overlap(uint64_t a, uint64_t an, uint64_t b, uint64_t bn)
{
    return ranges_overlap(a, an, b, bn);
}

/* All that the header promises. */
static void assert_sound(void)
{
    uint64_t init = get(image, 0x206, 2) >= 0x20a ? get(image, 0x260, 4) : plan.kernel_size;
    uint64_t part[3][2] = {
        { plan.kernel_dst, init }, { plan.initrd_dst, plan.initrd_size },
        { plan.boot_params, LOW_SIZE },
    };

    for (unsigned i = 0; i < 3; i++) {
        if (part[i][1] == 0) {
            continue;
        }
        assert_true(e820_is_usable(bi.mem, bi.mem_count, part[i][0], part[i][1]));
        assert_false(overlap(part[i][0], part[i][1], bi.protected_base, bi.protected_size));
        assert_false(overlap(part[i][0], part[i][1], part[(i + 1) % 3][0],
                             part[(i + 1) % 3][1]));
    }
    assert_true(plan.boot_params >= 0x10000 && plan.boot_params + LOW_SIZE <= 0xa0000);
    assert_false(overlap(plan.boot_params, LOW_SIZE, plan.kernel_src, plan.kernel_size));
    assert_false(overlap(plan.boot_params, LOW_SIZE, plan.initrd_src, plan.initrd_size));
    assert_true(plan.cmdline == plan.boot_params + 0x1000);
    if (initrd_first) {
        assert_false(overlap(plan.initrd_dst, plan.initrd_size, plan.kernel_src,
                             plan.kernel_size));
    } else {
        assert_false(overlap(plan.kernel_dst, plan.kernel_size, plan.initrd_src,
                             plan.initrd_size));
    }
    assert_true(plan.kernel_dst + init <= GIB(4) && plan.entry == plan.kernel_dst);
    assert_true(plan.initrd_size == 0
                || plan.initrd_dst + plan.initrd_size <= get(image, 0x22c, 4) + 1);
}

static void stays_put_in_the_usual_case(void **state)
{
    (void)state;
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_int_equal(plan.kernel_src, MIB(2) + SETUP_SIZE);
    assert_int_equal(plan.kernel_size, MIB(8) - SETUP_SIZE);
    assert_int_equal(plan.kernel_dst, 0x1000000);
    assert_int_equal(plan.initrd_dst, MIB(100));
    module(1, MIB(100) + 123, MIB(20) + 1); /* not page-aligned: fine */
    assert_int_equal(make_plan(), 0);
    assert_int_equal(plan.initrd_dst, MIB(100) + 123);
    bi.module_count = 1;
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_true(plan.initrd_size == 0 && plan.initrd_dst == 0);
}

static void the_kernel_gives_way_to_the_initrd(void **state)
{
    (void)state;
    module(1, MIB(20), MIB(30) + 5);
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_int_equal(plan.initrd_dst, MIB(20));
    assert_int_equal(plan.kernel_dst, MIB(52)); /* the lowest aligned place above */
}

static void a_fixed_kernel_makes_the_initrd_move_first(void **state)
{
    (void)state;
    image[0x234] = 0;
    module(1, MIB(20), MIB(30) + 5);
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_true(initrd_first);
    assert_int_equal(plan.kernel_dst, MIB(16));
    assert_int_equal(plan.initrd_dst, align_down(MIB(504) - MIB(30) - 5, PAGE_SIZE));
}

/* Below its wanted place the kernel would move itself, over what it likes. */
static void never_below_the_wanted_place(void **state)
{
    (void)state;
    bi.mem[2].size = MIB(511);
    bi.protected_base = MIB(40);
    bi.protected_size = MIB(472);
    put32(0x260, MIB(12));
    put64(0x258, MIB(32));
    module(1, MIB(12), MIB(1));
    assert_int_equal(make_plan(), -1); /* 13..40 MiB would be free, but only 32..40 counts */
    assert_string_equal(why, "no room for the guest kernel");
    put32(0x260, MIB(8));
    assert_int_equal(make_plan(), 0);
    assert_int_equal(plan.kernel_dst, MIB(32));
}

static void the_initrd_moves_below_its_limit(void **state)
{
    (void)state;
    put32(0x22c, MIB(110) - 1);
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_true(plan.initrd_dst < plan.initrd_src && initrd_first);
    assert_int_equal(plan.initrd_dst, MIB(90));
    put32(0x22c, MIB(12));
    assert_int_equal(make_plan(), -1);
    assert_string_equal(why, "no room for the guest's initrd");
}

/* The only place for the initrd is where the kernel's source lies: kernel first. */
static void kernel_first_where_nothing_else_works(void **state)
{
    (void)state;
    bi.protected_base = MIB(130);
    bi.protected_size = MIB(382);
    put32(0x22c, MIB(92) - 1);
    module(0, MIB(60), MIB(20));
    module(1, MIB(100), MIB(30));
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_false(initrd_first);
    assert_int_equal(plan.initrd_dst, MIB(62));
}

static void low_memory_avoids_all_else(void **state)
{
    (void)state;
    module(1, 0x10000, 0x8000);
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_int_equal(plan.initrd_dst, 0x10000);
    assert_int_equal(plan.boot_params, 0x18000);
    bi.mem[0].size = 0x19000;
    assert_int_equal(make_plan(), -1);
    assert_non_null(why);
}

/* memtest86+ by GRUB, which has put its copy of the RSDP at 1 MiB: it was read already. */
static void one_place_only_and_the_loaders_copy_is_there(void **state)
{
    (void)state;
    image[0x234] = 0;
    put64(0x258, MIB(1));
    put32(0x260, 0x6b000);
    bi.rsdp = MIB(1) + 0x120;
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_int_equal(plan.kernel_dst, MIB(1));
}

static void assert_refused(void)
{
    assert_int_equal(make_plan(), -1);
    assert_non_null(why);
}

static void refuses_what_is_no_bzimage(void **state)
{
    (void)state;
    put16(0x1fe, 0xaa54);
    assert_refused();
    setup(NULL);
    image[0x202] = 'h';
    assert_refused();
    setup(NULL);
    put16(0x206, 0x205);
    assert_refused();
    setup(NULL);
    image[0x211] = 0x80;
    assert_refused();
    setup(NULL);
    put32(0x230, 0x300000);
    assert_refused();
    put32(0x230, 0);
    assert_refused();
    setup(NULL);
    module(0, MIB(2), SETUP_SIZE);
    assert_refused();
    module(0, MIB(2), 1023);
    assert_refused();
    setup(NULL);
    bi.module_count = 0;
    assert_refused();
    setup(NULL);
    put32(0x260, 0xffffffff);
    assert_refused();
    setup(NULL);
    image[0x234] = 0;
    put64(0x258, UINT64_MAX - 5);
    assert_refused();
    image[0x234] = 1;
    assert_refused();
}

static void refuses_a_command_line_too_long(void **state)
{
    (void)state;
    put32(0x238, 5);
    strcpy(bi.module[0].cmdline, "12345");
    assert_int_equal(make_plan(), 0);
    strcpy(bi.module[0].cmdline, "123456");
    assert_refused();
}

static void old_protocols(void **state)
{
    (void)state;
    put16(0x206, 0x206);
    put64(0x258, UINT64_MAX); /* no such fields yet */
    put32(0x260, 0xffffffff);
    module(0, MIB(64), MIB(2));
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_int_equal(plan.kernel_dst, MIB(1));
    image[0x1f1] = 0; /* means 4 */
    assert_int_equal(make_plan(), 0);
    assert_int_equal(plan.kernel_src, MIB(64) + 5 * 512);
}

/* --- random layouts ---------------------------------------------------------------- */

static void random_layout(uint64_t *seed)
{
    uint64_t ram = MIB(32 + unit_below(seed, 160));
    uint64_t k = 1 + unit_below(seed, 24), r = 1 + unit_below(seed, 40);
    struct boot_mem taken;
    uint64_t at;

    setup(NULL);
    bi.mem[2].size = ram - MIB(1);
    if (unit_below(seed, 2) != 0) { /* a hole */
        int n = e820_reserve(bi.mem, bi.mem_count, BOOT_MEM_MAX, MIB(unit_below(seed, 100)),
                             MIB(1 + unit_below(seed, 8)));

        bi.mem_count = (uint32_t)n;
    }
    bi.protected_size = MIB(2 + 2 * unit_below(seed, 8));
    bi.protected_base = align_down(unit_below(seed, ram - bi.protected_size), MIB(2));
    if (!e820_is_usable(bi.mem, bi.mem_count, bi.protected_base, bi.protected_size)) {
        bi.protected_base = 0;
        bi.protected_size = 0;
    }
    taken = (struct boot_mem){ .start = bi.protected_base, .size = bi.protected_size };
    bi.module_count = 0;
    if (e820_find_low(bi.mem, bi.mem_count, MIB(k), PAGE_SIZE, unit_below(seed, ram / 2), ram,
                      &taken, 1, &at)) {
        struct boot_mem both[2] = { taken, { .start = at, .size = MIB(k) } };

        module(0, at, MIB(k));
        if (e820_find_low(bi.mem, bi.mem_count, MIB(r), 1, unit_below(seed, ram), ram, both, 2,
                          &at)) {
            module(1, at, MIB(r));
        }
    }
    put64(0x258, MIB(1 + unit_below(seed, 32)));
    put32(0x260, (uint32_t)MIB(k + unit_below(seed, 30)));
    put32(0x22c, (uint32_t)(MIB(16 + unit_below(seed, 200)) - 1));
    image[0x234] = unit_below(seed, 3) != 0;
}

static void random_layouts_lose_nothing(void **state)
{
    uint64_t seed = 71;
    unsigned refused = 0, moved = 0, kernel_first = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        random_layout(&seed);
        if (make_plan() != 0) {
            assert_non_null(why);
            refused++;
            continue;
        }
        assert_sound();
        moved += plan.initrd_dst != plan.initrd_src;
        kernel_first += plan.initrd_dst != plan.initrd_src && !initrd_first;
    }
    print_message("%u refused, %u initrds moved, %u of them after the kernel\n", refused, moved,
                  kernel_first);
    assert_true(refused > 500 && refused < 15000 && moved > 500 && kernel_first > 50);
}

/* --- boot_params --------------------------------------------------------------------- */

static const struct boot_mem map3[] = {
    { .start = 0, .size = 0x9fc00, .type = 1 },
    { .start = 0xf0000, .size = 0x10000, .type = 2 },
    { .start = MIB(1), .size = MIB(503), .type = 1 },
};

/* What the guest is to be told. */
static void say(const struct boot_mem *map, uint32_t count, uint64_t rsdp)
{
    memcpy(bi.mem, map, count * sizeof(*map));
    bi.mem_count = count;
    bi.rsdp = rsdp;
}

static void fills_boot_params(void **state)
{
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE + 16];

    (void)state;
    assert_int_equal(make_plan(), 0);
    memset(bp, 0xee, sizeof(bp));
    say(map3, 3, 0xf5a00);
    bi.screen = (struct boot_screen){ 0xb8000, BOOT_SCREEN_TEXT, 80, 25 };
    linux_fill_params(bp, image, &plan, &bi);
    assert_memory_equal(bp + 0x1f1, image + 0x1f1, 0x210 - 0x1f1);
    assert_int_equal(bp[0x210], 0xff);
    assert_int_equal(bp[0x211], 0x01);
    assert_int_equal(get(bp, 0x214, 4), 0x1000000);
    assert_int_equal(get(bp, 0x218, 4), MIB(100));
    assert_int_equal(get(bp, 0x21c, 4), MIB(20));
    assert_int_equal(get(bp, 0x228, 4), plan.cmdline);
    assert_memory_equal(bp + 0x22c, image + 0x22c, 0x26c - 0x22c);
    for (unsigned i = 0x26c; i < 0x2d0; i++) {
        assert_int_equal(bp[i], 0); /* behind the header's end */
    }
    assert_true(bp[6] == 3 && bp[7] == 80 && bp[0xe] == 25 && bp[0xf] == 1 && bp[0x10] == 16);
    assert_int_equal(get(bp, 0x70, 8), 0xf5a00);
    assert_int_equal(bp[0x1ef], 0); /* the sentinel of sanitize_boot_params() */
    assert_int_equal(bp[0x1e8], 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(get(bp, 0x2d0 + i * 20, 8) == map3[i].start);
        assert_true(get(bp, 0x2d8 + i * 20, 8) == map3[i].size);
        assert_true(get(bp, 0x2e0 + i * 20, 4) == map3[i].type);
    }
    assert_int_equal(get(bp, 0x2d0 + 60, 8), 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(bp[LINUX_BOOT_PARAMS_SIZE + i], 0xee);
    }
}

/* Other screens of text; and none: after a loader's graphics mode, or without a BIOS. */
static void tells_of_the_screen(void **state)
{
    static const struct {
        struct boot_screen s;
        uint8_t mode, columns, lines, vga, points;
    } row[] = {
        { { 0xb8000, BOOT_SCREEN_TEXT, 80, 50 }, 3, 80, 50, 1, 8 },
        { { 0xb8000, BOOT_SCREEN_TEXT, 80, 28 }, 3, 80, 28, 1, 14 },
        { { 0xb8000, BOOT_SCREEN_TEXT, 132, 60 }, 3, 132, 60, 1, 8 },
        { { 0xb0000, BOOT_SCREEN_TEXT, 80, 25 }, 7, 80, 25, 1, 16 },
        { { 0, BOOT_SCREEN_NONE, 0, 0 }, 0, 0, 0, 0, 0 },
        { { 0, BOOT_SCREEN_UNKNOWN, 0, 0 }, 0, 0, 0, 0, 0 },
    };
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        bi.screen = row[i].s;
        linux_fill_params(bp, image, &plan, &bi);
        assert_int_equal(bp[6], row[i].mode);
        assert_int_equal(bp[7], row[i].columns);
        assert_int_equal(bp[0xe], row[i].lines);
        assert_int_equal(bp[0xf], row[i].vga);
        assert_int_equal(bp[0x10], row[i].points);
    }
}

static void passes_no_rsdp_that_the_guest_may_overwrite(void **state)
{
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    say(map3, 3, MIB(2));
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x70, 8), 0);
    say(map3, 3, 0);
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x70, 8), 0);
    say(map3, 3, MIB(600));
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x70, 8), MIB(600));
}

static void cuts_what_has_no_room(void **state)
{
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    image[0x201] = 0xff; /* a header that claims to reach into what follows */
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x290, 8), 0);
    assert_int_equal(bp[0x28f], 0xcc);
}

/* boot_params have room for 128 entries, a block of more data for the rest; a kernel that doesn't
 * know that is refused. No kernel knows a type of ours. */
static void tells_of_much_memory(void **state)
{
    static struct boot_mem many[BOOT_MEM_MAX];
    static uint8_t more[LINUX_MORE_SIZE];
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    for (unsigned i = 0; i < BOOT_MEM_MAX; i++) {
        many[i] = (struct boot_mem){ .start = MIB(200 + 2 * i), .size = MIB(1), .type = 1 };
    }
    many[0] = (struct boot_mem){ .start = 0, .size = MIB(200), .type = 1 };
    many[127].type = many[511].type = BOOT_MEM_FIRMWARE_RAM;
    put64(0x250, 0x1234567); /* what a kernel file has there is of no meaning */
    for (unsigned n = 128; n <= BOOT_MEM_MAX; n += 1 + 382 * (n == 129)) {
        say(many, n, 0);
        assert_int_equal(make_plan(), 0);
        linux_fill_params(bp, image, &plan, &bi);
        assert_int_equal(bp[0x1e8], 128);
        assert_int_equal(get(bp, 0x2d0 + 127 * 20, 8), MIB(200 + 2 * 127));
        assert_int_equal(get(bp, 0x2d0 + 127 * 20 + 16, 4), BOOT_MEM_RESERVED);
        assert_int_equal(get(bp, 0x2d0 + 128 * 20, 8), 0);
        assert_int_equal(plan.more, n > 128 ? plan.boot_params + 2 * PAGE_SIZE : 0);
        assert_int_equal(get(bp, 0x250, 8), plan.more);
        if (n > 128) {
            memset(more, 0xee, sizeof(more));
            linux_fill_more(more, &bi);
            assert_int_equal(get(more, 0, 8), 0); /* no block follows */
            assert_int_equal(get(more, 8, 4), 1);
            assert_int_equal(get(more, 12, 4), (n - 128) * 20);
            assert_int_equal(get(more, 16, 8), MIB(200 + 2 * 128));
            assert_int_equal(get(more, 16 + (n - 129) * 20, 8), MIB(200 + 2 * (n - 1)));
            assert_int_equal(get(more, 16 + (n - 129) * 20 + 16, 4),
                             n == 512 ? BOOT_MEM_RESERVED : 1);
        }
    }
    put16(0x206, 0x208);
    assert_refused();
    say(many, 128, 0);
    assert_int_equal(make_plan(), 0);
}

/* --- UEFI ----------------------------------------------------------------------------- */

/* A descriptor of 48 bytes of UEFI's memory map. */
struct descriptor { uint64_t type, start, virtual, pages, attribute, unknown; };

static struct descriptor efi[] = {
    { 7, 0, 0, 0x9f, 15, 0 },                                   /* conventional */
    { 7, MIB(1), 0, MIB(511) / PAGE_SIZE, 15, 0 },
    { 5, MIB(512), 0, 256, 15 | BIT(63), 0 },                   /* runtime services code */
};

/* Firmware of 64 bits, whose map the loader has left at 300 MiB, with pages that are ours. */
static int setup_efi(void **state)
{
    setup(state);
    bi.efi = (struct boot_efi){ 0x2345678000, MIB(300), sizeof(efi), sizeof(efi[0]), 1, 64 };
    bi.low_page = 0x9e000;
    bi.crash_place[0] = 0x9d000;
    bi.crash_place[1] = MIB(400);
    bi.mem_count = (uint32_t)e820_reserve(bi.mem, bi.mem_count, BOOT_MEM_MAX, 0x9d000, 0x2000);
    bi.mem_count = (uint32_t)e820_reserve(bi.mem, bi.mem_count, BOOT_MEM_MAX, MIB(400), PAGE_SIZE);
    return 0;
}

/* The type of `at` by a map of descriptors. */
static uint64_t efi_type(const struct descriptor *d, size_t n, uint64_t at)
{
    for (size_t i = 0; i < n; i++) {
        if (at >= d[i].start && at - d[i].start < d[i].pages * PAGE_SIZE) {
            return d[i].type;
        }
    }
    return UINT64_MAX;
}

static void hands_on_uefi(void **state)
{
    static struct descriptor copy[100];
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    assert_int_equal(make_plan(), 0);
    assert_sound();
    assert_in_range(plan.efi_map, KIB(64), 0x9d000 - plan.efi_room); /* clear of what is ours */
    assert_false(overlap(plan.efi_map, plan.efi_room, plan.boot_params, LOW_SIZE));
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x1c0, 4), 0); /* nothing is copied yet */
    assert_int_equal(linux_copy_efi_map(&plan, &bi, (uint8_t *)efi, (uint8_t *)copy, &why), 0);
    assert_true(plan.efi_size <= plan.efi_room && plan.efi_size % sizeof(copy[0]) == 0);
    size_t n = plan.efi_size / sizeof(copy[0]);
    const uint64_t ours[] = { bi.low_page, bi.crash_place[0], bi.crash_place[1], bi.protected_base,
                              bi.protected_base + bi.protected_size - 1, plan.efi_map };
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
        assert_int_equal(efi_type(copy, n, ours[i]), 0);
    }
    assert_int_equal(efi_type(copy, n, bi.protected_base - 1), 7);
    assert_int_equal(efi_type(copy, n, MIB(512)), 5);
    linux_fill_params(bp, image, &plan, &bi);
    assert_memory_equal(bp + 0x1c0, "EL64", 4);
    assert_int_equal(get(bp, 0x1c4, 4) | get(bp, 0x1d8, 4) << 32, 0x2345678000);
    assert_int_equal(get(bp, 0x1c8, 4), 48);
    assert_int_equal(get(bp, 0x1cc, 4), 1);
    assert_int_equal(get(bp, 0x1d0, 4) | get(bp, 0x1dc, 4) << 32, plan.efi_map);
    assert_int_equal(get(bp, 0x1d4, 4), plan.efi_size);
    bi.efi.bits = 32;
    linux_fill_params(bp, image, &plan, &bi);
    assert_memory_equal(bp + 0x1c0, "EL32", 4);
    bi.low_page = bi.crash_place[0] = bi.crash_place[1] = 0; /* none there: page 0 is no place */
    assert_int_equal(linux_copy_efi_map(&plan, &bi, (uint8_t *)efi, (uint8_t *)copy, &why), 0);
    assert_int_equal(efi_type(copy, plan.efi_size / sizeof(copy[0]), 0), 7);
}

static void has_no_uefi_to_hand_on(void **state)
{
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];

    (void)state;
    put16(0x206, 0x207); /* other fields there, before 2.08 */
    assert_int_equal(make_plan(), 0);
    assert_int_equal(plan.efi_map, 0);
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x1c0, 4), 0);
    put16(0x206, 0x208);
    assert_int_equal(make_plan(), 0);
    assert_true(plan.efi_map != 0);
    bi.efi.bits = 0;
    assert_int_equal(make_plan(), 0);
    assert_int_equal(plan.efi_map, 0);
}

/* A map too large for low memory goes where nothing else is; one of impossible size nowhere. */
static void finds_room_for_uefis_map(void **state)
{
    (void)state;
    bi.efi.map_size = KIB(640);
    assert_int_equal(make_plan(), 0);
    assert_true(plan.efi_map >= MIB(1) && plan.efi_map + plan.efi_room <= GIB(4));
    assert_true(e820_is_usable(bi.mem, bi.mem_count, plan.efi_map, plan.efi_room));
    const uint64_t others[][2] = {
        { plan.kernel_src, plan.kernel_size }, { plan.kernel_dst, MIB(40) },
        { plan.initrd_src, plan.initrd_size }, { plan.initrd_dst, plan.initrd_size },
        { bi.protected_base, bi.protected_size }, { bi.efi.map, bi.efi.map_size },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        assert_false(overlap(plan.efi_map, plan.efi_room, others[i][0], others[i][1]));
    }
    bi.efi.map = plan.boot_params + LOW_SIZE; /* the loader's is low itself: no copy on it */
    bi.efi.map_size = sizeof(efi);
    assert_int_equal(make_plan(), 0);
    assert_false(overlap(plan.efi_map, plan.efi_room, bi.efi.map, bi.efi.map_size));
    bi.efi.map_size = MIB(1) + 48;
    assert_refused();
    bi.efi.map_size = sizeof(efi);
    bi.efi.descriptor_size = 0;
    assert_refused();
    bi.efi.descriptor_size = 39;
    assert_refused();
}

static void refuses_a_map_of_overlaps(void **state)
{
    static struct descriptor many[100];
    static uint8_t copy[0x4000];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++) { /* each of them has all that is ours in it */
        many[i] = efi[i % 2];
    }
    bi.efi.map_size = sizeof(many);
    assert_int_equal(make_plan(), 0);
    assert_true(plan.efi_room <= sizeof(copy));
    assert_int_equal(linux_copy_efi_map(&plan, &bi, (uint8_t *)many, copy, &why), -1);
    assert_int_equal(plan.efi_size, 0);
    assert_non_null(strstr(why, "overlaps"));
}

/* 1280 x 800 in 32 bits, low and above 4 GiB; and 16, of which no bits are left. */
static void tells_of_the_picture(void **state)
{
    uint8_t bp[LINUX_BOOT_PARAMS_SIZE];
    static const uint8_t fields32[8] = { 8, 16, 8, 8, 8, 0, 8, 24 };
    static const uint8_t fields16[8] = { 5, 11, 6, 5, 5, 0, 0, 0 };

    (void)state;
    assert_int_equal(make_plan(), 0);
    bi.framebuffer = (struct boot_framebuffer){ 0x80000000, 5120, 1280, 800, 32, { 16, 8 },
                                                { 8, 8 }, { 0, 8 }, 0 };
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(bp[0xf], 0x70);
    assert_true(get(bp, 0x12, 2) == 1280 && get(bp, 0x14, 2) == 800 && get(bp, 0x16, 2) == 32);
    assert_int_equal(get(bp, 0x18, 4), 0x80000000);
    assert_int_equal(get(bp, 0x1c, 4), 5120 * 800);
    assert_int_equal(get(bp, 0x24, 2), 5120);
    assert_memory_equal(bp + 0x26, fields32, 8);
    assert_int_equal(get(bp, 0x36, 4), 0);
    assert_int_equal(get(bp, 0x3a, 4), 0);
    bi.framebuffer.base = 0x4080000000;
    linux_fill_params(bp, image, &plan, &bi);
    assert_int_equal(get(bp, 0x36, 4), 2);
    assert_int_equal(get(bp, 0x18, 4) | get(bp, 0x3a, 4) << 32, 0x4080000000);
    bi.framebuffer = (struct boot_framebuffer){ 0x80000000, 2560, 1280, 800, 16, { 11, 5 },
                                                { 5, 6 }, { 0, 5 }, 0 };
    linux_fill_params(bp, image, &plan, &bi);
    assert_memory_equal(bp + 0x26, fields16, 8);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stays_put_in_the_usual_case),
        TEST(the_kernel_gives_way_to_the_initrd),
        TEST(a_fixed_kernel_makes_the_initrd_move_first),
        TEST(never_below_the_wanted_place),
        TEST(the_initrd_moves_below_its_limit),
        TEST(kernel_first_where_nothing_else_works),
        TEST(low_memory_avoids_all_else),
        TEST(one_place_only_and_the_loaders_copy_is_there),
        TEST(refuses_what_is_no_bzimage),
        TEST(refuses_a_command_line_too_long),
        TEST(old_protocols),
        TEST(random_layouts_lose_nothing),
        TEST(fills_boot_params),
        TEST(tells_of_the_screen),
        TEST(passes_no_rsdp_that_the_guest_may_overwrite),
        TEST(cuts_what_has_no_room),
        TEST(tells_of_much_memory),
        cmocka_unit_test_setup(hands_on_uefi, setup_efi),
        cmocka_unit_test_setup(has_no_uefi_to_hand_on, setup_efi),
        cmocka_unit_test_setup(finds_room_for_uefis_map, setup_efi),
        cmocka_unit_test_setup(refuses_a_map_of_overlaps, setup_efi),
        TEST(tells_of_the_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
