/* SPDX-License-Identifier: MIT */
/* Taking every CPU that the MADT lists. */
#ifndef XMHF_SMP_SMP_H
#define XMHF_SMP_SMP_H

#include <acpi/acpi.h>
#include <xmhf/types.h>

/* Make vcpus[] for the enabled CPUs (at most `limit`, 0 = all); [0] is this CPU. 0, or -1
 * with a log line. */
int smp_init(const struct acpi_info *acpi, unsigned limit);

/* The MADT lists a CPU that isn't ours: one left out, or one that may be plugged in later. */
extern bool smp_left_out;

/* Start the others, from the low page; each runs `main(vcpu)` on its own stack and sets ->online.
 * 0, or -1 with a log line that names the CPU that didn't come up. */
int smp_start(void (*main)(void *vcpu));

#endif
