/* SPDX-License-Identifier: MIT */
/* Guest page walks: known answers, every combination of rights against the reference,
 * random tables, and entries that other CPUs change meanwhile. */
#include "unit.h"

#include <pthread.h>

#include <guest/walk.h>
#include <x86/cpu.h>

#include "walk_ref.h"

/* Guest RAM: 64 pages at 0, of which page 63 is a hole, and any page from 1 GiB up to 1 TiB
 * (if the CPU has so many address bits), which all show the same scratch page. */
#define RAM_PAGES 64
#define HOLE      63

static uint8_t ram[RAM_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t scratch[PAGE_SIZE] __attribute__((aligned(4096)));
static void (*on_map)(uint64_t at, size_t len); /* another CPU, between read and exchange */
static struct guest_phys_ops phys;

static void *map(gpa_t g, size_t len)
{
    assert_true((g.a & PAGE_MASK) + len <= PAGE_SIZE);
    if (on_map) {
        on_map(g.a, len);
    }
    if (g.a < sizeof(ram)) {
        return g.a >> PAGE_SHIFT == HOLE ? NULL : ram + g.a;
    }
    return g.a >= GIB(1) && g.a < GIB(1024) && g.a >> phys.maxphyaddr == 0
         ? scratch + (g.a & PAGE_MASK) : NULL;
}

static void put64(uint64_t at, uint64_t e) { memcpy(ram + at, &e, 8); }
static void put32(uint64_t at, uint64_t e) { uint32_t v = (uint32_t)e; memcpy(ram + at, &v, 4); }
static uint64_t get64(uint64_t at) { uint64_t e; memcpy(&e, ram + at, 8); return e; }

static void clear(void)
{
    memset(ram, 0, sizeof(ram));
    memset(scratch, 0, sizeof(scratch));
    on_map = NULL;
    /* The short walk sees `ram` up to the hole without `map`; the full walk asks `map` always. */
    phys = (struct guest_phys_ops){
        .map = map, .maxphyaddr = 40, .page1g = true,
        .window = {{ 0, HOLE * PAGE_SIZE }}, .base = (uintptr_t)ram,
    };
}

/* Four levels: tables in pages 1 (PML4), 2, 3, 4. */
static struct guest_paging long_mode(void)
{
    return (struct guest_paging){
        .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000, .cr4 = CR4_PAE,
        .efer = EFER_LME | EFER_LMA | EFER_NXE, .mode = MODE_LONG64,
    };
}

#define URW (PTE_P | PTE_RW | PTE_US)
#define VA  0x00007f1234567abcULL
#define IDX(va, shift) (((va) >> (shift) & 0x1ff) * 8)

static void map_4k(uint64_t va, uint64_t page, uint64_t flags)
{
    put64(0x1000 + IDX(va, 39), 0x2000 | URW);
    put64(0x2000 + IDX(va, 30), 0x3000 | URW);
    put64(0x3000 + IDX(va, 21), 0x4000 | URW);
    put64(0x4000 + IDX(va, 12), page | flags);
}

/* --- known answers ----------------------------------------------------------------- */

static void four_level_4k(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    clear();
    map_4k(VA, 0x5000, URW | PTE_NX);
    p.cr3 |= 0x18 | BIT(63); /* PWT, PCD; a CR3 with the no-flush bit */
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_READ | ACCESS_USER, &w), WALK_OK);
    assert_true(w.gpa.a == 0x5abc && w.ptr == ram + 0x5abc && w.canonical);
    assert_int_equal(w.rights, ACCESS_READ | ACCESS_WRITE | ACCESS_USER);
    assert_true(get64(0x1000 + IDX(VA, 39)) == (0x2000 | URW | PTE_A));
    assert_true(get64(0x2000 + IDX(VA, 30)) == (0x3000 | URW | PTE_A));
    assert_true(get64(0x3000 + IDX(VA, 21)) == (0x4000 | URW | PTE_A));
    assert_true(get64(0x4000 + IDX(VA, 12)) == (0x5000 | URW | PTE_A | PTE_NX));
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE | ACCESS_USER, &w), WALK_OK);
    assert_true(get64(0x4000 + IDX(VA, 12)) == (0x5000 | URW | PTE_A | PTE_D | PTE_NX));
    assert_true(get64(0x3000 + IDX(VA, 21)) == (0x4000 | URW | PTE_A)); /* no D above */
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_EXEC | ACCESS_USER, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_USER | PF_FETCH);
    assert_int_equal(guest_walk(&phys, &p, gva(VA + 0x1000), ACCESS_WRITE | ACCESS_USER, &w),
                     WALK_FAULT);
    assert_int_equal(w.error, PF_WRITE | PF_USER);
}

