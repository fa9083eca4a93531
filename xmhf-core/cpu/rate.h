/* SPDX-License-Identifier: MIT */
/* How fast the TSC runs, measured by whatever clock of the machine runs at a known rate. */
#ifndef XMHF_CPU_RATE_H
#define XMHF_CPU_RATE_H

#include <xmhf/types.h>

/*
 * Measure the TSC's rate for wait_us and its kind, by each of two clocks that runs, the ACPI PM
 * timer (`pm_timer`: its port, 0 if there is none) and the PIT; neither is believed to run:
 * firmware gates the PIT's clock on laptops, UEFI machines may have none, and there are PM timers
 * that stand still. Of two rates the higher counts. Without either, the HPET (`hpet`: its
 * registers, mapped uncached, NULL if there is none; it is left as it was, but for its count);
 * without that, what CPUID tells; without that, the rate stays WAIT_KHZ_MAX. Ends within about
 * 100 ms by a TSC of that rate, whatever the clocks do. One log line. Boot CPU, once, before the
 * others start; the PIT's channel 2 loses its count.
 */
void rate_measure(uint16_t pm_timer, volatile void *hpet);

#endif
