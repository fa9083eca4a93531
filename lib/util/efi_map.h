/* SPDX-License-Identifier: MIT */
/*
 * UEFI's memory map: from descriptors to struct boot_mem, and a copy for the guest that has less in
 * it (UEFI 2.10, 7.2.3). Firmware's word: every size is checked. Pure.
 */
#ifndef XMHF_UTIL_EFI_MAP_H
#define XMHF_UTIL_EFI_MAP_H

#include <xmhf/boot_info.h>

/* As GetMemoryMap returns it. Descriptors are longer than the specification's structure on all
 * firmware: their size is firmware's word. */
struct efi_map {
    const uint8_t *at;
    uint64_t size;            /* bytes; what is left behind the last whole descriptor is ignored */
    uint64_t descriptor_size; /* bytes, at least EFI_DESCRIPTOR_MIN */
};

#define EFI_DESCRIPTOR_MIN     40 /* as many bytes are used */
#define EFI_DESCRIPTOR_MAX     256
#define EFI_DESCRIPTOR_VERSION 1

/* Whose memory is usable? While firmware has its boot services nobody may take theirs. After them
 * it is the OS's, but some firmware still goes there in SetVirtualAddressMap: a place for longer
 * had better be elsewhere. */
enum efi_map_view {
    EFI_MAP_BOOT_SERVICES, /* what is free: nothing of boot services, loaders, applications */
    EFI_MAP_AFTER,         /* theirs too */
};

/*
 * Fill `mem`, which has room for BOOT_MEM_MAX, with a sanitized map (util/e820.h). Write-back RAM
 * that firmware keeps becomes BOOT_MEM_FIRMWARE_RAM, and so does in EFI_MAP_BOOT_SERVICES what is
 * in use. Descriptors that are empty, wrap or don't begin on a page count as absent. 0, or -1 with
 * `*why`.
 */
int efi_map_convert(const struct efi_map *map, enum efi_map_view view, struct boot_mem *mem,
                    uint32_t *count, const char **why);

/* Bytes that efi_map_without writes at most with `taken_count` ranges, for a map without
 * overlaps. */
uint64_t efi_map_room(const struct efi_map *map, unsigned taken_count);

/*
 * Copy the map to `out`, which has `room` bytes and doesn't overlap it; what lies in one of the
 * `taken` ranges (whole pages, no overlaps) is EfiReservedMemoryType there, by descriptors of its
 * own. Returns the copy's bytes, or 0 where there is too little room. For a map that
 * efi_map_convert has taken.
 */
uint64_t efi_map_without(const struct efi_map *map, const struct boot_mem *taken,
                         unsigned taken_count, uint8_t *out, uint64_t room);

#endif
