/* SPDX-License-Identifier: MIT */
/* Remembers which pages a registration has seen: an open-addressed hash table. */
#include "pageset.h"
#include <hypapp/hypapp.h>

#define ENTRIES 512u   /* per page; at most half of them get used */

bool pageset_init(struct tv_pageset *s, uint32_t n)
{
    s->part = NULL;
    s->mask = PAGESET_SMALL - 1;
    if (!hyp_random(&s->factor, sizeof(s->factor))) {
        return false;
    }
    s->factor |= 1;
    if (n <= PAGESET_SMALL / 2) {
        return true; /* it was zero at first, and is used once */
    }
    for (s->parts = 1; s->parts * (ENTRIES / 2) < n; s->parts *= 2) {
    }
    s->mask = s->parts * ENTRIES - 1;
    s->part = pool_alloc();
    if (!s->part) {
        return false;
    }
    if (!pool_alloc_many((void **)s->part, s->parts)) {
        pool_free_dirty(s->part);
        s->part = NULL;
        return false;
    }
    return true;
}

/* Multiply twice, and fold the bits in between: one product alone sends pages in a row to places
 * in a row, and with some factors these are only a few places. */
static uint32_t hash(uint64_t page, uint64_t factor)
{
    uint64_t x = page * factor;

    return (uint32_t)((x ^ x >> 32) * factor >> 32);
}

uint64_t *pageset_put(struct tv_pageset *s, gpa_t page, uint32_t number)
{
    uint64_t key = page.a >> PAGE_SHIFT << 24;   /* 40 bits of page number */
    uint32_t at = hash(page.a >> PAGE_SHIFT, s->factor) & s->mask;

    for (;; at = (at + 1) & s->mask) {
        uint64_t *e = s->part ? &s->part[at / ENTRIES][at % ENTRIES] : &s->small[at];
        if (*e == 0) {
            *e = key | (number + 1);
            return e;
        }
        if ((*e & ~0xffffffULL) == key) {
            return e;
        }
    }
}

bool pageset_free(struct tv_pageset *s, uint32_t *budget)
{
    for (; s->part; --*budget) {
        if (*budget == 0) {
            return false;
        }
        if (s->parts != 0) {
            pool_free_dirty(s->part[--s->parts]);
        } else {
            pool_free_dirty(s->part);
            s->part = NULL;
        }
    }
    return true;
}
