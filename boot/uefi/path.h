/* SPDX-License-Identifier: MIT */
/*
 * Device paths (UEFI 2.10, 10.3) and boot entries (3.1.3) as bytes that anybody may have written.
 * Pure; libFuzzer feeds it.
 */
#ifndef XMHF_BOOT_UEFI_PATH_H
#define XMHF_BOOT_UEFI_PATH_H

#include <xmhf/types.h>

#define PATH_TEXT_MAX 256

/* Types and subtypes of nodes that are asked for (UEFI 2.10, tables 10.45 ff.). */
#define PATH_MEDIA     4
#define PATH_HARDDRIVE 1 /* a partition */
#define PATH_FILE      4
#define PATH_FIRMWARE  7 /* a volume in the firmware's own memory (PI 1.7, volume 3, 8.2) */

/* Bytes of the device path at `path`, its end node included, of which `max` may be looked at. 0:
 * it isn't whole; no node is shorter than its head. A path of several instances counts as one. */
size_t path_size(const void *path, size_t max);

/* Bytes up to the first node of that type, or up to the end node if there is none. `path` is
 * whole (path_size isn't 0). */
size_t path_before(const void *path, unsigned type, unsigned subtype);

/* Does the node at `offset` have that type? False at the end node too. */
bool path_is(const void *path, size_t offset, unsigned type, unsigned subtype);

/* The names of all file nodes in a row, one '\\' between two (UEFI 2.10, 10.3.5.4), into `text`,
 * which has room for PATH_TEXT_MAX characters and gets a zero at its end. False, and text is
 * empty: there is none, or it is too long. */
bool path_file(const void *path, uint16_t *text);

/* Do both name one file? FAT looks at no letter's case; letters beyond ASCII must be the same. */
bool path_same_file(const uint16_t *a, const uint16_t *b);

/* Do both begin with nodes of the same partition (number, place and signature)? */
bool path_same_partition(const void *a, const void *b);

/* A boot entry: points into the variable. */
struct boot_entry {
    uint32_t attributes;
    const uint8_t *name;  /* UTF-16, a zero at its end; not aligned */
    const uint8_t *path;  /* whole */
    size_t path_size;
    const uint8_t *options;
    size_t options_size;
};

/* Read `size` bytes of a Boot#### variable. False: it isn't whole. */
bool boot_entry_parse(const void *data, size_t size, struct boot_entry *out);

/*
 * Which entry to look at in place `n` = 0, 1 ...: the `count` numbers of BootOrder, beginning
 * behind `current`, and not going round; from the beginning if `current` isn't among them. False:
 * no more.
 */
bool boot_order_next(const uint16_t *order, size_t count, uint16_t current, size_t n,
                     uint16_t *number);

#endif