/* Each level's offset comes from the va alone, whatever the sizes (bug class 106h). */
static void large_pages(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    clear();
    put64(0x1000 + IDX(VA, 39), 0x2000 | URW);
    put64(0x2000 + IDX(VA, 30), 0x40000000 | URW | PTE_PS | PTE_PAT_LARGE | PTE_G);
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE, &w), WALK_OK);
    assert_true(w.gpa.a == 0x40000000 + (VA & 0x3fffffff));
    assert_true(get64(0x2000 + IDX(VA, 30)) & PTE_D);

    put64(0x2000 + IDX(VA, 30), 0x3000 | URW);
    put64(0x3000 + IDX(VA, 21), 0x40200000 | URW | PTE_PS | PTE_PAT_LARGE);
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_READ, &w), WALK_OK);
    assert_true(w.gpa.a == 0x40200000 + (VA & 0x1fffff));
    assert_false(get64(0x3000 + IDX(VA, 21)) & PTE_D);

    /* a 1G page's address bits below 1G, and pages without 1G support */
    put64(0x2000 + IDX(VA, 30), 0x40000000 | URW | PTE_PS | BIT(13));
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_READ, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_RSVD);
    put64(0x2000 + IDX(VA, 30), 0x40000000 | URW | PTE_PS);
    phys.page1g = false;
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_READ, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_RSVD);
}

static void non_canonical(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    clear();
    put64(0x1000 + IDX(0x0000800000000000ULL, 39), 0x2000 | URW);
    put64(0x2000, 0x3000 | URW);
    put64(0x3000, 0x4000 | URW);
    put64(0x4000, 0x5000 | URW);
    assert_int_equal(guest_walk(&phys, &p, gva(0xffff800000000000ULL), ACCESS_READ, &w), WALK_OK);
    assert_int_equal(guest_walk(&phys, &p, gva(0x0000800000000000ULL), ACCESS_READ, &w),
                     WALK_FAULT);
    assert_false(w.canonical);
    assert_int_equal(guest_walk(&phys, &p, gva(0xffff7fffffffffffULL), ACCESS_READ, &w),
                     WALK_FAULT);
    assert_false(w.canonical);
    assert_int_equal(guest_walk(&phys, &p, gva(1ULL << 63), ACCESS_READ, &w), WALK_FAULT);
    assert_false(w.canonical);
}

static void five_level(void **state)
{
    struct guest_paging p = long_mode();
    uint64_t va = 0x00ff800000001123ULL;
    struct walk w;

    (void)state;
    clear();
    p.cr4 |= CR4_LA57;
    p.cr3 = 0x6000;
    put64(0x6000 + IDX(va, 48), 0x1000 | URW);
    map_4k(va, 0x5000, URW);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_OK);
    assert_true(w.gpa.a == 0x5123);
    assert_true(get64(0x6000 + IDX(va, 48)) & PTE_A);
    assert_int_equal(guest_walk(&phys, &p, gva(0x0100000000000000ULL), ACCESS_READ, &w),
                     WALK_FAULT);
    assert_false(w.canonical);
    put64(0x6000 + IDX(va, 48), 0x1000 | URW | PTE_PS);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_RSVD);
}

static void pae(void **state)
{
    struct guest_paging p = long_mode();
    uint64_t va = 0xc0403abc;
    struct walk w;

    (void)state;
    clear();
    p.efer = EFER_NXE;
    p.cr3 = 0x1fe0; /* 32-byte aligned, not page aligned */
    put64(0x1fe0 + 3 * 8, 0x2000 | PTE_P | PTE_PWT);
    put64(0x2000 + IDX(va, 21), 0x3000 | URW);
    put64(0x3000 + IDX(va, 12), 0x7fc0001000ULL | URW);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_WRITE | ACCESS_USER, &w), WALK_OK);
    assert_true(w.gpa.a == 0x7fc0001abcULL); /* above 4 GiB */
    assert_true(get64(0x1fe0 + 3 * 8) == (0x2000 | PTE_P | PTE_PWT)); /* no A bit there */
    assert_int_equal(guest_walk(&phys, &p, gva(BIT(32) + va), ACCESS_READ, &w), WALK_FAULT);
    assert_false(w.canonical);
    put64(0x2000 + IDX(va, 21), 0x40200000 | URW | PTE_PS);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_EXEC, &w), WALK_OK);
    assert_true(w.gpa.a == 0x40200000 + (va & 0x1fffff));
    put64(0x1fe0 + 3 * 8, 0x2000 | URW); /* R/W and U/S are reserved in a PDPTE */
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_RSVD);
}

