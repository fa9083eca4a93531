/* SPDX-License-Identifier: MIT */
/* Builds and takes down a PAL's page tables and nested tables. */
#include "address_space.h"
#include "mode16.h"
#include <hypapp/hypapp.h>
#include <util/string.h>
#include <x86/cpu.h>

/* Entries of 4-level paging (SDM vol. 3, 4.5.4). A and D are set from the start. */
#define TABLE_ENTRY 0x027ULL              /* present, writable, user, accessed */
#define DATA_ENTRY  (0x067ULL | BIT(63))  /* ... and dirty, no execute */
#define CODE_ENTRY  0x065ULL              /* present, user, accessed, dirty */
#define CONST_ENTRY (CODE_ENTRY | BIT(63))
#define LDT_ENTRY   (0x061ULL | BIT(63))  /* ... for the supervisor, as which the CPU reads it */

#define RETURN_PAGE_LOW 0x1000ULL
#define RETURN_PAGE_DISTANCE (16 * PAGE_SIZE)

enum { NESTED_L4, NESTED_L3, NESTED_L2 };

static void *return_frame;

bool space_global_init(void)
{
    uint8_t *page = pool_alloc();

    if (!page) {
        return false;
    }
    hw_fill64(page, TV_INT3S, PAGE_SIZE / 8);
    memcpy(page, hyp_call_insn(), TV_STUB_LEN);
    /* 16-bit CODE may end with the page before: what runs off its end is to die. */
    memcpy(page + (XMHF_RETURN_16 & PAGE_MASK), hyp_call_insn(), TV_STUB_LEN);
    return_frame = page;
    return true;
}

/* --- nested tables -------------------------------------------------------------- */

/* The nested entry of guest-physical page `index`, or NULL if its table doesn't exist. */
static uint64_t *nested_entry(struct tv_space *s, uint32_t index)
{
    if (!s->l1 || s->l1_number != index >> 9) {
        uint64_t e = s->nested[NESTED_L2][index >> 9];
        if (e == 0) {
            return NULL;
        }
        s->l1 = core_va(hyp_nested_addr(e));
        s->l1_number = index >> 9;
    }
    return &s->l1[index & 511];
}

static bool nested_set(struct tv_space *s, uint32_t index, const void *frame, unsigned rights)
{
    uint64_t *e = nested_entry(s, index);

    if (!e) {
        void *l1 = pool_alloc();
        if (!l1) {
            return false;
        }
        s->nested[NESTED_L2][index >> 9] = hyp_nested_table(core_hpa(l1), 2);
        e = nested_entry(s, index);
    }
    *e = hyp_nested_leaf(core_hpa(frame), rights, MT_WB, 1);
    return true;
}

static void *nested_frame(struct tv_space *s, uint32_t index)
{
    const uint64_t *e = nested_entry(s, index);

    return e && *e != 0 ? core_va(hyp_nested_addr(*e)) : NULL;
}

/* Changes nothing, since calls on several CPUs come here. */
void *space_frame(const struct tv_space *s, uint32_t index)
{
    uint64_t table = s->nested[NESTED_L2][(1 + index) >> 9], e;

    if (table == 0) {
        return NULL;
    }
    e = ((const uint64_t *)core_va(hyp_nested_addr(table)))[(1 + index) & 511];
    return e == 0 ? NULL : core_va(hyp_nested_addr(e));
}

static bool nested_build(struct tv_space *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->nested); i++) {
        s->nested[i] = pool_alloc();
        if (!s->nested[i]) {
            return false;
        }
    }
    s->nested[NESTED_L4][0] = hyp_nested_table(core_hpa(s->nested[NESTED_L3]), 4);
    s->nested[NESTED_L3][0] = hyp_nested_table(core_hpa(s->nested[NESTED_L2]), 3);
    return nested_set(s, 0, return_frame, ACCESS_READ | ACCESS_EXEC);
}

/* --- the PAL's page tables ------------------------------------------------------ */

