/* SPDX-License-Identifier: MIT */
/* Which values an MSR of the guest's takes whose place is in the VMCB or VMCS: the CPU knows. */
#ifndef XMHF_VIRT_TRY_MSR_H
#define XMHF_VIRT_TRY_MSR_H

#include <hw/insn.h>

/* Would WRMSR of `value` to `msr` fault? Tried on this CPU's own, which is put back: not for one that
 * the core lives by. True: it wouldn't, and `*kept` is what the register makes of it. */
static inline bool try_msr(uint32_t msr, uint64_t value, uint64_t *kept)
{
    uint64_t own;

    if (!hw_rdmsr_safe(msr, &own) || !hw_wrmsr_safe(msr, value)) {
        return false;
    }
    *kept = hw_rdmsr(msr);
    hw_wrmsr(msr, own);
    return true;
}

#endif
