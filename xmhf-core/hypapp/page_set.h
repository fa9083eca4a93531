/* SPDX-License-Identifier: MIT */
/* A service for hypapps: a set of guest-physical pages that is quickly asked. */
#ifndef XMHF_HYPAPP_PAGE_SET_H
#define XMHF_HYPAPP_PAGE_SET_H

#include <xmhf/types.h>

#define PAGE_SET_TABLES 64u
#define PAGE_SET_MAX    16384u   /* pages in a set */

/* The caller guards it; lookups may run beside each other. */
struct page_set {
    uint64_t *table[PAGE_SET_TABLES];   /* pages of the pool */
    unsigned count;
};

/* False: no memory, and nothing is taken. For a hypapp's `init`. */
bool page_set_init(struct page_set *s);
void page_set_clear(struct page_set *s);
/* The page of `g`. False: there are PAGE_SET_MAX others already. */
bool page_set_add(struct page_set *s, gpa_t g);
bool page_set_has(const struct page_set *s, gpa_t g);

#endif
