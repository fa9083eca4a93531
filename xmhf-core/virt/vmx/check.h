/* SPDX-License-Identifier: MIT */
/* What check.c and check_entry.c have in common. */
#ifndef XMHF_VMX_CHECK_H
#define XMHF_VMX_CHECK_H

#include <policy/msr_policy.h>
#include <virt/vmx/vmx.h>

bool check_canonical(uint64_t a);

/* Bits that a value must not have. */
#define EFER_RESERVED     (~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
#define DEBUGCTL_RESERVED (~0xffc7ULL)
/* all but B0-B3, bus lock, enabled breakpoint, BS, RTM (25.4.2) */
#define PENDING_RESERVED  (~0x1580fULL)

/* of a PAE guest's page-directory pointer, beside those beyond the physical addresses */
#define PDPTE_RESERVED    0x1e6ULL

#endif
