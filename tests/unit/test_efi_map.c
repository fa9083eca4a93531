/* SPDX-License-Identifier: MIT */
/* lib/util/efi_map.c: each kind of UEFI memory, odd maps, and the copy with less in it against a
 * model with one type per page. The maps of real machines, said in UEFI's words, come to what their
 * firmware said in E820's. */
#include "unit.h"
#include "vectors.h"

#include <boot/common/pages.h>
#include <boot/common/place.h>
#include <util/e820.h>
#include <util/efi_map.h>

#define WB BIT(3)
#define RUNTIME BIT(63)

/* UEFI 2.10, table 7.10 */
enum { RESERVED, LOADER_CODE, LOADER_DATA, BOOT_CODE, BOOT_DATA, RUNTIME_CODE, RUNTIME_DATA,
       CONVENTIONAL, UNUSABLE, ACPI_RECLAIM, ACPI_NVS, MMIO, MMIO_PORTS, PAL_CODE, PERSISTENT,
       UNACCEPTED };

static struct boot_mem mem[BOOT_MEM_MAX];
static uint32_t count;
static const char *why;

/* A map that is being made: descriptors of 48 bytes, as all firmware has them. */
static struct builder { uint8_t bytes[48 * 4096]; struct efi_map map; } built;

static void begin(void)
{
    built.map = (struct efi_map){ built.bytes, 0, 48 };
}

static void put(uint32_t type, uint64_t start, uint64_t pages, uint64_t attribute)
{
    uint8_t *p = built.bytes + built.map.size;
    const uint64_t words[5] = { type | 0xabcd00000000, start, 0, pages, attribute };

    assert_true(built.map.size + 48 <= sizeof(built.bytes));
    memset(p, 0x5a, 48);
    memcpy(p, words, sizeof(words));
    built.map.size += 48;
}

static int convert(enum efi_map_view view)
{
    why = NULL;
    return efi_map_convert(&built.map, view, mem, &count, &why);
}

static uint32_t type_at(uint64_t at)
{
    for (uint32_t i = 0; i < count; i++) {
        if (at >= mem[i].start && at - mem[i].start < mem[i].size) {
            return mem[i].type;
        }
    }
    return 0;
}

static void each_kind(void **state)
{
    static const struct { uint32_t type, before, after, uncached; } rows[] = {
        { RESERVED, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_RESERVED },
        { LOADER_CODE, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_USABLE, BOOT_MEM_RESERVED },
        { LOADER_DATA, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_USABLE, BOOT_MEM_RESERVED },
        { BOOT_CODE, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_USABLE, BOOT_MEM_RESERVED },
        { BOOT_DATA, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_USABLE, BOOT_MEM_RESERVED },
        { RUNTIME_CODE, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_RESERVED },
        { RUNTIME_DATA, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_RESERVED },
        { CONVENTIONAL, BOOT_MEM_USABLE, BOOT_MEM_USABLE, BOOT_MEM_RESERVED },
        { UNUSABLE, BOOT_MEM_BAD, BOOT_MEM_BAD, BOOT_MEM_BAD },
        { ACPI_RECLAIM, BOOT_MEM_ACPI, BOOT_MEM_ACPI, BOOT_MEM_ACPI },
        { ACPI_NVS, BOOT_MEM_NVS, BOOT_MEM_NVS, BOOT_MEM_NVS },
        { MMIO, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED },
        { MMIO_PORTS, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED },
        { PAL_CODE, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_RESERVED },
        { PERSISTENT, 7, 7, 7 },
        { UNACCEPTED, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED, BOOT_MEM_RESERVED },
        { 0x70000001, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_FIRMWARE_RAM, BOOT_MEM_RESERVED },
    };

    (void)state;
    begin();
    put(CONVENTIONAL, 0, 1, WB); /* or there would be no usable memory */
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        put(rows[i].type, MIB(1 + 2 * i), 2, 0xf | RUNTIME);
        put(rows[i].type, MIB(2 + 2 * i), 2, 0x7);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(convert(EFI_MAP_BOOT_SERVICES), 0);
        assert_int_equal(type_at(MIB(1 + 2 * i) + 8191), rows[i].before);
        assert_int_equal(type_at(MIB(2 + 2 * i)), rows[i].uncached);
        assert_int_equal(convert(EFI_MAP_AFTER), 0);
        assert_int_equal(type_at(MIB(1 + 2 * i) + 8191), rows[i].after);
        assert_int_equal(type_at(MIB(1 + 2 * i) + 8192), 0);
        assert_int_equal(type_at(MIB(2 + 2 * i)), rows[i].uncached);
    }
}

