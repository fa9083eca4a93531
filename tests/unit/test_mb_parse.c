/* SPDX-License-Identifier: MIT */
/* boot/: multiboot structures built here in a small physical memory, and where the
 * protected range goes. */
#include "unit.h"

#include <boot/common/pages.h>
#include <boot/common/place.h>
#include <boot/multiboot/parse.h>
#include <util/bytes.h>
#include <util/e820.h>
#include <util/efi_map.h>
#include <stdlib.h>

#define MEM_SIZE 0x20000
#define INFO     0x1000
#define CMDLINE  0x2000
#define MODS     0x3000
#define MMAP     0x4000
#define LOADER   0x5000
#define TEXT     0x6000 /* modules' command lines, 0x1000 apart */

static uint8_t mem[MEM_SIZE];
static struct boot_info bi;
static const char *why;

static const void *map(uint64_t addr, uint64_t len)
{
    return addr < MEM_SIZE && len <= MEM_SIZE - addr ? &mem[addr] : NULL;
}

static void put32(uint64_t at, uint32_t v) { memcpy(&mem[at], &v, 4); }
static void put64(uint64_t at, uint64_t v) { memcpy(&mem[at], &v, 8); }
static void text(uint64_t at, const char *s) { memcpy(&mem[at], s, strlen(s) + 1); }

static uint32_t mmap_length;

static void mb1_mem(uint32_t size, uint64_t start, uint64_t len, uint32_t type)
{
    uint64_t at = MMAP + mmap_length;

    put32(at, size);
    put64(at + 4, start);
    put64(at + 12, len);
    put32(at + 20, type);
    mmap_length += size + 4;
    put32(INFO + 44, mmap_length);
}

static void mb1_module(unsigned i, uint32_t start, uint32_t end, const char *cmdline)
{
    put32(MODS + i * 16, start);
    put32(MODS + i * 16 + 4, end);
    put32(MODS + i * 16 + 8, TEXT + i * 0x1000);
    text(TEXT + i * 0x1000, cmdline);
    put32(INFO + 20, i + 1);
}

/* As GRUB 2 leaves it. */
static int setup1(void **state)
{
    (void)state;
    memset(mem, 0, sizeof(mem));
    mmap_length = 0;
    put32(INFO, BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
    put32(INFO + 16, CMDLINE);
    text(CMDLINE, "palmem=16 quiet");
    put32(INFO + 24, MODS);
    put32(INFO + 48, MMAP);
    put32(INFO + 64, LOADER);
    text(LOADER, "GRUB 2.06-13");
    mb1_mem(20, 0x100000, 0x1fee0000, 1);
    mb1_mem(20, 0, 0x9fc00, 1);
    mb1_mem(24, 0x9fc00, 0x400, 2); /* entries may be longer than we know */
    mb1_module(0, 0x200000, 0x900000, "root=/dev/sda1 quiet");
    mb1_module(1, 0x900000, 0x900001, "");
    return 0;
}

static int parse1(void)
{
    why = NULL;
    memset(&bi, 0xee, sizeof(bi));
    return mb1_parse(map, INFO, &bi, &why);
}

static void assert_refused1(void)
{
    assert_int_equal(parse1(), -1);
    assert_non_null(why);
}

static void mb1_from_grub(void **state)
{
    (void)state;
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.cmdline, "palmem=16 quiet");
    assert_int_equal(bi.module_count, 2);
    assert_true(bi.module[0].start == 0x200000 && bi.module[0].size == 0x700000);
    assert_string_equal(bi.module[0].cmdline, "root=/dev/sda1 quiet");
    assert_true(bi.module[1].start == 0x900000 && bi.module[1].size == 1);
    assert_string_equal(bi.module[1].cmdline, "");
    assert_int_equal(bi.mem_count, 3);
    assert_true(bi.mem[0].start == 0 && bi.mem[1].start == 0x9fc00
                && bi.mem[2].start == 0x100000);
    assert_int_equal(bi.rsdp, 0);
    assert_true(bi.protected_base == 0xeeeeeeeeeeeeeeee); /* left alone */
}

static void mb1_from_qemu_drops_the_file_names(void **state)
{
    (void)state;
    text(LOADER, "qemu");
    text(CMDLINE, "/some/xmhf.elf  palmem=4 quiet");
    text(TEXT, "bzImage root=/dev/sda1");
    text(TEXT + 0x1000, "initrd.gz");
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.cmdline, "palmem=4 quiet");
    assert_string_equal(bi.module[0].cmdline, "root=/dev/sda1");
    assert_string_equal(bi.module[1].cmdline, "");
    put32(INFO, BIT(2) | BIT(3) | BIT(6)); /* no loader name: not QEMU */
    assert_int_equal(parse1(), 0);
    assert_string_equal(bi.module[1].cmdline, "initrd.gz");
}

