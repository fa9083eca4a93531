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
 * `stacks` as host_map_stacks returned. In v->tables. The boot CPU first. */
void cpu_load(struct vcpu *v, uint64_t stacks);

/*
 * The same in two steps, for a CPU that may have to go back to where it came from. The first leaves
 * TR, LDTR and data segments as they are, which software can't all load again; CS, SS, GDT, IDT, GS
 * base, CR0 and CR4 it can. In between traps are handled on the stack in use.
 */
void cpu_load_early(struct vcpu *v, uint64_t stacks);
void cpu_load_rest(void);

/* Base of the IDT, once cpu_load is through. */
uint64_t cpu_idt(void);

/*
 * Take all interrupts that are pending on this CPU, whatever their vector, and let them come to
 * nothing: the APIC gives out 16 to 255 (SDM vol. 3, 11.5.2), a PIC any. An IDT of its own is
 * loaded meanwhile, in which no vector means an exception. No exception can arise in that window,
 * with three exceptions to the rule: an NMI, which counts as always; a machine check, which its
 * MSR tells from an interrupt; and AMD's #SX for an INIT, which has an error code
 * (notes/bugs/stale-irr.md).
 */
void cpu_take_interrupts(void);

#endif
