/* SPDX-License-Identifier: MIT */
/*
 * Having all CPUs forget what they remember of the OS's nested tables, without waiting in the core.
 * Each change of the tables is a generation; a CPU has seen it when it has taken up a REQ_FLUSH
 * that it found after the change, and from then on runs no code of the OS with translations from
 * before.
 */
#ifndef XMHF_GUEST_FLUSH_H
#define XMHF_GUEST_FLUSH_H

#include <cpu/vcpu.h>

/* The generation of the tables as they are now. Any CPU. */
uint64_t flush_generation(void);

/* The tables have changed, all trees of them: a new generation. Under guest_phys_lock. */
uint64_t flush_new_generation(void);

/*
 * Have all CPUs seen `generation`? `v`, the calling one, sees it at once; those that haven't are
 * asked, and answer before their next entry. Ask again until all have: who asks must let its guest
 * run meanwhile.
 */
bool flush_all_seen(struct vcpu *v, uint64_t generation);

/* REQ_FLUSH: this CPU forgets, before it enters the OS again, and drops pointers into guest memory
 * that it kept from exit to exit. Owner. */
void flush_take(struct vcpu *v);

#endif
