/* SPDX-License-Identifier: MIT */
/* Is a PAL's owner still there? */
#ifndef TV_OWNER_H
#define TV_OWNER_H

#include "pal.h"

enum owner_answer {
    OWNER_THERE,    /* with its memory */
    OWNER_AWAY,     /* that memory is away, and may come back */
    OWNER_GONE,     /* for good; or it has put other memory there */
};
/* By `n` bytes (<= OWNER_LOOK_MAX) of memory, within one page at `va`, that are `expected`
 * there. The caller holds a reference to the PAL. At most 2,000 instructions. */
enum owner_answer owner_look(struct vcpu *v, const struct tv_pal *pal, uint64_t va,
                             const void *expected, size_t n);
/* The owner runs, and its memory is there: remember its upper page tables. */
void owner_remember(struct tv_pal *pal);

#endif
