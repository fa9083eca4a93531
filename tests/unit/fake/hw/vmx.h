/* SPDX-License-Identifier: MIT */
/* Stands in for xmhf-core/hw/vmx.h in host unit tests: the same names, for the test to define. */
#ifndef XMHF_HW_VMX_H
#define XMHF_HW_VMX_H

#include <xmhf/types.h>

bool hw_vmxon(uint64_t address);
void hw_vmxoff(void);
bool hw_vmclear(uint64_t address);
bool hw_vmptrld(uint64_t address);
bool hw_vmread(uint64_t field, uint64_t *value);
bool hw_vmwrite(uint64_t field, uint64_t value);
bool hw_invept(uint64_t type, uint64_t eptp);
bool hw_invvpid(uint64_t type, uint16_t vpid);

#endif
