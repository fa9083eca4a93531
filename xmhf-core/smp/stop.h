/* SPDX-License-Identifier: MIT */
/* Stopping the world: for a reset of the machine and for panic, and for nothing else. */
#ifndef XMHF_SMP_STOP_H
#define XMHF_SMP_STOP_H

#include <xmhf/types.h>

/* What else stop_wipe has to wipe (struct hypapp's `wipe`), or NULL. Boot CPU, before there are any
 * secrets. */
void stop_init(void (*wipe)(void));
/* Choose the CPU that ends the machine: the first that calls this, which may call it again. On any
 * other this is stop_self. */
void stop_elect(void);
/* stop_elect; then ask all other CPUs to stop for good and wait, bounded, until they have. */
void stop_other_cpus(void);
/* Called by a CPU that finds REQ_STOP, or isn't the one elected: writes its caches back, says that
 * it has stopped, and never returns. */
_Noreturn void stop_self(void);
/* Zero every page of the pool and the hypapp's keys, in memory and not in the caches only. All
 * other CPUs are stopped. */
void stop_wipe(void);
/* Write the caches back and reset the machine now: CF9, then 0x64, then a triple fault. */
_Noreturn void stop_reset(void);
/* The three together, with a log line that tells `why`. */
_Noreturn void stop_and_reset(const char *why);

/* Send an NMI to `v` so that it looks at its requests. */
struct vcpu;
void kick(struct vcpu *v);

#endif
