/* SPDX-License-Identifier: MIT */
/* Ends of PALs: closing, recording, wiping. */
#ifndef TV_DEATH_H
#define TV_DEATH_H

#include "pal.h"

/* Close the PAL to calls, for good. Otherwise nothing has changed: false, and `*running` tells
 * whether a CPU runs it, or another CPU is closing it just now. */
bool death_claim(struct tv_pal *pal, bool *running);
/* Where and why a PAL died. `address`: that a page fault touched; else 0. */
struct death_cause { enum tv_death why; unsigned vector; uint64_t rip, address; };
/* Record and log why, kill; the caller holds a reference and owns an activation. */
void death_of(struct tv_slot *s, const struct death_cause *cause);
/* What a caller is told of it, in RAX, RCX and RDX: XMHF_STATUS_*. */
void death_status(const struct tv_pal *pal, uint64_t gpr[16]);
/* The last death of a PAL of this process, as XMHF_INFO_LAST_DEATH gives it. */
uint64_t death_last(uint64_t owner);
/* Statistics of a PAL; the caller holds a reference. */
void death_stats(struct tv_pal *pal, struct xmhf_pal_stats *st);
/* Those of the last PAL of this process that died, if its entry was this one. */
bool death_last_stats(uint64_t owner, uint64_t entry, struct xmhf_pal_stats *st);
/* The last PAL of this process that died, if it was an image with this page of stubs and this nonce
 * in it: what its callers are told, in RAX, RCX and RDX. False: it wasn't, and nothing is set.
 * Without the nonce another process, that has got a dead one's CR3, would be told how that one's
 * PAL died, and which page it touched. */
bool death_tells(uint64_t owner, uint64_t stubs, const uint64_t nonce[2], uint64_t gpr[16]);
/* Wipe dead PALs, at most `pages` pages of them. True if there is more to do. */
bool death_reap(struct vcpu *v, uint32_t pages);

/* Kill without a record, give the reference back and wipe, at most `pages` pages for now. */
void death_discard(struct vcpu *v, struct tv_slot *s, uint32_t pages);

#endif
