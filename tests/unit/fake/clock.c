/* SPDX-License-Identifier: MIT */
/* The core's clock for tests whose guest never writes the TSC: the fake machine's. */
#include <cpu/clock.h>
#include <hw/insn.h>

uint64_t clock_now(void) { return hw_rdtsc(); }