static void bits32(void **state)
{
    struct guest_paging p = { .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1018, .cr4 = CR4_PSE };
    uint64_t va = 0xc0c05abc;
    struct walk w;

    (void)state;
    clear();
    put32(0x1000 + (va >> 22) * 4, 0x2000 | URW);
    put32(0x2000 + (va >> 12 & 0x3ff) * 4, 0x40001000 | URW);
    put32(0x2000 + (va >> 12 & 0x3ff) * 4 + 4, 0xdeadbeee);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_WRITE | ACCESS_EXEC, &w), WALK_OK);
    assert_true(w.gpa.a == 0x40001abc);
    assert_int_equal(w.rights, ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC | ACCESS_USER);
    assert_true(get64(0x2000 + (va >> 12 & 0x3ff) * 4) ==
                (0xdeadbeeeULL << 32 | 0x40001000 | URW | PTE_A | PTE_D)); /* neighbour kept */
    /* PSE-36: bits 20:13 are address bits 39:32 */
    put32(0x1000 + (va >> 22) * 4, 0x00400000 | 7u << 13 | URW | PTE_PS);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_OK);
    assert_true(w.gpa.a == 0x700400000ULL + (va & 0x3fffff));
    phys.maxphyaddr = 34;
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_RSVD);
    /* without CR4.PSE it is a table */
    p.cr4 = 0;
    put32(0x1000 + (va >> 22) * 4, 0x2000 | URW | PTE_PS);
    assert_int_equal(guest_walk(&phys, &p, gva(va), ACCESS_READ, &w), WALK_OK);
    assert_true(w.gpa.a == 0x40001abc);
}

static void no_paging(void **state)
{
    struct guest_paging p = { .cr0 = CR0_PE, .cr3 = 0xffffffff, .cr4 = CR4_SMAP | CR4_SMEP };
    struct walk w;

    (void)state;
    clear();
    assert_int_equal(guest_walk(&phys, &p, gva(0x5678), ACCESS_WRITE | ACCESS_EXEC, &w), WALK_OK);
    assert_true(w.gpa.a == 0x5678 && w.ptr == ram + 0x5678);
    assert_int_equal(guest_walk(&phys, &p, gva(HOLE * PAGE_SIZE), ACCESS_READ, &w), WALK_NOT_RAM);
    assert_int_equal(guest_walk(&phys, &p, gva(0xfee00300), ACCESS_READ, &w), WALK_OK);
    assert_int_equal(guest_walk(&phys, &p, gva(BIT(32)), ACCESS_READ, &w), WALK_FAULT);
    assert_false(w.canonical);
}

static void tables_outside_ram(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    for (unsigned level = 0; level < 5; level++) {
        static const unsigned shift[] = { 39, 30, 21, 12 };
        clear();
        map_4k(VA, 0x5000, URW);
        if (level == 0) {
            p.cr3 = HOLE * PAGE_SIZE;
        } else {
            p.cr3 = 0x1000;
            put64(level * PAGE_SIZE + IDX(VA, shift[level - 1]), HOLE * PAGE_SIZE | URW);
        }
        assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE, &w), WALK_NOT_RAM);
        assert_true(w.gpa.a >> PAGE_SHIFT == HOLE && w.beside_ram == (level == 4));
        if (level == 4) { /* no page: its accessed and dirty bits stay as they were */
            assert_true(get64(0x4000 + IDX(VA, 12)) == (HOLE * PAGE_SIZE | URW));
        }
    }
}

/* --- all rights, against the reference ---------------------------------------------- */

static unsigned compared, by_result[3];

/* What a walk was given pointers to, with the contents at that time. It can write nothing
 * else; random_tables checks that too, on the first pages of RAM. */
static struct touched { void *p; size_t len; uint64_t old; } touched[8];
static unsigned touched_count;
static bool compare_ram;
#define COMPARED_BYTES (18 * PAGE_SIZE)

static void touch(uint64_t at, size_t len)
{
    void *p = at < sizeof(ram) ? ram + at : scratch + (at & PAGE_MASK);

    if (len > 1 && at >> PAGE_SHIFT != HOLE && (at < sizeof(ram) || at >= GIB(1))) {
        assert_true(touched_count < ARRAY_SIZE(touched));
        touched[touched_count] = (struct touched){ .p = p, .len = len };
        memcpy(&touched[touched_count++].old, p, len);
    }
}

/* Walk with both, from the same memory; everything must agree, memory included. */
static void compare_once(const struct guest_paging *p, uint64_t va, unsigned access)
{
    static uint8_t before[COMPARED_BYTES], expected[COMPARED_BYTES];
    struct walk w = { 0 }, r = { 0 };
    enum walk_result got, want;
    uint64_t now[8] = { 0 };

    memcpy(before, ram, compare_ram ? COMPARED_BYTES : 0);
    touched_count = 0;
    on_map = touch;
    want = ref_walk(&phys, p, va, access, &r);
    on_map = NULL;
    memcpy(expected, ram, compare_ram ? COMPARED_BYTES : 0);
    for (unsigned i = 0; i < touched_count; i++) {
        memcpy(&now[i], touched[i].p, touched[i].len);
    }
    for (unsigned i = touched_count; i-- > 0;) {
        memcpy(touched[i].p, &touched[i].old, touched[i].len);
    }
    if (compare_ram) {
        assert_memory_equal(ram, before, COMPARED_BYTES);
    }
    got = guest_walk(&phys, p, gva(va), access, &w);

    assert_int_equal(got, want);
    assert_int_equal(w.canonical, r.canonical);
    if (want == WALK_FAULT) {
        assert_int_equal(w.error, r.error);
    } else {
        assert_true(w.gpa.a == r.gpa.a);
    }
    if (want == WALK_NOT_RAM) {
        assert_int_equal(w.beside_ram, r.beside_ram);
    }
    if (want == WALK_OK) {
        assert_int_equal(w.rights, r.rights);
        assert_ptr_equal(w.ptr, r.ptr);
    }
    for (unsigned i = 0; i < touched_count; i++) {
        assert_memory_equal(&now[i], touched[i].p, touched[i].len);
    }
    if (compare_ram) {
        assert_memory_equal(ram, expected, COMPARED_BYTES);
    }
    compared++;
    by_result[want]++;
}