static void the_size_of_a_descriptor_is_the_firmwares(void **state)
{
    static const uint64_t bad[] = { 0, 8, 32, 39, 41, 44, 52, 264, UINT64_MAX - 7 };
    uint8_t bytes[3 * 256];

    (void)state;
    for (uint64_t size = EFI_DESCRIPTOR_MIN; size <= EFI_DESCRIPTOR_MAX; size += 8) {
        memset(bytes, 0xee, sizeof(bytes));
        begin();
        put(CONVENTIONAL, MIB(1), 16, WB);
        put(RUNTIME_DATA, MIB(2), 16, WB);
        memcpy(bytes, built.bytes, 40);
        memcpy(bytes + size, built.bytes + 48, 40);
        built.map = (struct efi_map){ bytes, 3 * size - 1, size }; /* the last one is cut short */
        assert_int_equal(convert(EFI_MAP_AFTER), 0);
        assert_int_equal(count, 2);
        assert_int_equal(type_at(MIB(2)), BOOT_MEM_FIRMWARE_RAM);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        built.map = (struct efi_map){ bytes, sizeof(bytes), bad[i] };
        assert_int_equal(convert(EFI_MAP_AFTER), -1);
        assert_string_equal(why, "UEFI's memory map has descriptors of an impossible size");
    }
}

static void what_cannot_be_counts_as_absent(void **state)
{
    (void)state;
    begin();
    assert_int_equal(convert(EFI_MAP_AFTER), -1);
    assert_string_equal(why, "UEFI's memory map has no usable memory");
    put(CONVENTIONAL, MIB(1), 0, WB);
    put(CONVENTIONAL, MIB(1) + 8, 1, WB);
    put(CONVENTIONAL, align_down(UINT64_MAX, PAGE_SIZE), 2, WB);
    put(CONVENTIONAL, MIB(1), UINT64_MAX, WB);
    put(CONVENTIONAL, MIB(1), UINT64_MAX / PAGE_SIZE, WB);
    put(CONVENTIONAL, MIB(1), UINT64_MAX / PAGE_SIZE + 2, WB); /* a page, if it wrapped */
    assert_int_equal(convert(EFI_MAP_AFTER), -1);
    put(CONVENTIONAL, MIB(8), 1, WB);
    assert_int_equal(convert(EFI_MAP_AFTER), 0);
    assert_int_equal(count, 1);
    put(RUNTIME_CODE, MIB(8), 1, WB); /* overlaps: the firmware keeps it */
    assert_int_equal(convert(EFI_MAP_AFTER), -1);
}

/* Descriptors that alternate where no OS sees a difference; and a map of as many pieces as fit, and
 * of one more, in order and not. */
static void many_descriptors(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 4000; i++) {
        put(i % 2 ? BOOT_DATA : i % 4 ? LOADER_CODE : CONVENTIONAL, MIB(1) + i * PAGE_SIZE, 1, WB);
    }
    assert_int_equal(convert(EFI_MAP_AFTER), 0);
    assert_int_equal(count, 1);
    assert_int_equal(mem[0].size, 4000 * PAGE_SIZE);
    for (unsigned pieces = BOOT_MEM_MAX; pieces <= BOOT_MEM_MAX + 1; pieces++) {
        for (unsigned back = 0; back < 2; back++) {
            begin();
            for (unsigned i = 0; i < 2 * pieces; i++) { /* each of two descriptors */
                put(CONVENTIONAL, MIB(1) + (back ? 2 * pieces - 1 - i : i) / 2 * 4 * PAGE_SIZE
                    + (i + back) % 2 * PAGE_SIZE, 1, WB);
            }
            assert_int_equal(convert(EFI_MAP_AFTER), pieces == BOOT_MEM_MAX ? 0 : -1);
            assert_true(pieces == BOOT_MEM_MAX ? count == pieces
                        : strcmp(why, "UEFI's memory map has too many entries") == 0);
        }
    }
}

