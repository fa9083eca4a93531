/* SPDX-License-Identifier: MIT */
/*
 * xmhf-core/mm/nested.c against a model that holds one record per 4 KiB page, in three
 * entry formats: one like NPT (no memory types), one like EPT (rights in bits 2:0,
 * type in bits 5:3) and one like an AMD IOMMU's, whose entries say the level that they point to;
 * in trees of 3, 4 and 5 levels.
 */
#include "unit.h"

#include <mm/nested.h>
#include <xmhf/access.h>

#define RWX (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)
#define ADDR_MASK 0x000ffffffffff000ULL

/* --- three formats ---------------------------------------------------------------- */

static hpa_t entry_addr(uint64_t e) { return hpa(e & ADDR_MASK); }
static bool large_bit(uint64_t e, unsigned level) { (void)level; return (e & BIT(7)) != 0; }

static uint64_t n_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    (void)type;
    return (rights & ACCESS_READ) == 0 ? 0
         : h.a | 1 | ((rights & ACCESS_WRITE) != 0 ? 2 : 0) | 4 | (level > 1 ? BIT(7) : 0)
               | ((rights & ACCESS_EXEC) != 0 ? 0 : BIT(63));
}
static uint64_t n_table(hpa_t h, unsigned level) { (void)level; return h.a | 7; }
static bool n_present(uint64_t e) { return (e & 1) != 0; }
static unsigned n_rights(uint64_t e)
{
    return ACCESS_READ | ((e & 2) != 0 ? ACCESS_WRITE : 0)
         | ((e & BIT(63)) != 0 ? 0 : ACCESS_EXEC);
}

static const struct nested_format npt_like = {
    .leaf = n_leaf, .table = n_table, .present = n_present, .is_leaf = large_bit,
    .addr = entry_addr, .rights = n_rights,
};

static uint64_t e_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    return rights == 0 ? 0 : h.a | rights | (uint64_t)type << 3 | (level > 1 ? BIT(7) : 0);
}
static uint64_t e_table(hpa_t h, unsigned level) { (void)level; return h.a | RWX; }
static bool e_present(uint64_t e) { return (e & RWX) != 0; }
static unsigned e_rights(uint64_t e) { return (unsigned)(e & RWX); }
static enum mem_type e_type(uint64_t e) { return (enum mem_type)(e >> 3 & 7); }

static const struct nested_format ept_like = {
    .leaf = e_leaf, .table = e_table, .present = e_present, .is_leaf = large_bit,
    .addr = entry_addr, .rights = e_rights, .type = e_type,
};

/* AMD I/O Virtualization Technology Specification, 2.2.3: PR, next level in bits 11:9, IR, IW. */
static uint64_t i_leaf(hpa_t h, unsigned rights, enum mem_type type, unsigned level)
{
    (void)type;
    (void)level;
    return h.a | 1 | ((rights & ACCESS_READ) != 0 ? BIT(61) : 0)
         | ((rights & ACCESS_WRITE) != 0 ? BIT(62) : 0);
}
static uint64_t i_table(hpa_t h, unsigned level)
{
    return h.a | 1 | (uint64_t)(level - 1) << 9 | BIT(61) | BIT(62);
}
static unsigned next_level(uint64_t e) { return (unsigned)(e >> 9 & 7); }
static bool i_is_leaf(uint64_t e, unsigned level)
{
    assert_true(next_level(e) == 0 || next_level(e) == level - 1);
    return next_level(e) == 0;
}
static unsigned i_rights(uint64_t e)
{
    return ACCESS_EXEC | ((e & BIT(61)) != 0 ? ACCESS_READ : 0)
         | ((e & BIT(62)) != 0 ? ACCESS_WRITE : 0);
}

static const struct nested_format iommu_like = {
    .leaf = i_leaf, .table = i_table, .present = n_present, .is_leaf = i_is_leaf,
    .addr = entry_addr, .rights = i_rights,
};

/* --- table pages ---------------------------------------------------------------- */

