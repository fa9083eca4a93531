/* SPDX-License-Identifier: MIT */
/* lib/util/e820.c against a model with one type per unit of a tiny address space, and
 * over the memory maps of real machines. */
#include "unit.h"
#include "vectors.h"

#include <util/e820.h>

#define UNITS 48 /* of the tiny address space */

/* The type of each unit, 0 if none. */
struct model { uint32_t type[UNITS]; };

static unsigned strength(uint32_t type)
{
    return type == 0 ? 0 : type == BOOT_MEM_USABLE ? 1
        : type == BOOT_MEM_FIRMWARE_RAM ? 2 : type + 2;
}

static void model_of(struct model *m, const struct boot_mem *map, unsigned count)
{
    memset(m, 0, sizeof(*m));
    for (unsigned i = 0; i < count; i++) {
        for (uint64_t u = map[i].start; u < map[i].start + map[i].size && u < UNITS; u++) {
            if (strength(map[i].type) > strength(m->type[u])) {
                m->type[u] = map[i].type;
            }
        }
    }
}

static unsigned random_map(struct boot_mem *map, unsigned max, uint64_t *seed)
{
    unsigned n = (unsigned)unit_below(seed, max + 1);

    for (unsigned i = 0; i < n; i++) {
        map[i].start = unit_below(seed, UNITS);
        map[i].size = unit_below(seed, (UNITS - map[i].start) / 2 + 1); /* 0, too */
        map[i].type = 1 + (uint32_t)(unit_below(seed, 2) != 0 ? 0 : unit_below(seed, 5));
        if (unit_below(seed, 8) == 0) {
            map[i].type = BOOT_MEM_FIRMWARE_RAM;
        }
        map[i].reserved = 0;
    }
    return n;
}

static void assert_clean(const struct boot_mem *map, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(map[i].size != 0);
        assert_true(map[i].start + map[i].size > map[i].start);
        if (i > 0) {
            uint64_t end = map[i - 1].start + map[i - 1].size;

            assert_true(end <= map[i].start);
            assert_false(end == map[i].start && map[i - 1].type == map[i].type);
        }
    }
}