#define PAGES 64

/* Type of each page in a tiny map, by its descriptors alone: 0xff if none has it. */
static void model_of(uint8_t model[PAGES], const struct efi_map *map)
{
    memset(model, 0xff, PAGES);
    for (uint64_t at = 0; at < map->size; at += 48) {
        uint64_t words[5];

        memcpy(words, map->at + at, sizeof(words));
        for (uint64_t page = 0; page < words[3]; page++) {
            model[words[1] / PAGE_SIZE + page] = (uint8_t)words[0];
        }
        assert_int_equal(words[2] == 0 ? words[1] : words[2], words[1]); /* virtual, if any */
        assert_int_equal(words[4], WB | RUNTIME);
        assert_int_equal(map->at[at + 47], 0x5a); /* what nobody knows is kept */
    }
}

static void the_copy_has_less_in_it(void **state)
{
    static uint8_t out[48 * (PAGES + 6)];
    uint64_t seed = 3, splits = 0;

    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        struct boot_mem taken[3] = { { 0 } };
        uint8_t before[PAGES], after[PAGES];
        uint64_t page = unit_below(&seed, 4), room;

        begin();
        while (page < PAGES) {
            uint64_t n = 1 + unit_below(&seed, 20);

            n = n > PAGES - page ? PAGES - page : n;
            put(1 + (uint32_t)unit_below(&seed, 12), page * PAGE_SIZE, n, WB | RUNTIME);
            if (unit_below(&seed, 2)) {
                memcpy(built.bytes + built.map.size - 48 + 16, &(uint64_t){ page * PAGE_SIZE }, 8);
            }
            page += n + unit_below(&seed, 3);
        }
        model_of(before, &built.map);
        for (unsigned t = 0; t < 3; t++) { /* each in a third of the pages, in any order */
            uint64_t third = (t + round) % 3 * (PAGES / 3), from = unit_below(&seed, PAGES / 3);

            taken[t].start = (third + from) * PAGE_SIZE;
            taken[t].size = unit_below(&seed, PAGES / 3 - from + 1) * PAGE_SIZE; /* 0, too */
            for (uint64_t i = 0; i < taken[t].size / PAGE_SIZE; i++) {
                uint8_t *type = &before[third + from + i];
                *type = *type == 0xff ? 0xff : RESERVED;
            }
        }
        room = efi_map_room(&built.map, 3);
        assert_true(room <= sizeof(out));
        struct efi_map copy = { out, efi_map_without(&built.map, taken, 3, out, room), 48 };
        assert_true(copy.size != 0 && copy.size <= room);
        assert_int_equal(efi_map_without(&built.map, taken, 3, out, copy.size - 1), 0);
        assert_int_equal(efi_map_without(&built.map, taken, 3, out, copy.size), copy.size);
        splits += (copy.size - built.map.size) / 48;
        model_of(after, &copy);
        assert_memory_equal(before, after, PAGES);
    }
    print_message("5000 maps with seed 3: %llu descriptors more\n", (unsigned long long)splits);
    assert_true(splits > 5000);
}

/* Lines `e820 START END TYPE`: END inclusive, hexadecimal but for TYPE. Usable memory is said in
 * several of UEFI's ways, by turns of some pages. */
