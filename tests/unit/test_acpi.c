/* SPDX-License-Identifier: MIT */
/* lib/acpi/acpi.c over tables built here in a small physical memory. */
#include "unit.h"

#include <acpi/acpi.h>

#define MEM_SIZE 0x240000

static uint8_t mem[MEM_SIZE];
static struct acpi_info info;
static const char *why;

static const void *map(uint64_t addr, size_t len)
{
    return addr < MEM_SIZE && len <= MEM_SIZE - addr ? &mem[addr] : NULL;
}

static void put(uint64_t at, uint64_t v, unsigned n) { memcpy(&mem[at], &v, n); }

static void checksum(uint64_t start, size_t len, uint64_t at)
{
    uint8_t sum = 0;

    mem[at] = 0;
    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + mem[start + i]);
    }
    mem[at] = (uint8_t)-sum;
}

static void seal(uint64_t table, uint32_t length)
{
    put(table + 4, length, 4);
    checksum(table, length, table + 9);
}

enum { RSDP = 0xe0010, RSDT = 0x100000, XSDT = 0x101000, MADT = 0x102000, FADT = 0x110000,
       OTHER = 0x120000, DSDT = 0x130000 };

static uint32_t madt_length;

static void seal_rsdp(void)
{
    checksum(RSDP, 20, RSDP + 8);
    checksum(RSDP, 36, RSDP + 32);
}

static void add_lapic(uint8_t id, uint32_t flags)
{
    uint64_t at = MADT + madt_length;

    put(at, 0x0800, 2);
    put(at + 3, id, 1);
    put(at + 4, flags, 4);
    madt_length += 8;
    seal(MADT, madt_length);
}

static void add_x2apic(uint32_t id, uint32_t flags)
{
    uint64_t at = MADT + madt_length;

    put(at, 0x1009, 2);
    put(at + 4, id, 4);
    put(at + 8, flags, 4);
    madt_length += 16;
    seal(MADT, madt_length);
}

/* An ACPI 2.0 machine with two CPUs; each test bends it. */
static int setup(void **state)
{
    (void)state;
    memset(mem, 0, sizeof(mem));
    memcpy(&mem[RSDP], "RSD PTR ", 8);
    mem[RSDP + 15] = 2;
    put(RSDP + 16, RSDT, 4);
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, XSDT, 8);
    seal_rsdp();

    memcpy(&mem[RSDT], "RSDT", 4);
    put(RSDT + 36, OTHER, 4);
    put(RSDT + 40, MADT, 4);
    seal(RSDT, 44);
    memcpy(&mem[XSDT], "XSDT", 4);
    put(XSDT + 36, OTHER, 8);
    put(XSDT + 44, FADT, 8);
    put(XSDT + 52, MADT, 8);
    seal(XSDT, 60);

    memcpy(&mem[OTHER], "SSDT", 4);
    put(OTHER + 4, 0xffffffff, 4); /* not our business */
    memcpy(&mem[MADT], "APIC", 4);
    put(MADT + 36, 0xfee00000, 4);
    madt_length = 44;
    seal(MADT, madt_length);
    add_lapic(0, 1);
    add_lapic(1, 1);

    memcpy(&mem[FADT], "FACP", 4);
    put(FADT + 64, 0x604, 4);
    put(FADT + 68, 0, 4);
    put(FADT + 112, BIT(10), 4);
    put(FADT + 116, 0x0801, 2); /* reset register: I/O, 8 bits */
    put(FADT + 120, 0xcf9, 8);
    mem[FADT + 128] = 0x0f;
    seal(FADT, 244);
    return 0;
}

static int read_all(void)
{
    why = NULL;
    memset(&info, 0xee, sizeof(info));
    return acpi_read(map, acpi_find_rsdp(map), &info, &why);
}

static void assert_refused(void)
{
    assert_int_equal(read_all(), -1);
    assert_non_null(why);
}

