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
    uint64_t take;       /* and of core_take */
};

/*
 * uint64_t core_entry(struct boot_info *bi, const struct live_cpu *live)
 * 64-bit mode, interrupts off, memory below 4 GiB identity mapped, CORE_VA mapped to the image.
 * `bi` is an identity address.
 *
 * bi->start is not BOOT_START_LIVE: never returns; `live` isn't looked at.
 *
 * BOOT_START_LIVE: called on the boot CPU by boot_live_call (xmhf/live.h). Returns natively. 0:
 * ready, core_take may be called; `bi` stays where it is until that is over. Not 0: refused, for
 * the reason in bi->refusal; the core must not be called again, and its memory may be given
 * back.
 */

/*
 * uint64_t core_take(void *unused, const struct live_cpu *live)
 * By boot_live_call, once on each of the other CPUs that `bi` lists, in any order or at once, then
 * on the boot CPU. 0: this CPU is the guest's now. 1: declined, it has come back natively, as it
 * was.
 *
 * All or nothing: other CPUs wait here for each other, at most 5 s for the next one and 20 s in
 * all; they get the same answer. The boot CPU declines if they did. Where it returns 1 (or 0 to
 * none, since it wasn't called) bi->refusal has the reason.
 */

#endif