static unsigned table_index(uint64_t va, unsigned level)
{
    return (unsigned)(va >> (12 + 9 * (level - 1))) & 511;
}

static uint64_t *table_va(struct tv_space *s, uint64_t entry)
{
    return nested_frame(s, (uint32_t)((entry & PTE_ADDR) >> PAGE_SHIFT));
}

/* A new page of entries behind all pages that exist; its guest-physical address goes to `*g`. */
static uint64_t *entries_new(struct tv_space *s, unsigned rights, uint64_t *g)
{
    uint32_t index = 1 + s->pages + s->tables;
    uint64_t *t = pool_alloc();

    if (!t) {
        return NULL;
    }
    if (!nested_set(s, index, t, rights)) {
        pool_free(t);
        return NULL;
    }
    s->tables++;
    *g = (uint64_t)index << PAGE_SHIFT;
    return t;
}

static uint64_t *table_new(struct tv_space *s, uint64_t *g)
{
    return entries_new(s, ACCESS_READ | ACCESS_WRITE, g);
}

/* The table of `level` (1 = page table) for `va`. NULL if it isn't there, or, with
 * `create`, when out of memory. */
static uint64_t *table_at(struct tv_space *s, uint64_t va, unsigned level, bool create)
{
    uint64_t *t = s->pml4;

    for (unsigned l = 4; l > level && t; l--) {
        uint64_t *e = &t[table_index(va, l)];
        uint64_t g;
        if (*e != 0) {
            t = table_va(s, *e);
        } else if (!create) {
            t = NULL;
        } else {
            t = table_new(s, &g);
            *e = t ? g | TABLE_ENTRY : 0;
        }
    }
    return t;
}

/* Map `va` to guest-physical page `index`. False: out of memory. */
static bool table_map(struct tv_space *s, uint64_t va, uint32_t index, uint64_t flags)
{
    if (!s->pt || s->pt_region != va >> 21) {
        s->pt = table_at(s, va, 1, true);
        s->pt_region = va >> 21;
        if (!s->pt) {
            return false;
        }
    }
    s->pt[table_index(va, 1)] = (uint64_t)index << PAGE_SHIFT | flags;
    return true;
}

/* --- the return page ------------------------------------------------------------ */

static bool is_free_at(const struct tv_image *im, uint64_t va)
{
    return !tv_section_at(im, va);
}

/* For an image, whose sections ascend: above the last one, at some distance from what may be
 * overrun; else in the first gap that has an unmapped page on both sides of it. */
static uint64_t return_page_apart(const struct tv_image *im)
{
    const struct tv_section *last = &im->sections[im->section_count - 1];
    uint64_t va = tv_section_end(last) + RETURN_PAGE_DISTANCE;

    if (va >> 21 == (tv_section_end(last) - 1) >> 21) {
        return va;
    }
    va = RETURN_PAGE_LOW;
    for (uint32_t i = 0; i < im->section_count && im->sections[i].start < va + 2 * PAGE_SIZE; i++) {
        va = tv_section_end(&im->sections[i]) + PAGE_SIZE;
    }
    return va;
}

/* Where the return page goes: behind a section in the same 2 MiB, so that it takes no tables of
 * its own; else a low one. Not behind CODE: code that runs off its end is to die. */
static uint64_t return_page_choose(const struct tv_image *im)
{
    uint64_t va = RETURN_PAGE_LOW;

    if (im->image) {
        return return_page_apart(im);
    }
    for (uint32_t i = 0; i < im->section_count; i++) {
        uint64_t end = tv_section_end(&im->sections[i]);
        if (!tv_is_code(im->sections[i].type) && end % PAGE_SIZE_2M != 0
            && is_free_at(im, end)) {
            return end;
        }
    }
    while (!is_free_at(im, va)) {
        va = tv_section_end(tv_section_at(im, va));
    }
    return va;
}