static void sanitizes_like_the_model(void **state)
{
    uint64_t seed = 11;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct boot_mem map[64];
        struct model before, after;
        unsigned n = random_map(map, 12, &seed);
        int m;

        model_of(&before, map, n);
        m = e820_sanitize(map, n, 64);
        assert_true(m >= 0);
        assert_clean(map, (unsigned)m);
        model_of(&after, map, (unsigned)m);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

static void reserves_like_the_model(void **state)
{
    uint64_t seed = 12;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct boot_mem map[64];
        struct model before, after;
        unsigned n = random_map(map, 12, &seed);
        uint64_t start = unit_below(&seed, UNITS);
        uint64_t size = unit_below(&seed, UNITS - start + 1);
        int m;

        model_of(&before, map, n);
        for (uint64_t u = start; u < start + size; u++) {
            before.type[u] = BOOT_MEM_RESERVED;
        }
        m = e820_reserve(map, n, 64, start, size);
        assert_true(m >= 0);
        assert_clean(map, (unsigned)m);
        model_of(&after, map, (unsigned)m);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

static bool model_fits(const struct model *m, uint64_t at, uint64_t size, uint64_t limit,
                       const struct boot_mem *avoid, unsigned avoid_count)
{
    if (at + size > limit) {
        return false;
    }
    for (uint64_t u = at; u < at + size; u++) {
        if (u >= UNITS || m->type[u] != BOOT_MEM_USABLE) {
            return false;
        }
        for (unsigned i = 0; i < avoid_count; i++) {
            if (u >= avoid[i].start && u < avoid[i].start + avoid[i].size) {
                return false;
            }
        }
    }
    return true;
}

static void finds_places_like_the_model(void **state)
{
    uint64_t seed = 13;
    unsigned found = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct boot_mem map[64], avoid[4];
        unsigned n = random_map(map, 8, &seed);
        unsigned avoid_count = random_map(avoid, 4, &seed);
        uint64_t size = 1 + unit_below(&seed, 8), align = 1ULL << unit_below(&seed, 4);
        uint64_t floor = unit_below(&seed, UNITS / 2), limit = unit_below(&seed, UNITS + 4);
        uint64_t low = UINT64_MAX, high = UINT64_MAX, at;
        struct model m;

        n = (unsigned)e820_sanitize(map, n, 64);
        model_of(&m, map, n);
        for (uint64_t u = align_up(floor, align); u < UNITS; u += align) {
            if (model_fits(&m, u, size, limit, avoid, avoid_count)) {
                low = low == UINT64_MAX ? u : low;
                high = u;
            }
        }
        assert_int_equal(e820_find_low(map, n, size, align, floor, limit, avoid, avoid_count,
                                       &at), low != UINT64_MAX);
        assert_true(low == UINT64_MAX || at == low);
        assert_int_equal(e820_find_high(map, n, size, align, floor, limit, avoid, avoid_count,
                                        &at), high != UINT64_MAX);
        assert_true(high == UINT64_MAX || at == high);
        found += high != UINT64_MAX;
        assert_int_equal(e820_is_usable(map, n, floor, size),
                         model_fits(&m, floor, size, UNITS, NULL, 0));
    }
    assert_true(found > 1000 && found < 19000); /* both outcomes were tried */
}

static void edges_of_the_address_space(void **state)
{
    struct boot_mem map[4] = {
        { .start = UINT64_MAX - 0xfff, .size = 0x1000, .type = 1 }, /* ends at 2^64: wraps */
        { .start = UINT64_MAX - 0x1fff, .size = 0x1000, .type = 1 },
        { .start = 0x1000, .size = UINT64_MAX, .type = 2 },         /* wraps */
        { .start = 0, .size = 0, .type = 1 },
    };
    struct boot_mem avoid = { .start = UINT64_MAX - 0x17ff, .size = UINT64_MAX };
    uint64_t at;

    (void)state;
    assert_int_equal(e820_sanitize(map, 4, 4), 1);
    assert_true(map[0].start == UINT64_MAX - 0x1fff && map[0].size == 0x1000);
    assert_true(e820_usable_end(map, 1) == UINT64_MAX - 0xfff);
    assert_false(e820_is_usable(map, 1, map[0].start, UINT64_MAX));
    assert_false(e820_is_usable(map, 1, map[0].start, 0));
    assert_false(e820_find_low(map, 1, 0x1000, 0x1000, 0, UINT64_MAX, &avoid, 1, &at));
    assert_true(e820_find_low(map, 1, 0x800, 0x800, 0, UINT64_MAX, &avoid, 1, &at));
    assert_false(e820_find_low(map, 1, 0x100, 0x100, UINT64_MAX, UINT64_MAX, NULL, 0, &at));
    assert_false(e820_find_high(map, 1, UINT64_MAX, 1, 0, UINT64_MAX, NULL, 0, &at));
    assert_false(e820_find_low(map, 1, 0, 1, 0, UINT64_MAX, NULL, 0, &at));
    assert_int_equal(e820_reserve(map, 1, 4, UINT64_MAX, 1), -1);
    assert_int_equal(e820_reserve(map, 1, 4, 2, UINT64_MAX), -1);
    assert_int_equal(e820_sanitize(map, 0, 4), 0);
}

static void refuses_more_than_fit_and_changes_nothing(void **state)
{
    struct boot_mem map[3] = {
        { .start = 0, .size = 100, .type = 1 }, { .start = 10, .size = 10, .type = 2 },
    };
    struct boot_mem old[3];

    (void)state;
    memcpy(old, map, sizeof(map));
    assert_int_equal(e820_sanitize(map, 2, 2), -1);
    assert_memory_equal(map, old, sizeof(map));
    assert_int_equal(e820_sanitize(map, 2, 3), 3);
    memcpy(old, map, sizeof(map));
    assert_int_equal(e820_reserve(map, 3, 3, 50, 10), -1);
    assert_memory_equal(map, old, sizeof(map));
}

/* Lines `e820 START END TYPE`: END inclusive, hexadecimal but for TYPE. */
static unsigned read_vector(const char *path, struct boot_mem *map)
{
    FILE *f = fopen(path, "r");
    char line[512];
    unsigned n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        unsigned long long start, end;
        unsigned type;

        if (sscanf(line, "e820 %llx %llx %u", &start, &end, &type) == 3) {
            assert_true(n < BOOT_MEM_MAX);
            map[n++] = (struct boot_mem){ .start = start, .size = end - start + 1,
                                          .type = type };
        }
    }
    fclose(f);
    return n;
}