/* Once as the tables are, and in long mode once more with all accessed (and two times of
 * three dirty) bits set: then there is a shorter way through walk.c. */
static void compare(const struct guest_paging *p, uint64_t va, unsigned access)
{
    compare_once(p, va, access);
    if (!(p->efer & EFER_LMA)) {
        return;
    }
    for (unsigned i = 0; i < touched_count; i++) {
        uint64_t e;

        memcpy(&e, touched[i].p, 8);
        e |= e & PTE_P ? (compared % 3 != 0 ? PTE_A | PTE_D : PTE_A) : 0;
        memcpy(touched[i].p, &e, 8);
    }
    compare_once(p, va, access);
}

/* Bits of CR0, CR4 and EFER that matter, CPL, AC, PKRU, from the bits of `n`. */
static struct guest_paging setting(unsigned mode, unsigned n)
{
    struct guest_paging p = {
        .cr0 = CR0_PE | (mode != 0 ? CR0_PG : 0) | (n & 1 ? CR0_WP : 0),
        .cr3 = 0x1000,
        .cr4 = (mode >= 2 ? CR4_PAE : CR4_PSE) | (mode == 4 ? CR4_LA57 : 0) |
               (n & 2 ? CR4_SMEP : 0) | (n & 4 ? CR4_SMAP : 0),
        .efer = (mode >= 3 ? EFER_LME | EFER_LMA : 0) | (n & 8 ? EFER_NXE : 0),
        .cpl = n & 16 ? 3 : 0,
        .ac = (n & 32) != 0,
        .pkru = (n >> 6 & 3) << 2, /* AD and WD of key 1 */
    };
    return p;
}

#define SETTINGS 256

/* Leaf and table rights (R/W, U/S, NX) x all settings x all accesses, for the page size
 * whose leaf is at `leaf` = 12, 21 or 30. */
static void all_rights(unsigned leaf)
{
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t above = PTE_P | (bits & 1 ? PTE_RW : 0) | (bits & 2 ? PTE_US : 0) |
                         (bits & 4 ? PTE_NX : 0);
        uint64_t last = PTE_P | (bits & 8 ? PTE_RW : 0) | (bits & 16 ? PTE_US : 0) |
                        (bits & 32 ? PTE_NX : 0) | 1ULL << PTE_PK_SHIFT;

        for (unsigned n = 0; n < SETTINGS; n++) {
            struct guest_paging p = setting(3, n);
            for (unsigned access = 1; access < 16; access++) {
                put64(0x1000 + IDX(VA, 39), 0x2000 | URW);
                put64(0x2000 + IDX(VA, 30), leaf == 30 ? 0x40000000 | PTE_PS | last
                                                       : 0x3000 | above);
                put64(0x3000 + IDX(VA, 21), leaf == 21 ? 0x40200000 | PTE_PS | last
                                                       : 0x4000 | URW);
                put64(0x4000 + IDX(VA, 12), 0x5000 | last);
                compare(&p, VA, access);
            }
        }
    }
}

static void rights_4k(void **state) { (void)state; clear(); all_rights(12); }
static void rights_2m(void **state) { (void)state; clear(); all_rights(21); }
static void rights_1g(void **state) { (void)state; clear(); all_rights(30); }

static void rights_pae_and_32(void **state)
{
    const uint64_t va = 0x00403abc;

    (void)state;
    clear();
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t above = PTE_P | (bits & 3) << 1 | (bits & 4 ? PTE_NX : 0);
        uint64_t last = PTE_P | (bits >> 3 & 3) << 1 | (bits & 32 ? PTE_NX : 0);

        for (unsigned n = 0; n < SETTINGS; n++) {
            for (unsigned access = 1; access < 16; access++) {
                struct guest_paging p = setting(2, n);
                put64(0x1000, 0x2000 | PTE_P);
                put64(0x2000 + IDX(va, 21), 0x3000 | above);
                put64(0x3000 + IDX(va, 12), 0x5000 | last);
                compare(&p, va, access);
                p = setting(1, n);
                put32(0x1000 + (va >> 22) * 4, 0x3000 | above);
                put32(0x3000 + (va >> 12 & 0x3ff) * 4, 0x5000 | last);
                compare(&p, va, access);
            }
        }
    }
}

