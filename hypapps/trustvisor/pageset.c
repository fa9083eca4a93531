/* SPDX-License-Identifier: MIT */
/* An open-addressed hash table in pages of the pool. */
#include "pageset.h"
#include <hypapp/hypapp.h>

#define ENTRIES 512u   /* per page; at most half of them get used */

bool pageset_init(struct tv_pageset *s, uint32_t n)
{
    *s = (struct tv_pageset){ .parts = 1 };
    while (s->parts * (ENTRIES / 2) < n) {
        s->parts *= 2;
    }
    if (s->parts == 1) {
        s->only = pool_alloc();
        s->part = &s->only;
        return s->only != NULL;
    }
    s->part = pool_alloc();
    if (s->part == NULL) {
        return false;
    }
    if (!pool_alloc_many((void **)s->part, s->parts)) {
        pool_free_dirty(s->part);
        s->part = NULL;
        return false;
    }
    return true;
}

uint64_t *pageset_put(struct tv_pageset *s, gpa_t page, uint32_t number)
{
    uint64_t key = page.a >> PAGE_SHIFT << 24;   /* 40 bits of page number */
    uint32_t mask = s->parts * ENTRIES - 1;
    uint32_t at = (uint32_t)((key * 0x9e3779b97f4a7c15ULL) >> 40) & mask;

    for (;; at = (at + 1) & mask) {
        uint64_t *e = &s->part[at / ENTRIES][at % ENTRIES];
        if (*e == 0) {
            *e = key | (number + 1);
            return e;
        }
        if ((*e & ~0xffffffULL) == key) {
            return e;
        }
    }
}

void pageset_free(struct tv_pageset *s)
{
    for (uint32_t i = 0; s->part != NULL && i < s->parts; i++) {
        if (s->part[i] != NULL) {
            pool_free_dirty(s->part[i]);
        }
    }
    if (s->parts > 1 && s->part != NULL) {
        pool_free_dirty(s->part);
    }
    *s = (struct tv_pageset){ 0 };
}
