/* SPDX-License-Identifier: MIT */
/* Taking rights of guest-physical pages away from the guest, on all CPUs, and giving them back. */
#ifndef XMHF_GUEST_RIGHTS_H
#define XMHF_GUEST_RIGHTS_H

#include <cpu/vcpu.h>
#include <xmhf/access.h>
#include <xmhf/types.h>

enum hyp_rights_answer {
    HYP_RIGHTS_DONE,      /* the pages have these rights, and no CPU remembers others */
    /* more is to be done, or other CPUs haven't answered yet: call again with the same arguments
     * (return HC_AGAIN) */
    HYP_RIGHTS_AGAIN,
    /* no pages, not all of them the guest's RAM, or no such rights; or the CPU is one of AMD's
     * family 10h, on which no right can be taken (erratum 383): nothing has changed */
    HYP_RIGHTS_REFUSED,
    /* no page for a table: this call has changed nothing, but earlier ones for the same range may
     * have; who gives up sets the rights back */
    HYP_RIGHTS_NO_MEMORY,
};

/*
 * For a hypapp's `init` alone: from now on ACCESS_EXEC_USER may be given instead of ACCESS_EXEC, so
 * that the guest's kernel executes a page neither by its own addresses nor, with CR4.SMEP, by the
 * user's. 0, or -1: this CPU can't. Intel's can that have mode-based execute control for EPT; AMD's
 * with GMET could, which isn't supported.
 */
int hyp_user_exec(void);

/*
 * Give the `pages` pages from `first` (4 KiB aligned) exactly `rights`: a mask of ACCESS_READ,
 * WRITE and EXEC (or EXEC_USER), READ whenever one of the others is in it. For pages whose rights
 * are taken away the guest's accesses exit as EXIT_NESTED_FAULT (guest_rights_fault), and the core
 * refuses what it would do there for the guest: see guest/walk.h. Devices are refused: their rights
 * are taken by rows of policy/regions.h, before the guest starts.
 *
 * On AMD a page of page tables must keep its write right: the CPU's walk counts as a write there
 * (APM vol. 2, 15.25.6), so each access by way of it would be a fault. DMA isn't bound by any of
 * it.
 *
 * Bounded work per call, so a long range takes several; so does the wait for other CPUs, which look
 * at their requests between exits. Any CPU, from its exit path, `v` its own vCPU. The continuation
 * may come on another CPU. A call for some of the same pages with other rights begins when the
 * earlier one is through, or hasn't been continued for 256 calls.
 */
enum hyp_rights_answer hyp_rights(struct vcpu *v, gpa_t first, uint64_t pages, unsigned rights);

/*
 * hyp_rights for all of the guest's RAM that is there at boot, but for the pages of which `keeps`
 * says true, told `arg`; what may be plugged in later isn't touched. `w` is zero at the first call
 * and remembers how far it is; the caller guards it, calls again with the same arguments while the
 * answer is AGAIN, and `keeps` says the same each time. Pages in a row are one call of hyp_rights,
 * so large leaves stay. At another answer than DONE the pages before have the new rights, and those
 * of one row may: who gives up walks again, from a zero `w`, with the rights that were before.
 */
typedef bool hyp_keeps_fn(const void *arg, gpa_t page);
struct hyp_rights_walk {
    unsigned piece;          /* of guest_map_ram */
    uint64_t first, at;      /* the row, so far */
    bool ended;              /* its rights are to be set */
};
enum hyp_rights_answer hyp_rights_all(struct vcpu *v, struct hyp_rights_walk *w,
                                      hyp_keeps_fn *keeps, const void *arg,
                                      unsigned rights);

/* What a nested fault of `access` at `g` is to rights that were taken away. */
enum rights_fault {
    RIGHTS_WHOLE,   /* nothing: no right of that page was taken away */
    RIGHTS_TAKEN,   /* one of those in `access` is away: the hypapp's business */
    RIGHTS_GIVEN,   /* all are there, again or still: the instruction runs again */
};
enum rights_fault guest_rights_fault(struct vcpu *v, gpa_t g, unsigned access);

#endif