/* Every bit of every entry, one at a time: reserved bits, present, addresses. */
static void each_bit(void **state)
{
    static const uint8_t widths[] = { 32, 36, 39, 40, 46, 48, 52 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
        for (unsigned where = 0; where < 6; where++) {
            for (unsigned b = 0; b < 64; b++) {
                for (unsigned n = 0; n < 16; n += 8) {
                    struct guest_paging p = setting(3, n), q = setting(2, n), l = setting(1, n);
                    static const uint64_t va = 0x00403abc;
                    clear();
                    phys.maxphyaddr = widths[i];
                    map_4k(va, 0x5000, URW);
                    if (where >= 4) { /* large leaves */
                        put64(where == 4 ? 0x3000 + IDX(va, 21) : 0x2000,
                              0x40000000 | URW | PTE_PS);
                    }
                    if (where < 4) {
                        static const unsigned shift[] = { 39, 30, 21, 12 };
                        uint64_t at = (where + 1) * PAGE_SIZE + IDX(va, shift[where]);
                        put64(at, get64(at) ^ BIT(b));
                    } else {
                        uint64_t at = where == 4 ? 0x3000 + IDX(va, 21) : 0x2000;
                        put64(at, get64(at) ^ BIT(b));
                    }
                    compare(&p, va, ACCESS_READ);
                    p.cr3 = 0x2000; /* the same as PAE, its PDPTE in page 2 */
                    q.cr3 = 0x2000;
                    put64(0x2000, get64(0x2000) & ~(uint64_t)(PTE_RW | PTE_US | PTE_A));
                    compare(&q, va, ACCESS_READ);
                    l.cr3 = 0x4000;
                    put32(0x4000 + 4, (where & 1 ? 0x5000 | URW : 0x00400000 | URW | PTE_PS) ^
                          (uint32_t)BIT(b));
                    put32(0x5000 + 3 * 4, 0x6000 | URW);
                    compare(&l, va, ACCESS_READ);
                }
            }
        }
    }
}

/* Random tables, mostly valid, often pointing back at each other, in all modes. */
static void random_tables(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    clear();
    compare_ram = true;
    for (unsigned round = 0; round < 60000; round++) {
        struct guest_paging p = setting((unsigned)unit_below(&seed, 5),
                                        (unsigned)unit_random(&seed) % SETTINGS);
        uint64_t va = unit_random(&seed) & 0x0000c04003c05fffULL;

        if (round % 50 == 0) {
            static const uint8_t widths[] = { 32, 36, 40, 52 };
            phys.maxphyaddr = widths[unit_below(&seed, 4)];
            phys.page1g = unit_below(&seed, 2);
            for (uint64_t at = 0; at < 16 * PAGE_SIZE; at += 8) {
                uint64_t e = unit_random(&seed) % 18 << PAGE_SHIFT |
                             (unit_random(&seed) & (unit_random(&seed) | 7) & 0x1f);
                if (unit_below(&seed, 10) != 0) {
                    e |= URW;
                }
                if (unit_below(&seed, 6) == 0) {
                    e = (e & 0xf7f) | PTE_PS | unit_below(&seed, 3) << 30;
                }
                if (unit_below(&seed, 12) == 0) {
                    e |= BIT(unit_below(&seed, 64));
                }
                put64(at, e);
            }
        }
        if (unit_below(&seed, 8) == 0) {
            va |= unit_random(&seed) & 0xffff800000000000ULL;
        }
        p.cr3 = unit_below(&seed, 17) << PAGE_SHIFT;
        compare(&p, p.cr0 & CR0_PG && p.efer & EFER_LMA ? va : va & 0xffffffff,
                1 + (unsigned)unit_below(&seed, 15));
    }
    compare_ram = false;
    print_message("# compared %u walks: %u ok, %u faults, %u not RAM\n", compared, by_result[0],
                  by_result[1], by_result[2]);
    assert_true(by_result[0] > 1000 && by_result[1] > 1000 && by_result[2] > 100);
}

/* --- other CPUs ---------------------------------------------------------------------- */

static unsigned changes;
static uint64_t change_to[3];
static uint64_t change_at, change_when;

/* Runs between the walk's read of the leaf and its exchange. */
static void change_entry(uint64_t at, size_t len)
{
    if (len == 1 && (change_when == 0 || at == change_when)) {
        put64(change_at, change_to[changes++ % 3]);
    }
}

static void leaf_changed_once(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    clear();
    map_4k(VA, 0x5000, URW);
    change_at = 0x4000 + IDX(VA, 12);
    change_when = 0x5abc;
    on_map = change_entry;
    /* to another page: the new translation counts */
    changes = 0;
    change_to[0] = 0x6000 | URW;
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE, &w), WALK_OK);
    assert_true(w.gpa.a == 0x6abc && w.ptr == ram + 0x6abc);
    assert_true(get64(change_at) == (0x6000 | URW | PTE_A | PTE_D));
    /* to absent, to read-only */
    changes = 0;
    put64(change_at, 0x5000 | URW);
    change_to[0] = 0x123456ULL << 12; /* a swap entry: must stay as it is */
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_WRITE);
    assert_true(get64(change_at) == change_to[0]);
    changes = 0;
    put64(change_at, 0x5000 | URW);
    change_to[0] = 0x5000 | PTE_P | PTE_US;
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE | ACCESS_USER, &w), WALK_FAULT);
    assert_int_equal(w.error, PF_PRESENT | PF_WRITE | PF_USER);
    assert_true(get64(change_at) == change_to[0]);
    on_map = NULL;
}

