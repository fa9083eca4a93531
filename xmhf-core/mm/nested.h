/* SPDX-License-Identifier: MIT */
/*
 * Nested page tables (NPT, EPT, later an IOMMU's) in a format given by a small const table.
 * Each tree has 3 to 5 levels: 39, 48 or 57 bits of guest-physical space.
 */
#ifndef XMHF_MM_NESTED_H
#define XMHF_MM_NESTED_H

#include <xmhf/types.h>

/* Memory types, numbered as the MTRRs do (SDM vol. 3, 12.11.2.1). */
enum mem_type { MT_UC = 0, MT_WC = 1, MT_WT = 4, MT_WP = 5, MT_WB = 6 };

struct nested_format {
    /* A leaf for the page at `h` with rights ACCESS_READ|WRITE|EXEC, or EXEC_USER where it can;
     * `level` 1 = 4K, 2 = 2M, 3 = 1G. NPT ignores `type` (the MTRRs apply to it by hardware).
     * Without any right it has NESTED_NO_RIGHTS: absent for the CPU, but it still says which page
     * it is for. */
    uint64_t (*leaf)(hpa_t h, unsigned rights, enum mem_type type, unsigned level);
    /* An entry of `level` (2..5) that points to a table of the level below, with all rights. */
    uint64_t (*table)(hpa_t h, unsigned level);
    bool (*present)(uint64_t entry);    /* or a leaf without rights */
    bool (*is_leaf)(uint64_t entry, unsigned level);
    hpa_t (*addr)(uint64_t entry);      /* of the page or table */
    unsigned (*rights)(uint64_t entry); /* ACCESS_* of the entry */
    /* Memory type of a leaf, kept when it is split. NULL: the format holds none. */
    enum mem_type (*type)(uint64_t entry);
};

/* Bits of ours, which every CPU ignores (APM vol. 2, 5.4: 58:52 are available; SDM vol. 3, tables
 * 29-2 to 29-7: 56:52 are ignored, and all of an entry without rights). */
/* An entry to a table that nested_split made: it may become one leaf again. */
#define NESTED_SPLIT BIT(52)
#define NESTED_NO_RIGHTS BIT(53) /* a leaf without rights */

extern const struct nested_format npt_format; /* virt/svm/npt.c: APM vol. 2, 15.25 */
extern const struct nested_format ept_format; /* virt/vmx/ept.c: SDM vol. 3, 29.3 */

/* Where table pages come from. alloc gives a zeroed 4 KiB page or {0} when empty. */
struct page_source {
    hpa_t (*alloc)(void *ctx);
    void *(*va)(hpa_t h);   /* core pointer to a table page */
    void *ctx;
};

struct nested_table {
    const struct nested_format *fmt;
    const struct page_source *src;
    unsigned levels;    /* NESTED_LEVELS_MIN..NESTED_LEVELS_MAX */
    hpa_t root;
    hpa_t decoy;        /* the table that all decoys share; 0 until the first */
    hpa_t decoy_page;   /* and the page that all its entries show */
};

#define NESTED_LEVELS_MIN 3
#define NESTED_LEVELS_MAX 5

/* Allocate an empty root of `levels` levels. 0, or -1 when out of pages. */
int nested_init(struct nested_table *t, const struct nested_format *fmt,
                const struct page_source *src, unsigned levels);

/*
 * Map guest-physical [g, g+size) to [h, h+size), all 4 KiB aligned, with the largest
 * leaves of `max_level` (1..3) that alignment allows. Replaces what was mapped there,
 * splitting larger leaves where needed. The caller flushes. 0, or -1 when out of
 * pages, in which case some prefix of the range may be mapped, or for a range that is
 * misaligned or leaves the tree's (g) or the 52-bit (h) space, with nothing changed. Where
 * a lower table exists already it is kept and filled, so leaves there may be smaller.
 */
int nested_map(struct nested_table *t, gpa_t g, hpa_t h, uint64_t size, unsigned rights,
               enum mem_type type, unsigned max_level);

/*
 * Make the 2 MiB-aligned range [g, g+size) a decoy: every 4 KiB page of it reads as
 * `zero_page` and has ACCESS_READ only. Takes one table page for all decoys of `t`, and
 * what splitting 1G leaves needs. `zero_page` is the same in each call for one `t`. 0,
 * or -1 when out of pages (some prefix may be done) or for a bad range or page.
 */
int nested_decoy(struct nested_table *t, gpa_t g, uint64_t size, hpa_t zero_page);

/*
 * A second tree that is as `t`, but for one page: `g` (4 KiB aligned) shows `h`, with all rights,
 * WB. `pages`: t->levels table pages of this tree alone, its root first; every other table is
 * `t`'s. Done anew after each change of `t`, and by one CPU at a time: what was read before a
 * change must not be written behind it. Entries are written whole, so other CPUs may use either
 * tree, and one may change `t`, meanwhile.
 */
void nested_variant(const struct nested_table *t, gpa_t g, hpa_t h, const hpa_t *pages);

struct nested_leaf { hpa_t h; unsigned rights; unsigned level; };

/*
 * If `g` lies in a leaf of `level` (2 or 3) make it a table of 512 leaves, each with its rights and
 * those in `more`. 0 (also if there is no such leaf), or -1 when out of pages, with nothing
 * changed.
 */
int nested_split(struct nested_table *t, gpa_t g, unsigned level, unsigned more);

/*
 * Give [g, g+size) `rights`; addresses and types stay. It is one 2 MiB-aligned leaf, or lies in one
 * table of 4 KiB leaves that are all mapped. The number of entries that are different now, or -1
 * where it is neither, with nothing changed.
 */
int nested_protect(struct nested_table *t, gpa_t g, uint64_t size, unsigned rights);

/*
 * If the entry of `level` (2 or 3) for `g` leads to a table that nested_split made, and all 512
 * leaves there have rights `small` and are one piece of memory of one type, make it one leaf with
 * rights `large`. True: `page` was the table, and CPUs may still use it until all have flushed.
 * False: nothing has changed.
 */
bool nested_merge(struct nested_table *t, gpa_t g, unsigned level, unsigned small, unsigned large,
                  hpa_t *page);

/* Look up `g`. `h` has the offset of `g` added. False if not mapped: `level` is that of the entry
 * that is absent, the rest isn't set. */
bool nested_lookup(const struct nested_table *t, gpa_t g, struct nested_leaf *out);

#endif
