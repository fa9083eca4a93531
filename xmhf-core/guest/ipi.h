/* SPDX-License-Identifier: MIT */
/* IPIs that the guest sends: INIT, SIPI and NMI are carried out in software, all others go to
 * the real APIC. */
#ifndef XMHF_GUEST_IPI_H
#define XMHF_GUEST_IPI_H

#include <cpu/vcpu.h>

/* True if INIT and SIPI are seen when they are sent, because the back end or the option trap-icr
 * says so; false if they exit on their target. */
bool ipi_traps_icr(void);

/* A write of `value` to register `offset` (0..0xff0) of the xAPIC page. */
void ipi_guest_xapic(struct vcpu *v, unsigned offset, uint32_t value);

/* A write to the x2APIC ICR. False: #GP. */
bool ipi_guest_x2apic(struct vcpu *v, uint64_t value);

/* Owner: a guest that was here before us has set the APIC up. */
void ipi_take_ids(struct vcpu *v);

/* Owner: the APIC has been reset, and its logical id and format are those of a reset. */
void ipi_forget_ids(struct vcpu *v);

/* Owner: act on posted INIT and SIPI signals until none is left. Returns when the vCPU
 * runs guest code again, or waits for its SIPI in the guest (!ipi_traps_icr()). */
void ipi_take_signals(struct vcpu *v);

/* `told` is called on each CPU that takes an INIT, before anything of it is reset. Boot CPU, once,
 * before the guest starts. */
void ipi_on_init(void (*told)(struct vcpu *v));

#endif