static unsigned put_vector(const char *path, struct boot_mem *raw, unsigned *by_uefi)
{
    static const uint32_t free_types[] = { CONVENTIONAL, BOOT_DATA, CONVENTIONAL, LOADER_CODE,
                                           CONVENTIONAL, BOOT_CODE };
    FILE *f = fopen(path, "r");
    char line[512];
    unsigned n = 0;

    assert_non_null(f);
    begin();
    while (fgets(line, sizeof(line), f)) {
        unsigned long long start, end;
        unsigned type;

        *by_uefi += strncmp(line, "# boot: EFI", 11) == 0 || strncmp(line, "# boot: UEFI", 12) == 0;
        if (sscanf(line, "e820 %llx %llx %u", &start, &end, &type) != 3) {
            continue;
        }
        end = align_down(end + 1, PAGE_SIZE);
        start = align_up(start, PAGE_SIZE);
        if (end <= start || type > BOOT_MEM_BAD) {
            continue;
        }
        raw[n++] = (struct boot_mem){ .start = start, .size = end - start, .type = type };
        if (type != BOOT_MEM_USABLE) {
            static const uint32_t types[] = { 0, 0, RESERVED, ACPI_RECLAIM, ACPI_NVS, UNUSABLE };
            put(types[type], start, (end - start) / PAGE_SIZE, 0);
            continue;
        }
        for (unsigned turn = 0; start < end; turn++) {
            uint64_t size = turn % 2 ? 0x30000 : (end - start) / 3 / PAGE_SIZE * PAGE_SIZE + 0x1000;

            size = size < end - start ? size : end - start;
            put(free_types[turn % 6], start, size / PAGE_SIZE, 0xf);
            start += size;
        }
    }
    fclose(f);
    return n;
}

/* What is free before the end of boot services is enough for us, and ours is then in no descriptor
 * that an OS takes for free. */
static void place_in(const char *path)
{
    static struct boot_info bi;
    static uint8_t out[sizeof(built.bytes)];
    struct boot_mem taken;

    memset(&bi, 0, sizeof(bi));
    assert_int_equal(efi_map_convert(&built.map, EFI_MAP_BOOT_SERVICES, bi.mem, &bi.mem_count,
                                     &why), 0);
    if (boot_place(&bi, MIB(3), 0, NULL, 0, &why) != 0) {
        fail_msg("%s: %s", path, why);
    }
    assert_true(e820_is_usable(bi.mem, bi.mem_count, bi.protected_base, bi.protected_size));
    boot_pages(&bi, bi.mem, bi.mem_count, NULL, 0);
    if (!bi.low_page || !e820_is_usable(bi.mem, bi.mem_count, bi.low_page, PAGE_SIZE)) {
        fail_msg("%s: no low page", path);
    }
    taken = (struct boot_mem){ .start = bi.protected_base, .size = bi.protected_size };
    struct efi_map copy = { out, efi_map_without(&built.map, &taken, 1, out, sizeof(out)), 48 };
    assert_int_equal(efi_map_convert(&copy, EFI_MAP_AFTER, mem, &count, &why), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(mem[i].type != BOOT_MEM_USABLE
                    || !ranges_overlap(mem[i].start, mem[i].size, taken.start, taken.size));
    }
}

static void maps_of_real_machines(void **state)
{
    struct vectors files = vectors_of("e820");
    static struct boot_mem raw[BOOT_MEM_MAX];
    unsigned machines = 0, by_uefi = 0;

    (void)state;
    for (; vectors_next(&files); machines++) {
        int n = e820_sanitize(raw, put_vector(files.path, raw, &by_uefi), BOOT_MEM_MAX);

        assert_int_equal(convert(EFI_MAP_AFTER), 0);
        if ((int)count != n || memcmp(mem, raw, (size_t)n * sizeof(*mem)) != 0) {
            fail_msg("%s: %u pieces, not %d, or others", files.path, count, n);
        }
        place_in(files.path);
    }
    print_message("the maps of %u machines, %u of them started by UEFI, said in its words\n",
                  machines, by_uefi);
    assert_true(machines >= 20 && by_uefi >= 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind),
        cmocka_unit_test(the_size_of_a_descriptor_is_the_firmwares),
        cmocka_unit_test(what_cannot_be_counts_as_absent),
        cmocka_unit_test(many_descriptors),
        cmocka_unit_test(the_copy_has_less_in_it),
        cmocka_unit_test(maps_of_real_machines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
