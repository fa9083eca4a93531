/* SPDX-License-Identifier: MIT */
/* What every boot front end does in the end: put the core into its protected range, enter it. In
 * one go, by boot_launch; or in steps, where the place is the firmware's to give. */
#ifndef XMHF_BOOT_LAUNCH_H
#define XMHF_BOOT_LAUNCH_H

#include <xmhf/core_image.h>

/* How the front end has left the machine. */
struct boot_stage {
    uint64_t *pml4;               /* of the page tables in use: 4 levels, our memory writable,
                                     memory below 4 GiB identity mapped; their top is ours */
    const struct boot_mem *avoid; /* what the protected range must stay clear of besides modules:
                                     the stage itself, what the loader left for the core */
    unsigned avoid_count;         /* at most 32 */
};

/* Say that the launch can't be, and why, and halt. */
_Noreturn void boot_refuse(const char *why);

/*
 * Choose the protected range, unless it is chosen already (its size isn't 0), copy the core there,
 * zero all the rest of it, and enter it. `bi`: all that the front end knows; magic, version, size
 * and the protected range are filled in here. In 64-bit mode with interrupts off. What prevents it
 * is a refusal.
 */
_Noreturn void boot_launch(struct boot_info *bi, const struct boot_stage *stage);

/* --- in steps ------------------------------------------------------------------------------- */

/* The core that came with us; NULL: it is damaged, and the reason for that. */
extern const char boot_damaged[];
const struct core_image *boot_core(void);

/* What to ask boot_place (place.h) for; `core_mem`: first so much, where that finds no place the
 * other. Needs bi->cmdline and the memory map. */
struct boot_wanted { uint64_t core_mem[2], palmem; };
void boot_wanted(const struct boot_info *bi, const struct core_image *core,
                 struct boot_wanted *wanted);

/* Choose the protected range in bi->mem, clear of modules and of what the stage has to avoid: sets
 * bi->protected_base and size. 0, or -1 with `*why`. */
int boot_choose(struct boot_info *bi, const struct core_image *core,
                const struct boot_stage *stage, const char **why);

/* bi->protected_base and size are there, and the memory is ours: copy the core there, zero the rest
 * of it; fills in magic, version, sizes. */
void boot_fill(struct boot_info *bi, const struct core_image *core);

/* Map the protected range at CORE_VA, in the tables with the top `pml4`: 4 levels. Takes two pages
 * of the boot stage, where virtual and physical addresses are the same. */
void boot_map_core(uint64_t *pml4, const struct boot_info *bi);

#endif
