/* SPDX-License-Identifier: MIT */
/* Which guest-physical addresses are RAM: what the firmware's map calls usable or keeps for itself,
 * and where RAM may be plugged in. Pure. */
#ifndef XMHF_GUEST_RAM_H
#define XMHF_GUEST_RAM_H

#include <acpi/acpi.h>
#include <xmhf/boot_info.h>

#define RAM_MAX (BOOT_MEM_MAX + 2 * ACPI_HOTPLUG_MAX)

struct ram_map {
    unsigned boot;  /* piece[0..boot) are of the map, the three largest first */
    unsigned count; /* and [boot..count) may be plugged in */
    struct { uint64_t start, end; } piece[RAM_MAX]; /* whole pages, not empty */
};

/*
 * Fill `out` from a sanitized map. A part of `hotplug` counts if it lies above 4 GiB, below
 * `limit`, and in no entry of the map, whatever its type: RAM below 4 GiB is all there at boot,
 * and the holes there are for devices (notes/decisions/ram-by-hotplug.md). Whole 2 MiB pages.
 * Pieces for which there is no room are left out.
 */
void ram_build(const struct boot_mem *map, unsigned count, const struct acpi_range *hotplug,
               unsigned hotplug_count, uint64_t limit, struct ram_map *out);

/* Is all of [at, at+len) in one piece? */
bool ram_has(const struct ram_map *m, uint64_t at, uint64_t len);

/* Bytes of what is there at boot, without what may be plugged in. */
uint64_t ram_bytes(const struct ram_map *m);

#endif
