/* SPDX-License-Identifier: MIT */
/* UEFI's memory map: to struct boot_mem, and a copy for the guest that has less in it. */
#include <util/efi_map.h>

#include <util/bytes.h>
#include <util/e820.h>
#include <util/string.h>

/* UEFI 2.10, 7.2.3: EFI_MEMORY_DESCRIPTOR. */
#define DESCRIPTOR_TYPE      0
#define DESCRIPTOR_START     8
#define DESCRIPTOR_VIRTUAL   16
#define DESCRIPTOR_PAGES     24
#define DESCRIPTOR_ATTRIBUTE 32

#define MEMORY_WB BIT(3) /* the same place: EFI_MEMORY_WB */

/* UEFI 2.10, table 7.10. */
enum efi_memory_type {
    EFI_RESERVED,
    EFI_LOADER_CODE,
    EFI_LOADER_DATA,
    EFI_BOOT_SERVICES_CODE,
    EFI_BOOT_SERVICES_DATA,
    EFI_RUNTIME_SERVICES_CODE,
    EFI_RUNTIME_SERVICES_DATA,
    EFI_CONVENTIONAL,
    EFI_UNUSABLE,
    EFI_ACPI_RECLAIM,
    EFI_ACPI_NVS,
    EFI_MMIO,
    EFI_MMIO_PORTS,
    EFI_PAL_CODE,
    EFI_PERSISTENT,
    EFI_UNACCEPTED,
};

#define E820_PERSISTENT 7 /* ACPI 6.5, table 15.4 */

struct piece {
    uint32_t type;
    uint64_t start, size, attribute; /* bytes */
};

/* The descriptor at `p`; false if it is empty, wraps, or doesn't begin on a page. */
static bool read_piece(const uint8_t *p, struct piece *out)
{
    uint64_t pages = le64(p + DESCRIPTOR_PAGES);

    *out = (struct piece){
        .type = le32(p + DESCRIPTOR_TYPE),
        .start = le64(p + DESCRIPTOR_START),
        .size = pages * PAGE_SIZE,
        .attribute = le64(p + DESCRIPTOR_ATTRIBUTE),
    };
    return pages != 0 && pages <= UINT64_MAX / PAGE_SIZE && out->start % PAGE_SIZE == 0
        && out->start + out->size > out->start;
}

/*
 * RAM that can't be cached is no place for anybody's data. Memory for a special purpose
 * (EFI_MEMORY_SP) is RAM: that is a hint only. Memory that must be accepted first exists in
 * encrypted virtual machines only.
 */
static uint32_t boot_type(const struct piece *p, enum efi_map_view view)
{
    const bool cached = (p->attribute & MEMORY_WB) != 0;

    switch (p->type) {
    case EFI_CONVENTIONAL:
        return cached ? BOOT_MEM_USABLE : BOOT_MEM_RESERVED;
    case EFI_LOADER_CODE:
    case EFI_LOADER_DATA:
    case EFI_BOOT_SERVICES_CODE:
    case EFI_BOOT_SERVICES_DATA:
        return !cached ? BOOT_MEM_RESERVED
            : view == EFI_MAP_AFTER ? BOOT_MEM_USABLE : BOOT_MEM_FIRMWARE_RAM;
    case EFI_UNUSABLE:
        return BOOT_MEM_BAD;
    case EFI_ACPI_RECLAIM:
        return BOOT_MEM_ACPI;
    case EFI_ACPI_NVS:
        return BOOT_MEM_NVS;
    case EFI_PERSISTENT:
        return E820_PERSISTENT;
    case EFI_MMIO:
    case EFI_MMIO_PORTS:
    case EFI_UNACCEPTED:
        return BOOT_MEM_RESERVED;
    default: /* runtime services, reserved, a vendor's own */
        return cached ? BOOT_MEM_FIRMWARE_RAM : BOOT_MEM_RESERVED;
    }
}

/* Join it to the last entry where they touch: maps have many descriptors of few kinds, mostly in
 * order, up or down. */
