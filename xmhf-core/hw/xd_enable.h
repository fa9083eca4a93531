/* SPDX-License-Identifier: MIT */
/*
 * For 32-bit assembly, with MSRs and CPUID 8000_0001 known to be there: where an Intel CPU doesn't
 * show NX, clear IA32_MISC_ENABLE[34] (XD bit disable, SDM vol. 4, table 2-2), by which firmware
 * hides it from CPUID and makes EFER.NXE a reserved bit. Each logical CPU has its own. Changes EAX,
 * EBX, ECX, EDX. Other vendors have no such bit; where the MSR says nothing NX stays missing.
 */
#ifndef XMHF_HW_XD_ENABLE_H
#define XMHF_HW_XD_ENABLE_H

    .macro xd_enable
    movl $0x80000001, %eax
    cpuid
    btl $20, %edx
    jc 9f
    xorl %eax, %eax
    cpuid
    cmpl $0x756e6547, %ebx              /* "Genu" */
    jne 9f
    movl $0x1a0, %ecx
    rdmsr
    btrl $2, %edx
    jnc 9f
    wrmsr
9:
    .endm

#endif