#define POOL_MAX  4096
#define POOL_BASE 0x700000000000ULL /* so that a table address is never a mapped one */

static uint64_t pool[POOL_MAX][512];
static unsigned pool_used, pool_limit;

static hpa_t pool_alloc(void *ctx)
{
    (void)ctx;
    if (pool_used < pool_limit) {
        memset(pool[pool_used], 0, PAGE_SIZE);
    }
    return pool_used < pool_limit ? hpa(POOL_BASE + pool_used++ * PAGE_SIZE) : hpa(0);
}

static void *pool_va(hpa_t h)
{
    assert_true(h.a >= POOL_BASE && h.a < POOL_BASE + pool_used * PAGE_SIZE);
    assert_true((h.a & PAGE_MASK) == 0);
    return pool[(h.a - POOL_BASE) / PAGE_SIZE];
}

static const struct page_source source = { pool_alloc, pool_va, NULL };

static unsigned levels = 4;

static void start(struct nested_table *t, const struct nested_format *fmt, unsigned limit)
{
    memset(pool, 0, sizeof(pool));
    pool_used = 0;
    pool_limit = limit;
    assert_int_equal(nested_init(t, fmt, &source, levels), 0);
}

/* --- the model ------------------------------------------------------------------- */

#define PAGES (3 * 512 * 512u)      /* 3 GiB */
#define ZERO  0x1234000ULL

struct record { uint64_t h; uint8_t rights, type; };

static uint64_t BASE = GIB(512) - GIB(1); /* the window crosses a top-level entry */
static struct record model[PAGES];

/* What the tree says about `g`, type included: a walk of its own. */
static struct record walk(const struct nested_table *t, uint64_t g)
{
    uint64_t *table = pool_va(t->root);

    for (unsigned level = t->levels;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t e = table[g >> shift & 511];

        if (!t->fmt->present(e)) {
            return (struct record){ 0 };
        }
        if (level == 1 || t->fmt->is_leaf(e, level)) {
            return (struct record){
                .h = entry_addr(e).a + (g & (BIT(shift) - 1)),
                .rights = (uint8_t)t->fmt->rights(e),
                .type = t->fmt->type ? (uint8_t)t->fmt->type(e) : MT_WB,
            };
        }
        table = pool_va(entry_addr(e));
    }
}

static bool is_same(struct record a, struct record b)
{
    return a.rights == b.rights && (a.rights == 0 || (a.h == b.h && a.type == b.type));
}

static void assert_page(const struct nested_table *t, unsigned page)
{
    uint64_t g = BASE + page * PAGE_SIZE;
    struct nested_leaf leaf = { .level = 0 };
    bool mapped = nested_lookup(t, gpa(g + 0x123), &leaf);

    assert_true(is_same(walk(t, g), model[page]));
    assert_int_equal(mapped, model[page].rights != 0);
    if (mapped) {
        assert_true(leaf.h.a == model[page].h + 0x123);
        assert_int_equal(leaf.rights, model[page].rights);
        assert_true(leaf.level >= 1 && leaf.level <= 3);
    }
}

/* Marks each table page that can be reached from `table`. */
static void mark(const struct nested_table *t, uint64_t *table, unsigned level, bool *seen)
{
    seen[(table - pool[0]) / 512] = true;
    for (unsigned i = 0; i < 512 && level > 1; i++) {
        if (t->fmt->present(table[i]) && !t->fmt->is_leaf(table[i], level)) {
            mark(t, pool_va(entry_addr(table[i])), level - 1, seen);
        }
    }
}

static void assert_no_table_lost(const struct nested_table *t)
{
    bool seen[POOL_MAX] = { false };

    mark(t, pool_va(t->root), t->levels, seen);
    if (t->decoy.a != 0) {
        seen[(t->decoy.a - POOL_BASE) / PAGE_SIZE] = true;
    }
    for (unsigned i = 0; i < pool_used; i++) {
        assert_true(seen[i]);
    }
}

struct op {
    bool decoy;
    unsigned page, count, rights, max_level;
    uint64_t h;
    enum mem_type type;
};