static uint32_t type_of(const struct boot_mem *map, unsigned count, uint64_t pos)
{
    uint32_t type = 0;

    for (unsigned i = 0; i < count; i++) {
        if (pos >= map[i].start && pos - map[i].start < map[i].size
            && strength(map[i].type) > strength(type)) {
            type = map[i].type;
        }
    }
    return type;
}

/* The cleaned map says at every edge of the raw one what the raw one says there. */
static void check_vector(const char *path)
{
    struct boot_mem raw[BOOT_MEM_MAX], map[BOOT_MEM_MAX];
    unsigned n = read_vector(path, raw);
    uint64_t at;
    int m;

    assert_true(n > 0);
    memcpy(map, raw, sizeof(map));
    m = e820_sanitize(map, n, BOOT_MEM_MAX);
    assert_true(m > 0);
    assert_clean(map, (unsigned)m);
    for (unsigned i = 0; i < 2 * n; i++) {
        uint64_t edge = raw[i / 2].start + (i % 2 != 0 ? raw[i / 2].size : 0);

        assert_int_equal(type_of(map, (unsigned)m, edge), type_of(raw, n, edge));
        assert_int_equal(type_of(map, (unsigned)m, edge - 1), type_of(raw, n, edge - 1));
    }
    assert_int_equal(e820_sanitize(map, (unsigned)m, BOOT_MEM_MAX), m);
    if (!e820_find_high(map, (unsigned)m, MIB(8), MIB(2), MIB(1), GIB(4), NULL, 0, &at)) {
        fail_msg("%s: no room for 8 MiB", path);
    }
    assert_true(e820_is_usable(map, (unsigned)m, at, MIB(8)));
    m = e820_reserve(map, (unsigned)m, BOOT_MEM_MAX, at, MIB(8));
    assert_true(m > 0);
    assert_clean(map, (unsigned)m);
    assert_false(e820_is_usable(map, (unsigned)m, at, 1));
    assert_false(e820_is_usable(map, (unsigned)m, at + MIB(8) - 1, 1));
}

static void cleans_the_maps_of_real_machines(void **state)
{
    struct vectors files = vectors_of("e820");
    unsigned count = 0;

    (void)state;
    for (; vectors_next(&files); count++) {
        check_vector(files.path);
    }
    print_message("cleaned the maps of %u machines\n", count);
    assert_true(count >= 20);
}

static void sums_up(void **state)
{
    static const struct boot_mem map[] = {
        { .start = 0, .size = 0x9fc00, .type = 1 },
        { .start = 0x9fc00, .size = 0x400, .type = 2 },
        { .start = 0x100000, .size = 0x1000, .type = 1 },
        { .start = 0x200000, .size = 0x1000, .type = 3 },
    };

    (void)state;
    assert_int_equal(e820_usable_bytes(map, 4), 0x9fc00 + 0x1000);
    assert_int_equal(e820_usable_end(map, 4), 0x101000);
    assert_int_equal(e820_usable_end(map, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sanitizes_like_the_model),
        cmocka_unit_test(reserves_like_the_model),
        cmocka_unit_test(finds_places_like_the_model),
        cmocka_unit_test(edges_of_the_address_space),
        cmocka_unit_test(refuses_more_than_fit_and_changes_nothing),
        cmocka_unit_test(cleans_the_maps_of_real_machines),
        cmocka_unit_test(sums_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
