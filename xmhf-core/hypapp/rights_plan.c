/* SPDX-License-Identifier: MIT */
/* Rights of several ranges and of all other RAM: one after the other, or back again. */
#include <hypapp/rights_plan.h>

void plan_begin(struct hyp_rights_plan *p, const struct page_set *kept, unsigned rest)
{
    *p = (struct hyp_rights_plan){ .kept = kept, .rest = rest };
}

void plan_add(struct hyp_rights_plan *p, gpa_t first, uint64_t pages, unsigned rights)
{
    p->row[p->rows].first = first;
    p->row[p->rows].pages = pages;
    p->row[p->rows].rights = rights;
    p->rows++;
}

unsigned plan_row(const struct hyp_rights_plan *p, gpa_t g)
{
    for (unsigned i = 0; i < p->rows; i++) {
        if (g.a - p->row[i].first.a < p->row[i].pages * PAGE_SIZE) {
            return i;
        }
    }
    return RIGHTS_PLAN_ROWS;
}

static bool keeps(const void *arg, gpa_t page)
{
    const struct hyp_rights_plan *p = arg;

    return plan_row(p, page) < p->rows || page_set_has(p->kept, page);
}

enum hyp_rights_answer hyp_rights_plan(struct vcpu *v, struct hyp_rights_plan *p)
{
    const bool row = p->next < p->rows;

    if (!row && (!p->kept || p->next > p->rows)) {
        return p->failed ? p->answer : HYP_RIGHTS_DONE;
    }
    const unsigned rights = p->failed ? ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC
        : row ? p->row[p->next].rights : p->rest;
    const enum hyp_rights_answer a = row
        ? hyp_rights(v, p->row[p->next].first, p->row[p->next].pages, rights)
        : hyp_rights_all(v, &p->walk, keeps, p, rights);
    if (a == HYP_RIGHTS_AGAIN) {
        return a;
    }
    p->next++;
    if (a != HYP_RIGHTS_DONE && !p->failed) {
        p->failed = true;
        p->answer = a;
        p->next = 0;
        p->walk = (struct hyp_rights_walk){ 0 };
    }
    return HYP_RIGHTS_AGAIN;
}
