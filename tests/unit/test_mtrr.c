/* SPDX-License-Identifier: MIT */
/* Memory types: recorded machines and random MTRRs against a byte-by-byte model, and reading the
 * registers themselves. */
#include "unit.h"
#include "vectors.h"


#include <mm/mtrr.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#include "fake/machine.h"

/* What the SDM says, without cleverness (vol. 3, 12.11.4.1). */
static enum mem_type model(const struct mtrr *m, uint64_t addr)
{
    bool seen[8] = { false };
    unsigned kinds = 0, last = 0;

    if (!m->enabled) {
        return MT_UC;
    }
    if (m->fixed_enabled && addr < 0x100000) {
        unsigned i = addr < 0x80000 ? (unsigned)(addr / 0x10000)
            : addr < 0xc0000 ? 8 + (unsigned)((addr - 0x80000) / 0x4000)
            : 24 + (unsigned)((addr - 0xc0000) / 0x1000);
        return (enum mem_type)m->fixed[i];
    }
    for (unsigned i = 0; i < m->var_count; i++) {
        if ((addr & m->var[i].mask) == (m->var[i].base & m->var[i].mask)) {
            seen[m->var[i].type] = true;
        }
    }
    for (unsigned t = 0; t < 8; t++) {
        kinds += seen[t];
        last = seen[t] ? t : last;
    }
    if (kinds == 0) {
        return (enum mem_type)m->default_type;
    }
    if (kinds == 1) {
        return (enum mem_type)last;
    }
    return kinds == 2 && seen[MT_WT] && seen[MT_WB] ? MT_WT : MT_UC;
}

static uint8_t type_of(const char *name)
{
    static const struct { const char *name; uint8_t type; } names[] = {
        { "write-back", MT_WB }, { "uncachable", MT_UC }, { "write-protect", MT_WP },
        { "write-combining", MT_WC }, { "write-through", MT_WT },
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i].name) == 0) {
            return names[i].type;
        }
    }
    fail_msg("no memory type %s", name);
    return 0;
}

static void add_var(struct mtrr *m, uint64_t base, uint64_t mask, uint8_t type)
{
    assert_true(m->var_count < MTRR_VAR_MAX);
    m->var[m->var_count].base = base;
    m->var[m->var_count].mask = mask & ~0xfffull;
    m->var[m->var_count++].type = type;
}

static void add_fixed(struct mtrr *m, uint64_t start, uint64_t end, uint8_t type)
{
    m->fixed_enabled = true;
    for (uint64_t a = start; a <= end && a < 0x100000; a += 0x1000) {
        m->fixed[a < 0x80000 ? a / 0x10000 : a < 0xc0000 ? 8 + (a - 0x80000) / 0x4000
                             : 24 + (a - 0xc0000) / 0x1000] = type;
    }
}

/* True if the file has variable ranges. */
static bool load(struct mtrr *m, const char *path)
{
    char line[512], name[64];
    FILE *f = fopen(path, "r");

    *m = (struct mtrr){ .enabled = true };
    while (f && fgets(line, sizeof(line), f)) {
        unsigned long long a, b;
        unsigned n;

        if (sscanf(line, "mtrr default %63s", name) == 1) {
            m->default_type = type_of(name);
        } else if (sscanf(line, "mtrr deftype %llx", &a) == 1) {
            m->default_type = (uint8_t)a;
        } else if (sscanf(line, "mtrr fixed %llx %llx %63s", &a, &b, name) == 3) {
            add_fixed(m, a, b, type_of(name));
        } else if (sscanf(line, "mtrr var %u %llx %llx %63s", &n, &a, &b, name) == 4) {
            add_var(m, a, b, type_of(name));
        } else if (sscanf(line, "mtrr range %llx %llx %63s", &a, &b, name) == 3) {
            assert_int_equal((b + 1 - a) & (b - a), 0); /* a power of two */
            add_var(m, a, 0xffffffffffull & ~(b - a), type_of(name));
        }
    }
    if (f) {
        fclose(f);
    }
    return m->var_count != 0;
}

/* Blocks of every size, at random places and around each boundary. */
static void compare(const struct mtrr *m, uint64_t *random)
{
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t size = 0x1000ull << unit_below(random, 19);
        uint64_t at = unit_below(random, 0x4000000000ull);
        enum mem_type type;

        if (i % 2 && m->var_count) {
            at = m->var[i % m->var_count].base + (i % 4 ? 0 : size * (i % 7)) - (i % 3 ? 0 : size);
        }
        at &= 0x3fffffffffull & ~(size - 1);
        bool uniform = mtrr_uniform(m, at, size, &type);
        assert_true(uniform || size > 0x1000);
        for (unsigned j = 0; uniform && j < 20; j++) {
            uint64_t a = at + (j == 0 ? 0 : j == 1 ? size - 1 : unit_below(random, size));
            assert_int_equal(type, model(m, a));
        }
        assert_int_equal(mtrr_type(m, at), model(m, at));
    }
}

