/* SPDX-License-Identifier: MIT */
/* Hooking INT 15h for real-mode guests. */
#include <debug/log.h>
#include <guest/int15.h>
#include <guest/phys.h>
#include <mm/host_map.h>
#include <util/e820.h>
#include <util/string.h>

#define IVT_15          (0x15 * 4)
#define BDA_BASE_MEMORY 0x413 /* KiB below 640 KiB, a word */

extern const uint8_t int15_start[], int15_data[], int15_end[];

struct int15_entry { uint64_t start, size; uint32_t type; } __attribute__((packed));
_Static_assert(sizeof(struct int15_entry) == 20, "ACPI 6.5, table 15.3");
_Static_assert(sizeof(struct int15_data) == 16, "guest/int15_hook.S");

/* KiB of usable memory from `at` up without a gap. */
static uint64_t kib_from(const struct boot_mem *map, unsigned count, uint64_t at)
{
    for (unsigned i = 0; i < count; i++) {
        if (map[i].type == BOOT_MEM_USABLE && map[i].start <= at
            && at - map[i].start < map[i].size) {
            return (map[i].start + map[i].size - at) >> 10;
        }
    }
    return 0;
}

void int15_sizes(const struct boot_mem *map, unsigned count, struct int15_data *out)
{
    uint64_t low = kib_from(map, count, MIB(1));
    uint64_t high = kib_from(map, count, MIB(16)) / 64;

    out->kib_1m_16m = (uint16_t)(low < 0x3c00 ? low : 0x3c00);
    out->blocks_16m = (uint16_t)(high < 0xffff ? high : 0xffff);
    out->kib_1m_64m = (uint16_t)(low < 0xfc00 ? low : 0xfc00);
}

static void fill(uint8_t *page, uint32_t old_vector)
{
    size_t code = (size_t)(int15_data - int15_start);
    struct int15_data data = { .old_vector = old_vector, .entry_count = guest_map_count };
    struct int15_entry *entry = (void *)(page + (int15_end - int15_start));

    int15_sizes(guest_map, guest_map_count, &data);
    memcpy(page, int15_start, code);
    memcpy(page + code, &data, sizeof(data));
    for (unsigned i = 0; i < guest_map_count; i++) {
        const struct int15_entry e = { guest_map[i].start, guest_map[i].size,
                                       e820_guest_type(guest_map[i].type) };
        memcpy(&entry[i], &e, sizeof(e));
    }
}

/* So many have room in the hook's page. */
static unsigned entries_max(void)
{
    return (unsigned)(PAGE_SIZE - (size_t)(int15_end - int15_start)) / sizeof(struct int15_entry);
}

int int15_install(void)
{
    uint8_t *low = host_phys(0, MIB(1));
    uint64_t page;
    int n;

    if (!low || !e820_find_high(guest_map, guest_map_count, PAGE_SIZE, PAGE_SIZE, 0x1000, 0xa0000,
                                NULL, 0, &page)
        || (n = e820_reserve(guest_map, guest_map_count, entries_max(), page, PAGE_SIZE)) < 0) {
        log_error("cannot start the guest: no low page for its memory map");
        return -1;
    }
    guest_map_count = (unsigned)n;
    uint32_t old, ours = (uint32_t)(page >> 4) << 16;
    uint16_t base_kib;
    memcpy(&old, low + IVT_15, sizeof(old));
    memcpy(&base_kib, low + BDA_BASE_MEMORY, sizeof(base_kib));
    fill(low + page, old);
    memcpy(low + IVT_15, &ours, sizeof(ours));
    if (base_kib > page >> 10) {
        base_kib = (uint16_t)(page >> 10);
        memcpy(low + BDA_BASE_MEMORY, &base_kib, sizeof(base_kib));
    }
    return 0;
}
