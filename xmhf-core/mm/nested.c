/* SPDX-License-Identifier: MIT */
/*
 * Builds nested page tables in any entry format: maps, splits, decoys, look-ups. A lower table,
 * once linked, stays linked: a large mapping over it fills it instead, so no table page is ever
 * lost and none needs freeing. Entries are written whole, and a new table is complete before it is
 * linked, so the tree is valid at every moment.
 */
#include <mm/nested.h>

#include <util/string.h>
#include <xmhf/access.h>

#define ENTRIES  512
#define HPA_BITS 52

static unsigned gpa_bits(const struct nested_table *t)
{
    return PAGE_SHIFT + 9 * t->levels;
}

static uint64_t span(unsigned level) /* bytes that one entry covers */
{
    return PAGE_SIZE << (9 * (level - 1));
}

static uint64_t *slot_of(uint64_t *table, unsigned level, uint64_t g)
{
    return &table[g / span(level) % ENTRIES];
}

static bool is_leaf(const struct nested_table *t, uint64_t entry, unsigned level)
{
    return t->fmt->present(entry) && (level == 1 || t->fmt->is_leaf(entry, level));
}

/* An entry that leads to a table of this tree's own, not to the shared decoy. */
static bool is_own_table(const struct nested_table *t, uint64_t entry, unsigned level)
{
    return t->fmt->present(entry) && !is_leaf(t, entry, level)
        && (level != 2 || t->fmt->addr(entry).a != t->decoy.a);
}

/* Entry `i` of what lies below `entry` of `level`: of its table, or a part of its leaf. */
static uint64_t entry_below(const struct nested_table *t, uint64_t entry, unsigned level,
                            unsigned i)
{
    const struct nested_format *fmt = t->fmt;

    if (!fmt->present(entry)) {
        return 0;
    }
    if (level <= t->levels && is_leaf(t, entry, level)) {
        return fmt->leaf(hpa(fmt->addr(entry).a + i * span(level - 1)), fmt->rights(entry),
                         fmt->type ? fmt->type(entry) : MT_WB, level - 1);
    }
    return ((const uint64_t *)t->src->va(fmt->addr(entry)))[i];
}

/* Fill `table` with leaves of the level below that say what `leaf` said. In every format they
 * differ in the address alone, which begins at bit 12. */
static void split_leaf(const struct nested_table *t, uint64_t leaf, unsigned level,
                       uint64_t *table)
{
    const uint64_t first = entry_below(t, leaf, level, 0);

    for (uint64_t i = 0; i < ENTRIES; i++) {
        table[i] = first + i * span(level - 1);
    }
}

/* The own table below `slot`, made from what the slot holds if there is none yet.
 * NULL when out of pages (the slot is unchanged). */
static uint64_t *own_table(struct nested_table *t, uint64_t *slot, unsigned level)
{
    uint64_t *table;
    hpa_t page;

    if (is_own_table(t, *slot, level)) {
        return t->src->va(t->fmt->addr(*slot));
    }
    page = t->src->alloc(t->src->ctx);
    if (page.a == 0) {
        return NULL;
    }
    table = t->src->va(page);
    if (is_leaf(t, *slot, level)) {
        split_leaf(t, *slot, level, table);
    } else if (t->fmt->present(*slot)) {
        memcpy(table, t->src->va(t->decoy), PAGE_SIZE);
    }
    *slot = t->fmt->table(page, level);
    return table;
}

int nested_init(struct nested_table *t, const struct nested_format *fmt,
                const struct page_source *src, unsigned levels)
{
    *t = (struct nested_table){ .fmt = fmt, .src = src, .levels = levels,
                                .root = src->alloc(src->ctx) };
    return t->root.a != 0 ? 0 : -1;
}

/* What is left to map. */
struct job {
    uint64_t g, h, left;
    unsigned rights;
    enum mem_type type;
    unsigned max_level;
};