/* Sizes and alignments that make 1G, 2M and 4K leaves, and splits at any place. */
static struct op random_op(uint64_t *seed, bool typed)
{
    static const unsigned grain[] = { 1, 1, 512, 512, 512 * 512 };
    static const enum mem_type types[] = { MT_UC, MT_WC, MT_WT, MT_WP, MT_WB };
    struct op o = { .decoy = unit_below(seed, 6) == 0 };
    unsigned g = o.decoy ? 512 : grain[unit_below(seed, 5)];
    uint64_t max = unit_below(seed, 2) != 0 ? 4 : PAGES / g;

    o.page = (unsigned)unit_below(seed, PAGES / g) * g;
    o.count = (unsigned)(1 + unit_below(seed, max)) * g;
    if (o.count > PAGES - o.page) {
        o.count = PAGES - o.page;
    }
    o.h = unit_below(seed, 2) != 0 ? BASE + o.page * PAGE_SIZE
                                   : unit_below(seed, 1u << 20) * g * PAGE_SIZE;
    o.rights = typed ? (unsigned)unit_below(seed, 8) : (unsigned)unit_below(seed, 4) * 2 + 1;
    o.type = typed ? types[unit_below(seed, 5)] : MT_WB;
    o.max_level = (unsigned)(1 + unit_below(seed, 3));
    if (o.max_level == 1 && o.count > 4096) {
        o.max_level = 2;
    }
    return o;
}

static uint8_t always; /* rights that the format can't take away */

static struct record result_of(const struct op *o, unsigned i)
{
    if (o->decoy) {
        return (struct record){ ZERO, (uint8_t)(ACCESS_READ | always), MT_WB };
    }
    return (struct record){ o->h + i * PAGE_SIZE, (uint8_t)(o->rights | always), (uint8_t)o->type };
}

static int apply(struct nested_table *t, const struct op *o)
{
    gpa_t g = gpa(BASE + o->page * PAGE_SIZE);

    return o->decoy ? nested_decoy(t, g, o->count * PAGE_SIZE, hpa(ZERO))
                    : nested_map(t, g, hpa(o->h), o->count * PAGE_SIZE, o->rights, o->type,
                                 o->max_level);
}

static void random_maps(const struct nested_format *fmt, uint64_t seed)
{
    struct nested_table t;

    always = fmt == &iommu_like ? ACCESS_EXEC : 0;
    start(&t, fmt, POOL_MAX);
    memset(model, 0, sizeof(model));
    for (unsigned round = 0; round < 150; round++) {
        struct op o = random_op(&seed, fmt->type != NULL);

        assert_int_equal(apply(&t, &o), 0);
        for (unsigned i = 0; i < o.count; i++) {
            model[o.page + i] = result_of(&o, i);
        }
        for (unsigned i = 0; i < 300; i++) {
            assert_page(&t, (unsigned)unit_below(&seed, PAGES));
        }
        assert_page(&t, o.page);
        assert_page(&t, o.page + o.count - 1);
        assert_page(&t, o.page != 0 ? o.page - 1 : 0);
        assert_page(&t, o.page + o.count < PAGES ? o.page + o.count : 0);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        assert_page(&t, i);
    }
    assert_no_table_lost(&t);
}

static void npt_like_maps(void **state)
{
    (void)state;
    for (uint64_t seed = 21; seed < 23; seed++) {
        random_maps(&npt_like, seed * 0x9e3779b97f4a7c15ULL);
    }
}

static void ept_like_maps(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed < 33; seed++) {
        random_maps(&ept_like, seed * 0x9e3779b97f4a7c15ULL);
    }
}