static void mb1_without_the_optional_parts(void **state)
{
    (void)state;
    put32(INFO, BIT(6));
    assert_int_equal(parse1(), 0);
    assert_int_equal(bi.module_count, 0);
    assert_string_equal(bi.cmdline, "");
    put32(INFO, BIT(2) | BIT(3)); /* the memory map isn't optional */
    assert_refused1();
}

static void mb1_refuses_malformed(void **state)
{
    (void)state;
    memset(&mem[CMDLINE], 'x', BOOT_CMDLINE_MAX);
    assert_refused1(); /* too long by one: never cut in silence */
    mem[CMDLINE + BOOT_CMDLINE_MAX - 1] = 0;
    assert_int_equal(parse1(), 0);
    assert_int_equal(strlen(bi.cmdline), BOOT_CMDLINE_MAX - 1);
    put32(INFO + 16, MEM_SIZE - 3); /* zeros there */
    assert_int_equal(parse1(), 0);
    memset(&mem[MEM_SIZE - 3], 'x', 3);
    assert_refused1(); /* runs out of memory */
    setup1(NULL);
    put32(MODS + 4, 0x200000);
    assert_refused1(); /* an empty module */
    put32(MODS + 4, 0x100000);
    assert_refused1();
    setup1(NULL);
    put32(INFO + 20, 0xffffffff);
    assert_refused1();
    put32(INFO + 24, MEM_SIZE - 4);
    assert_refused1();
    setup1(NULL);
    put32(MMAP, 19); /* too short an entry */
    assert_refused1();
    put32(MMAP, 0xffffffff);
    assert_refused1();
    setup1(NULL);
    put32(INFO + 44, mmap_length - 1); /* cuts the last entry */
    assert_refused1();
    put32(INFO + 44, 0);
    assert_refused1();
    put32(INFO + 48, 0xfffffff0);
    put32(INFO + 44, 0xffffffff);
    assert_refused1();
    assert_int_equal(mb1_parse(map, MEM_SIZE - 60, &bi, &why), -1);
}

static void mb1_takes_a_long_map_that_can_be_cleaned(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) { /* neighbours: one range */
        mb1_mem(20, 0x40000000 + i * 0x1000, 0x1000, 1);
    }
    assert_int_equal(parse1(), 0);
    assert_int_equal(bi.mem_count, 4);
    assert_true(bi.mem[3].start == 0x40000000 && bi.mem[3].size == 300 * 0x1000);
    for (unsigned i = 0; i < BOOT_MEM_MAX; i++) { /* islands: too many */
        mb1_mem(20, 0x80000000 + i * 0x2000, 0x1000, 1);
    }
    assert_refused1();
}

/* --- multiboot2 ------------------------------------------------------------------ */

static uint32_t mb2_end;

static uint64_t mb2_tag(uint32_t type, uint32_t size)
{
    uint64_t at = INFO + mb2_end;

    put32(at, type);
    put32(at + 4, size);
    mb2_end = (uint32_t)align_up(mb2_end + size, 8);
    return at + 8;
}

static void mb2_string(uint32_t type, const char *s)
{
    text(mb2_tag(type, 8 + (uint32_t)strlen(s) + 1), s);
}

static void mb2_module(uint32_t start, uint32_t end, const char *s)
{
    uint64_t at = mb2_tag(3, 16 + (uint32_t)strlen(s) + 1);

    put32(at, start);
    put32(at + 4, end);
    text(at + 8, s);
}

static void mb2_finish(void)
{
    mb2_tag(0, 8);
    put32(INFO, mb2_end);
}

static uint64_t mmap2, rsdp_old, rsdp_new;

static int setup2(void **state)
{
    (void)state;
    memset(mem, 0, sizeof(mem));
    mb2_end = 8;
    mb2_string(1, "quiet");
    mb2_string(2, "GRUB 2.06-13");
    mb2_module(0x200000, 0x900000, "root=/dev/sda1");
    mb2_module(0x900000, 0xa00000, "");
    mmap2 = mb2_tag(6, 16 + 2 * 24);
    put32(mmap2, 24);
    put64(mmap2 + 8, 0x100000);
    put64(mmap2 + 16, 0x1ff00000);
    put32(mmap2 + 24, 1);
    put64(mmap2 + 32, 0);
    put64(mmap2 + 40, 0x9fc00);
    put32(mmap2 + 48, 1);
    rsdp_new = mb2_tag(15, 8 + 36);
    rsdp_old = mb2_tag(14, 8 + 20);
    mb2_finish();
    return 0;
}

static int parse2(void)
{
    why = NULL;
    memset(&bi, 0xee, sizeof(bi));
    return mb2_parse(map, INFO, &bi, &why);
}

