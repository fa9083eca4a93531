/* SPDX-License-Identifier: MIT */
/* The sites where a kernel patches its own text, and what it may write there. */
#ifndef XMHF_LOCKDOWN_SITES_H
#define XMHF_LOCKDOWN_SITES_H

#include <stdatomic.h>
#include <xmhf/lockdown.h>
#include <xmhf/types.h>

#define SITE_MAX_LEN 5u
struct site { uint32_t at, target, kind; }; /* offsets in the text; enum lockdown_site_kind */

static inline unsigned site_len(const struct site *s)
{
    return s->kind == LOCKDOWN_JUMP2 ? 2 : SITE_MAX_LEN;
}

/* May the site hold these site_len bytes, patched or while text_poke patches it: INT3, and the rest
 * of what may stand there? CALL and JMP may lead to offsets below `text_size`. */
bool site_allows(const struct site *s, const uint8_t *b, uint64_t text_size);

/* All sites, in ascending order: pages of LOCKDOWN_SITES_PAGE. */
#define SITE_PAGES 256u
extern struct lockdown_site *site_page[SITE_PAGES];
extern atomic_uint site_count;
/* The site that has the byte at this offset. False: none. */
bool sites_find(uint64_t at, struct site *s);

#endif