/* Levels as IOMMUs have them: each its own space. */
static void with_levels(unsigned n, uint64_t base)
{
    struct nested_table t;
    struct nested_leaf leaf;
    const uint64_t end = BIT(12 + 9 * n);

    levels = n;
    BASE = base;
    random_maps(&iommu_like, 61 * 0x9e3779b97f4a7c15ULL);
    start(&t, &iommu_like, POOL_MAX);
    levels = 4;
    BASE = GIB(512) - GIB(1);
    assert_int_equal(nested_map(&t, gpa(end - PAGE_SIZE), hpa(0), PAGE_SIZE, RWX, MT_WB, 1), 0);
    assert_int_equal(nested_map(&t, gpa(end), hpa(0), PAGE_SIZE, RWX, MT_WB, 1), -1);
    assert_true(nested_lookup(&t, gpa(end - 1), &leaf));
    assert_false(nested_lookup(&t, gpa(end), &leaf));
}

static void iommu_like_maps(void **state)
{
    (void)state;
    with_levels(3, GIB(512) - GIB(3)); /* the space's end */
    with_levels(4, GIB(512) - GIB(1));
    with_levels(5, BIT(48) - GIB(1));  /* across an entry of the fifth level */
}

/* Out of pages at any point: the done part is a prefix, the rest is as before. */
static void running_out_leaves_a_valid_tree(void **state)
{
    uint64_t seed = 41;
    unsigned failures = 0;

    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        struct nested_table t;

        start(&t, &ept_like, 8 + (unsigned)unit_below(&seed, 8));
        memset(model, 0, sizeof(model));
        for (unsigned k = 0; k < 12; k++) {
            struct op o = random_op(&seed, true);
            bool done = apply(&t, &o) == 0;
            bool prefix = true;

            failures += !done;
            for (unsigned i = 0; i < o.count; i++) {
                struct record now = walk(&t, BASE + (o.page + i) * PAGE_SIZE);

                if (!is_same(now, result_of(&o, i))) {
                    prefix = false;
                    assert_false(done);
                    assert_true(is_same(now, model[o.page + i]));
                } else if (!is_same(now, model[o.page + i])) {
                    assert_true(prefix);
                }
                model[o.page + i] = now;
            }
            for (unsigned i = 0; i < 300; i++) {
                assert_page(&t, (unsigned)unit_below(&seed, PAGES));
            }
        }
        assert_no_table_lost(&t);
    }
    assert_true(failures > 10);
}

static void uses_the_largest_leaves(void **state)
{
    struct nested_table t;
    struct nested_leaf leaf;

    (void)state;
    start(&t, &ept_like, POOL_MAX);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), GIB(16), RWX, MT_WB, 3), 0);
    assert_int_equal(pool_used, 2); /* root and one table of 1G leaves */
    assert_true(nested_lookup(&t, gpa(GIB(5) + 77), &leaf));
    assert_true(leaf.level == 3 && leaf.h.a == GIB(5) + 77 && leaf.rights == RWX);
    assert_int_equal(nested_map(&t, gpa(GIB(5)), hpa(GIB(5)), MIB(2), ACCESS_READ, MT_UC, 3), 0);
    assert_int_equal(pool_used, 3); /* one 1G leaf split */
    assert_true(nested_lookup(&t, gpa(GIB(5)), &leaf));
    assert_true(leaf.level == 2 && leaf.rights == ACCESS_READ);
    assert_true(nested_lookup(&t, gpa(GIB(5) + MIB(2)), &leaf));
    assert_true(leaf.level == 2 && leaf.rights == RWX);

    start(&t, &npt_like, POOL_MAX); /* misaligned to each other: 4K leaves only */
    assert_int_equal(nested_map(&t, gpa(0), hpa(PAGE_SIZE), MIB(2), RWX, MT_WB, 3), 0);
    assert_true(nested_lookup(&t, gpa(0), &leaf) && leaf.level == 1);
}