static void assert_refused2(void)
{
    assert_int_equal(parse2(), -1);
    assert_non_null(why);
}

static void mb2_from_grub(void **state)
{
    (void)state;
    assert_int_equal(parse2(), 0);
    assert_string_equal(bi.cmdline, "quiet");
    assert_int_equal(bi.module_count, 2);
    assert_true(bi.module[0].start == 0x200000 && bi.module[0].size == 0x700000);
    assert_string_equal(bi.module[0].cmdline, "root=/dev/sda1");
    assert_int_equal(bi.mem_count, 2);
    assert_true(bi.mem[1].start == 0x100000 && bi.mem[1].size == 0x1ff00000);
    assert_int_equal(bi.rsdp, rsdp_new); /* the newer one, whatever the order */
    put32(rsdp_new - 4, 8 + 35);         /* too short: the older one */
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.rsdp, rsdp_old);
}

static void mb2_refuses_malformed(void **state)
{
    (void)state;
    put32(INFO, mb2_end - 8); /* no end tag */
    assert_refused2();
    put32(INFO, 4);
    assert_refused2();
    put32(INFO, 0xffffffff);
    assert_refused2();
    setup2(NULL);
    put32(mmap2 - 4, 7); /* a tag shorter than its head */
    assert_refused2();
    put32(mmap2 - 4, 0xfffffff9);
    assert_refused2();
    setup2(NULL);
    put32(mmap2, 0); /* entries of no size: would loop for ever */
    assert_refused2();
    put32(mmap2, 19);
    assert_refused2();
    put32(mmap2, 0xffffffff); /* no whole entry: nothing usable */
    assert_refused2();
    setup2(NULL);
    put32(INFO + 8 + 16 + 24, 3); /* the first module tag: too short */
    put32(INFO + 8 + 16 + 24 + 4, 12);
    assert_refused2();
    setup2(NULL);
    for (unsigned i = 0; i < BOOT_MODULE_MAX; i++) {
        mb2_end -= i == 0 ? 8 : 0;
        mb2_module(0x1000, 0x2000, "m");
    }
    mb2_finish();
    assert_refused2();
}

static void mb2_reads_an_unterminated_string_in_its_tag(void **state)
{
    uint64_t at;

    (void)state;
    mb2_end -= 8; /* over the end tag */
    at = mb2_tag(1, 8 + 3);
    memcpy(&mem[at], "abcdefgh", 8);
    mb2_finish();
    assert_int_equal(parse2(), 0);
    assert_string_equal(bi.cmdline, "abc");
}

/* --- UEFI, and the screen ------------------------------------------------------------ */

static void framebuffer(uint64_t at, uint64_t base, uint32_t columns, uint32_t rows, uint8_t type)
{
    put64(at, base);
    put32(at + 8, type == 2 ? 2 * columns : 4 * columns);
    put32(at + 12, columns);
    put32(at + 16, rows);
    mem[at + 20] = 16;
    mem[at + 21] = type;
}

/* What a BIOS keeps in low memory: handlers of INT 10h and 11h, mode, columns, rows. */
static void bios(uint8_t mode, uint8_t columns, uint8_t rows)
{
    put32(0x40, 0xc0000152);
    put32(0x44, 0xf000f84d);
    mem[0x449] = mode;
    mem[0x44a] = columns;
    mem[0x484] = (uint8_t)(rows - 1);
}

static void assert_screen(enum boot_screen_kind kind, uint64_t base, unsigned columns,
                          unsigned rows)
{
    mb_look_for_bios(map, &bi);
    assert_int_equal(bi.screen.kind, kind);
    if (kind == BOOT_SCREEN_TEXT) {
        assert_int_equal(bi.screen.base, base);
        assert_int_equal(bi.screen.columns, columns);
        assert_int_equal(bi.screen.rows, rows);
    }
}

/* What GRUB 2.06 leaves under OVMF with 512 MiB, recorded. Returns its bytes. */
static uint32_t setup_efi(void)
{
    char path[4096];
    FILE *f = fopen(unit_source(path, sizeof(path), "tests/fuzz/corpus/fuzz_mb_parse/grub-efi"),
                    "rb");

    assert_non_null(f);
    memset(mem, 0, sizeof(mem));
    assert_int_equal(fgetc(f), 1); /* the fuzzer's: multiboot 2 */
    assert_true(fread(mem + INFO, 1, 0x4000, f) == 7040);
    fclose(f);
    return le32(&mem[INFO]);
}

/* The body of the first tag of this type in the list; its size, too. */
static uint64_t efi_tag(uint32_t type, uint32_t *size)
{
    for (uint64_t at = INFO + 8;; at += align_up(le32(&mem[at + 4]), 8)) {
        assert_true(at < INFO + 7040);
        if (le32(&mem[at]) == type) {
            *size = le32(&mem[at + 4]);
            return at + 8;
        }
    }
}

