/* SPDX-License-Identifier: MIT */
/*
 * The 16-bit boot protocol, for images that have no 32-bit entry (iPXE's .lkrn) and for those
 * older than 2.06 (GRUB's lnxboot.img): their set-up code starts in real mode and asks the BIOS
 * (Linux' boot.rst, "16-bit"). Pure.
 */
#ifndef XMHF_GUEST_LINUX16_H
#define XMHF_GUEST_LINUX16_H

#include <xmhf/boot_info.h>

#define LINUX16_AREA 0x10000 /* set-up code, heap, stack and command line */

/* True if `image` is of protocol 2.02 or later and can only be started in real mode. */
bool linux16_wanted(const void *image, uint64_t size);

struct linux16_plan {
    uint64_t area;         /* LINUX16_AREA bytes below 640 KiB, 16-aligned */
    uint64_t setup_size;   /* bytes of the image that go to `area` */
    uint64_t kernel_size;  /* bytes of the image behind them, go to 1 MiB; may overlap the image */
    uint64_t initrd_src, initrd_dst, initrd_size; /* moved before the kernel; size 0: none */
};

/* Choose the places in the guest's map (bi->mem). 0, or -1 with `*why`. */
int linux16_plan(const struct boot_info *bi, const void *image, struct linux16_plan *plan,
                 const char **why);

/* Fill `area` (LINUX16_AREA bytes, mapped): set-up code, header fields, command line. */
void linux16_fill(uint8_t *area, const struct boot_info *bi, const void *image,
                  const struct linux16_plan *plan);

#endif
