/* SPDX-License-Identifier: MIT */
/* Rights of all of the guest's RAM but some pages, row by row. */
#include <guest/map.h>
#include <guest/rights.h>

/* Pages that are looked at in one call: some 50 instructions each, before a step of hyp_rights. */
#define LOOK 1024u

/* The next page, or the end of a piece. False: there is no more RAM. */
static bool look(struct hyp_rights_walk *w, hyp_keeps_fn *keeps, const void *arg)
{
    uint64_t start, end;

    if (!guest_map_ram(w->piece, &start, &end)) {
        return false;
    }
    if (w->at < start) {
        w->first = w->at = start;
    }
    const bool over = w->at >= end, stop = over || keeps(arg, gpa(w->at));
    w->ended = stop && w->at > w->first;
    if (w->ended) {
        return true;
    }
    if (over) {
        *w = (struct hyp_rights_walk){ .piece = w->piece + 1 };
        return true;
    }
    w->at += PAGE_SIZE;
    w->first = stop ? w->at : w->first;
    return true;
}

enum hyp_rights_answer hyp_rights_all(struct vcpu *v, struct hyp_rights_walk *w,
                                      hyp_keeps_fn *keeps, const void *arg,
                                      unsigned rights)
{
    for (unsigned n = 0; n < LOOK && !w->ended; n++) {
        if (!look(w, keeps, arg)) {
            return HYP_RIGHTS_DONE;
        }
    }
    if (!w->ended) {
        return HYP_RIGHTS_AGAIN;
    }
    const uint64_t pages = (w->at - w->first) / PAGE_SIZE;
    enum hyp_rights_answer answer = hyp_rights(v, gpa(w->first), pages, rights);
    if (answer != HYP_RIGHTS_DONE) {
        return answer;
    }
    w->first = w->at;
    w->ended = false;
    return HYP_RIGHTS_AGAIN;
}