static uint32_t type_at(uint64_t at)
{
    for (uint32_t i = 0; i < bi.mem_count; i++) {
        if (at >= bi.mem[i].start && at - bi.mem[i].start < bi.mem[i].size) {
            return bi.mem[i].type;
        }
    }
    return 0;
}

static void mb2_from_grub_efi(void **state)
{
    (void)state;
    assert_int_equal(setup_efi(), 7040);
    bios(3, 80, 25); /* whatever is left there */
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.firmware, BOOT_FIRMWARE_UEFI);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    assert_string_equal(bi.cmdline, "palmem=4");
    assert_int_equal(bi.module_count, 2);
    assert_string_equal(bi.module[0].cmdline, "root=x");
    assert_true(bi.efi.bits == 64 && bi.efi.system_table == 0x1f5eb018);
    assert_true(bi.efi.map_size == 126 * 48 && bi.efi.descriptor_size == 48);
    assert_int_equal(bi.efi.descriptor_version, 1);
    assert_true(bi.efi.map > INFO && bi.efi.map + bi.efi.map_size <= INFO + 7040);
    assert_true(bi.rsdp > INFO && bi.rsdp < INFO + 7040);
    assert_memory_equal(mem + bi.rsdp, "RSD PTR ", 8);
    assert_int_equal(mem[bi.rsdp + 15], 2); /* the newer of both copies */
    assert_true(bi.framebuffer.base == 0x80000000 && bi.framebuffer.pitch == 5120);
    assert_true(bi.framebuffer.width == 1280 && bi.framebuffer.height == 800);
    assert_true(bi.framebuffer.depth == 32 && bi.framebuffer.red.at == 16
                && bi.framebuffer.red.bits == 8 && bi.framebuffer.blue.at == 0);
    assert_int_equal(e820_usable_bytes(bi.mem, bi.mem_count) / MIB(1), 505);
    assert_int_equal(type_at(0x1000), BOOT_MEM_USABLE);   /* loader data */
    assert_int_equal(type_at(0x900000), BOOT_MEM_USABLE); /* boot services data */
    assert_int_equal(type_at(0x1ea8a000), BOOT_MEM_FIRMWARE_RAM);
    assert_int_equal(type_at(0x1f6ec000), BOOT_MEM_FIRMWARE_RAM); /* reserved */
    assert_int_equal(type_at(0x1f76c000), BOOT_MEM_ACPI);
    assert_int_equal(type_at(0x806000), BOOT_MEM_NVS);
    assert_int_equal(type_at(0xffc00000), BOOT_MEM_RESERVED);
    assert_int_equal(type_at(0xa0000), 0);
    assert_true(bi.low_page == 0 && bi.crash_place[0] == 0);
}

/* What is ours for good, as boot/multiboot/main.c chooses it: in memory that boot services don't
 * have, clear of the loader's list, which is low here, and of each other. */
static void places_under_uefi(void **state)
{
    static struct boot_mem early[BOOT_MEM_MAX];
    const struct boot_mem list = { .start = 0x90000, .size = KIB(64) };
    uint32_t count;

    (void)state;
    setup_efi();
    assert_int_equal(parse2(), 0);
    const struct efi_map efi = { mem + bi.efi.map, bi.efi.map_size, bi.efi.descriptor_size };
    assert_int_equal(efi_map_convert(&efi, EFI_MAP_BOOT_SERVICES, early, &count, &why), 0);
    bi.module_count = 0;
    assert_int_equal(boot_place(&bi, MIB(3), 0, NULL, 0, &why), 0);
    assert_int_equal(bi.protected_size, MIB(8) - 3 * PAGE_SIZE); /* by all memory */
    assert_false(e820_is_usable(early, count, bi.protected_base, bi.protected_size));
    boot_prefer(&bi, early, count, NULL, 0);
    assert_true(e820_is_usable(early, count, bi.protected_base, bi.protected_size));
    boot_pages(&bi, early, count, &list, 1);
    const uint64_t pages[] = { bi.low_page, bi.crash_place[0], bi.crash_place[1] };
    assert_int_equal(bi.low_page, 0x8f000); /* below the list */
    assert_int_equal(bi.crash_place[0], 0); /* no room above it */
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        if (pages[i]) {
            assert_true(e820_is_usable(early, count, pages[i], PAGE_SIZE));
            assert_false(ranges_overlap(pages[i], PAGE_SIZE, bi.protected_base,
                                        bi.protected_size));
        }
    }
    assert_true(bi.crash_place[1] > MIB(1));
    bi.low_page = bi.crash_place[0] = bi.crash_place[1] = 0;
    boot_pages(&bi, early, count, NULL, 0);
    assert_true(bi.crash_place[0] == 0x9e000 && bi.low_page == 0x9d000);
    boot_pages(&bi, bi.mem, bi.mem_count, &list, 1); /* nothing is left to choose */
    assert_true(bi.crash_place[0] == 0x9e000 && bi.low_page == 0x9d000);
    bi.low_page = 0; /* a module where it would be */
    bi.module_count = 1;
    bi.module[0].start = 0x89000;
    bi.module[0].size = 0x9d001 - 0x89000;
    boot_pages(&bi, early, count, NULL, 0);
    assert_int_equal(bi.low_page, 0x88000);
    bi.low_page = 0; /* none in the better part: then in all memory, 0x87000 is boot services' */
    bi.module[0].start = 0xb000;
    bi.module[0].size = 0x87000 - 0xb000;
    boot_pages(&bi, early, count, &(struct boot_mem){ .start = 0x88000, .size = 0x18000 }, 1);
    assert_int_equal(bi.low_page, 0);
    boot_pages(&bi, bi.mem, bi.mem_count, &(struct boot_mem){ .start = 0x88000, .size = 0x18000 },
               1);
    assert_int_equal(bi.low_page, 0x87000);
}