static void reads_acpi_2(void **state)
{
    (void)state;
    assert_int_equal(acpi_find_rsdp(map), RSDP);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
    assert_true(info.cpu[1].apic_id == 1 && info.cpu[1].enabled);
    assert_int_equal(info.lapic_base, 0xfee00000);
    assert_true(info.has_fadt);
    assert_int_equal(info.pm1a_cnt, 0x604);
    assert_int_equal(info.pm1b_cnt, 0);
    assert_true(info.has_reset_reg && info.reset_space == 1);
    assert_true(info.reset_addr == 0xcf9 && info.reset_value == 0x0f);
}

static void reads_acpi_1(void **state)
{
    (void)state;
    mem[RSDP + 15] = 0;
    checksum(RSDP, 20, RSDP + 8); /* the second checksum is wrong now and must not count */
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
    assert_false(info.has_fadt); /* this RSDT lists none */
}

/* Each as public reports have it; the XSDT here lists an FADT, the RSDT none. */
static void falls_back_to_the_rsdt(void **state)
{
    (void)state;
    put(RSDP + 24, 0, 8);
    seal_rsdp();
    assert_int_equal(read_all(), 0);
    assert_false(info.has_fadt);
    put(RSDP + 24, 0x7fffffffffffULL, 8);
    seal_rsdp();
    assert_int_equal(read_all(), 0);
    assert_false(info.has_fadt);
    setup(NULL);
    mem[XSDT] = 'Y';
    assert_int_equal(read_all(), 0);
    assert_false(info.has_fadt);
    mem[RSDT] = 'Q';
    assert_refused();
    setup(NULL);
    mem[RSDP + 15] = 1; /* an XSDT of revision 1 doesn't count, */
    put(RSDP + 24, 0xdeadbeef, 8);
    seal_rsdp();
    assert_int_equal(read_all(), 0);
    assert_false(info.has_fadt);
    setup(NULL);
    put(RSDP + 16, 0, 4); /* and a new machine needs no RSDT */
    seal_rsdp();
    assert_int_equal(read_all(), 0);
    assert_true(info.has_fadt);
}

/* The XSDT goes first, and what is in one list only is found in that one. */
static void the_lists_may_differ(void **state)
{
    (void)state;
    put(XSDT + 52, 0, 8);
    seal(XSDT, 60);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
    assert_true(info.has_fadt);
    memcpy(&mem[OTHER], "APIC", 4); /* another MADT, by the RSDT only */
    seal(OTHER, 44);
    setup(NULL);
    put(RSDT + 36, FADT, 4);
    put(XSDT + 44, 0xffffffffffff0000ULL, 8);
    seal(RSDT, 44);
    seal(XSDT, 60);
    assert_int_equal(read_all(), 0);
    assert_true(info.has_fadt);
}

/* The CPUs by field, for there are bytes between that nobody sets. */
static void assert_same(const struct acpi_info *a, const struct acpi_info *b)
{
    struct acpi_info x, y;

    for (unsigned i = 0; i < ACPI_CPU_MAX; i++) {
        assert_int_equal(a->cpu[i].apic_id, b->cpu[i].apic_id);
        assert_int_equal(a->cpu[i].enabled, b->cpu[i].enabled);
    }
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    memset(x.cpu, 0, sizeof(x.cpu));
    memset(y.cpu, 0, sizeof(y.cpu));
    assert_memory_equal(&x, &y, sizeof(x));
}

/* As Linux: a warning, and the table counts. */
static void wrong_checksums_only_warn(void **state)
{
    static const struct { uint64_t at; enum acpi_warning warning; } sums[] = {
        { XSDT + 9, ACPI_WARN_ROOT_SUM }, { MADT + 9, ACPI_WARN_MADT_SUM },
        { FADT + 9, ACPI_WARN_FADT_SUM }, { RSDP + 32, ACPI_WARN_RSDP_SUM },
    };
    struct acpi_info right;

    (void)state;
    memcpy(&mem[DSDT], "DSDT", 4);
    seal(DSDT, 64);
    put(FADT + 40, DSDT, 4);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.warnings, 0);
    right = info;
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        mem[sums[i].at]++;
        assert_int_equal(read_all(), 0);
        assert_int_equal(info.warnings, BIT(sums[i].warning));
        assert_non_null(acpi_warning_text(sums[i].warning));
        info.warnings = 0;
        assert_same(&info, &right);
        mem[sums[i].at]--;
    }
    mem[RSDT + 9]++; /* not used here */
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.warnings, 0);
    put(RSDP + 24, 0, 8);
    seal_rsdp();
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.warnings, BIT(ACPI_WARN_ROOT_SUM));
    mem[RSDP + 8]++; /* but this isn't a root pointer then */
    assert_refused();
}

