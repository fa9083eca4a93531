/* SPDX-License-Identifier: MIT */
/* The page pool: the protected range behind the core image. */
#ifndef XMHF_MM_POOL_H
#define XMHF_MM_POOL_H

#include <xmhf/types.h>

/* --- for hypapps too --------------------------------------------------------- */

/* One 4 KiB page of the protected range, or NULL if none. A page from pool_alloc is
 * all zeros: pool_free takes only wiped pages (pool_free_dirty wipes first). Any CPU;
 * a spinlock inside, held for a few instructions. */
void *pool_alloc(void);
void pool_free(void *page);
void pool_free_dirty(void *page);
/* Take n pages or none: fills out[0..n). False if there aren't n. */
bool pool_alloc_many(void **out, size_t n);
size_t pool_free_count(void);
size_t pool_total(void);
/* Core memory to host-physical and back (protected range only). */
hpa_t core_hpa(const void *va);
void *core_va(hpa_t h);

/* --- for the core alone ------------------------------------------------------ */

/* `base_hpa`: the protected range. The bytes [first, end) from it become the pool; they must
 * be zero and whole pages. Boot CPU, once. */
void pool_init(uint64_t base_hpa, uint64_t first, uint64_t end);
/* Consecutive, zeroed pages, taken from the top and never given back; after boot one at a time,
 * from wherever one is free. */
void *pool_boot_pages(size_t n);
/* The same, for what a start can't do without: if they aren't there the launch is refused. */
void *pool_boot_need(size_t n);
/* Keep `n` pages, of those that are free (the caller has looked), for pool_reserved_page. From now
 * on they aren't counted. */
void pool_reserve(size_t n);
/* One of them, zeroed, never given back; NULL: there is none left. */
void *pool_reserved_page(void);
/* Zero the whole pool, used or not (reset and panic path; no lock). */
void pool_wipe(void);

#endif