/* Cut anywhere, in memory that ends there. */
static void mb2_under_uefi_cut_short(void **state)
{
    uint32_t total = setup_efi();
    uint8_t *saved = malloc(total);

    (void)state;
    memcpy(saved, mem + INFO, total);
    for (uint32_t n = 0; n < total; n++) {
        memset(mem + INFO, 0xee, total);
        memcpy(mem + INFO, saved, n);
        put32(INFO, n);
        assert_refused2();
    }
    free(saved);
}

/* `size`: of the tag, or 0: as it was; `field` of its body becomes `value`. */
static void efi_with(uint32_t type, uint32_t size, uint32_t field, uint32_t value)
{
    uint32_t old;

    setup_efi();
    uint64_t at = efi_tag(type, &old);
    put32(at + field, value);
    if (size != 0) { /* the rest of it becomes a tag that nobody knows */
        put32(at - 4, size);
        put32(at - 8 + align_up(size, 8), 0x7777);
        put32(at - 4 + align_up(size, 8), (uint32_t)(align_up(old, 8) - align_up(size, 8)));
    }
}

static void mb2_under_uefi_refused(const char *words)
{
    assert_refused2();
    if (!strstr(why, words)) {
        fail_msg("it says \"%s\", not \"%s\"", why, words);
    }
}

static void mb2_under_uefi_odd_tags(void **state)
{
    uint32_t size;

    (void)state;
    efi_with(12, 0, 0, 0x12345000);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.efi.system_table, 0x12345000);
    put32(efi_tag(12, &size) - 8, 11); /* 32-bit firmware */
    assert_int_equal(parse2(), 0);
    assert_true(bi.efi.bits == 32 && bi.efi.system_table == 0x12345000);
    put32(efi_tag(11, &size) - 8, 18);
    mb2_under_uefi_refused("left UEFI's boot services running");
    put32(efi_tag(18, &size) - 8, 0x7777);
    mb2_under_uefi_refused("without its memory map, or system table");
    efi_with(17, 8, 0, 48);
    mb2_under_uefi_refused("EFI memory map is malformed");
    efi_with(17, 16, 0, 48);
    mb2_under_uefi_refused("no usable memory");
    for (uint32_t bad = 0; bad < EFI_DESCRIPTOR_MIN; bad++) {
        efi_with(17, 0, 0, bad);
        mb2_under_uefi_refused("impossible size");
    }
    efi_with(17, 0, 0, 0xfffffff8);
    mb2_under_uefi_refused("impossible size");
    efi_with(17, 0, 4, 7); /* a version that nobody knows is the guest's to judge */
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.efi.descriptor_version, 7);
    put32(efi_tag(17, &size) - 8, 0x7777);
    mb2_under_uefi_refused("without its memory map, or system table");
    assert_int_equal(bi.firmware, BOOT_FIRMWARE_UEFI);
    efi_with(12, 0, 0, 1);
    put32(efi_tag(12, &size) - 4, 12); /* 4 bytes, where 8 belong */
    mb2_under_uefi_refused("system table tag is malformed");
    efi_with(6, 0, 0, 0); /* what the loader makes of UEFI's map isn't looked at */
    assert_int_equal(parse2(), 0);
}