/* Of two root pointers the whole one, wherever it is. */
static void a_whole_rsdp_goes_first(void **state)
{
    (void)state;
    memcpy(&mem[RSDP + 0x100], &mem[RSDP], 36);
    mem[RSDP + 32] ^= 1;
    assert_int_equal(acpi_find_rsdp(map), RSDP + 0x100);
    mem[RSDP + 0x100 + 32] ^= 1;
    assert_int_equal(acpi_find_rsdp(map), RSDP);
}

/* Large, and at odd addresses, as on a laptop. */
static void large_and_unaligned_tables(void **state)
{
    const uint64_t dsdt = 0x140003, madt = 0x12f001;
    const uint32_t size = 0x90001;

    (void)state;
    memcpy(&mem[dsdt], "DSDT", 4);
    memcpy(&mem[dsdt + size - 12], "\x08_S5_\x12\x06\x04\x0a\x05", 10);
    seal(dsdt, size);
    put(FADT + 140, dsdt, 8);
    seal(FADT, 244);
    memcpy(&mem[madt], &mem[MADT], madt_length);
    put(XSDT + 52, madt, 8);
    seal(XSDT, 60);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.warnings, 0);
    assert_int_equal(info.cpu_count, 2);
    assert_true(info.sleep.known & BIT(5));
    put(dsdt + 4, 0x100000, 4); /* behind memory's end: sleep types stay unknown */
    assert_int_equal(read_all(), 0);
    assert_false(info.sleep.known & BIT(5));
}

/* 200 SSDTs and empty entries before what we look for. */
static void long_lists(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        put(XSDT + 36 + 8 * i, i % 3 ? OTHER : 0, 8);
    }
    put(XSDT + 36 + 8 * 200, MADT, 8);
    put(XSDT + 36 + 8 * 201, FADT, 8);
    seal(XSDT, 36 + 8 * 202 + 5); /* and not a whole number of entries */
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
    assert_true(info.has_fadt);
}

static void finds_the_rsdp_in_the_ebda(void **state)
{
    (void)state;
    memcpy(&mem[0x9fc20], &mem[RSDP], 36);
    put(0x40e, 0x9fc0, 2);
    assert_int_equal(acpi_find_rsdp(map), 0x9fc20);
    mem[0x9fc28] ^= 1; /* a wrong checksum: the other one is found */
    assert_int_equal(acpi_find_rsdp(map), RSDP);
    memcpy(&mem[0xffff0], "RSD PTR ", 8); /* cut by the end of the area */
    mem[RSDP] = 0;
    assert_int_equal(acpi_find_rsdp(map), 0);
    put(0x40e, 0xffff, 2);
    assert_int_equal(acpi_find_rsdp(map), 0);
    assert_int_equal(acpi_read(map, 0, &info, &why), -1);
}

static void merges_and_filters_cpus(void **state)
{
    (void)state;
    add_lapic(1, 0);          /* twice: stays enabled */
    add_lapic(7, 2);          /* online capable: not enabled */
    add_x2apic(7, 1);         /* the same CPU again, enabled */
    add_x2apic(0x1234, 1);
    add_x2apic(0x99, 0);
    add_lapic(0xff, 0);       /* fillers */
    add_x2apic(0xffffffff, 1);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 5);
    assert_true(info.cpu[1].apic_id == 1 && info.cpu[1].enabled);
    assert_true(info.cpu[2].apic_id == 7 && info.cpu[2].enabled);
    assert_true(info.cpu[3].apic_id == 0x1234 && info.cpu[3].enabled);
    assert_true(info.cpu[4].apic_id == 0x99 && !info.cpu[4].enabled);
}