static void decoys_share_one_table(void **state)
{
    struct nested_table t;
    struct nested_leaf leaf;

    (void)state;
    start(&t, &npt_like, POOL_MAX);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), GIB(4), RWX, MT_WB, 3), 0);
    assert_int_equal(nested_decoy(&t, gpa(GIB(1) + MIB(8)), MIB(64), hpa(ZERO)), 0);
    assert_int_equal(pool_used, 4); /* root, 1G table, split 1G leaf, decoy */
    assert_int_equal(nested_decoy(&t, gpa(GIB(1) + MIB(128)), MIB(8), hpa(ZERO)), 0);
    assert_int_equal(pool_used, 4);
    assert_true(nested_lookup(&t, gpa(GIB(1) + MIB(72) - 1), &leaf));
    assert_true(leaf.h.a == ZERO + 0xfff && leaf.rights == ACCESS_READ && leaf.level == 1);
    assert_true(nested_lookup(&t, gpa(GIB(1) + MIB(72)), &leaf) && leaf.rights == RWX);

    /* One page mapped into a decoy must not show in the others. */
    assert_int_equal(nested_map(&t, gpa(GIB(1) + MIB(10)), hpa(0), PAGE_SIZE, RWX, MT_WB, 1), 0);
    assert_true(nested_lookup(&t, gpa(GIB(1) + MIB(12)), &leaf) && leaf.h.a == ZERO);
    assert_true(nested_lookup(&t, gpa(GIB(1) + MIB(10) + PAGE_SIZE), &leaf));
    assert_true(leaf.h.a == ZERO && leaf.rights == ACCESS_READ);
    assert_int_equal(nested_decoy(&t, gpa(0), MIB(2), hpa(ZERO + PAGE_SIZE)), -1);
}

static void refuses_bad_ranges(void **state)
{
    struct nested_table t;
    struct nested_leaf leaf;

    (void)state;
    start(&t, &npt_like, POOL_MAX);
    assert_int_equal(nested_map(&t, gpa(1), hpa(0), PAGE_SIZE, RWX, MT_WB, 1), -1);
    assert_int_equal(nested_map(&t, gpa(0), hpa(8), PAGE_SIZE, RWX, MT_WB, 1), -1);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), 100, RWX, MT_WB, 1), -1);
    assert_int_equal(nested_map(&t, gpa(BIT(48)), hpa(0), PAGE_SIZE, RWX, MT_WB, 1), -1);
    assert_int_equal(nested_map(&t, gpa(PAGE_SIZE), hpa(0), BIT(48), RWX, MT_WB, 3), -1);
    assert_int_equal(nested_map(&t, gpa(0), hpa(BIT(52)), PAGE_SIZE, RWX, MT_WB, 1), -1);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), PAGE_SIZE, RWX, MT_WB, 0), -1);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), PAGE_SIZE, RWX, MT_WB, 4), -1);
    assert_int_equal(nested_decoy(&t, gpa(PAGE_SIZE), MIB(2), hpa(ZERO)), -1);
    assert_int_equal(nested_decoy(&t, gpa(0), PAGE_SIZE, hpa(ZERO)), -1);
    assert_int_equal(pool_used, 1);
    assert_int_equal(nested_map(&t, gpa(BIT(48) - PAGE_SIZE), hpa(0), PAGE_SIZE, RWX, MT_WB, 1),
                     0); /* the last page of the space */
    assert_true(nested_lookup(&t, gpa(BIT(48) - 1), &leaf));
    assert_false(nested_lookup(&t, gpa(BIT(48)), &leaf));
    pool_limit = 0;
    pool_used = 0;
    assert_int_equal(nested_init(&t, &npt_like, &source, 4), -1);
}

/* Rights of pieces, split as they need it and merged whenever that can be: the model has one record
 * per page. Tables that come out of a merge are used no more, and of those that were there before
 * none comes out. */
static bool gone[POOL_MAX];

static unsigned merge_all(struct nested_table *t, uint64_t g)
{
    unsigned merged = 0;
    hpa_t page;

    for (unsigned level = 2; level <= 3; level++) {
        unsigned rights = walk(t, g).rights;
        bool alike = nested_merge(t, gpa(g), level, rights, rights, &page);

        if (alike) {
            unsigned index = (unsigned)((page.a - POOL_BASE) / PAGE_SIZE);
            assert_false(gone[index]);
            gone[index] = true;
            memset(pool[index], 0xff, PAGE_SIZE);
            merged++;
        }
    }
    return merged;
}

