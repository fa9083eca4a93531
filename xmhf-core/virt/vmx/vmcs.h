/* SPDX-License-Identifier: MIT */
/* Access to the fields of the current VMCS, by name. */
#ifndef XMHF_VMX_VMCS_H
#define XMHF_VMX_VMCS_H

#include <debug/log.h>
#include <hw/vmx.h>
#include <virt/vmx/caps.h>

enum vmcs_field {
#define X(name, encoding, width, access, exists) VMCS_##name = encoding,
#include <x86/vmcs_fields.def>
#undef X
};

/* Bits 14:13 of an encoding are the width, 11:10 the kind; 1 = read-only (appendix B). */
#define VMCS_CODE_16  0
#define VMCS_CODE_64  1
#define VMCS_CODE_32  2
#define VMCS_CODE_NAT 3
#define VMCS_IS_RW(encoding) (((encoding) >> 10 & 3) != 1)
#define VMCS_IS_RO(encoding) (((encoding) >> 10 & 3) == 1)
#define X(name, encoding, width, access, exists) \
    _Static_assert(((encoding) >> 13 & 3) == VMCS_CODE_##width, #name); \
    _Static_assert(VMCS_IS_##access(encoding), #name); \
    _Static_assert(((encoding) & 1) == 0, #name);
#include <x86/vmcs_fields.def>
#undef X

/* Does the field exist on the CPU of `c`? (fields.c) */
bool vmcs_exists(const struct vmx_caps *c, enum vmcs_field field);
/* Its name, for the log; "?" if there is none. */
const char *vmcs_name(uint32_t encoding);

static inline uint64_t vmcs_read(enum vmcs_field field)
{
    uint64_t value;

    if (!hw_vmread(field, &value)) {
        panic("VMREAD of field 0x%x (%s)", field, vmcs_name(field));
    }
    return value;
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
    if (!hw_vmwrite(field, value)) {
        panic("VMWRITE of field 0x%x (%s)", field, vmcs_name(field));
    }
}

#endif