static void takes_as_many_as_there_is_room_for(void **state)
{
    (void)state;
    for (uint32_t i = 2; i < ACPI_CPU_MAX; i++) {
        add_x2apic(i, 1);
    }
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, ACPI_CPU_MAX);
    add_x2apic(5000, 1);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, ACPI_CPU_MAX);
}

/* Hundreds of sockets and threads that aren't there take no room from those that are. */
static void empty_slots_take_no_room(void **state)
{
    unsigned enabled = 0;

    (void)state;
    for (uint32_t i = 0; i < 700; i++) {
        add_x2apic(300 + i, 0);
    }
    add_x2apic(2000, 1);
    add_lapic(9, 1);
    add_x2apic(950, 1); /* one of the slots that found no room */
    assert_int_equal(read_all(), 0);
    for (unsigned i = 0; i < info.cpu_count; i++) {
        enabled += info.cpu[i].enabled;
    }
    assert_int_equal(enabled, 5);
    assert_true(info.cpu[0].apic_id == 0 && info.cpu[1].apic_id == 1); /* in their order */
    assert_true(info.cpu[info.cpu_count - 1].apic_id == 950);
    setup(NULL);
    for (unsigned i = 0; i < 510; i++) {
        add_x2apic(0xffffffff, 0);
    }
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
}

/* Less than an entry's head, or zeros up to the end: no entry, hence no CPU. */
static void a_madt_may_have_a_tail(void **state)
{
    (void)state;
    for (unsigned tail = 1; tail < 20; tail++) {
        seal(MADT, madt_length + tail);
        assert_int_equal(read_all(), 0);
        assert_int_equal(info.cpu_count, 2);
        assert_int_equal(info.warnings, BIT(ACPI_WARN_MADT_TAIL));
    }
    mem[MADT + madt_length + 12] = 9; /* behind zeros there is something: a CPU perhaps */
    seal(MADT, madt_length + 20);
    assert_refused();
    setup(NULL);
    mem[MADT + madt_length] = 0x55;
    seal(MADT, madt_length + 1);
    assert_int_equal(read_all(), 0);
}

static void obeys_the_lapic_override(void **state)
{
    uint64_t at = MADT + madt_length;

    (void)state;
    put(at, 0x0c05, 2);
    put(at + 4, 0x1fee00000, 8);
    madt_length += 12;
    seal(MADT, madt_length);
    assert_int_equal(read_all(), 0);
    assert_true(info.lapic_base == 0x1fee00000);
    put(at + 4, 0, 8);
    seal(MADT, madt_length);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.lapic_base, 0xfee00000);
}

static void refuses_a_madt_it_cannot_read_to_the_end(void **state)
{
    (void)state;
    mem[MADT + 44 + 8 + 1] = 0; /* entry of no length: would loop for ever */
    seal(MADT, madt_length);
    assert_refused();
    mem[MADT + 44 + 8 + 1] = 1;
    seal(MADT, madt_length);
    assert_refused();
    mem[MADT + 44 + 8 + 1] = 9; /* reaches behind the table */
    seal(MADT, madt_length);
    assert_refused();
    mem[MADT + 44 + 8 + 1] = 7; /* too short for its type; one byte is left over */
    seal(MADT, madt_length);
    assert_refused();
    setup(NULL);
    put(MADT + 44 + 8, 0x007f, 2); /* the same in entries of a type we don't know */
    seal(MADT, madt_length);
    assert_refused();
    put(MADT + 44 + 8, 0x017f, 2);
    seal(MADT, madt_length);
    assert_refused();
    setup(NULL);
    put(MADT + 4, MEM_SIZE, 4); /* behind memory's end */
    assert_refused();
    seal(MADT, 43);
    assert_refused();
    setup(NULL);
    mem[MADT] = 'X'; /* none */
    assert_refused();
}

static void takes_the_extended_pm1_fields(void **state)
{
    (void)state;
    put(FADT + 172, 1, 1);
    put(FADT + 172 + 4, 0x1804, 8);
    put(FADT + 184, 0, 1); /* memory: keep the old field */
    put(FADT + 184 + 4, 0xfed00000, 8);
    put(FADT + 68, 0x904, 4);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.pm1a_cnt, 0x1804);
    assert_int_equal(info.pm1b_cnt, 0x904);
    seal(FADT, 183); /* X_PM1a cut by one byte: keep the old field */
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.pm1a_cnt, 0x604);
    put(FADT + 64, 0x12345, 4); /* no port */
    seal(FADT, 183);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.pm1a_cnt, 0);
}

