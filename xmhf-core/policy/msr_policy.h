/* SPDX-License-Identifier: MIT */
/*
 * What happens when the guest touches an MSR: one table for both vendors.
 * Everything in it is data; exit/msr.c carries it out and the back ends build their
 * bitmaps from it. notes/msr-and-cpuid.md.
 */
#ifndef XMHF_POLICY_MSR_POLICY_H
#define XMHF_POLICY_MSR_POLICY_H

#include <xmhf/types.h>

enum msr_action {
    MSR_PASS,        /* no exit at all (bitmap bit clear) */
    MSR_HARDWARE,    /* exit, then fault-safe access to the real MSR */
    MSR_GUEST_STATE, /* exit; the value lives in VMCB or VMCS (virt_ops.state_msr_read) */
    MSR_SHADOW,      /* exit; per-vCPU shadow that never reaches the hardware */
    MSR_IGNORE,      /* exit; a write is dropped, a read gives 0 */
    MSR_DENY,        /* exit; #GP(0) */
    MSR_SPECIAL,     /* exit; code in exit/msr.c knows it by name (IA32_APIC_BASE, x2APIC ICR) */
};

struct msr_rule {
    uint32_t first, last;    /* inclusive */
    enum msr_action read, write;
    uint64_t bits;           /* that a write may change */
    const char *why;         /* what it is, and the manual's section */
};

/* Sorted by `first`, not overlapping. */
extern const struct msr_rule msr_rules[];
extern const size_t msr_rule_count;

/* The action for `index`: the table's, else the default (a read is MSR_HARDWARE, a write
 * MSR_DENY). */
enum msr_action msr_read_action(uint32_t index);
enum msr_action msr_write_action(uint32_t index);
/* The bits that a write may change. With MSR_HARDWARE a write that changes another bit is #GP. */
uint64_t msr_write_bits(uint32_t index);

/* A value of IA32_PAT that CPUs take: eight memory types (SDM vol. 3, 13.12.2). */
static inline bool pat_valid(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++, value >>= 8) {
        uint8_t t = (uint8_t)value;
        if (t > 7 || t == 2 || t == 3) {
            return false;
        }
    }
    return true;
}

#endif
