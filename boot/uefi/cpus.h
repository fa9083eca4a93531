/* SPDX-License-Identifier: MIT */
/* The CPUs besides the one that boots: which there are, and having each of them call the core. */
#ifndef XMHF_BOOT_UEFI_CPUS_H
#define XMHF_BOOT_UEFI_CPUS_H

#include <boot/uefi/efi.h>
#include <xmhf/boot_info.h>

struct mp_services;

struct cpus {
    struct mp_services *mp; /* NULL: the firmware has none, the core starts the CPUs itself */
    char why[160];          /* of the last refusal */
};

/* Fill `c` and bi->cpu_count, cpu_apic_id. False, with c->why: there are more than
 * BOOT_OTHER_CPUS_MAX, or one that firmware would not let us have. */
bool cpus_list(const struct uefi *u, struct cpus *c, struct boot_info *bi);

/* What came of cpus_call. */
enum cpus_result {
    CPUS_ALL,     /* each has called, and come back with 0 */
    CPUS_NOT_ALL, /* none is inside any more; c->why has the reason, if the firmware gave it */
    CPUS_LOST,    /* one may still be inside: what it uses must stay; c->why */
};

/* Have the bi->cpu_count CPUs call `target` through boot_live_call (xmhf/live.h), all at once, and
 * wait until they are back. */
enum cpus_result cpus_call(struct cpus *c, const struct boot_info *bi, uint64_t target,
                           uint64_t shared_cr3);

#endif
