/* SPDX-License-Identifier: MIT */
/* Machine checks that reach a CPU while the core runs on it.
 * Who gets a machine check in which state: notes/machine-checks.md. */
#ifndef XMHF_CPU_MC_H
#define XMHF_CPU_MC_H

#include <xmhf/types.h>

/*
 * May the interrupted code go on, with what its CPU's registers say now? False if the CPU doesn't say
 * that it may, if an uncorrected error has damaged its state or was overwritten by another, or if the
 * interrupted code is what met it. Reads MSRs only; in any context.
 */
bool mc_survivable(void);

/* One that met the core on this CPU, whose vCPU is `v`: a request to give it to the guest, if it is
 * survivable; else a panic. */
struct vcpu;
void mc_met_core(struct vcpu *v);

/* One that nobody looks at: the next one is no second one then (MCG_STATUS.MCIP), and its bank not
 * overwritten. Corrected errors stay. */
void mc_forget(void);

#endif
