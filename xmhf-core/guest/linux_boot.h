/* SPDX-License-Identifier: MIT */
/*
 * Starting a Linux bzImage by the 32-bit boot protocol (Linux' Documentation/arch/x86/
 * boot.rst): checks the image, chooses places, builds boot_params and its E820 map
 * without the protected range. Pure: works on bytes the caller maps.
 */
#ifndef XMHF_GUEST_LINUX_BOOT_H
#define XMHF_GUEST_LINUX_BOOT_H

#include <xmhf/boot_info.h>

#define LINUX_BOOT_PARAMS_SIZE 4096
#define LINUX_CMDLINE_MAX 2048
#define LINUX_MORE_SIZE 8192

/* Where everything goes, guest-physical. */
struct linux_plan {
    uint64_t kernel_src;      /* protected-mode part inside the module */
    uint64_t kernel_size;
    uint64_t kernel_dst;      /* load address */
    uint64_t initrd_src, initrd_size, initrd_dst; /* dst == src: stays where it is */
    uint64_t boot_params;     /* 4 KiB, below 640 KiB */
    uint64_t cmdline;         /* below 640 KiB */
    uint64_t more;            /* LINUX_MORE_SIZE bytes there, for linux_fill_more; 0: no need */
    uint32_t entry;           /* kernel_dst for the 32-bit protocol */
    uint64_t efi_map;         /* for a copy of UEFI's memory map; 0: the guest gets none */
    uint64_t efi_room;        /* bytes there */
    uint64_t efi_size;        /* bytes of the copy: linux_copy_efi_map */
};

/*
 * Check the bzImage at `image` (module[0]'s bytes, mapped) and decide the places.
 * Nothing may overlap the protected range, unusable memory, or each other (moves are
 * done kernel first or initrd first as `initrd_first` says, so that no source is
 * overwritten before it is copied). A part's own source and destination may overlap:
 * copy as memmove does. 0, or -1 with `*why` (constant string).
 */
int linux_plan(const struct boot_info *bi, const void *image, struct linux_plan *plan,
               bool *initrd_first, const char **why);

/*
 * Copy UEFI's memory map, mapped at `from`, to the place in the plan, mapped at `to`, but for what
 * isn't the guest's: the protected range, bi->low_page, bi->crash_place, which bi->mem has as
 * reserved, and the copy itself. Before anything moves. 0, or -1 with `*why`.
 */
int linux_copy_efi_map(struct linux_plan *plan, const struct boot_info *bi, const uint8_t *from,
                       uint8_t *to, const char **why);

/*
 * Fill `params` (LINUX_BOOT_PARAMS_SIZE bytes, zeroed first) from the image's setup header and what
 * `bi` says: bi->mem, the guest's E820, sanitized; bi->rsdp, unless it lies in memory that the map
 * calls usable (that is a loader's copy, which the guest may overwrite; Linux then looks for the
 * firmware's own); bi->screen: text, or none; the picture of bi->framebuffer; UEFI's system table
 * and the copy of its memory map, if the plan has one.
 */
void linux_fill_params(void *params, const void *image, const struct linux_plan *plan,
                       const struct boot_info *bi);

/* Fill the plan's `more` with what boot_params have no room for: entries of bi->mem behind the
 * first 128. */
void linux_fill_more(void *more, const struct boot_info *bi);

#endif
