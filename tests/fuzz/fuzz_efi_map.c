/* SPDX-License-Identifier: MIT */
/* libFuzzer: the input is UEFI's memory map; its first byte is the descriptors' size in quadwords,
 * the next 24 are two ranges that the guest doesn't get. */
#include <stdlib.h>
#include <string.h>

#include <util/e820.h>
#include <util/efi_map.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The copy, looked at as a map of its own: nothing usable in what is taken, and nothing more than
 * before elsewhere. */
static void check_copy(const struct efi_map *map, const struct boot_mem *mem, uint32_t count,
                       const struct boot_mem taken[2])
{
    static struct boot_mem after[BOOT_MEM_MAX];
    uint64_t room = efi_map_room(map, 2);
    uint8_t *out = malloc(room + 1);
    struct efi_map copy = { out, efi_map_without(map, taken, 2, out, room), map->descriptor_size };
    const char *why = NULL;
    uint32_t n;

    check(copy.size <= room && copy.size % copy.descriptor_size == 0);
    if (copy.size != 0 && efi_map_convert(&copy, EFI_MAP_AFTER, after, &n, &why) == 0) {
        for (uint32_t i = 0; i < n; i++) {
            bool usable = after[i].type == BOOT_MEM_USABLE;

            check(!usable || e820_is_usable(mem, count, after[i].start, after[i].size));
            for (unsigned t = 0; t < 2; t++) {
                check(!usable || !ranges_overlap(after[i].start, after[i].size, taken[t].start,
                                                 taken[t].size));
            }
        }
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot_mem mem[BOOT_MEM_MAX], strict[BOOT_MEM_MAX];
    const size_t head = 1 + 2 * 12;
    struct boot_mem taken[2] = { { 0 } };
    struct efi_map map;
    const char *why = NULL;
    uint32_t count, free_count;
    int result;

    if (size < head) {
        return 0;
    }
    for (unsigned t = 0; t < 2; t++) {
        uint32_t pages;

        memcpy(&taken[t].start, data + 1 + 12 * t, 8);
        memcpy(&pages, data + 9 + 12 * t, 4);
        taken[t].start = align_down(taken[t].start / 2, PAGE_SIZE); /* it doesn't wrap */
        taken[t].size = (uint64_t)pages * PAGE_SIZE;
    }
    map = (struct efi_map){ data + head, size - head, 8u * data[0] };
    result = efi_map_convert(&map, EFI_MAP_AFTER, mem, &count, &why);
    check((result == 0) == !why);
    if (result != 0) {
        return 0;
    }
    check(count >= 1 && count <= BOOT_MEM_MAX);
    if (!ranges_overlap(taken[0].start, taken[0].size, taken[1].start, taken[1].size)) {
        check_copy(&map, mem, count, taken);
    }
    /* What is free while boot services run is free after them. */
    if (efi_map_convert(&map, EFI_MAP_BOOT_SERVICES, strict, &free_count, &why) == 0) {
        for (uint32_t i = 0; i < free_count; i++) {
            check(strict[i].type != BOOT_MEM_USABLE
                  || e820_is_usable(mem, count, strict[i].start, strict[i].size));
        }
    }
    return 0;
}
