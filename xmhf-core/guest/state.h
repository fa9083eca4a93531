/* SPDX-License-Identifier: MIT */
/* The states a vCPU starts with (SDM vol. 3, table 9-1; APM vol. 2, table 14-1). */
#ifndef XMHF_GUEST_STATE_H
#define XMHF_GUEST_STATE_H

#include <virt/virt.h>
#include <x86/cpu.h>

/* The state of a CPU that has run nothing yet: at the reset vector. */
void state_reset(struct vcpu_state *s);

/* INIT of the boot CPU, which goes on at the reset vector. On the CPU of `v`. */
void state_init(struct vcpu *v);

/* INIT and then a SIPI: the same, but at CS:IP = vector << 8 : 0. On the CPU of `v`. */
void state_sipi(struct vcpu *v, uint8_t vector);

/* The CR0 that `s` gives to a vCPU whose CR0 is `now`. */
static inline uint64_t state_cr0(const struct vcpu_state *s, uint64_t now)
{
    const uint64_t keeps = s->by_init ? CR0_CD | CR0_NW : 0;

    return (s->cr0 & ~keeps) | (now & keeps);
}

/* The 32-bit Linux boot protocol: flat protected mode, paging off, ESI = boot_params. */
void state_linux32(struct vcpu_state *s, uint32_t entry, uint32_t boot_params);

/* The 16-bit Linux boot protocol: real mode, all data segments at `area`, IP 0 of the set-up
 * code 512 bytes into it. */
void state_linux16(struct vcpu_state *s, uint64_t area);

#endif
