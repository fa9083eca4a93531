/* SPDX-License-Identifier: MIT */
/* What page tables hold that were some process's: by each format, level by level. */
#include "unit.h"

#include <guest/trace.h>
#include <x86/cpu.h>

#define RAM_PAGES 16

static uint8_t ram[RAM_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));

static void *map(gpa_t g, size_t len)
{
    assert_true((g.a & PAGE_MASK) + len <= PAGE_SIZE);
    return g.a < sizeof(ram) ? ram + g.a : NULL;
}

static const struct guest_phys_ops phys = { .map = map, .maxphyaddr = 40, .page1g = true };

#define URW (PTE_P | PTE_RW | PTE_US | PTE_A)

/* `va` is mapped by tables from page 1 on, to page 8; indexes from the top. */
struct kind {
    const char *name;
    struct guest_paging p;
    uint64_t va;
    unsigned levels, size, index[4];
    uint64_t leaf[4];          /* PS where a large page is possible */
};

static const struct kind kinds[] = {
    { "4 levels", { .cr0 = CR0_PE | CR0_PG, .cr3 = 0x1018, .cr4 = CR4_PAE, .cpl = 3,
                    .efer = EFER_LME | EFER_LMA | EFER_NXE, .mode = MODE_LONG64 },
      0x7f1234567abc, 4, 8, { 254, 72, 418, 359 }, { 0, PTE_PS, PTE_PS, 0 } },
    { "PAE", { .cr0 = CR0_PE | CR0_PG, .cr3 = 0x1020, .cr4 = CR4_PAE, .efer = EFER_NXE, .cpl = 3,
               .mode = MODE_PROT32 },
      0x80560abc, 3, 8, { 4 + 2, 2, 352 }, { 0, PTE_PS, 0 } },
    { "32-bit", { .cr0 = CR0_PE | CR0_PG, .cr3 = 0x1000, .cr4 = CR4_PSE, .cpl = 3,
                  .mode = MODE_PROT32 },
      0x80560abc, 2, 4, { 513, 352 }, { PTE_PS, 0 } },
};

static void put(const struct kind *k, unsigned level, uint64_t e)
{
    memcpy(ram + (1 + level) * PAGE_SIZE + k->index[level] * k->size, &e, k->size);
}

static void map_it(const struct kind *k)
{
    memset(ram, 0, sizeof(ram));
    for (unsigned i = 0; i < k->levels; i++) {
        uint64_t to = i + 1 < k->levels ? (i + 2) * PAGE_SIZE : 8 * PAGE_SIZE;
        put(k, i, k->levels == 3 && i == 0 ? to | PTE_P : to | URW);
    }
}

static struct trace trace(const struct kind *k)
{
    struct trace t;

    guest_trace(&phys, &k->p, gva(k->va), &t);
    for (unsigned i = t.depth; i < TRACE_LEVELS_MAX; i++) {
        assert_int_equal(t.entry[i], 0);
    }
    return t;
}

static void each_level(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(kinds); n++) {
        const struct kind *k = &kinds[n];
        map_it(k);
        assert_int_equal(trace(k).end, TRACE_PAGE);
        assert_int_equal(trace(k).depth, k->levels);
        for (unsigned i = 0; i < k->levels; i++) {
            static const uint64_t absent[] = { 0, 0x7fff00, 0x80000000 };
            for (unsigned a = 0; a < ARRAY_SIZE(absent); a++) {
                map_it(k);
                put(k, i, absent[a]);
                assert_int_equal(trace(k).end, TRACE_ABSENT);
                assert_int_equal(trace(k).depth, i + 1);
                assert_int_equal(trace(k).entry[i], absent[a]);
            }
            map_it(k); /* the next table, or the page, is no RAM */
            put(k, i, 0x40000000 | (k->levels == 3 && i == 0 ? PTE_P : URW));
            assert_int_equal(trace(k).end, i + 1 < k->levels ? TRACE_NOWHERE : TRACE_PAGE);
            assert_int_equal(trace(k).depth, i + 1);
            map_it(k);
            put(k, i, URW | PTE_PS | (i + 1 < k->levels ? (i + 2) * PAGE_SIZE : 0));
            assert_int_equal(trace(k).depth, k->leaf[i] ? i + 1 : k->levels);
        }
    }
}

static void no_top_table(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(kinds); n++) {
        struct kind k = kinds[n];
        k.p.cr3 = 0x40000000;
        assert_int_equal(trace(&k).end, TRACE_NOWHERE);
        assert_int_equal(trace(&k).depth, 0);
    }
}

/* The kernel's memory, of supervisors only. */
static void the_same_place(void **state)
{
    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(kinds); n++) {
        const struct kind *k = &kinds[n];
        const unsigned last = k->levels - 1;
        struct guest_paging other = k->p;
        map_it(k);
        put(k, last, 8 * PAGE_SIZE | PTE_P | PTE_A);
        assert_true(trace_same(&phys, &k->p, &k->p, gva(k->va)));
        other.cr3 += 9 * PAGE_SIZE; /* a copy of the top table */
        memcpy(ram + 10 * PAGE_SIZE, ram + PAGE_SIZE, PAGE_SIZE);
        assert_true(trace_same(&phys, &k->p, &other, gva(k->va)));
        memset(ram + 10 * PAGE_SIZE, 0x6e, PAGE_SIZE); /* a page of text */
        assert_false(trace_same(&phys, &k->p, &other, gva(k->va)));
        memset(ram + 10 * PAGE_SIZE, 0, PAGE_SIZE);
        assert_false(trace_same(&phys, &k->p, &other, gva(k->va)));
        put(k, last, 0);
        assert_false(trace_same(&phys, &k->p, &k->p, gva(k->va)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level), cmocka_unit_test(no_top_table),
        cmocka_unit_test(the_same_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