static void leaf_changing_for_ever(void **state)
{
    struct guest_paging p = long_mode();
    struct walk w;

    (void)state;
    clear();
    map_4k(VA, 0x5000, URW);
    change_at = 0x4000 + IDX(VA, 12);
    change_when = 0;
    changes = 0;
    change_to[0] = 0x6000 | URW;
    change_to[1] = 0x7000 | URW;
    change_to[2] = 0x8000 | URW;
    on_map = change_entry;
    assert_int_equal(guest_walk(&phys, &p, gva(VA), ACCESS_WRITE, &w), WALK_FAULT);
    assert_true(changes > 10 && changes < 200); /* gave up */
    on_map = NULL;
}

static atomic_bool stop;
static unsigned taken[4];

/* Takes the entry away and puts it back, as an OS that swaps: it may find the entry
 * clean, accessed, or accessed and dirty, and never bits added to an absent one. */
static void *swapper(void *arg)
{
    _Atomic uint64_t *e = arg;
    const uint64_t valid = 0x5000 | URW, swapped = 0xabcdef000;

    while (!atomic_load(&stop)) {
        uint64_t old = atomic_exchange(e, swapped);
        taken[old == valid ? 0 : old == (valid | PTE_A) ? 1
              : old == (valid | PTE_A | PTE_D) ? 2 : 3]++;
        old = atomic_exchange(e, valid);
        taken[old == swapped ? 0 : 3]++;
    }
    return NULL;
}

static void against_a_swapping_cpu(void **state)
{
    struct guest_paging p = long_mode();
    unsigned ok = 0, faults = 0;
    pthread_t thread;
    struct walk w;

    (void)state;
    clear();
    map_4k(VA, 0x5000, URW);
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, swapper, ram + 0x4000 + IDX(VA, 12)), 0);
    for (unsigned i = 0; i < 400000; i++) {
        if (guest_walk(&phys, &p, gva(VA), i & 1 ? ACCESS_WRITE : ACCESS_READ, &w) == WALK_OK) {
            ok++;
        } else {
            faults++;
        }
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    print_message("# %u ok, %u faults; taken clean %u, accessed %u, dirty %u\n", ok, faults,
                  taken[0], taken[1], taken[2]);
    assert_int_equal(taken[3], 0);
}

/* --- rights that a hypapp has taken away --------------------------------------------------- */

static unsigned page_rights[RAM_PAGES];
static unsigned rights_of(gpa_t page)
{
    assert_int_equal(page.a & PAGE_MASK, 0);
    return page.a < sizeof(ram) ? page_rights[page.a >> PAGE_SHIFT] : 7;
}

/* A walk of a page whose tables' entries lie at `entry`, with every right of every page taken away
 * in turn, and accessed and dirty bits there or not. Nothing is written where that may not be. */
static void judged_walks(const struct guest_paging *p, const uint64_t *entry, unsigned levels,
                         unsigned width, uint64_t page)
{
    const unsigned kinds[] = { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC, 0,
                               ACCESS_READ | ACCESS_NO_AD, ACCESS_WRITE | ACCESS_NO_AD };

    for (unsigned n = 0; n < (levels + 1) * 8 * 2 * ARRAY_SIZE(kinds); n++) {
        unsigned level = n % (levels + 1), rights = n / (levels + 1) % 8,
            access = kinds[n / (levels + 1) / 16];
        bool marked = n / (levels + 1) / 8 % 2, table = level < levels;
        uint64_t at = table ? entry[level] : page;
        bool sets = !(access & ACCESS_NO_AD) && !marked;
        unsigned need = ACCESS_READ
            | (table ? (sets ? ACCESS_WRITE : 0) : access & (ACCESS_WRITE | ACCESS_EXEC));
        struct walk w;

        for (unsigned i = 0; i < levels; i++) {
            uint64_t mask = ~(uint64_t)(PTE_A | PTE_D), e = get64(entry[i]);
            uint64_t bits = marked ? PTE_A | (i + 1 == levels ? PTE_D : 0) : 0;
            width == 8 ? put64(entry[i], (e & mask) | bits) : put32(entry[i], (e & mask) | bits);
        }
        for (unsigned i = 0; i < RAM_PAGES; i++) {
            page_rights[i] = 7;
        }
        page_rights[at >> PAGE_SHIFT] = rights;
        uint64_t before = get64(at & ~7ULL);
        enum walk_result r = guest_walk(&phys, p, gva(0x123), access, &w);
        assert_int_equal(r, need & ~rights ? WALK_NOT_RAM : WALK_OK);
        assert_true(r == WALK_OK ? w.gpa.a == page + 0x123
                    : w.gpa.a == (table ? at : page + 0x123) && !w.beside_ram);
        if (table && !(rights & ACCESS_WRITE)) {
            assert_true(get64(at & ~7ULL) == before);
        }
    }
}

