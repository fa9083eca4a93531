/* SPDX-License-Identifier: MIT */
/*
 * IA32_APIC_BASE as the guest sees it (SDM vol. 3, 11.4.3, 11.4.4, 11.12.5; APM vol. 2, 16.3.1,
 * 16.9). The hardware's APIC stays on, or kicks, stops and wipes wouldn't reach the CPU: an APIC
 * that the guest has turned off is one that passes LINT0 and LINT1 on, as a CPU without an APIC
 * does with INTR and NMI.
 */
#ifndef XMHF_GUEST_APIC_MODE_H
#define XMHF_GUEST_APIC_MODE_H

#include <cpu/vcpu.h>

/* What the guest reads where the hardware has `now`. */
uint64_t apic_mode_read(const struct vcpu *v, uint64_t now);

/*
 * The guest writes `value`. False: #GP(0), and nothing has changed. Besides what is #GP on every
 * CPU (moving the page isn't, but is refused here), leaving x2APIC is refused, with a log line,
 * where the hardware's APIC may not come back. The answers to CPUID are the caller's to forget.
 */
bool apic_mode_write(struct vcpu *v, uint64_t value);

/* After an INIT, which leaves the mode as it is. */
void apic_mode_after_init(struct vcpu *v);

#endif
