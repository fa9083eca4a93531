/* SPDX-License-Identifier: MIT */
/* What every boot front end does in the end: put the core into its protected range, enter it. */
#ifndef XMHF_BOOT_LAUNCH_H
#define XMHF_BOOT_LAUNCH_H

#include <xmhf/boot_info.h>

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
 * Choose the protected range, copy the core there, zero all the rest of it, and enter it. `bi`: all
 * that the front end knows; magic, version, size and the protected range are filled in here. In
 * 64-bit mode with interrupts off. What prevents it is a refusal.
 */
_Noreturn void boot_launch(struct boot_info *bi, const struct boot_stage *stage);

#endif
