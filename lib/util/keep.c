/* SPDX-License-Identifier: MIT */
/* Where the pages go that the hypervisor keeps besides its range. */
#include <util/keep.h>

#include <util/e820.h>

#define LOW_LIMIT   0x9f000ULL /* what is above is often the firmware's, whatever its map says */

/* Firmware and GRUB overwrite the top of RAM and much below 640 KiB, but hardly both of
 * these: see notes/crash-record.md for what was measured. */
#define CRASH_FLOOR 0x90000ULL
#define HIGH_LIMIT  MIB(24) /* below the top of RAM under 4 GiB */

void keep_crash(const struct boot_mem *map, unsigned count, const struct boot_mem *avoid,
                unsigned avoid_count, uint64_t place[KEEP_CRASH])
{
    uint64_t top = 0;

    for (unsigned i = 0; i < count; i++) {
        if (map[i].type == BOOT_MEM_USABLE && map[i].start < GIB(4)) {
            top = map[i].start + map[i].size;
        }
    }
    top = top > GIB(4) ? GIB(4) : top;
    place[0] = place[1] = 0;
    (void)e820_find_high(map, count, PAGE_SIZE, PAGE_SIZE, CRASH_FLOOR, LOW_LIMIT, avoid,
                         avoid_count, &place[0]);
    if (top > HIGH_LIMIT + MIB(1)) { /* below the protected range, if that is large */
        (void)e820_find_high(map, count, PAGE_SIZE, PAGE_SIZE, MIB(1), top - HIGH_LIMIT, avoid,
                             avoid_count, &place[1]);
    }
}

bool keep_low(const struct boot_mem *map, unsigned count, const struct boot_mem *avoid,
              unsigned avoid_count, uint64_t *page)
{
    return e820_find_high(map, count, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, LOW_LIMIT, avoid,
                          avoid_count, page);
}
