/* SPDX-License-Identifier: MIT */
/* Choosing pages of ours beside the protected range, where the front end does that. */
#include <boot/common/pages.h>

#include <util/keep.h>

void boot_pages(struct boot_info *bi, const struct boot_mem *map, unsigned count,
                const struct boot_mem *avoid, unsigned avoid_count)
{
    struct boot_mem taken[BOOT_MODULE_MAX + BOOT_PAGES_AVOID_MAX + 2 + KEEP_CRASH];
    unsigned n = 0;

    for (; n < bi->module_count; n++) {
        taken[n] = (struct boot_mem){ .start = bi->module[n].start, .size = bi->module[n].size };
    }
    for (unsigned i = 0; i < avoid_count && i < BOOT_PAGES_AVOID_MAX; i++) {
        taken[n++] = avoid[i];
    }
    taken[n++] = (struct boot_mem){ .start = bi->protected_base, .size = bi->protected_size };
    if (bi->low_page != 0) {
        taken[n++] = (struct boot_mem){ .start = bi->low_page, .size = PAGE_SIZE };
    }
    if (bi->crash_place[0] == 0 && bi->crash_place[1] == 0) {
        keep_crash(map, count, taken, n, bi->crash_place);
    }
    for (unsigned i = 0; i < KEEP_CRASH; i++) {
        taken[n++] = (struct boot_mem){ .start = bi->crash_place[i], .size = PAGE_SIZE };
    }
    if (bi->low_page == 0) {
        (void)keep_low(map, count, taken, n, &bi->low_page);
    }
}
