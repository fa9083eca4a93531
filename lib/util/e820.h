/* SPDX-License-Identifier: MIT */
/*
 * Memory maps: cleaning the firmware's, finding room in it, and carving a range out.
 * Works on struct boot_mem arrays of at most BOOT_MEM_MAX entries; pure. All but
 * e820_sanitize, e820_add and e820_reserve expect a sanitized map.
 */
#ifndef XMHF_UTIL_E820_H
#define XMHF_UTIL_E820_H

#include <xmhf/boot_info.h>

/*
 * Sort by start; drop empty and wrapping entries; where entries overlap the more
 * restrictive type wins (anything but USABLE beats USABLE, and FIRMWARE_RAM is next; among others
 * the higher number); merge neighbours of one type. In place. Returns the new count, or -1 if
 * the result would exceed `max` entries (then the map is as it was). One CPU at a time, as
 * e820_reserve.
 */
int e820_sanitize(struct boot_mem *map, unsigned count, unsigned max);

/* Add `entry` to the `*count` entries of `map`, which has room for BOOT_MEM_MAX: a full map is
 * sanitized, which may make room. False if that makes none; the map is as it was. */
bool e820_add(struct boot_mem *map, uint32_t *count, const struct boot_mem *entry);

/* The type that a guest's E820 has for `type`: one of its own numbers. */
static inline uint32_t e820_guest_type(uint32_t type)
{
    return type == BOOT_MEM_FIRMWARE_RAM ? BOOT_MEM_RESERVED : type;
}

/*
 * The highest address `at`, aligned to `align` (a power of two), with
 * [at, at+size) inside one USABLE range, at+size <= limit, at >= floor, and touching
 * none of the `avoid` ranges (their type is ignored). False if there is none.
 */
bool e820_find_high(const struct boot_mem *map, unsigned count, uint64_t size, uint64_t align,
                    uint64_t floor, uint64_t limit, const struct boot_mem *avoid,
                    unsigned avoid_count, uint64_t *at);
/* The same, lowest address. */
bool e820_find_low(const struct boot_mem *map, unsigned count, uint64_t size, uint64_t align,
                   uint64_t floor, uint64_t limit, const struct boot_mem *avoid,
                   unsigned avoid_count, uint64_t *at);

/* Make [start, start+size) type RESERVED whatever it was, splitting entries, and
 * sanitize. Returns the new count, or -1 if it would exceed `max` or the range wraps
 * (then the map is as it was). */
int e820_reserve(struct boot_mem *map, unsigned count, unsigned max, uint64_t start,
                 uint64_t size);

/* True if all of [start, start+size) is USABLE. size > 0; no wrap allowed (false). */
bool e820_is_usable(const struct boot_mem *map, unsigned count, uint64_t start, uint64_t size);

uint64_t e820_usable_bytes(const struct boot_mem *map, unsigned count);
/* End (exclusive) of the highest USABLE entry, 0 if none. */
uint64_t e820_usable_end(const struct boot_mem *map, unsigned count);

#endif
