/* SPDX-License-Identifier: MIT */
/* Choosing pages of ours beside the protected range, where the front end does that. Pure. */
#ifndef XMHF_BOOT_PAGES_H
#define XMHF_BOOT_PAGES_H

#include <xmhf/boot_info.h>

#define BOOT_PAGES_AVOID_MAX 8

/*
 * Where `bi` has none yet: places for the crash record, and the low page (util/keep.h), in what is
 * usable in `map`, clear of each other, of modules, of the protected range and of `avoid` (at most
 * BOOT_PAGES_AVOID_MAX). What isn't found stays 0.
 */
void boot_pages(struct boot_info *bi, const struct boot_mem *map, unsigned count,
                const struct boot_mem *avoid, unsigned avoid_count);

#endif