static void mb2_under_uefi_pictures(void **state)
{
    uint32_t size;

    (void)state;
    efi_with(8, 0, 12, 0x10000);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.framebuffer.base, 0);
    efi_with(8, 0, 8, 0x10000);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.framebuffer.base, 0);
    efi_with(8, 0, 16, 0x10000);
    assert_int_equal(parse2(), 0);
    assert_int_equal(bi.framebuffer.base, 0);
    for (uint8_t type = 0; type < 4; type++) { /* palette, colours, text, unknown */
        setup_efi();
        mem[efi_tag(8, &size) + 21] = type;
        assert_int_equal(parse2(), 0);
        assert_int_equal(bi.framebuffer.base, type == 1 ? 0x80000000 : 0);
        assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    }
    setup_efi(); /* a refusal has it, too */
    put32(efi_tag(17, &size), 0);
    assert_refused2();
    assert_int_equal(bi.framebuffer.base, 0x80000000);
}

static void screen_as_the_loader_says(void **state)
{
    uint64_t tag;

    (void)state;
    setup2(NULL);
    bios(3, 80, 25);
    mb2_end -= 8;
    tag = mb2_tag(8, 8 + 24);
    mb2_finish();
    framebuffer(tag, 0xb8000, 80, 25, 2);
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_TEXT, 0xb8000, 80, 25);
    framebuffer(tag, 0xe0000000, 1024, 768, 1);
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0); /* whatever the BIOS believes */
    framebuffer(tag, 0x100000, 80, 25, 2);    /* text where no VGA has any */
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    framebuffer(tag, 0xbfff0, 80, 25, 2);
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    framebuffer(tag, 0xb8000, 0x80000050, 25, 2);
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    setup2(NULL);
    bios(3, 80, 25);
    mb2_end -= 8;
    put32(mb2_tag(7, 8 + 776), 0x4118);
    mb2_finish();
    assert_int_equal(parse2(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);

    setup1(NULL);
    bios(3, 80, 25);
    put32(INFO, le32(&mem[INFO]) | BIT(11) | BIT(12));
    put32(INFO + 80, 3); /* as GRUB has it in text mode */
    framebuffer(INFO + 88, 0xb8000, 80, 25, 2);
    assert_int_equal(parse1(), 0);
    assert_screen(BOOT_SCREEN_TEXT, 0xb8000, 80, 25);
    framebuffer(INFO + 88, 0xe0000000, 1024, 768, 1);
    assert_int_equal(parse1(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    put32(INFO, le32(&mem[INFO]) & ~(uint32_t)BIT(12));
    put32(INFO + 80, 0x118);
    assert_int_equal(parse1(), 0);
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
}

static void screen_as_the_bios_says(void **state)
{
    (void)state;
    setup1(NULL);
    put32(INFO + 20, 0xffffffff); /* a refusal must be seen too */
    bios(3, 80, 25);
    assert_refused1();
    assert_screen(BOOT_SCREEN_TEXT, 0xb8000, 80, 25);
    bios(7, 80, 25);
    assert_refused1();
    assert_screen(BOOT_SCREEN_TEXT, 0xb0000, 80, 25);
    bios(0x83, 80, 50); /* bit 7: the screen wasn't cleared */
    mem[0x44f] = 0x10;  /* the second page is shown */
    assert_refused1();
    assert_screen(BOOT_SCREEN_TEXT, 0xb9000, 80, 50);
    mem[0x44f] = 0;
    bios(3, 80, 1); /* an old BIOS keeps no rows */
    assert_refused1();
    assert_screen(BOOT_SCREEN_TEXT, 0xb8000, 80, 25);
    bios(0x12, 80, 30); /* 640x480 graphics */
    assert_refused1();
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    bios(3, 0, 25);
    assert_refused1();
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    bios(3, 80, 25);
    put32(0x40, 0); /* without a screen */
    assert_refused1();
    assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    assert_int_equal(bi.firmware, BOOT_FIRMWARE_BIOS);
}

/* UEFI firmware, of which multiboot 1 says nothing: low memory is anybody's. */
static void no_bios(void **state)
{
    static const uint32_t int11[] = { 0, 0x00400000, 0xb000ffff, 0xffff0010 }; /* 10000Fh: wraps */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(int11); i++) {
        setup1(NULL);
        bios(3, 80, 25); /* with INT 10h, as OVMF sets it up */
        put32(0x44, int11[i]);
        put32(INFO, le32(&mem[INFO]) | BIT(12));
        framebuffer(INFO + 88, 0xb8000, 80, 25, 2);
        assert_int_equal(parse1(), 0);
        assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
        assert_int_equal(bi.firmware, BOOT_FIRMWARE_UNKNOWN);
        put32(INFO, le32(&mem[INFO]) & ~(uint32_t)BIT(12));
        assert_int_equal(parse1(), 0);
        assert_screen(BOOT_SCREEN_NONE, 0, 0, 0);
    }
    put32(0x44, 0xc0000000);
    assert_int_equal(parse1(), 0);
    assert_screen(BOOT_SCREEN_TEXT, 0xb8000, 80, 25);
    assert_int_equal(bi.firmware, BOOT_FIRMWARE_BIOS);
    assert_int_equal(bi.start, BOOT_START_BY_IMAGE);
    assert_int_equal(bi.log.format, BOOT_LOG_NONE);
}

/* Every byte that the parser may look at, changed: an answer, no fault. */
static void survives_random_damage(void **state)
{
    uint64_t seed = 61;
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        bool second = unit_below(&seed, 2) != 0;

        if (second) {
            setup2(NULL);
        } else {
            setup1(NULL);
        }
        for (unsigned i = 0; i < 3; i++) {
            uint64_t at = second ? INFO : (uint64_t)(1 + unit_below(&seed, 5)) * 0x1000;

            mem[at + unit_below(&seed, second ? mb2_end : 80)] = (uint8_t)unit_random(&seed);
        }
        refused += (second ? parse2() : parse1()) != 0;
        assert_true(bi.mem_count <= BOOT_MEM_MAX && bi.module_count <= BOOT_MODULE_MAX);
    }
    assert_true(refused > 100 && refused < 3900);
}