static void protect_piece(struct nested_table *t, unsigned page, unsigned count, unsigned rights)
{
    const uint64_t g = BASE + page * PAGE_SIZE;

    assert_int_equal(nested_split(t, gpa(g), 3, 0), 0);
    if (count < 512) {
        assert_int_equal(nested_split(t, gpa(g), 2, 0), 0);
    }
    assert_true(nested_protect(t, gpa(g), count * PAGE_SIZE, rights) >= 0);
    for (unsigned i = 0; i < count; i++) {
        model[page + i].rights = (uint8_t)rights;
    }
}

static void assert_gone_is_gone(const struct nested_table *t)
{
    bool seen[POOL_MAX] = { false };

    mark(t, pool_va(t->root), t->levels, seen);
    for (unsigned i = 0; i < pool_used; i++) {
        assert_true(!seen[i] || !gone[i]);
    }
}

static void rights_by_pieces(const struct nested_format *fmt, uint64_t seed)
{
    static const unsigned all[] = { ACCESS_READ, RWX, ACCESS_READ | ACCESS_EXEC, RWX };
    struct nested_table t;
    unsigned merged = 0;

    start(&t, fmt, POOL_MAX);
    memset(gone, 0, sizeof(gone));
    assert_int_equal(nested_map(&t, gpa(BASE), hpa(BASE), PAGES * PAGE_SIZE, RWX, MT_WB, 3), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        model[i] = (struct record){ BASE + i * PAGE_SIZE, RWX, MT_WB };
    }
    const unsigned at_first = pool_used;
    for (unsigned round = 0; round < 3000; round++) {
        unsigned piece = (unsigned)unit_below(&seed, 3) * 512
            + (unsigned)unit_below(&seed, round % 2 ? 3 : 512);
        unsigned first = unit_below(&seed, 2) ? 0 : (unsigned)unit_below(&seed, 512);
        unsigned count = unit_below(&seed, 2) ? 512 - first
            : 1 + (unsigned)unit_below(&seed, 512 - first);

        protect_piece(&t, piece * 512 + first, count, all[unit_below(&seed, ARRAY_SIZE(all))]);
        merged += merge_all(&t, BASE + piece * 512 * PAGE_SIZE);
        for (unsigned i = 0; i < 30; i++) {
            assert_page(&t, piece * 512 + (unsigned)unit_below(&seed, 512));
            assert_page(&t, (unsigned)unit_below(&seed, PAGES));
        }
    }
    for (unsigned piece = 0; piece < PAGES / 512; piece++) { /* all whole again: as at first */
        protect_piece(&t, piece * 512, 512, RWX);
        merged += merge_all(&t, BASE + piece * 512 * PAGE_SIZE);
    }
    assert_gone_is_gone(&t);
    for (unsigned i = 0; i < pool_used; i++) {
        assert_int_equal(gone[i], i >= at_first);
    }
    assert_true(merged > 100);
}

static void rights_split_and_merge(void **state)
{
    (void)state;
    rights_by_pieces(&npt_like, 71 * 0x9e3779b97f4a7c15ULL);
    rights_by_pieces(&ept_like, 72 * 0x9e3779b97f4a7c15ULL);
}

