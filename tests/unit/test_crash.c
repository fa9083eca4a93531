/* SPDX-License-Identifier: MIT */
/* The crash record: where it goes, that damage is seen, and that either copy is enough. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/vcpus.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <facts/facts.h>
#include <mm/host_map.h>
#include <util/e820.h>
#include <util/string.h>
#include <xmhf/core_image.h>

#define CORE_SIZE 0x1000 /* of the pretended image */

/* What crash.c needs of the rest of the core. */
const uint8_t core_start[CORE_SIZE], core_text_end[1], core_end[1];
const uint8_t core_build_id[16 + CRASH_BUILD_ID] = "............GNU" "\0" "ABCDEFGHIJKLMNOPQRST";
const char *core_vendor(void) { return "vendor"; }
static struct vcpu me, other = {
    .nmi_rip = 0x1111, .nmi_rsp = 0x2222, .online = true, .stopped = true,
    .trace = { { .kind = EXIT_IO, .raw = 7 }, { .kind = EXIT_CPUID, .raw = 10 },
               { .kind = EXIT_NMI } },
    .trace_next = 3,
};
struct vcpu *vcpus[CPU_MAX] = { &me, &other };
unsigned vcpu_count = 2;
static char said[16384];
static unsigned lines;

struct vcpu *this_vcpu(void) { return &me; }
void *host_phys(uint64_t addr, uint64_t len) { return machine_phys(addr, len); }

size_t str_copy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

void log_line(const char *fmt, ...)
{
    size_t n = strlen(said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(said + n, sizeof(said) - n, fmt, ap);
    va_end(ap);
    strncat(said, "\n", sizeof(said) - strlen(said) - 1);
    lines++;
}

/* A PC's memory map, cleaned as at boot. `below`: the end of RAM under 4 GiB. */
static unsigned pc_map(struct boot_mem *map, uint64_t below, uint64_t above)
{
    const struct boot_mem pc[] = {
        { 0, 0x9fc00, BOOT_MEM_USABLE, 0 }, { 0x9fc00, 0x400, BOOT_MEM_RESERVED, 0 },
        { 0xf0000, 0x10000, BOOT_MEM_RESERVED, 0 },
        { MIB(1), below - MIB(1) - 0x20000, BOOT_MEM_USABLE, 0 },
        { below - 0x20000, 0x20000, BOOT_MEM_ACPI, 0 },
        { GIB(4), above, BOOT_MEM_USABLE, 0 },
    };
    memcpy(map, pc, sizeof(pc));
    return (unsigned)e820_sanitize(map, ARRAY_SIZE(pc), BOOT_MEM_MAX);
}

/* Where boot/common/place.c puts the protected range: as high as it goes. */
static struct boot_mem protected_of(const struct boot_mem *map, unsigned count, uint64_t size)
{
    struct boot_mem p = { .size = size };

    assert_true(e820_find_high(map, count, size, PAGE_SIZE_2M, MIB(1), GIB(4), NULL, 0, &p.start));
    return p;
}

static bool usable(const struct boot_mem *map, unsigned count, uint64_t page)
{
    for (unsigned i = 0; i < count; i++) {
        if (map[i].type == BOOT_MEM_USABLE && page >= map[i].start
            && page + PAGE_SIZE <= map[i].start + map[i].size) {
            return true;
        }
    }
    return false;
}

static void both_places_for_every_protected_range(void **state)
{
    static const unsigned ram[] = { 512, 1024, 2048, 3072 };
    static const unsigned sizes[] = { 8, 64, 120, 200, 400, 1024 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ram) * ARRAY_SIZE(sizes) * 2; i++) {
        uint64_t below = MIB(ram[i / 2 % ARRAY_SIZE(ram)]),
            size = MIB(sizes[i / 2 / ARRAY_SIZE(ram)]);
        struct boot_mem map[BOOT_MEM_MAX], p;
        uint64_t place[CRASH_COPIES];
        unsigned n = pc_map(map, below, i % 2 ? GIB(2) : 0);

        if (size + MIB(64) > below) {
            continue;
        }
        p = protected_of(map, n, size);
        keep_crash(map, n, &p, 1, place);
        assert_in_range(place[0], 0x90000, 0x9f000 - PAGE_SIZE);
        /* firmware and GRUB are above */
        assert_in_range(place[1], MIB(1), below - MIB(24) - PAGE_SIZE);
        for (unsigned k = 0; k < CRASH_COPIES; k++) {
            assert_int_equal(place[k] % PAGE_SIZE, 0);
            assert_true(usable(map, n, place[k]));
            assert_false(ranges_overlap(place[k], PAGE_SIZE, p.start, p.size));
        }
    }
}

static void a_small_machine_has_one_place(void **state)
{
    struct boot_mem map[BOOT_MEM_MAX], p = { .start = MIB(16), .size = MIB(4) };
    unsigned n = pc_map(map, MIB(24), 0);
    uint64_t place[CRASH_COPIES];

    (void)state;
    keep_crash(map, n, &p, 1, place);
    assert_in_range(place[0], 0x90000, 0x9f000 - PAGE_SIZE);
    assert_int_equal(place[1], 0);
}

static void fill(struct crash_record *r)
{
    memset(r, 0, sizeof(*r));
    r->stack_count = CRASH_STACK;
    r->exit_count = CRASH_EXITS;
    r->other_count = CRASH_OTHERS;
    memset(r->other, 0xff, sizeof(r->other)); /* counts and numbers beyond every limit */
    memset(r->text, 'x', sizeof(r->text)); /* sealing ends it */
    memset(r->virt, 'v', sizeof(r->virt));
    crash_seal(r);
}