static void recorded_machines(void **state)
{
    static const char *const dirs[] = { "e820", "mtrr" };
    uint64_t random = 3;
    unsigned count = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        struct vectors files = vectors_of(dirs[i]);

        while (vectors_next(&files)) {
            struct mtrr m;

            if (load(&m, files.path)) {
                compare(&m, &random);
                count++;
            }
        }
    }
    assert_true(count >= 12);
}

/* The laptop whose VRAM at C0000000 is covered by no range: the default type is UC. */
static void hp_2540p(void **state)
{
    char path[512];
    struct mtrr m;
    enum mem_type type;

    (void)state;
    assert_true(load(&m, unit_source(path, sizeof(path), "tests/vectors/mtrr/notes-hp-2540p.txt")));
    assert_int_equal(mtrr_type(&m, 0xc0000000), MT_UC);
    assert_int_equal(mtrr_type(&m, 0xbbffffff), MT_WB);
    assert_int_equal(mtrr_type(&m, 0xbc000000), MT_UC); /* UC inside WB */
    assert_int_equal(mtrr_type(&m, 0x138000000), MT_UC);
    assert_int_equal(mtrr_type(&m, 0xb8000), MT_UC);
    assert_int_equal(mtrr_type(&m, 0xc8000), MT_WP);
    assert_true(mtrr_uniform(&m, 0x40000000, 0x40000000, &type));
    assert_int_equal(type, MT_WB);
    assert_false(mtrr_uniform(&m, 0x80000000, 0x40000000, &type));
}

/* Masks with holes, any overlap, any type. */
static void random_registers(void **state)
{
    static const uint8_t types[] = { MT_UC, MT_WC, MT_WT, MT_WP, MT_WB };
    uint64_t random = 17;

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct mtrr m = { .enabled = round % 20 != 0, .default_type = types[round % 5] };

        for (unsigned i = 0; i < round % 9; i++) {
            uint64_t mask = 0x3fffffffffull << (12 + unit_below(&random, 20));
            if (unit_below(&random, 3) == 0) {
                mask &= ~(1ull << (12 + unit_below(&random, 26)));
            }
            add_var(&m, unit_below(&random, 0x4000000000ull) & ~0xfffull,
                    mask & 0x3fffffffffull, types[unit_below(&random, 5)]);
        }
        compare(&m, &random);
    }
}

static void registers_of_a_machine(void **state)
{
    struct mtrr m;

    (void)state;
    machine_reset(0);
    mtrr_read(&m);
    assert_int_equal(mtrr_type(&m, 0), MT_WB); /* no MTRRs at all */
    machine_set_cpuid(0, 0, (struct cpuid_regs){ 1, 0, 0, 0 });
    machine_set_cpuid(1, 0, (struct cpuid_regs){ 0, 0, 0, CPUID_1_EDX_MTRR });
    machine_set_msr(MSR_IA32_MTRRCAP, 0x508 - 6); /* 2 variable pairs, fixed ones */
    machine_set_msr(MSR_IA32_MTRR_DEF_TYPE, 0xc00);
    for (uint32_t i = 0; i < 11; i++) {
        static const uint32_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c,
                                          0x26d, 0x26e, 0x26f };
        machine_set_msr(fixed[i], i == 2 ? 0 : 0x0606060606060606);
    }
    machine_set_msr(0x200, 6);
    machine_set_msr(0x201, 0xf80000000 | 1 << 11);
    machine_set_msr(0x202, 0x40000001);
    machine_set_msr(0x203, 0xfffffe000); /* not valid */
    machine.no_faults = true;
    mtrr_read(&m);
    assert_int_equal(m.var_count, 1);
    assert_int_equal(mtrr_type(&m, 0x1000), MT_WB);
    assert_int_equal(mtrr_type(&m, 0xa0000), MT_UC);
    assert_int_equal(mtrr_type(&m, 0x40000000), MT_WB);
    assert_int_equal(mtrr_type(&m, 0x80000000), MT_UC);
    machine_set_msr(MSR_IA32_MTRR_DEF_TYPE, 0x406); /* E = 0: all is UC */
    mtrr_read(&m);
    assert_int_equal(mtrr_type(&m, 0x1000), MT_UC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_machines),
        cmocka_unit_test(hp_2540p),
        cmocka_unit_test(random_registers),
        cmocka_unit_test(registers_of_a_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