/* What isn't alike, or isn't of a split, stays; and running out of pages changes nothing. */
static void merges_only_what_it_split(void **state)
{
    struct nested_table t;
    struct nested_leaf leaf;
    hpa_t page;

    (void)state;
    start(&t, &ept_like, POOL_MAX);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), GIB(2), RWX, MT_WB, 3), 0);
    assert_int_equal(nested_map(&t, gpa(0), hpa(0), MIB(2), RWX, MT_WB, 1), 0); /* by others */
    assert_false(nested_merge(&t, gpa(0), 2, RWX, RWX, &page));
    assert_int_equal(nested_split(&t, gpa(MIB(2)), 2, 0), 0);
    assert_int_equal(nested_map(&t, gpa(MIB(2)), hpa(MIB(2)), PAGE_SIZE, RWX, MT_UC, 1), 0);
    assert_false(nested_merge(&t, gpa(MIB(2)), 2, RWX, RWX, &page)); /* another type */
    assert_int_equal(nested_map(&t, gpa(MIB(2)), hpa(MIB(8)), PAGE_SIZE, RWX, MT_WB, 1), 0);
    assert_false(nested_merge(&t, gpa(MIB(2)), 2, RWX, RWX, &page)); /* another page */
    assert_int_equal(nested_map(&t, gpa(MIB(2)), hpa(MIB(2)), PAGE_SIZE, RWX, MT_WB, 1), 0);
    assert_false(nested_merge(&t, gpa(MIB(2)), 2, ACCESS_READ, RWX, &page)); /* other rights */
    assert_true(nested_merge(&t, gpa(MIB(2)), 2, RWX, RWX & ~ACCESS_EXEC, &page));
    assert_true(nested_lookup(&t, gpa(MIB(3)), &leaf));
    assert_true(leaf.level == 2 && leaf.rights == (RWX & ~ACCESS_EXEC) && leaf.h.a == MIB(3));
    assert_int_equal(nested_split(&t, gpa(MIB(2)), 2, ACCESS_EXEC), 0);
    assert_true(nested_lookup(&t, gpa(MIB(3)), &leaf) && leaf.level == 1 && leaf.rights == RWX);

    /* a large leaf */
    assert_int_equal(nested_protect(&t, gpa(GIB(1)), PAGE_SIZE, ACCESS_READ), -1);
    assert_int_equal(nested_protect(&t, gpa(GIB(3)), PAGE_SIZE, ACCESS_READ), -1); /* nothing */
    pool_limit = pool_used;
    assert_int_equal(nested_split(&t, gpa(GIB(1)), 3, 0), -1);
    assert_true(nested_lookup(&t, gpa(GIB(1)), &leaf) && leaf.level == 3);
    assert_int_equal(nested_split(&t, gpa(GIB(3)), 3, 0), 0); /* nothing to split */
}

/* After any change: as the tree itself, but for the one page. */
static void variants(const struct nested_format *fmt, uint64_t seed)
{
    struct nested_table t, other;
    hpa_t pages[NESTED_LEVELS_MAX];

    start(&t, fmt, POOL_MAX);
    for (unsigned i = 0; i < t.levels; i++) {
        pages[i] = pool_alloc(NULL);
    }
    other = t;
    other.root = pages[0];
    const unsigned own = (unsigned)unit_below(&seed, PAGES);
    const struct record mine = { 0x4321000, RWX, MT_WB };
    for (unsigned round = 0; round < 100; round++) {
        struct op o = random_op(&seed, fmt->type != NULL);

        assert_int_equal(apply(&t, &o), 0);
        nested_variant(&t, gpa(BASE + own * PAGE_SIZE), hpa(mine.h), pages);
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t near = own / 1024 * 1024 + unit_below(&seed, 2048);
            uint64_t page = i % 2 ? near % PAGES : unit_below(&seed, PAGES);
            uint64_t g = BASE + page * PAGE_SIZE;

            assert_true(is_same(walk(&other, g), page == own ? mine : walk(&t, g)));
        }
        assert_true(is_same(walk(&other, BASE + own * PAGE_SIZE), mine));
    }
}

static void a_variant_differs_in_one_page(void **state)
{
    (void)state;
    for (uint64_t seed = 51; seed < 61; seed++) {
        variants(seed % 2 ? &npt_like : &ept_like, seed * 0x9e3779b97f4a7c15ULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npt_like_maps),
        cmocka_unit_test(ept_like_maps),
        cmocka_unit_test(running_out_leaves_a_valid_tree),
        cmocka_unit_test(uses_the_largest_leaves),
        cmocka_unit_test(iommu_like_maps),
        cmocka_unit_test(rights_split_and_merge),
        cmocka_unit_test(merges_only_what_it_split),
        cmocka_unit_test(decoys_share_one_table),
        cmocka_unit_test(refuses_bad_ranges),
        cmocka_unit_test(a_variant_differs_in_one_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
