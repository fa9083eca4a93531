/* SPDX-License-Identifier: MIT */
/* Choosing the protected range: how large, and where. Pure. */
#ifndef XMHF_BOOT_PLACE_H
#define XMHF_BOOT_PLACE_H

#include <xmhf/boot_info.h>

/* Bytes of tables that code in all of RAM may need, where only pages of 4 KiB are executable:
 * RAM/512, at most 256 MiB. To be added to core_mem below. */
uint64_t boot_tables(const struct boot_info *bi);

/*
 * Choose the protected range: core_mem + palmem bytes, or with palmem 0 the larger of RAM/64
 * (clamped to 2..64 MiB) and core_mem + half of that or 2 MiB, rounded up to 2 MiB, less the three
 * pages that are taken elsewhere (boot_info.low_page, crash_place); the highest place, 2 MiB
 * aligned, below 4 GiB that is usable and touches no module and none of `avoid` (boot stage, what
 * the loader left; at most 32). Sets bi->protected_base/size. 0, or -1 with `*why`; it then has
 * changed nothing.
 */
int boot_place(struct boot_info *bi, uint64_t core_mem, uint64_t palmem,
               const struct boot_mem *avoid, unsigned avoid_count, const char **why);

/*
 * Move the chosen range to the highest place of its size that is usable in `map`, too, by the same
 * rules; it stays where there is none.
 */
void boot_prefer(struct boot_info *bi, const struct boot_mem *map, unsigned count,
                 const struct boot_mem *avoid, unsigned avoid_count);

#endif
