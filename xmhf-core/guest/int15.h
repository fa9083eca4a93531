/* SPDX-License-Identifier: MIT */
/*
 * The BIOS memory map of a real-mode guest: INT 15h E820h, E801h and 88h without the
 * protected range, and a base-memory size (INT 12h, BDA 40:13) without the hook itself.
 */
#ifndef XMHF_GUEST_INT15_H
#define XMHF_GUEST_INT15_H

#include <xmhf/boot_info.h>

struct int15_data {
    uint32_t old_vector;   /* segment:offset */
    uint32_t entry_count;
    uint16_t kib_1m_16m;   /* E801h AX: KiB from 1 MiB up, at most 0x3c00 */
    uint16_t blocks_16m;   /* E801h BX: blocks of 64 KiB from 16 MiB up */
    uint16_t kib_1m_64m;   /* 88h: KiB from 1 MiB up, at most 0xfc00 */
    uint16_t reserved;
} __attribute__((packed));

/* What E801h and 88h answer for `map`. Pure. */
void int15_sizes(const struct boot_mem *map, unsigned count, struct int15_data *out);

/* Put the hook into a page below 640 KiB, which becomes reserved in the guest's map. The
 * IVT is changed unless the hook is there already. 0, or -1 with a log line. */
int int15_install(void);

#endif
