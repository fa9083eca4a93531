/* SPDX-License-Identifier: MIT */
/*
 * The address space of one PAL: frames of the protected range, 4-level page tables that show the
 * sections at their own virtual addresses (without an image those are the caller's), and nested
 * tables for a small guest-physical space that starts at 0:
 *
 *   page 0                the return page, one frame shared by all PALs
 *   pages 1 .. pages      the sections, in order
 *   behind them           the page tables, in order of creation, and the LDT of 16-bit code
 *
 * 16-bit code has a return page in the segment of each CODE section (mode16.h), and its LDT at
 * TV_LDT_VA: present for the supervisor only, read-only, and beyond what a segment of its own can
 * reach.
 *
 * Nested rights: return page and CODE read+execute, RODATA and LDT read, all else read+write. The
 * page tables are writable there because an AMD CPU treats its walk of them as writes (APM vol. 2,
 * 15.25.5); no virtual address of the PAL leads to them.
 */
#ifndef TV_ADDRESS_SPACE_H
#define TV_ADDRESS_SPACE_H

#include "image.h"

#define TV_LDT_VA TV_USER_END_32

struct tv_space {
    uint64_t *nested[3];   /* the nested tables of level 4, 3 and 2; level 1 hangs below */
    uint64_t *l1;          /* the nested table of level 1 used last, or NULL ... */
    uint32_t l1_number;    /* ... and which one it is */
    uint64_t *pml4;
    uint64_t *pt;          /* the page table used last ... */
    uint64_t pt_region;    /* ... and the number of the 2 MiB region that it maps */
    uint64_t return_page;  /* RIP that calls return to: the return page's GVA; with 16 bits
                              XMHF_RETURN_16 */
    uint64_t *ldt;         /* of 16-bit code; else NULL */
    uint32_t pages;        /* frames reserved for sections */
    uint32_t tables;       /* page tables made so far */
    uint32_t freed;        /* frames of sections given back by space_free */
};

/* The return page's frame, made once. False: out of memory. */
bool space_global_init(void);

/* Pages of the pool that a PAL like this takes at most, its control page apart. */
size_t space_need(const struct tv_image *im);

/* Pages of the pool that this one, filled, has. */
size_t space_size(const struct tv_space *s);

/* Tables and return page for `im`. False: out of memory; space_free is due in both cases.
 * `s` is all zeros before. */
bool space_init(struct tv_space *s, const struct tv_image *im);

/* A zeroed frame for page `index` of section `sec`, mapped. NULL: out of memory; may be tried
 * again. */
void *space_add(struct tv_space *s, const struct tv_section *sec, uint32_t index);

/* Core pointer to page `index` of the sections, or NULL if it has no frame. Any CPU, as long
 * as nobody changes the space. */
void *space_frame(const struct tv_space *s, uint32_t index);

/* Where the tables are, for the sandbox. */
hpa_t space_nested_root(const struct tv_space *s);
gpa_t space_cr3(const struct tv_space *s);

/* Wipe and give back up to `*budget` frames (counted down), then the tables. True when
 * everything is given back; false: call again. */
bool space_free(struct tv_space *s, const struct tv_image *im, uint32_t *budget);

#endif
