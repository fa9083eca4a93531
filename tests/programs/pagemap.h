/* SPDX-License-Identifier: MIT */
/* What Linux tells root of the page that an address of this process has. */
#ifndef PAL_PAGEMAP_H
#define PAL_PAGEMAP_H

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

/* Bit 63 present, 62 swapped, 54:0 frame; 0 if there is nothing to read. */
static inline uint64_t page_entry(const void *at)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);

    if (fd >= 0) {
        if (pread(fd, &entry, 8, (off_t)((uintptr_t)at / 4096 * 8)) != 8) {
            entry = 0;
        }
        close(fd);
    }
    return entry;
}

/* The frame of the page that is there, or 0. */
static inline uint64_t page_frame(const void *at)
{
    uint64_t entry = page_entry(at);

    return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

#endif