static void takes_the_reset_register_only_if_supported(void **state)
{
    (void)state;
    seal(FADT, 128); /* the value is cut off */
    assert_int_equal(read_all(), 0);
    assert_false(info.has_reset_reg);
    seal(FADT, 129);
    assert_int_equal(read_all(), 0);
    assert_true(info.has_reset_reg);
    put(FADT + 112, 0, 4);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_false(info.has_reset_reg);
    setup(NULL);
    seal(FADT, 115);
    assert_refused();
}

static void survives_bad_addresses_and_lengths(void **state)
{
    (void)state;
    put(XSDT + 36, 0xffffffffffffff00, 8);
    put(XSDT + 44, MEM_SIZE - 8, 8);
    seal(XSDT, 60);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 2);
    put(XSDT + 4, 0xffffffff, 4);
    put(RSDT + 4, 35, 4);
    assert_refused();
    setup(NULL);
    put(RSDP + 20, 0x7fffffff, 4); /* nobody needs it */
    seal_rsdp();
    assert_int_equal(read_all(), 0);
}

/* Any byte of any table changed, checksums right or wrong: an answer, no fault. */
static void survives_random_damage(void **state)
{
    static const uint64_t tables[] = { RSDP, RSDT, XSDT, MADT, FADT };
    uint64_t seed = 51;
    unsigned refused = 0;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        uint64_t at = tables[unit_below(&seed, 5)];
        uint8_t *byte = &mem[at + unit_below(&seed, 64)];
        uint8_t old = *byte, old_sum = mem[at + 9];

        *byte = (uint8_t)unit_random(&seed);
        if (at != RSDP && map(at, *(uint16_t *)&mem[at + 4])) {
            checksum(at, *(uint16_t *)&mem[at + 4], at + 9);
        }
        refused += read_all() != 0;
        assert_true(info.cpu_count <= ACPI_CPU_MAX);
        *byte = old;
        mem[at + 9] = old_sum;
    }
    assert_true(refused > 100 && refused < 2900);
}

/* --- RAM to be plugged in -------------------------------------------------------------- */

enum { SRAT = 0x160000 };
static uint32_t srat_length;

static void add_memory(uint64_t start, uint64_t size, uint32_t flags)
{
    uint64_t at = SRAT + srat_length;

    put(at, 0x2801, 2);
    put(at + 8, start, 8);
    put(at + 16, size, 8);
    put(at + 28, flags, 4);
    srat_length += 40;
    seal(SRAT, srat_length);
}

static void finds_where_ram_may_be_plugged_in(void **state)
{
    (void)state;
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.hotplug_count, 0);
    memcpy(&mem[SRAT], "SRAT", 4);
    srat_length = 48;
    put(XSDT + 36, SRAT, 8);
    seal(XSDT, 60);
    put(SRAT + srat_length, 0x1000, 2); /* a CPU, which isn't our business */
    srat_length += 16;
    add_memory(0, 0xa0000, 1);
    add_memory(MIB(1), GIB(3), 1);
    add_memory(GIB(4), GIB(1), 3);
    add_memory(GIB(5), GIB(2), 7); /* a neighbour, non-volatile */
    add_memory(GIB(20), GIB(1), 2); /* not enabled */
    add_memory(GIB(30), 0, 3);
    add_memory(UINT64_MAX - GIB(1), GIB(2), 3); /* wraps */
    add_memory(GIB(64), GIB(64), 3);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.warnings, 0);
    assert_int_equal(info.hotplug_count, 2);
    assert_true(info.hotplug[0].start == GIB(4) && info.hotplug[0].end == GIB(7));
    assert_true(info.hotplug[1].start == GIB(64) && info.hotplug[1].end == GIB(128));
    seal(SRAT, srat_length - 1); /* its last entry is cut */
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.hotplug_count, 1);
    assert_int_equal(info.warnings, BIT(ACPI_WARN_SRAT_CUT));
    for (unsigned i = 0; i < 40; i++) {
        add_memory(GIB(200 + 2 * i), GIB(1), 3);
    }
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.hotplug_count, ACPI_HOTPLUG_MAX);
    assert_int_equal(info.warnings, BIT(ACPI_WARN_SRAT_CUT));
}