/* Where page number `n` (from 0) is mapped that lies in no section; 0: there are no more. */
static uint64_t page_apart(const struct tv_space *s, const struct tv_image *im, uint32_t n)
{
    if (im->mode != PAL_ID_MODE_16) {
        return n == 0 ? s->return_page : 0;
    }
    return n == 0 ? TV_LDT_VA : mode16_return_page(im, n - 1);
}

static bool ldt_build(struct tv_space *s, const struct tv_image *im)
{
    uint64_t g;

    s->ldt = entries_new(s, ACCESS_READ, &g);
    if (!s->ldt) {
        return false;
    }
    mode16_ldt(im, s->ldt);
    return table_map(s, TV_LDT_VA, (uint32_t)(g >> PAGE_SHIFT), LDT_ENTRY);
}

static bool map_16(struct tv_space *s, const struct tv_image *im)
{
    uint64_t va;

    for (uint32_t n = 1; (va = page_apart(s, im, n)) != 0; n++) {
        if (!table_map(s, va, 0, CODE_ENTRY)) {
            return false;
        }
    }
    return ldt_build(s, im);
}

/* --- life ----------------------------------------------------------------------- */

/* Tables for pages that lie in no section: three at worst for each, and the LDT itself. */
static size_t need_apart(const struct tv_image *im)
{
    size_t pages = 1;

    if (im->mode != PAL_ID_MODE_16) {
        return 3;
    }
    while (mode16_return_page(im, (uint32_t)pages - 1) != 0) {
        pages++;
    }
    return 3 * pages + 1;
}

size_t space_need(const struct tv_image *im)
{
    size_t tables = 1 + need_apart(im); /* PML4 */

    for (uint32_t i = 0; i < im->section_count; i++) {
        uint64_t first = im->sections[i].start;
        uint64_t last = tv_section_end(&im->sections[i]) - 1;
        for (unsigned shift = 21; shift <= 39; shift += 9) {
            tables += (size_t)((last >> shift) - (first >> shift) + 1);
        }
    }
    return im->pages + tables + ARRAY_SIZE(((struct tv_space *)0)->nested)
        + (1 + im->pages + tables) / 512 + 1;
}

size_t space_size(const struct tv_space *s)
{
    size_t mapped = 1 + s->pages + s->tables; /* in the nested tables, from page 0 on */

    return s->pages + s->tables + ARRAY_SIZE(s->nested) + (mapped + 511) / 512;
}

bool space_init(struct tv_space *s, const struct tv_image *im)
{
    uint64_t g;

    s->pages = im->pages;
    s->return_page = im->mode == PAL_ID_MODE_16 ? XMHF_RETURN_16 : return_page_choose(im);
    if (!nested_build(s)) {
        return false;
    }
    s->pml4 = table_new(s, &g);
    if (s->pml4 && im->mode == PAL_ID_MODE_16) {
        return map_16(s, im);
    }
    return s->pml4 && table_map(s, s->return_page, 0, CODE_ENTRY);
}

/* What the PAL may do with a section's pages, and what its page tables say of them. */
static unsigned nested_rights(uint32_t type)
{
    return tv_is_code(type)       ? ACCESS_READ | ACCESS_EXEC
           : tv_is_constant(type) ? ACCESS_READ
                                  : ACCESS_READ | ACCESS_WRITE;
}

static uint64_t table_flags(uint32_t type)
{
    return tv_is_code(type) ? CODE_ENTRY : tv_is_constant(type) ? CONST_ENTRY : DATA_ENTRY;
}

void *space_add(struct tv_space *s, const struct tv_section *sec, uint32_t index)
{
    uint64_t va = sec->start + (uint64_t)(index - sec->first) * PAGE_SIZE;
    void *frame = nested_frame(s, 1 + index);

    if (!frame) {
        frame = pool_alloc();
        if (!frame) {
            return NULL;
        }
        if (!nested_set(s, 1 + index, frame, nested_rights(sec->type))) {
            pool_free(frame);
            return NULL;
        }
    }
    /* On failure the frame belongs to the space: the next attempt finds it. */
    return table_map(s, va, 1 + index, table_flags(sec->type)) ? frame : NULL;
}