static void rights_taken_away(void **state)
{
    static const uint64_t four[] = { 0x1000, 0x2000, 0x3000, 0x4000 }, two[] = { 0x1000, 0x2000 };
    struct guest_paging p = long_mode(), narrow = { .cr0 = CR0_PE | CR0_PG, .cr3 = 0x1000 };

    (void)state;
    clear();
    phys.rights = rights_of;
    phys.window[0].size = 0;
    map_4k(0, 0x9000, PTE_P | PTE_RW);
    judged_walks(&p, four, 4, 8, 0x9000);
    p.cr4 |= CR4_LA57;
    put64(0xa000, 0x1000 | URW | PTE_A);
    p.cr3 = 0xa000;
    judged_walks(&p, four, 4, 8, 0x9000);
    clear();
    phys.rights = rights_of;
    phys.window[0].size = 0;
    put32(0x1000, 0x2000 | URW);
    put32(0x2000, 0x9000 | URW);
    judged_walks(&narrow, two, 2, 4, 0x9000);
}

/* Where a page may be executed by the user's addresses alone, its own U/S bits say which those
 * are. */
static void execution_by_user_addresses(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 8; n++) {
        struct guest_paging p = long_mode();
        const bool user = n & 1, ring3 = n & 2, smep = n & 4;
        struct walk w;

        clear();
        phys.rights = rights_of;
        phys.window[0].size = 0;
        map_4k(0, 0x9000, PTE_P | PTE_RW | PTE_A | (user ? PTE_US : 0));
        for (unsigned i = 0; i < RAM_PAGES; i++) {
            page_rights[i] = i == 9 ? ACCESS_READ | ACCESS_EXEC_USER : 7;
        }
        p.cr4 |= smep ? CR4_SMEP : 0;
        p.cpl = ring3 ? 3 : 0;
        enum walk_result r = guest_walk(&phys, &p, gva(0x123), ACCESS_EXEC, &w);
        bool faults = ring3 ? !user : user && smep;
        assert_int_equal(r, faults ? WALK_FAULT : user ? WALK_OK : WALK_NOT_RAM);
    }
}

/* None confirms what it saw before; a new one shows what can be read. */
static void memos_of_judged_pages(void **state)
{
    struct walk_memo m = { 0 };
    struct guest_paging p = long_mode();

    (void)state;
    clear();
    p.cpl = 3;
    map_4k(0, 0x9000, 0x67);
    put64(0x1000, get64(0x1000) | 0x27);
    put64(0x2000, get64(0x2000) | 0x27);
    put64(0x3000, get64(0x3000) | 0x27);
    walk_remember(&phys, &p, gva(0), 0, &m);
    assert_true(walk_again(&phys, &m, &p, gva(0)));
    phys.rights = rights_of;
    phys.window[0].size = 0;
    assert_false(walk_again(&phys, &m, &p, gva(0)));
    for (unsigned page = 0; page < 11; page++) {
        for (unsigned i = 0; i < RAM_PAGES; i++) {
            page_rights[i] = i == page ? 0 : ACCESS_READ;
        }
        walk_remember(&phys, &p, gva(0), 0, &m);
        bool used = (page >= 1 && page <= 4) || page == 9;
        assert_true(used ? !m.bytes : m.bytes == ram + 0x9000);
    }
}

/* --- remembered walks ------------------------------------------------------------- */

/* What walk_again says must be what guest_walk would. True if it confirmed the walk. */
static bool confirmed(const struct walk_memo *m, const struct guest_paging *p, uint64_t va)
{
    struct walk w;

    if (!walk_again(&phys, m, p, gva(va))) {
        return false;
    }
    assert_int_equal(guest_walk(&phys, p, gva(va), ACCESS_READ | ACCESS_USER, &w), WALK_OK);
    assert_ptr_equal(w.ptr, m->bytes + (va & PAGE_MASK));
    return true;
}

