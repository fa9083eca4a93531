/* SPDX-License-Identifier: MIT */
/* Which values the CPU would take for an MSR of the guest's that lives in VMCB or VMCS. */
#ifndef XMHF_VIRT_TRY_MSR_H
#define XMHF_VIRT_TRY_MSR_H

#include <hw/insn.h>

/* Would WRMSR of `value` to `msr` fault? It is tried on this CPU's own register, which is put
 * back; so `msr` must not be one that the core lives by. True: no fault, and `*kept` is what the
 * register has made of the value. */
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
