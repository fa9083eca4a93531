/* SPDX-License-Identifier: MIT */
/* A set of guest-physical pages, each with the number under which it was put in. */
#ifndef TV_PAGESET_H
#define TV_PAGESET_H

#include <xmhf/types.h>

#define PAGESET_SMALL 128u

struct tv_pageset {
    uint64_t **part;     /* tables of 512 entries each; NULL: a small set */
    uint32_t parts;      /* a power of two */
    uint32_t mask;       /* number of entries less one */
    uint64_t factor;     /* random: who chooses the pages can't choose them to collide */
    uint64_t small[PAGESET_SMALL]; /* enough for up to half as many pages */
};

/* Room for `n` pages (at most 65536). False: out of memory, or no entropy; nothing
 * taken. */
bool pageset_init(struct tv_pageset *s, uint32_t n);
/* Put `page` in under `number` (< 2^24). If it is in already nothing changes. Returns its
 * entry; the caller compares pageset_number(). */
uint64_t *pageset_put(struct tv_pageset *s, gpa_t page, uint32_t number);
static inline uint32_t pageset_number(uint64_t entry) { return (uint32_t)(entry & 0xffffff) - 1; }
/* Let the entry stand for `number` from now on. */
static inline void pageset_renumber(uint64_t *entry, uint32_t number)
{
    *entry = (*entry & ~0xffffffULL) | (number + 1);
}
/* Give its memory back, wiped, at most `*budget` pages of it, which are taken off there. False:
 * call again. What a small set holds stays in it. */
bool pageset_free(struct tv_pageset *s, uint32_t *budget);

#endif
