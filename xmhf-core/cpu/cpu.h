/* SPDX-License-Identifier: MIT */
/* The core's own CPU environment: GDT, IDT, TSS, stacks, and traps in the core. */
#ifndef XMHF_CPU_CPU_H
#define XMHF_CPU_CPU_H

#include <cpu/vcpu.h>

/* Selectors of the core's GDT. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

/* What hw/entry.S leaves on the stack. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Load this CPU's GDT, IDT, TSS and GS base, and fix CR0 and CR4 for the core.
 * `stacks` as host_map_stacks returned. */
void cpu_load(struct vcpu *v, uint64_t stacks);

/*
 * Interrupts that are pending are taken on this CPU and come to nothing, whatever their vector:
 * the APIC gives out 16 to 255 (SDM vol. 3, 11.5.2), a PIC any. Meanwhile an IDT of its own is
 * loaded in which none of them means an exception; none can arise in that window but an NMI,
 * which counts as always, and a machine check, which its MSR tells from an interrupt.
 */
void cpu_take_interrupts(void);

/* The vCPU of the CPU we run on (GS base). */
struct vcpu *this_vcpu(void);

/* All vCPUs, and how many there are. Set up by smp_init. */
extern struct vcpu *vcpus[CPU_MAX];
extern unsigned vcpu_count;

#endif
