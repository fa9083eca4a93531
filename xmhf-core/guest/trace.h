/* SPDX-License-Identifier: MIT */
/*
 * What the page tables of a process hold now, which may have ended since: for telling a page that
 * is away for a moment from a process that is no more. Rights don't count. The tables may have
 * become anything.
 */
#ifndef XMHF_GUEST_TRACE_H
#define XMHF_GUEST_TRACE_H

#include <guest/walk.h>

#define TRACE_LEVELS_MAX 4u

enum trace_end {
    TRACE_PAGE,      /* at a leaf, whatever it allows and leads to */
    TRACE_ABSENT,    /* at an entry that isn't present */
    TRACE_NOWHERE,   /* at a table that isn't guest RAM */
};

struct trace {
    enum trace_end end;
    unsigned depth;                      /* entries read, from the top table's */
    uint64_t entry[TRACE_LEVELS_MAX];    /* those; 0 behind */
};

/* The entries on the way to `va` by the tables of `p`, which has paging on, of 2 levels (32-bit), 3
 * (PAE) or
 * 4. Reads only. */
void guest_trace(const struct guest_phys_ops *phys, const struct guest_paging *p, gva_t va,
                 struct trace *t);

/* Do both walks end at the same place, for a supervisor's read of `va`? False too if one of them
 * leads nowhere. */
bool trace_same(const struct guest_phys_ops *phys, const struct guest_paging *p,
                const struct guest_paging *q, gva_t va);

#endif
