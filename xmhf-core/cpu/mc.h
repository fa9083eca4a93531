/* SPDX-License-Identifier: MIT */
/* Machine checks that reach a CPU while the core runs on it.
 * Who gets a machine check in which state: notes/machine-checks.md. */
#ifndef XMHF_CPU_MC_H
#define XMHF_CPU_MC_H

#include <xmhf/types.h>

/*
 * May the interrupted code go on, with what its CPU's registers say now? False if the CPU doesn't
 * say that it may, if an uncorrected error has damaged its state or was overwritten by another, or
 * if the interrupted code is what met it. Reads MSRs only; in any context.
 */
bool mc_survivable(void);

/* A machine check met the core on this CPU, whose vCPU is `v`. If it is survivable the guest gets
 * it, by a request; else this is a panic. */
struct vcpu;
void mc_met_core(struct vcpu *v);

/* Drop a machine check that nobody will look at: MCG_STATUS.MCIP is cleared, so that the next one
 * isn't a second one, which shuts the CPU down, and so are the banks with uncorrected errors.
 * Corrected errors stay. */
void mc_forget(void);

#endif