static bool add(struct boot_mem *mem, uint32_t *count, const struct boot_mem *m)
{
    struct boot_mem *last = *count != 0 ? &mem[*count - 1] : NULL;

    if (last && last->type == m->type && last->start + last->size == m->start) {
        last->size += m->size;
        return true;
    }
    if (last && last->type == m->type && m->start + m->size == last->start) {
        last->start = m->start;
        last->size += m->size;
        return true;
    }
    return e820_add(mem, count, m);
}

static int fail(const char **why, const char *text)
{
    *why = text;
    return -1;
}

int efi_map_convert(const struct efi_map *map, enum efi_map_view view, struct boot_mem *mem,
                    uint32_t *count, const char **why)
{
    int n;

    *count = 0;
    if (map->descriptor_size < EFI_DESCRIPTOR_MIN || map->descriptor_size > EFI_DESCRIPTOR_MAX
        || map->descriptor_size % 8 != 0) {
        return fail(why, "UEFI's memory map has descriptors of an impossible size");
    }
    for (uint64_t at = 0; map->size - at >= map->descriptor_size; at += map->descriptor_size) {
        struct piece p;

        if (read_piece(map->at + at, &p)
            && !add(mem, count, &(struct boot_mem){ p.start, p.size, boot_type(&p, view), 0 })) {
            return fail(why, "UEFI's memory map has too many entries");
        }
    }
    n = e820_sanitize(mem, *count, BOOT_MEM_MAX);
    if (n < 0) {
        return fail(why, "UEFI's memory map has too many entries");
    }
    *count = (uint32_t)n;
    return e820_usable_bytes(mem, *count) != 0
        ? 0 : fail(why, "UEFI's memory map has no usable memory");
}

uint64_t efi_map_room(const struct efi_map *map, unsigned taken_count)
{
    return (map->size / map->descriptor_size + 2 * taken_count) * map->descriptor_size;
}

/* How many bytes from `at` on, of `size`, are alike: in one of the taken ranges (*in), or in
 * none. */
static uint64_t alike(uint64_t at, uint64_t size, const struct boot_mem *taken, unsigned count,
                      bool *in)
{
    *in = false;
    for (unsigned i = 0; i < count; i++) {
        const struct boot_mem *t = &taken[i];

        if (at >= t->start && at - t->start < t->size) {
            uint64_t left = t->size - (at - t->start);

            *in = true;
            return left < size ? left : size;
        }
        if (t->size != 0 && t->start > at && t->start - at < size) {
            size = t->start - at;
        }
    }
    return size;
}

/* [start, start+size) of what the descriptor at `from` tells, as one of its own. */
static void put_part(uint8_t *to, const uint8_t *from, uint64_t descriptor_size,
                     const struct piece *part)
{
    uint64_t virtual = le64(from + DESCRIPTOR_VIRTUAL);

    memcpy(to, from, descriptor_size);
    put_le32(to + DESCRIPTOR_TYPE, part->type);
    put_le64(to + DESCRIPTOR_START, part->start);
    put_le64(to + DESCRIPTOR_PAGES, part->size / PAGE_SIZE);
    if (virtual != 0) {
        put_le64(to + DESCRIPTOR_VIRTUAL, virtual + part->start - le64(from + DESCRIPTOR_START));
    }
}

uint64_t efi_map_without(const struct efi_map *map, const struct boot_mem *taken,
                         unsigned taken_count, uint8_t *out, uint64_t room)
{
    uint64_t written = 0;
    struct piece all;

    for (uint64_t at = 0; map->size - at >= map->descriptor_size; at += map->descriptor_size) {
        if (!read_piece(map->at + at, &all)) {
            continue;
        }
        for (uint64_t done = 0; done < all.size;) {
            struct piece part = { .type = all.type, .start = all.start + done };
            bool in;

            part.size = alike(part.start, all.size - done, taken, taken_count, &in);
            part.type = in ? EFI_RESERVED : all.type;
            if (room - written < map->descriptor_size) {
                return 0;
            }
            put_part(out + written, map->at + at, map->descriptor_size, &part);
            written += map->descriptor_size;
            done += part.size;
        }
    }
    return written;
}
