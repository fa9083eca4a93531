/* SPDX-License-Identifier: MIT */
/*
 * A page walk written a second time, from the manuals' tables, slowly and without regard
 * for other CPUs: what tests compare xmhf-core/guest/walk.c with.
 */
#ifndef XMHF_TESTS_WALK_REF_H
#define XMHF_TESTS_WALK_REF_H

#include <guest/walk.h>

/* As guest_walk. Sets accessed and dirty bits in what phys->map gives. */
enum walk_result ref_walk(const struct guest_phys_ops *phys, const struct guest_paging *p,
                          uint64_t va, unsigned access, struct walk *out);

#endif
