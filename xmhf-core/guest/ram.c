/* SPDX-License-Identifier: MIT */
/* Which guest-physical addresses are RAM. */
#include <guest/ram.h>

static void add(struct ram_map *m, uint64_t start, uint64_t end, uint64_t align)
{
    start = align_up(start, align);
    end = align_down(end, align);
    if (end > start && m->count < RAM_MAX) {
        m->piece[m->count].start = start;
        m->piece[m->count++].end = end;
    }
}

/* Add [start, end), which is below all that is there. UEFI's map has one piece of RAM in dozens of
 * entries, of kinds that alternate: as one piece it has a window (guest/walk.h). */
static void add_below(struct ram_map *m, uint64_t start, uint64_t end)
{
    if (m->count != 0 && m->piece[m->count - 1].start == end && end % PAGE_SIZE == 0) {
        m->piece[m->count - 1].start = align_up(start, PAGE_SIZE);
    } else {
        add(m, start, end, PAGE_SIZE);
    }
}

/* The three largest pieces first: look-ups end there, by windows (guest/walk.h). */
static void sort_three(struct ram_map *m)
{
    for (unsigned k = 0; k < 3 && k < m->count; k++) {
        for (unsigned i = k + 1; i < m->count; i++) {
            if (m->piece[i].end - m->piece[i].start > m->piece[k].end - m->piece[k].start) {
                __typeof__(m->piece[0]) t = m->piece[k];
                m->piece[k] = m->piece[i];
                m->piece[i] = t;
            }
        }
    }
}

/* Add the parts of [start, end) that no entry of `map` covers. `map` is sorted, without
 * overlaps. */
static void add_hotplug(const struct boot_mem *map, unsigned count, uint64_t start, uint64_t end,
                        struct ram_map *out)
{
    for (unsigned i = 0; i < count && start < end; i++) {
        uint64_t top = map[i].start + map[i].size;

        if (top <= start) {
            continue;
        }
        if (map[i].start > start) {
            add(out, start, map[i].start < end ? map[i].start : end, PAGE_SIZE_2M);
        }
        start = top;
    }
    add(out, start, end, PAGE_SIZE_2M);
}

void ram_build(const struct boot_mem *map, unsigned count, const struct acpi_range *hotplug,
               unsigned hotplug_count, uint64_t limit, struct ram_map *out)
{
    out->boot = out->count = 0;
    for (unsigned i = count; i-- > 0;) {
        if (map[i].type == BOOT_MEM_USABLE || map[i].type == BOOT_MEM_FIRMWARE_RAM) {
            add_below(out, map[i].start, map[i].start + map[i].size);
        }
    }
    sort_three(out);
    out->boot = out->count;
    for (unsigned i = 0; i < hotplug_count; i++) {
        uint64_t start = hotplug[i].start > GIB(4) ? hotplug[i].start : GIB(4);
        uint64_t end = hotplug[i].end < limit ? hotplug[i].end : limit;
        add_hotplug(map, count, start, end, out);
    }
}

bool ram_has(const struct ram_map *m, uint64_t at, uint64_t len)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (at >= m->piece[i].start && at < m->piece[i].end && len <= m->piece[i].end - at) {
            return true;
        }
    }
    return false;
}

uint64_t ram_bytes(const struct ram_map *m)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < m->boot; i++) {
        bytes += m->piece[i].end - m->piece[i].start;
    }
    return bytes;
}