/* Map as much of `j` as lies in this table. The recursion is t->levels deep at most. */
static int map_in_table(struct nested_table *t, struct job *j, uint64_t *table, unsigned level)
{
    uint64_t n = span(level);

    do {
        uint64_t *slot = slot_of(table, level, j->g);

        if (level <= j->max_level && j->left >= n && ((j->g | j->h) & (n - 1)) == 0
            && !is_own_table(t, *slot, level)) {
            *slot = t->fmt->leaf(hpa(j->h), j->rights, j->type, level);
            j->g += n;
            j->h += n;
            j->left -= n;
        } else {
            uint64_t *lower = own_table(t, slot, level);

            if (!lower || map_in_table(t, j, lower, level - 1) != 0) {
                return -1;
            }
        }
    } while (j->left != 0 && slot_of(table, level, j->g) != table);
    return 0;
}

static bool is_range(uint64_t start, uint64_t size, unsigned bits)
{
    return (start & PAGE_MASK) == 0 && start < BIT(bits) && size <= BIT(bits) - start;
}

int nested_map(struct nested_table *t, gpa_t g, hpa_t h, uint64_t size, unsigned rights,
               enum mem_type type, unsigned max_level)
{
    struct job j = { g.a, h.a, size, rights, type, max_level };

    if (!is_range(g.a, size, gpa_bits(t)) || !is_range(h.a, size, HPA_BITS)
        || (size & PAGE_MASK) != 0 || max_level < 1 || max_level > 3) {
        return -1;
    }
    return size == 0 ? 0 : map_in_table(t, &j, t->src->va(t->root), t->levels);
}

static void fill_decoy(const struct nested_table *t, uint64_t *table)
{
    uint64_t entry = t->fmt->leaf(t->decoy_page, ACCESS_READ, MT_WB, 1);

    for (unsigned i = 0; i < ENTRIES; i++) {
        table[i] = entry;
    }
}

/* The table that all decoy ranges share, made on first use. */
static bool have_decoy(struct nested_table *t, hpa_t zero_page)
{
    if (t->decoy.a == 0) {
        hpa_t page = t->src->alloc(t->src->ctx);

        if (page.a == 0) {
            return false;
        }
        t->decoy_page = zero_page;
        fill_decoy(t, t->src->va(page));
        t->decoy = page;
    }
    return t->decoy_page.a == zero_page.a;
}

int nested_decoy(struct nested_table *t, gpa_t g, uint64_t size, hpa_t zero_page)
{
    if (!is_range(g.a, size, gpa_bits(t)) || ((g.a | size) & (PAGE_SIZE_2M - 1)) != 0
        || !is_range(zero_page.a, PAGE_SIZE, HPA_BITS) || !have_decoy(t, zero_page)) {
        return -1;
    }
    for (uint64_t at = g.a; at < g.a + size; at += PAGE_SIZE_2M) {
        uint64_t *table = t->src->va(t->root);
        uint64_t *slot;

        for (unsigned level = t->levels; level > 2; level--) {
            table = own_table(t, slot_of(table, level, at), level);
            if (!table) {
                return -1;
            }
        }
        slot = slot_of(table, 2, at);
        if (is_own_table(t, *slot, 2)) {
            fill_decoy(t, t->src->va(t->fmt->addr(*slot)));
        } else {
            *slot = t->fmt->table(t->decoy, 2);
        }
    }
    return 0;
}

/* Make `table`, of `level`, what lies below `entry` of the level above, but for its entry `own`. */
static void copy_below(const struct nested_table *t, uint64_t entry, unsigned level,
                       uint64_t *table, unsigned own)
{
    const bool leaf = level < t->levels && is_leaf(t, entry, level + 1);
    const uint64_t *from = !leaf && t->fmt->present(entry) ? t->src->va(t->fmt->addr(entry)) : NULL;
    const uint64_t first = leaf ? entry_below(t, entry, level + 1, 0) : 0;

    for (unsigned i = 0; i < ENTRIES; i++) {
        if (i != own) {
            uint64_t e = from ? __atomic_load_n(&from[i], __ATOMIC_RELAXED)
                : leaf ? first + i * span(level) : 0;
            __atomic_store_n(&table[i], e, __ATOMIC_RELAXED);
        }
    }
}