static void a_sealed_record_is_valid(void **state)
{
    struct crash_record r;

    (void)state;
    fill(&r);
    assert_true(crash_valid(&r));
    assert_int_equal(r.text[CRASH_TEXT - 1], 0);
    assert_int_equal(r.virt[CRASH_VIRT - 1], 0);
    memset(&r, 0, sizeof(r));
    assert_false(crash_valid(&r));
}

static void every_damaged_bit_is_seen(void **state)
{
    struct crash_record r;

    (void)state;
    fill(&r);
    for (size_t bit = 0; bit < sizeof(r) * 8; bit++) {
        ((uint8_t *)&r)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(crash_valid(&r));
        ((uint8_t *)&r)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(crash_valid(&r));
}

/* FNV-1a again, so that a forged record has a good one. */
static void sum(struct crash_record *r)
{
    uint64_t h = 0xcbf29ce484222325ULL;

    for (const uint8_t *p = r->build_id; p < (const uint8_t *)(r + 1); p++) {
        h = (h ^ *p) * 0x100000001b3ULL;
    }
    r->checksum = h;
}

static void a_good_sum_is_not_enough(void **state)
{
    struct crash_record r;

    (void)state;
    fill(&r), sum(&r), assert_true(crash_valid(&r));
    fill(&r), r.magic++, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.version--, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.size += 8, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.stack_count = CRASH_STACK + 1, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.stack_count = ~0u, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.exit_count = CRASH_EXITS + 1, sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.text[CRASH_TEXT - 1] = 'x', sum(&r), assert_false(crash_valid(&r));
    fill(&r), r.virt[CRASH_VIRT - 1] = 'x', sum(&r), assert_false(crash_valid(&r));
}

/* A reset drops what is in the caches only: the record was complete when they were written back. */
static bool record_in_memory;

static void look_for_record(void)
{
    record_in_memory = true;
    for (unsigned k = 0; k < CRASH_COPIES; k++) {
        record_in_memory &= crash_valid(machine_phys(crash_place[k], PAGE_SIZE));
    }
}

/* A machine of 64 MiB that boots, panics, and boots again with those copies spoiled. */
static void panic_and_boot(unsigned spoiled)
{
    static struct boot_info bi;

    machine_reset(MIB(64));
    bi.mem_count = pc_map(bi.mem, MIB(64), 0);
    bi.protected_base = MIB(52);
    bi.protected_size = MIB(8);
    said[0] = 0;
    crash_init(&bi);
    assert_string_equal(said, ""); /* nothing was left */
    crash_collect("of a test", NULL, 0x1234, 0x5678);
    machine.on_wbinvd = look_for_record;
    record_in_memory = false;
    crash_write();
    assert_true(record_in_memory);
    for (unsigned k = 0; k < CRASH_COPIES; k++) {
        assert_int_not_equal(crash_place[k], 0);
        if (spoiled >> k & 1) {
            memset(machine_phys(crash_place[k], PAGE_SIZE), 0x55, PAGE_SIZE);
        }
    }
    said[0] = 0;
    lines = 0;
    crash_init(&bi);
}

static void either_copy_is_enough(void **state)
{
    (void)state;
    for (unsigned spoiled = 0; spoiled < 1u << CRASH_COPIES; spoiled++) {
        panic_and_boot(spoiled);
        if (spoiled == (1u << CRASH_COPIES) - 1) {
            assert_int_equal(lines, 0);
            continue;
        }
        char *text = strstr(said, "crash: text of a test\n");
        assert_non_null(text);
        assert_null(strstr(text + 1, "crash: text")); /* printed once */
        assert_non_null(strstr(said,
                               "crash: build-id 4142434445464748494a4b4c4d4e4f5051525354 cpu 0\n"));
        assert_non_null(strstr(said, "rip 0x1234 rsp 0x5678"));
        assert_non_null(strstr(said, "crash: other 1 stopped rip 0x1111 rsp 0x2222 exit NMI 0x0 "
                                     "exit CPUID 0xa\n"));
    }
}

static void a_record_is_printed_by_one_boot_only(void **state)
{
    struct boot_info bi = { .mem_count = 0 };

    (void)state;
    panic_and_boot(0);
    assert_true(lines > 0);
    bi.mem_count = pc_map(bi.mem, MIB(64), 0);
    bi.protected_base = MIB(52);
    bi.protected_size = MIB(8);
    lines = 0;
    crash_init(&bi);
    assert_int_equal(lines, 0);
}

static void a_module_keeps_its_page(void **state)
{
    struct boot_info bi = { .mem_count = 0 };

    (void)state;
    panic_and_boot(3);
    bi.mem_count = pc_map(bi.mem, MIB(64), 0);
    bi.protected_base = MIB(52);
    bi.protected_size = MIB(8);
    bi.module_count = 1;
    bi.module[0].start = crash_place[1] + PAGE_SIZE - 1;
    bi.module[0].size = 1;
    crash_init(&bi);
    assert_int_not_equal(crash_place[0], 0);
    assert_int_equal(crash_place[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_places_for_every_protected_range),
        cmocka_unit_test(a_small_machine_has_one_place),
        cmocka_unit_test(a_sealed_record_is_valid),
        cmocka_unit_test(every_damaged_bit_is_seen),
        cmocka_unit_test(a_good_sum_is_not_enough),
        cmocka_unit_test(either_copy_is_enough),
        cmocka_unit_test(a_record_is_printed_by_one_boot_only),
        cmocka_unit_test(a_module_keeps_its_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
