/* SPDX-License-Identifier: MIT */
/* Counters of exits by kind, summed over all CPUs. */
#ifndef XMHF_EXIT_COUNTERS_H
#define XMHF_EXIT_COUNTERS_H

#include <xmhf/exits.h>
#include <xmhf/types.h>

/* Per-CPU exit counters summed over all CPUs. */
uint64_t exit_count(enum exit_kind kind);

/* The longest handling of an exit of that kind, in ticks, with the option `measure`. */
uint64_t exit_longest(enum exit_kind kind);

#endif
