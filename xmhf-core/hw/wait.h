/* SPDX-License-Identifier: MIT */
/*
 * Waits for hardware, bounded by the TSC. A count of port reads is no bound: a read takes 20 ns in
 * an emulator and more than 1 us on a machine. notes/waits.md lists them all.
 */
#ifndef XMHF_HW_WAIT_H
#define XMHF_HW_WAIT_H

#include <xmhf/types.h>

/* The TSC's rate until it is measured, in kHz. No CPU's is higher, so that a wait is too long then,
 * never too short. */
#define WAIT_KHZ_MAX 10000000u

/* `khz`: the TSC's rate, 1 to WAIT_KHZ_MAX. Boot CPU, before the others start. */
void wait_set_khz(unsigned khz);
unsigned wait_khz(void);

/*
 * A wait that begins now and is over after `us` microseconds. By the raw TSC, so for one stretch of
 * the core's own code on one CPU: the guest, who may write the TSC, doesn't run in between, and no
 * CPU can write another one's. In any context.
 */
struct wait { uint64_t start, ticks; };
struct wait wait_begin(unsigned us);
bool wait_over(const struct wait *w);

/* Spend `us` microseconds. */
void wait_us(unsigned us);

#endif