void nested_variant(const struct nested_table *t, gpa_t g, hpa_t h, const hpa_t *pages)
{
    uint64_t entry = t->fmt->table(t->root, t->levels + 1);

    for (unsigned level = t->levels; level > 0; level--) {
        uint64_t *table = t->src->va(pages[t->levels - level]);
        const unsigned own = (unsigned)(slot_of(table, level, g.a) - table);

        copy_below(t, entry, level, table, own);
        table[own] = level > 1 ? t->fmt->table(pages[t->levels - level + 1], level)
            : t->fmt->leaf(h, ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC, MT_WB, 1);
        entry = entry_below(t, entry, level + 1, own);
    }
}

/* The entry of `level` for `g`; NULL: what is mapped there ends above. */
static uint64_t *entry_at(const struct nested_table *t, uint64_t g, unsigned level)
{
    uint64_t *slot = slot_of(t->src->va(t->root), t->levels, g);

    for (unsigned l = t->levels; l > level; l--) {
        if (!is_own_table(t, *slot, l)) {
            return NULL;
        }
        slot = slot_of(t->src->va(t->fmt->addr(*slot)), l - 1, g);
    }
    return slot;
}

static uint64_t with_rights(const struct nested_table *t, uint64_t leaf, unsigned rights,
                            unsigned level)
{
    return t->fmt->leaf(t->fmt->addr(leaf), rights, t->fmt->type ? t->fmt->type(leaf) : MT_WB,
                        level);
}

int nested_split(struct nested_table *t, gpa_t g, unsigned level, unsigned more)
{
    uint64_t *slot = entry_at(t, g.a, level);

    if (!slot || !is_leaf(t, *slot, level)) {
        return 0;
    }
    hpa_t page = t->src->alloc(t->src->ctx);
    if (page.a == 0) {
        return -1;
    }
    split_leaf(t, with_rights(t, *slot, t->fmt->rights(*slot) | more, level), level,
               t->src->va(page));
    *slot = t->fmt->table(page, level) | NESTED_SPLIT;
    return 0;
}

int nested_protect(struct nested_table *t, gpa_t g, uint64_t size, unsigned rights)
{
    unsigned level = size == PAGE_SIZE_2M ? 2 : 1;
    uint64_t *slot = entry_at(t, g.a, level);
    uint64_t old = 0, new = 0;
    int changed = 0;

    if (slot && !is_leaf(t, *slot, level)) { /* a whole table of small ones */
        slot = entry_at(t, g.a, level = 1);
    }
    if (!slot) {
        return -1;
    }
    for (uint64_t i = 0; i < size / span(level); i++) {
        /* most are as the one before, but for the address */
        bool next = i != 0 && slot[i] == old + span(level);
        old = slot[i];
        new = next ? new + span(level) : with_rights(t, old, rights, level);
        changed += new != old;
        slot[i] = new;
    }
    return changed;
}

bool nested_merge(struct nested_table *t, gpa_t g, unsigned level, unsigned small, unsigned large,
                  hpa_t *page)
{
    uint64_t *slot = entry_at(t, g.a, level);

    if (!slot || !is_own_table(t, *slot, level) || !(*slot & NESTED_SPLIT)) {
        return false;
    }
    const uint64_t *table = t->src->va(t->fmt->addr(*slot)), first = table[0];
    if (!t->fmt->present(first) || !is_leaf(t, first, level - 1) || t->fmt->rights(first) != small
        || (t->fmt->addr(first).a & (span(level) - 1))) {
        return false;
    }
    for (uint64_t i = 1; i < ENTRIES; i++) {
        if (table[i] != first + i * span(level - 1)) {
            return false;
        }
    }
    *page = t->fmt->addr(*slot);
    *slot = with_rights(t, first, large, level);
    return true;
}

bool nested_lookup(const struct nested_table *t, gpa_t g, struct nested_leaf *out)
{
    uint64_t *table = t->src->va(t->root);

    out->level = t->levels;
    if (g.a >= BIT(gpa_bits(t))) {
        return false;
    }
    for (unsigned level = t->levels; level >= 1; level--) {
        uint64_t entry = *slot_of(table, level, g.a);

        out->level = level;
        if (!t->fmt->present(entry)) {
            return false;
        }
        if (is_leaf(t, entry, level)) {
            out->h = hpa(t->fmt->addr(entry).a + (g.a & (span(level) - 1)));
            out->rights = t->fmt->rights(entry); /* entries to tables have all */
            return true;
        }
        table = t->src->va(t->fmt->addr(entry));
    }
    return false;
}