/* An HPET's registers: in memory, by a whole table; else there is none. */
static void finds_the_hpet(void **state)
{
    enum { HPET = 0x160000 };

    (void)state;
    assert_int_equal(read_all(), 0);
    assert_true(info.hpet == 0);
    memcpy(&mem[HPET], "HPET", 4);
    put(HPET + 44, 0xfed00000, 8);
    put(XSDT + 36, HPET, 8);
    seal(XSDT, 60);
    seal(HPET, 56);
    assert_int_equal(read_all(), 0);
    assert_true(info.hpet == 0xfed00000);
    assert_int_equal(info.warnings, 0);
    mem[HPET + 40] = 1; /* ports */
    seal(HPET, 56);
    assert_int_equal(read_all(), 0);
    assert_true(info.hpet == 0);
    mem[HPET + 40] = 0; /* and a wrong sum */
    assert_int_equal(read_all(), 0);
    assert_true(info.hpet == 0);
    seal(HPET, 55);
    assert_int_equal(read_all(), 0);
    assert_true(info.hpet == 0);
}

/* A log of one event at 180000h, told by that table. */
static void put_log(const char *table, size_t length, size_t field)
{
    enum { TABLE = 0x160000, LOG = 0x180000 };

    memset(&mem[TABLE], 0, 0x100);
    memset(&mem[LOG], 0, 0x100);
    memcpy(&mem[TABLE], table, 4);
    put(TABLE + field, 0x10000, 4);
    put(TABLE + field + 4, LOG, 8);
    put(XSDT + 36, TABLE, 8);
    seal(XSDT, 60);
    seal(TABLE, length);
    put(LOG + 4, 3, 4); /* EV_NO_ACTION */
    put(LOG + 28, 16, 4);
    memcpy(&mem[LOG + 32], "Spec ID Event03", 16);
}

static void assert_log(uint32_t format)
{
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.log.format, format);
    assert_int_equal(info.log.base, format == BOOT_LOG_NONE ? 0 : 0x180000);
    assert_int_equal(info.log.size, format == BOOT_LOG_NONE ? 0 : 0x10000);
    assert_int_equal(info.log.final_base, 0);
}

/* The firmware's event log, by either table, in either form; without a whole table there is
 * none. */
static void finds_the_event_log(void **state)
{
    static const struct { const char *table; size_t length, field; } rows[] = {
        { "TPM2", 76, 64 }, { "TCPA", 50, 38 },
    };

    (void)state;
    assert_log(BOOT_LOG_NONE);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put_log(rows[i].table, rows[i].length, rows[i].field);
        assert_log(BOOT_LOG_AGILE);
        mem[0x180000 + 46] = '2'; /* "Spec ID Event02" */
        assert_log(BOOT_LOG_SHA1);
        mem[0x180000 + 46] = '3';
        mem[0x180000 + 4] = 8; /* another kind of event, whose data is anything */
        assert_log(BOOT_LOG_SHA1);
        seal(0x160000, rows[i].length - 1); /* as TPM2 was before it told of a log */
        assert_log(BOOT_LOG_NONE);
        put_log(rows[i].table, rows[i].length, rows[i].field);
        mem[0x160000 + 9]++; /* its sum */
        assert_log(BOOT_LOG_NONE);
        for (unsigned bad = 0; bad < 4; bad++) {
            put_log(rows[i].table, rows[i].length, rows[i].field);
            put(0x160000 + rows[i].field + (bad < 3 ? 4 : 0),
                bad == 0 ? 0 : bad == 1 ? UINT64_MAX - 100 : bad == 2 ? MEM_SIZE - 10u : 47,
                bad < 3 ? 8 : 4); /* nowhere, wraps, no memory there, shorter than an event */
            seal(0x160000, rows[i].length);
            assert_log(BOOT_LOG_NONE);
        }
    }
    put_log("TCPA", 50, 38);
    mem[0x160000 + 36] = 1; /* a server's, which has other fields */
    seal(0x160000, 50);
    assert_log(BOOT_LOG_NONE);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

