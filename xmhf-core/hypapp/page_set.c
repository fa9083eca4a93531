/* SPDX-License-Identifier: MIT */
/* Sets of guest-physical pages: a hash table, at most half full. */
#include <hypapp/page_set.h>
#include <mm/pool.h>
#include <util/string.h>

#define PER_TABLE (PAGE_SIZE / sizeof(uint64_t))
#define SLOTS     (PAGE_SET_TABLES * PER_TABLE)
_Static_assert(SLOTS >= 2 * PAGE_SET_MAX, "a search ends soon");

/* Where the page is, or the free slot where it would be. Neighbours have neighbouring slots. */
static uint64_t *slot(const struct page_set *s, uint64_t page)
{
    for (uint64_t i = page;; i++) {
        uint64_t *e = &s->table[i / PER_TABLE % PAGE_SET_TABLES][i % PER_TABLE];
        if (*e == 0 || *e == page) {
            return e;
        }
    }
}

/* Never 0, which is a free slot. */
static uint64_t number(gpa_t g) { return g.a / PAGE_SIZE + 1; }

bool page_set_init(struct page_set *s)
{
    s->count = 0;
    return pool_alloc_many((void **)s->table, PAGE_SET_TABLES);
}

void page_set_clear(struct page_set *s)
{
    for (unsigned i = 0; i < PAGE_SET_TABLES; i++) {
        memset(s->table[i], 0, PAGE_SIZE);
    }
    s->count = 0;
}

bool page_set_add(struct page_set *s, gpa_t g)
{
    uint64_t *e = slot(s, number(g));

    if (*e == 0) {
        if (s->count == PAGE_SET_MAX) {
            return false;
        }
        *e = number(g);
        s->count++;
    }
    return true;
}

bool page_set_has(const struct page_set *s, gpa_t g) { return *slot(s, number(g)) != 0; }
