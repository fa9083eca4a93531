/* SPDX-License-Identifier: MIT */
/*
 * Memory of the firmware's: what there is, and what is taken for good. By EfiReservedMemoryType
 * (UEFI 2.10, 7.2): no OS uses or maps it, it isn't moved by SetVirtualAddressMap, and it is left
 * out of hibernation and dumps.
 */
#ifndef XMHF_BOOT_UEFI_MEMORY_H
#define XMHF_BOOT_UEFI_MEMORY_H

#include <boot/common/launch.h>
#include <boot/uefi/efi.h>

#define TAKEN_MAX 8

/* What was allocated so far. */
struct taken {
    struct { uint64_t base, pages; } range[TAKEN_MAX];
    unsigned count;
};

/* Give all of it back, the last first. */
void taken_give_back(const struct uefi *u, struct taken *t);

/* Pages for this program's own use, below 4 GiB, all zero; gone when an OS takes over. NULL:
 * none. */
void *taken_pages(const struct uefi *u, struct taken *t, uint64_t pages);

/*
 * Choose and allocate what must stay: bi->protected_base and size, low_page, crash_place. Fills in
 * bi->mem as an OS will find memory. Needs bi->cmdline. NULL, or why it can't be; what has been
 * allocated by then is in `t`.
 */
const char *memory_take(const struct uefi *u, struct taken *t, struct boot_info *bi,
                        const struct core_image *core);

#endif
