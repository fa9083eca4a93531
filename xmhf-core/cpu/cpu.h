/* SPDX-License-Identifier: MIT */
/* The core's own CPU environment: GDT, IDT, TSS, stacks. */
#ifndef XMHF_CPU_CPU_H
#define XMHF_CPU_CPU_H

#include <cpu/vcpu.h>

/* Selectors of the core's GDT. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

/* Load this CPU's GDT, IDT, TSS and GS base, and fix CR0 and CR4 for the core.
 * `stacks` as host_map_stacks returned. */
void cpu_load(struct vcpu *v, uint64_t stacks);

/*
 * Interrupts that are pending are taken on this CPU and come to nothing, whatever their vector:
 * the APIC gives out 16 to 255 (SDM vol. 3, 11.5.2), a PIC any. Meanwhile an IDT of its own is
 * loaded in which none of them means an exception; none can arise in that window but an NMI,
 * which counts as always, a machine check, which its MSR tells from an interrupt, and AMD's #SX for
 * an INIT, whose error code does (notes/bugs/stale-irr.md).
 */
void cpu_take_interrupts(void);

#endif
