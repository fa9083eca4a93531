/* SPDX-License-Identifier: MIT */
/* Choosing the low page, and filling in what runs after a sleep. */
#include <debug/log.h>
#include <mm/host_map.h>
#include <smp/low_page.h>
#include <util/keep.h>
#include <util/string.h>

#define WAKE_AT   0x800u /* the trampoline is before it */

struct wake_params { uint32_t base, dwords, com; };

extern const uint8_t trampoline_start[], trampoline_end[];
extern const uint8_t wake_start[], wake_end[], wake_params[];

uint64_t low_page;

int low_page_choose(const struct boot_info *bi, const uint64_t *avoid, unsigned avoid_count)
{
    struct boot_mem taken[BOOT_MODULE_MAX + 4];
    unsigned n = 0;

    if (bi->low_page) {
        low_page = bi->low_page;
        return 0;
    }
    for (unsigned i = 0; i < bi->module_count; i++) {
        taken[n++] = (struct boot_mem){ .start = bi->module[i].start, .size = bi->module[i].size };
    }
    for (unsigned i = 0; i < avoid_count && n < ARRAY_SIZE(taken); i++) {
        if (avoid[i]) {
            taken[n++] = (struct boot_mem){ .start = avoid[i], .size = PAGE_SIZE };
        }
    }
    if (!keep_low(bi->mem, bi->mem_count, taken, n, &low_page)) {
        log_error("cannot start: no free page below 640 KiB to start CPUs from");
        return -1;
    }
    return 0;
}

void low_page_fill(const struct boot_info *bi, uint16_t com)
{
    uint8_t *page = host_phys(low_page, PAGE_SIZE);
    size_t size = (size_t)(wake_end - wake_start);

    ASSERT(page && size <= PAGE_SIZE - WAKE_AT && trampoline_end - trampoline_start <= WAKE_AT);
    ASSERT(bi->protected_base + bi->protected_size <= GIB(4)); /* 32-bit code wipes it */
    memset(page, 0, PAGE_SIZE);
    memcpy(page + WAKE_AT, wake_start, size);
    struct wake_params *p = (void *)(page + WAKE_AT + (wake_params - wake_start));
    p->base = (uint32_t)bi->protected_base;
    p->dwords = (uint32_t)(bi->protected_size / 4);
    p->com = com;
}

uint32_t low_page_vector(void)
{
    return (uint32_t)low_page + WAKE_AT;
}
