/* SPDX-License-Identifier: MIT */
/* A service for hypapps: rights of several ranges and of all other RAM, all of them or none. */
#ifndef XMHF_HYPAPP_RIGHTS_PLAN_H
#define XMHF_HYPAPP_RIGHTS_PLAN_H

#include <guest/rights.h>
#include <hypapp/page_set.h>

#define RIGHTS_PLAN_ROWS 4u

/* Opaque; the caller guards it. */
struct hyp_rights_plan {
    struct { gpa_t first; uint64_t pages; unsigned rights; } row[RIGHTS_PLAN_ROWS];
    unsigned rows, rest;
    const struct page_set *kept;
    unsigned next;
    bool failed;
    enum hyp_rights_answer answer;   /* then */
    struct hyp_rights_walk walk;
};

/* A plan without rows. With `kept` all other pages of the RAM that is there at boot but those in it
 * get the rights `rest`; NULL: they aren't touched. */
void plan_begin(struct hyp_rights_plan *p, const struct page_set *kept, unsigned rest);
/* One more range, RIGHTS_PLAN_ROWS at most. Ranges don't overlap. */
void plan_add(struct hyp_rights_plan *p, gpa_t first, uint64_t pages, unsigned rights);
/* The number of the range, from 0, that has the address; RIGHTS_PLAN_ROWS: none has. */
unsigned plan_row(const struct hyp_rights_plan *p, gpa_t g);

/*
 * Give all that is in the plan its rights. DONE, or AGAIN as hyp_rights; another answer is that of
 * the first call that failed, and comes when all of the plan's pages have read, write and execution
 * again. Until then the plan stays as it is.
 */
enum hyp_rights_answer hyp_rights_plan(struct vcpu *v, struct hyp_rights_plan *p);

#endif
