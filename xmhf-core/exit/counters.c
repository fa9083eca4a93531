/* SPDX-License-Identifier: MIT */
/* Counters of exits by kind, summed over all CPUs. */
#include <cpu/vcpus.h>
#include <exit/counters.h>

uint64_t exit_count(enum exit_kind kind)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < vcpu_count; i++) {
        n += vcpus[i]->exits[kind];
    }
    return n;
}

uint64_t exit_longest(enum exit_kind kind)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < vcpu_count; i++) {
        most = vcpus[i]->longest[kind] > most ? vcpus[i]->longest[kind] : most;
    }
    return most;
}
