/* SPDX-License-Identifier: MIT */
/* Where the pages go that the hypervisor keeps besides its range. Pure, on sanitized maps. */
#ifndef XMHF_UTIL_KEEP_H
#define XMHF_UTIL_KEEP_H

#include <xmhf/boot_info.h>

#define KEEP_CRASH 2 /* copies of the crash record */

/* The crash record's places, clear of `avoid`, one of which may be the protected range; 0 = none.
 * The same map and ranges give the same places in every boot. */
void keep_crash(const struct boot_mem *map, unsigned count, const struct boot_mem *avoid,
                unsigned avoid_count, uint64_t place[KEEP_CRASH]);

/* The low page (smp/low_page.h): the highest page where CPUs can start, clear of `avoid`. False if
 * there is none. */
bool keep_low(const struct boot_mem *map, unsigned count, const struct boot_mem *avoid,
              unsigned avoid_count, uint64_t *page);

#endif
