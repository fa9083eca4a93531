/* SPDX-License-Identifier: MIT */
/* The states a vCPU starts with (SDM vol. 3, table 9-1; APM vol. 2, table 14-1). */
#ifndef XMHF_GUEST_STATE_H
#define XMHF_GUEST_STATE_H

#include <virt/virt.h>

/* After INIT: an AP waits for a SIPI then; the boot CPU starts at the reset vector. */
void state_init(struct vcpu_state *s, bool boot_cpu);

/* SIPI: CS:IP = vector << 8 : 0 on top of the INIT state that `v` has. */
void state_sipi(struct vcpu *v, uint8_t vector);

/* The 32-bit Linux boot protocol: flat protected mode, paging off, ESI = boot_params. */
void state_linux32(struct vcpu_state *s, uint32_t entry, uint32_t boot_params);

/* The 16-bit Linux boot protocol: real mode, all data segments at `area`, IP 0 of the set-up
 * code 512 bytes into it. */
void state_linux16(struct vcpu_state *s, uint64_t area);

#endif