hpa_t space_nested_root(const struct tv_space *s)
{
    return core_hpa(s->nested[NESTED_L4]);
}

gpa_t space_cr3(const struct tv_space *s)
{
    return gpa((uint64_t)(1 + s->pages) << PAGE_SHIFT); /* the PML4 is the first table */
}

/* Zero the entries of the tables of `level` that lead to [va, end). */
static void table_clear(struct tv_space *s, uint64_t va, uint64_t end, unsigned level)
{
    unsigned shift = 12 + 9 * (level - 1);

    while (va < end) {
        uint64_t next = align_down(va, 1ULL << (shift + 9)) + (1ULL << (shift + 9));
        uint64_t last = (next < end ? next : end) - 1;
        uint64_t *t = level == 1 && s->pt_region == va >> 21 ? s->pt
                                                             : table_at(s, va, level, false);
        if (t) {
            hw_fill64(&t[table_index(va, level)], 0, (size_t)((last >> shift) - (va >> shift) + 1));
        }
        va = next;
    }
}

/* Only entries that were used are cleared: whole pages would cost 512 stores each. Lower
 * levels first, since the way to them leads through the upper ones. */
static void tables_clear(struct tv_space *s, const struct tv_image *im)
{
    for (unsigned level = 1; level <= 4; level++) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t done = UINT64_MAX; /* number of the entry cleared last */
        uint64_t va;
        for (uint32_t n = 0; (va = page_apart(s, im, n)) != 0; n++) {
            table_clear(s, va, va + PAGE_SIZE, level);
            done = va >> shift;
        }
        for (uint32_t i = 0; i < im->section_count; i++) {
            uint64_t first = im->sections[i].start, end = tv_section_end(&im->sections[i]);
            if (first >> shift != done || (end - 1) >> shift != done) {
                table_clear(s, first, end, level);
                done = (end - 1) >> shift;
            }
        }
    }
}

static void tables_free(struct tv_space *s, const struct tv_image *im)
{
    if (s->pml4) {
        tables_clear(s, im);
    }
    if (s->ldt) {
        hw_fill64(s->ldt, 0, MODE16_DESCRIPTORS);
        s->ldt = NULL;
    }
    for (uint32_t i = 0; i < s->tables; i++) {
        uint64_t *e = nested_entry(s, 1 + s->pages + i);
        pool_free(core_va(hyp_nested_addr(*e)));
        *e = 0;
    }
    s->tables = 0;
    s->pml4 = NULL;
    s->pt = NULL;
}

static void nested_free(struct tv_space *s, uint32_t last_index)
{
    uint64_t *l2 = s->nested[NESTED_L2];
    uint64_t *first = l2 ? nested_entry(s, 0) : NULL;

    if (first) {
        *first = 0;
    }
    /* There may be holes: page tables come behind sections that were never filled. */
    for (uint32_t i = 0; l2 && i <= last_index >> 9; i++) {
        if (l2[i] != 0) {
            pool_free(core_va(hyp_nested_addr(l2[i])));
            l2[i] = 0;
        }
    }
    s->l1 = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(s->nested); i++) {
        if (s->nested[i]) {
            s->nested[i][0] = 0;
            pool_free(s->nested[i]);
            s->nested[i] = NULL;
        }
    }
}

bool space_free(struct tv_space *s, const struct tv_image *im, uint32_t *budget)
{
    uint32_t last_index = s->pages + s->tables;

    while (s->nested[NESTED_L2] && s->freed < s->pages) {
        uint64_t *e = nested_entry(s, 1 + s->freed);
        if (*budget == 0) {
            return false;
        }
        if (!e || *e == 0) {
            break; /* pages are added in order: no more frames */
        }
        pool_free_dirty(core_va(hyp_nested_addr(*e)));
        *e = 0;
        s->freed++;
        --*budget;
    }
    tables_free(s, im);
    nested_free(s, last_index);
    return true;
}
