/* SPDX-License-Identifier: MIT */
/*
 * What this CPU's VMX can do, as data: every capability MSR with its existence rule, every
 * control we want with its name. Nothing here tests a bit of these MSRs but vmx_may_set
 * and vmx_must_set.
 */
#ifndef XMHF_VMX_CAPS_H
#define XMHF_VMX_CAPS_H

#include <policy/cpuid_policy.h>
#include <x86/msr.h>
#include <xmhf/types.h>

#define VMX_CAP_COUNT (MSR_IA32_VMX_EXIT_CTLS2 - MSR_IA32_VMX_BASIC + 1)

struct vmx_caps {
    uint64_t value[VMX_CAP_COUNT];  /* of MSR 0x480 + index; 0 if absent */
    uint32_t present;               /* bit per index: it exists and was read */
    uint32_t faulted;               /* bit per index: it should exist, and RDMSR faulted */
};

/* The words of control bits. The first five are in each VMCS. */
enum vmx_control { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_CONTROL_WORDS,
                   VMX_PROC3 = VMX_CONTROL_WORDS, VMX_EXIT2 };

/* NULL, or why VMX can't be used: it isn't there, or firmware has not left it on. */
const char *vmx_switched_off(void);

/* Read all that exist. CPUID.1:ECX.VMX must be set. */
void vmx_caps_read(struct vmx_caps *c);

/* Value of a capability MSR; 0 if it doesn't exist. */
uint64_t vmx_cap(const struct vmx_caps *c, uint32_t msr);

/* May this control be 1 (the MSR's high half)? Must it be 1 (the low half)? Uses the TRUE MSRs
 * where they exist. False for a word of controls that the CPU doesn't have. */
bool vmx_may_set(const struct vmx_caps *c, enum vmx_control word, unsigned bit);
bool vmx_must_set(const struct vmx_caps *c, enum vmx_control word, unsigned bit);

/* Who a set of control words is for. */
enum vmx_use { VMX_FOR_OS = 1, VMX_FOR_SANDBOX = 2 };

struct vmx_controls { uint32_t word[VMX_CONTROL_WORDS]; };

/* (wanted | must) & may for each word. `read` is CPUID, for controls that let the guest use
 * an instruction. */
void vmx_controls_choose(const struct vmx_caps *c, cpuid_reader read, enum vmx_use use,
                         struct vmx_controls *out);

/* NULL, or the name of what this CPU lacks: a mandatory control, a control that can't be
 * off, or an EPT property. */
const char *vmx_missing(const struct vmx_caps *c);

/* Features that the CPU gives to guests only with a control (SDM vol. 3, 26.3). */
struct vmx_feature {
    uint32_t leaf, sub;
    enum cpuid_reg reg;
    uint32_t mask;
    unsigned proc2_bit;
    unsigned use;             /* enum vmx_use bits: who gets it */
    const char *name;
};
extern const struct vmx_feature vmx_features[];
extern const size_t vmx_feature_count;

/* Does CPUID show it? If so and !vmx_may_set(VMX_PROC2, bit), it must be hidden. */
bool vmx_feature_shown(const struct vmx_feature *f, cpuid_reader read);

/* CR0 or CR4 with the bits that VMX operation demands (SDM vol. 3, A.7, A.8). */
uint64_t vmx_fixed_cr(const struct vmx_caps *c, unsigned cr, uint64_t value);

/* Bits of IA32_VMX_EPT_VPID_CAP that we use with these controls where they are set: 1 GiB leaves,
 * and one type of INVEPT and of INVVPID. */
uint64_t vmx_ept_use(const struct vmx_caps *c, const struct vmx_controls *ctl);

/* NULL, or what keeps a VMCS of the words in `ctl` from working on the CPU of `c`. */
const char *vmx_controls_unfit(const struct vmx_caps *c, const struct vmx_controls *ctl);

/* NULL, or the first thing that the CPU of `c` lacks although the boot CPU has it and we use it: a
 * control of either VMCS, vmx_ept_use of `os`, the VMCS's revision, and with `waits`
 * wait-for-SIPI. */
const char *vmx_unlike(const struct vmx_caps *c, const struct vmx_caps *boot,
                       const struct vmx_controls *os, const struct vmx_controls *sandbox,
                       bool waits);

#endif