/* --- placing --------------------------------------------------------------------- */

/* A machine with `mib` MiB below the hole, of which firmware has taken the last 128 KiB. */
static void machine(uint64_t mib)
{
    memset(&bi, 0, sizeof(bi));
    bi.mem[0] = (struct boot_mem){ .start = 0, .size = 0x9fc00, .type = 1 };
    bi.mem[1] = (struct boot_mem){ .start = MIB(1), .size = MIB(mib - 1) - KIB(128), .type = 1 };
    bi.mem_count = 2;
}

/* What is taken in all where nobody has said how much: three pages of it are elsewhere. */
#define BESIDE (3 * PAGE_SIZE)

static void assert_place(uint64_t core, uint64_t palmem, uint64_t size, uint64_t base)
{
    size -= palmem ? 0 : BESIDE;
    assert_int_equal(boot_place(&bi, core, palmem, NULL, 0, &why), 0);
    assert_int_equal(bi.protected_size, size);
    assert_int_equal(bi.protected_base, base);
}

static void place_default_sizes(void **state)
{
    (void)state;
    machine(512);
    assert_place(MIB(3), 0, MIB(8), MIB(512 - 2 - 8));
    machine(2048);
    assert_place(MIB(3), 0, MIB(32), MIB(2048 - 2 - 32));
    machine(128); /* RAM/64 is less than core and smallest pool */
    assert_place(MIB(3), 0, MIB(6), MIB(128 - 2 - 6));
    machine(3072);
    bi.mem[2] = (struct boot_mem){ .start = GIB(4), .size = GIB(60), .type = 1 };
    bi.mem_count = 3;
    assert_place(MIB(3), 0, MIB(64), MIB(3072 - 2 - 64)); /* never above 4 GiB */
}

/* With tables for code in all of RAM: PALs have their share beside them. */
static void place_with_tables(void **state)
{
    (void)state;
    machine(512);
    assert_int_equal(boot_tables(&bi), MIB(1) - PAGE_SIZE + PAGE_SIZE);
    assert_place(MIB(2) + boot_tables(&bi), 0, MIB(8), MIB(512 - 2 - 8));
    assert_place(MIB(2) + boot_tables(&bi), MIB(1), MIB(4), MIB(512 - 2 - 4));
    machine(3072);
    bi.mem[2] = (struct boot_mem){ .start = GIB(4), .size = GIB(29), .type = 1 };
    bi.mem_count = 3;
    assert_int_equal(boot_tables(&bi), MIB(64));
    assert_place(MIB(2) + MIB(64), 0, MIB(2 + 64 + 32), MIB(3072 - 2 - 98));
    bi.mem[2].size = GIB(2000);
    assert_int_equal(boot_tables(&bi), MIB(256));
    bi.mem_count = 0;
    assert_int_equal(boot_tables(&bi), 0);
}

static void place_with_palmem(void **state)
{
    (void)state;
    machine(512);
    assert_place(MIB(3), MIB(1), MIB(4), MIB(512 - 2 - 4));
    assert_place(MIB(3) + 1, MIB(1), MIB(6), MIB(512 - 2 - 6));
    assert_int_equal(boot_place(&bi, MIB(3), GIB(1), NULL, 0, &why), -1);
    assert_int_equal(boot_place(&bi, MIB(3), UINT64_MAX, NULL, 0, &why), -1);
}

