/* SPDX-License-Identifier: MIT */
/* The VMX instructions (SDM vol. 3, chapter 31). False: VMfail (CF or ZF). */
#ifndef XMHF_HW_VMX_H
#define XMHF_HW_VMX_H

#include <xmhf/types.h>

#define HW_VMX_WITH_POINTER(name, insn) \
    static inline bool name(uint64_t address) \
    { \
        bool ok; \
        __asm__ volatile(insn " %1" : "=@cca"(ok) : "m"(address) : "cc", "memory"); \
        return ok; \
    }
HW_VMX_WITH_POINTER(hw_vmxon, "vmxon")
HW_VMX_WITH_POINTER(hw_vmclear, "vmclear")
HW_VMX_WITH_POINTER(hw_vmptrld, "vmptrld")
#undef HW_VMX_WITH_POINTER

static inline void hw_vmxoff(void) { __asm__ volatile("vmxoff" ::: "cc", "memory"); }

/* Always a whole 64-bit register, whatever the field's width: nothing next to the
 * destination can be overwritten. */
static inline bool hw_vmread(uint64_t field, uint64_t *value)
{
    uint64_t v;
    bool ok;
    __asm__ volatile("vmread %2, %0" : "=r"(v), "=@cca"(ok) : "r"(field) : "cc");
    *value = v;
    return ok;
}

static inline bool hw_vmwrite(uint64_t field, uint64_t value)
{
    bool ok;
    __asm__ volatile("vmwrite %1, %2" : "=@cca"(ok) : "r"(value), "r"(field) : "cc", "memory");
    return ok;
}

struct hw_inv_descriptor { uint64_t low, address; };

static inline bool hw_invept(uint64_t type, uint64_t eptp)
{
    const struct hw_inv_descriptor d = { eptp, 0 };
    bool ok;
    __asm__ volatile("invept %1, %2" : "=@cca"(ok) : "m"(d), "r"(type) : "cc", "memory");
    return ok;
}

static inline bool hw_invvpid(uint64_t type, uint16_t vpid)
{
    const struct hw_inv_descriptor d = { vpid, 0 };
    bool ok;
    __asm__ volatile("invvpid %1, %2" : "=@cca"(ok) : "m"(d), "r"(type) : "cc", "memory");
    return ok;
}

#endif
