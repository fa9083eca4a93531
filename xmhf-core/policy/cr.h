/* SPDX-License-Identifier: MIT */
/* Guest writes to CR0, CR3, CR4, XCR0 and EFER: what they may set. */
#ifndef XMHF_POLICY_CR_H
#define XMHF_POLICY_CR_H

#include <cpu/vcpu.h>
#include <policy/cpuid_policy.h>

/* The bits of cr4_hidden_bits() that this CPU would accept: only these need an exit. */
uint64_t cr4_hidden_present(cpuid_reader read);

/* The bits of CR4 that the guest may set: those of the features that it sees of this CPU. A bit
 * that isn't in our manuals is none of them. */
uint64_t cr4_visible(cpuid_reader read);

/* CR4 as the guest wants it in the state `p`: false = #GP. `visible`: cr4_visible's. */
bool cr4_valid(uint64_t value, const struct guest_paging *p, uint64_t visible);

/* CR0 as the guest wants it in the state `p`: false = #GP. `cs_long`: CS.L, which means nothing yet
 * outside long mode. What it becomes: reserved bits stay 0, ET 1. */
bool cr0_valid(uint64_t value, const struct guest_paging *p, bool cs_long);
uint64_t cr0_taken(uint64_t value);

/* CR3 as the guest wants it: false = #GP. `beyond`: the bits that no address has. PAE's
 * page-directory pointers are not looked at. */
bool cr3_valid(uint64_t value, const struct guest_paging *p, uint64_t beyond);

/* May the guest set XCR0 to `value`? `supported`: CPUID leaf 0xD's mask as the guest
 * sees it (SDM vol. 1, 13.3). */
bool xcr0_valid(uint64_t value, uint64_t supported);

/* The bits of EFER that this CPU defines, without SVME. */
uint64_t efer_supported(cpuid_reader read);

/* EFER as the guest wants it: false = #GP. `now` is its present value; `supported`:
 * efer_supported's. */
bool efer_valid(uint64_t value, uint64_t now, uint64_t supported, bool paging_on);

#endif