static void place_avoids_modules_and_others(void **state)
{
    struct boot_mem avoid[33] = { { .start = MIB(480), .size = 1 } };

    (void)state;
    machine(512);
    bi.module_count = 1;
    bi.module[0].start = MIB(500);
    bi.module[0].size = MIB(10);
    assert_int_equal(boot_place(&bi, MIB(3), 0, avoid, 1, &why), 0);
    assert_int_equal(bi.protected_base, MIB(492));
    avoid[0].start = MIB(499);
    assert_int_equal(boot_place(&bi, MIB(3), 0, avoid, 1, &why), 0);
    assert_int_equal(bi.protected_base, MIB(490));
    assert_int_equal(boot_place(&bi, MIB(3), 0, avoid, 33, &why), -1);
    machine(6);
    assert_int_equal(boot_place(&bi, MIB(3), 0, NULL, 0, &why), -1);
    assert_non_null(why);
}

/* What a refusal recommends helps; where nothing would, nothing is recommended. */
static void place_advice_helps(void **state)
{
    const char *at;
    unsigned mib = 0;

    (void)state;
    machine(40);
    assert_int_equal(boot_place(&bi, MIB(3), MIB(64), NULL, 0, &why), -1);
    at = strstr(why, "palmem=1");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "palmem=%u", &mib), 1);
    assert_int_equal(boot_place(&bi, MIB(3), MIB(mib), NULL, 0, &why), 0);
    machine(40); /* by default RAM/64, of which much lies above 4 GiB here */
    bi.mem[2] = (struct boot_mem){ .start = GIB(4), .size = GIB(64), .type = 1 };
    bi.mem_count = 3;
    assert_int_equal(boot_place(&bi, MIB(3), 0, NULL, 0, &why), -1);
    assert_non_null(strstr(why, "palmem=1"));
    assert_int_equal(boot_place(&bi, MIB(3), MIB(mib), NULL, 0, &why), 0);
    machine(4);
    assert_int_equal(boot_place(&bi, MIB(3), 0, NULL, 0, &why), -1);
    assert_null(strstr(why, "palmem"));
}

/* Some memory is better than other: the range moves there if it fits, by the same rules. */
static void prefers_a_part_of_memory(void **state)
{
    struct boot_mem better = { .start = MIB(100), .size = MIB(50), .type = 1 };
    struct boot_mem avoid = { .start = MIB(140), .size = MIB(10) };

    (void)state;
    machine(512);
    assert_place(MIB(3), 0, MIB(8), MIB(512 - 2 - 8));
    boot_prefer(&bi, &better, 0, NULL, 0);
    assert_int_equal(bi.protected_base, MIB(512 - 2 - 8));
    boot_prefer(&bi, &better, 1, &avoid, 1);
    assert_int_equal(bi.protected_base, MIB(132));
    bi.module[0].start = MIB(120);
    bi.module[0].size = MIB(20);
    bi.module_count = 1;
    boot_prefer(&bi, &better, 1, &avoid, 1);
    assert_int_equal(bi.protected_base, MIB(112));
    bi.module[0].size = 0;
    better.size = MIB(8) - BESIDE - 1;
    boot_prefer(&bi, &better, 1, &avoid, 1);
    assert_int_equal(bi.protected_base, MIB(112));
    better = (struct boot_mem){ .start = MIB(508), .size = MIB(20), .type = 1 }; /* not all there */
    boot_prefer(&bi, &better, 1, &avoid, 1);
    assert_int_equal(bi.protected_base, MIB(112));
    assert_int_equal(bi.protected_size, MIB(8) - BESIDE);
}

#define TEST1(f) cmocka_unit_test_setup(f, setup1)
#define TEST2(f) cmocka_unit_test_setup(f, setup2)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(mb1_from_grub),
        TEST1(mb1_from_qemu_drops_the_file_names),
        TEST1(mb1_without_the_optional_parts),
        TEST1(mb1_refuses_malformed),
        TEST1(mb1_takes_a_long_map_that_can_be_cleaned),
        TEST2(mb2_from_grub),
        TEST2(mb2_refuses_malformed),
        TEST2(mb2_reads_an_unterminated_string_in_its_tag),
        cmocka_unit_test(mb2_from_grub_efi), cmocka_unit_test(places_under_uefi),
        cmocka_unit_test(mb2_under_uefi_cut_short),
        cmocka_unit_test(mb2_under_uefi_odd_tags), cmocka_unit_test(mb2_under_uefi_pictures),
        cmocka_unit_test(screen_as_the_loader_says),
        cmocka_unit_test(screen_as_the_bios_says), cmocka_unit_test(no_bios),
        cmocka_unit_test(survives_random_damage),
        cmocka_unit_test(place_default_sizes),
        cmocka_unit_test(place_with_tables), cmocka_unit_test(place_with_palmem),
        cmocka_unit_test(place_advice_helps),
        cmocka_unit_test(place_avoids_modules_and_others),
        cmocka_unit_test(prefers_a_part_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