/* A definition block at `at` with \_S5_ of that type, and a checksum that is wrong. */
static void put_aml(uint64_t at, const char *signature, uint8_t type, size_t length)
{
    const uint8_t aml[] = { 0x08, '\\', '_', 'S', '5', '_', 0x12, 0x05, 0x02, 0x0a, type, 0x00 };

    memset(&mem[at], 0xa3, length); /* Noop */
    memcpy(&mem[at], signature, 4);
    put(at + 4, length, 4);
    memcpy(&mem[at + length - sizeof(aml)], aml, sizeof(aml));
    mem[at + 9] = 0;
}

static unsigned off_types(void)
{
    assert_int_equal(read_all(), 0);
    return info.sleep.a[5];
}

/* The DSDT by either field of the FADT, of any size, and all SSDTs; no checksum is asked for. */
static void reads_the_sleep_types(void **state)
{
    (void)state;
    assert_int_equal(off_types(), 0);
    put_aml(0x130000, "DSDT", 7, 0x300);
    put(FADT + 40, 0x130000, 4);
    seal(FADT, 244);
    assert_int_equal(off_types(), 1u << 7);
    put_aml(0x131000, "DSDT", 5, 0x300);
    put(FADT + 140, 0x131000, 8);
    seal(FADT, 244);
    assert_int_equal(off_types(), 1u << 5);
    put_aml(OTHER, "SSDT", 6, 0x100);
    assert_int_equal(off_types(), 1u << 5 | 1u << 6);
    put(OTHER + 4, 0x1fffff, 4); /* its end is no memory */
    assert_int_equal(off_types(), 1u << 5);
    mem[0x131000] = 'X';
    assert_int_equal(off_types(), 0);
    seal(FADT, 140); /* an ACPI 1.0 FADT has one field only */
    assert_int_equal(off_types(), 1u << 7);
    put_aml(0x111000, "DSDT", 3, 0x2e000);
    put(FADT + 40, 0x111000, 4);
    seal(FADT, 140);
    assert_int_equal(off_types(), 1u << 3);
}

static void finds_the_facs(void **state)
{
    (void)state;
    put(FADT + 36, 0x7fe0000, 4);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_true(info.facs[0] == 0x7fe0000 && info.facs[1] == 0);
    put(FADT + 132, 0x7fe0000, 8);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_true(info.facs[0] == 0x7fe0000 && info.facs[1] == 0); /* one and the same */
    put(FADT + 132, 0x17fe0000, 8);
    seal(FADT, 244);
    assert_int_equal(read_all(), 0);
    assert_true(info.facs[0] == 0x7fe0000 && info.facs[1] == 0x17fe0000);
    seal(FADT, 139);
    assert_int_equal(read_all(), 0);
    assert_true(info.facs[0] == 0x7fe0000 && info.facs[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_acpi_2),
        TEST(reads_the_sleep_types),
        TEST(finds_the_facs),
        TEST(reads_acpi_1),
        TEST(falls_back_to_the_rsdt),
        TEST(the_lists_may_differ),
        TEST(wrong_checksums_only_warn),
        TEST(a_whole_rsdp_goes_first),
        TEST(large_and_unaligned_tables),
        TEST(long_lists),
        TEST(finds_the_rsdp_in_the_ebda),
        TEST(merges_and_filters_cpus),
        TEST(takes_as_many_as_there_is_room_for),
        TEST(empty_slots_take_no_room),
        TEST(a_madt_may_have_a_tail),
        TEST(obeys_the_lapic_override),
        TEST(refuses_a_madt_it_cannot_read_to_the_end),
        TEST(takes_the_extended_pm1_fields),
        TEST(takes_the_reset_register_only_if_supported),
        TEST(survives_bad_addresses_and_lengths),
        TEST(finds_the_hpet),
        TEST(finds_the_event_log),
        TEST(finds_where_ram_may_be_plugged_in),
        TEST(survives_random_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
