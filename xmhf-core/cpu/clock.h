/* SPDX-License-Identifier: MIT */
/* The core's clock: the TSC without what the guest has written to it. */
#ifndef XMHF_CPU_CLOCK_H
#define XMHF_CPU_CLOCK_H

#include <xmhf/types.h>

/*
 * TSC ticks, on and on: nothing that the guest does moves this clock, though it owns the TSC. Not
 * in NMI context, and only after cpu_load. Of two CPUs the clocks differ by what clock_join left.
 */
uint64_t clock_now(void);

/* Ticks since `then`, which clock_now showed on any CPU. 0 if that CPU's clock is ahead of this
 * one's: the difference is no more than skew, and as unsigned it would be nearly all of 2^64. */
static inline uint64_t clock_since(uint64_t then)
{
    int64_t passed = (int64_t)(clock_now() - then);

    return passed > 0 ? (uint64_t)passed : 0;
}

/* The guest's WRMSR to IA32_TIME_STAMP_COUNTER or IA32_TSC_ADJUST, on this CPU. The clock stands
 * still meanwhile. False: the CPU refuses it (#GP), and nothing has changed. */
bool clock_guest_write(uint32_t msr, uint64_t value);

/* A CPU that was started: `boot_cpu` is what the boot CPU's clock showed a moment ago. Where
 * firmware left the TSCs more than CLOCK_APART ticks apart this CPU's clock goes by it. */
void clock_join(uint64_t boot_cpu);
#define CLOCK_APART (1ULL << 25)

#endif
