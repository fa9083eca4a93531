/* SPDX-License-Identifier: MIT */
/* The header at the start of core.bin, and how the boot stage enters the core. */
#ifndef XMHF_CORE_IMAGE_H
#define XMHF_CORE_IMAGE_H

#include <xmhf/boot_info.h>

#define CORE_IMAGE_MAGIC 0x45524f4346484d58ULL /* "XMHFCORE" */
#define CORE_VA          0xffffffff80000000ULL /* xmhf-core/core.lds says the same */

/* Where boot/boot.lds puts the boot stage, and what it and the core may take; the linker scripts
 * say the same. */
#define BOOT_STAGE_START MIB(2)
#define BOOT_STAGE_MAX   MIB(1)
#define CORE_MEM_MAX     MIB(1)

struct core_image {
    uint64_t magic;
    uint64_t file_size;  /* bytes in core.bin */
    uint64_t mem_size;   /* with .bss; a multiple of 4 KiB */
    uint64_t entry;      /* virtual address of core_entry */
};

/*
 * core_entry(const struct boot_info *bi): 64-bit mode, interrupts off, memory below
 * 4 GiB identity mapped, CORE_VA mapped to the image. `bi` is an identity address. Never
 * returns.
 */

#endif
