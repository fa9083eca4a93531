/* SPDX-License-Identifier: MIT */
/*
 * What the guest sees of CPUID: one table of (leaf, subleaf, register, bits) to hide
 * or to compute from guest state. Pure: the caller supplies the hardware's answer.
 * notes/msr-and-cpuid.md.
 */
#ifndef XMHF_POLICY_CPUID_POLICY_H
#define XMHF_POLICY_CPUID_POLICY_H

#include <x86/cpuid.h>
#include <xmhf/types.h>

/* Guest state that some CPUID bits mirror. */
struct cpuid_guest {
    uint64_t cr4;
    uint64_t xcr0;       /* the guest's */
    uint32_t apic_id;    /* of this CPU */
    bool apic_enabled;   /* IA32_APIC_BASE[11] */
};

/* Reads the real CPUID (hw), or a recorded one (tests). */
typedef struct cpuid_regs (*cpuid_reader)(uint32_t leaf, uint32_t sub);

/*
 * The guest's view of `leaf`/`sub`. Sets the hypervisor bit, answers 0x40000000 to
 * 0x400000ff with our leaves, hides VMX/SVM, SMX, PT, CET, UINTR, LAM, AMX, FRED,
 * LA57 and x2APIC where it can't be handled, and derives OSXSAVE, OSPKE, and the
 * sizes of leaf 0xD from `g`.
 */
struct cpuid_regs cpuid_guest_view(cpuid_reader read, uint32_t leaf, uint32_t sub,
                                   const struct cpuid_guest *g);

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* Hide more than the table does, because this CPU can't give it to a guest. Boot CPU, before
 * the guest starts; for a few features only. */
void cpuid_policy_hide(uint32_t leaf, uint32_t sub, enum cpuid_reg reg, uint32_t mask);

/* Show this width of physical addresses (leaf 8000_0008), which memory encryption's bits are not
 * part of. Boot CPU, before the guest starts. */
void cpuid_policy_width(unsigned bits);

/* CR4 bits that belong to hidden features: the guest may not set them. */
uint64_t cr4_hidden_bits(void);

#endif