/* Each bit of each entry, and all else that a walk depends on. */
static void memo(void **state)
{
    static const uint64_t at[4] = { 0x1000, 0x2000, 0x3000, 0x4000 };
    const uint64_t va = 0x123;
    struct walk_memo m = { 0 };
    struct guest_paging p = long_mode(), q;

    (void)state;
    clear();
    p.cpl = 3;
    assert_false(walk_again(&phys, &m, &p, gva(va)));
    map_4k(0, 0x9000, 0x67);
    put64(0x1000, get64(0x1000) | 0x27);
    put64(0x2000, get64(0x2000) | 0x27);
    put64(0x3000, get64(0x3000) | 0x27);
    walk_remember(&phys, &p, gva(va), ACCESS_READ, &m);
    assert_true(confirmed(&m, &p, va));
    assert_true(confirmed(&m, &p, va + 8));
    for (unsigned i = 0; i < 4; i++) {
        uint64_t e = get64(at[i]);
        for (unsigned bit = 0; bit < 64; bit++) {
            put64(at[i], e ^ BIT(bit));
            assert_false(confirmed(&m, &p, va));
        }
        put64(at[i], e);
        assert_true(confirmed(&m, &p, va));
    }
    assert_false(confirmed(&m, &p, va + PAGE_SIZE));
    q = p; q.cr3 = 0x5000; assert_false(confirmed(&m, &q, va));
    q = p; q.efer &= ~EFER_NXE; assert_false(confirmed(&m, &q, va));
    q = p; q.cr4 |= CR4_LA57; assert_false(confirmed(&m, &q, va));
    q = p; q.pkru = 1; assert_false(confirmed(&m, &q, va));
}

/* The same of a large page, wherever in it. */
static void memo_large(void **state)
{
    const uint64_t va = 0x6123;
    struct walk_memo m = { 0 };
    struct guest_paging p = long_mode();

    (void)state;
    clear();
    p.cpl = 3;
    map_4k(0, 0x9000, 0x67);
    put64(0x1000, get64(0x1000) | 0x27);
    put64(0x2000, get64(0x2000) | 0x27);
    put64(0x3000, 0xe7);
    walk_remember(&phys, &p, gva(va), ACCESS_READ, &m);
    assert_true(confirmed(&m, &p, va));
    for (uint64_t at = 0x1000; at <= 0x3000; at += 0x1000) {
        uint64_t e = get64(at);
        for (unsigned bit = 0; bit < 64; bit++) {
            put64(at, e ^ BIT(bit));
            assert_false(confirmed(&m, &p, va));
        }
        put64(at, e);
        assert_true(confirmed(&m, &p, va));
    }
    assert_false(confirmed(&m, &p, va + PAGE_SIZE));
}

/* A table that is its own leaf: the entry is used twice, and is no large page's. */
static void memo_recursive(void **state)
{
    struct walk_memo m = { 0 };
    struct guest_paging p = long_mode();

    (void)state;
    clear();
    p.cpl = 3;
    put64(0x1000, 0x2067);
    put64(0x2000, 0x3067);
    put64(0x3000, 0x3067);
    walk_remember(&phys, &p, gva(0x10), ACCESS_READ, &m);
    assert_true(confirmed(&m, &p, 0x10));
}

/* Walks that aren't remembered. */
static void memo_refused(void **state)
{
    static const struct { uint64_t at, clear, set; } cases[] = {
        { 0x1000, 1, 0 }, { 0x2000, 4, 0 }, { 0x3000, 0x20, 0 }, { 0x4000, 1, 0 }, { 0x4000, 4, 0 },
        { 0x2000, 0, 0x80 }, { 0x3000, 0, 0x80 }, { 0x4000, 0x20, 0 }, { 0x4000, 0, 1ULL << 45 },
        { 0x3000, 0, 1ULL << 45 },
    };
    struct guest_paging p = long_mode();
    struct walk_memo m;

    (void)state;
    p.cpl = 3;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        clear();
        map_4k(0, 0x9000, 0x67);
        for (uint64_t at = 0x1000; at <= 0x3000; at += 0x1000) {
            put64(at, get64(at) | 0x27);
        }
        walk_remember(&phys, &p, gva(0), ACCESS_READ, &m);
        assert_non_null(m.bytes);
        put64(cases[i].at, (get64(cases[i].at) & ~cases[i].clear) | cases[i].set);
        walk_remember(&phys, &p, gva(0), ACCESS_READ, &m);
        assert_null(m.bytes);
    }
    put64(0x3000, get64(0x3000) & ~BIT(45)); /* nothing but the protection keys */
    p.pkru = 4;
    walk_remember(&phys, &p, gva(0), ACCESS_READ, &m);
    assert_null(m.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_level_4k),
        cmocka_unit_test(large_pages),
        cmocka_unit_test(non_canonical),
        cmocka_unit_test(five_level),
        cmocka_unit_test(pae),
        cmocka_unit_test(bits32),
        cmocka_unit_test(no_paging),
        cmocka_unit_test(tables_outside_ram),
        cmocka_unit_test(rights_4k),
        cmocka_unit_test(rights_2m),
        cmocka_unit_test(rights_1g),
        cmocka_unit_test(rights_pae_and_32),
        cmocka_unit_test(each_bit),
        cmocka_unit_test(random_tables),
        cmocka_unit_test(rights_taken_away),
        cmocka_unit_test(execution_by_user_addresses),
        cmocka_unit_test(memos_of_judged_pages),
        cmocka_unit_test(memo),
        cmocka_unit_test(memo_large),
        cmocka_unit_test(memo_recursive),
        cmocka_unit_test(memo_refused),
        cmocka_unit_test(leaf_changed_once),
        cmocka_unit_test(leaf_changing_for_ever),
        cmocka_unit_test(against_a_swapping_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
