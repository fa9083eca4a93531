/* SPDX-License-Identifier: MIT */
/* Guest writes to CR4, XCR0 and EFER: what they may set. Pure. */
#include <exit/cr.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

uint64_t cr4_hidden_present(cpuid_reader read)
{
    struct cpuid_regs r1 = read(CPUID_FEATURES, 0);
    struct cpuid_regs none = { 0 };
    bool has7 = read(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES;
    struct cpuid_regs r70 = has7 ? read(CPUID_EXT_FEATURES, 0) : none;
    struct cpuid_regs r71 = has7 && r70.eax >= 1 ? read(CPUID_EXT_FEATURES, 1) : none;
    const struct { bool present; uint64_t bit; } map[] = {
        { r1.ecx & CPUID_1_ECX_VMX, CR4_VMXE },
        { r1.ecx & CPUID_1_ECX_SMX, CR4_SMXE },
        { r70.ecx & CPUID_7_0_ECX_LA57, CR4_LA57 },
        { (r70.ecx & CPUID_7_0_ECX_CET_SS) || (r70.edx & CPUID_7_0_EDX_CET_IBT), CR4_CET },
        { r70.ecx & CPUID_7_0_ECX_PKS, CR4_PKS },
        { r70.edx & CPUID_7_0_EDX_UINTR, CR4_UINTR },
        { r71.eax & CPUID_7_1_EAX_LAM, CR4_LAM_SUP },
        { r71.eax & CPUID_7_1_EAX_FRED, CR4_FRED },
    };
    uint64_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        bits |= map[i].present ? map[i].bit : 0;
    }
    return bits & cr4_hidden_bits();
}

bool xcr0_valid(uint64_t value, uint64_t supported)
{
    const uint64_t avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
    const uint64_t mpx = XCR0_BNDREGS | XCR0_BNDCSR;

    if (!(value & XCR0_X87) || (value & ~supported)) {
        return false;
    }
    if ((value & XCR0_AVX) && !(value & XCR0_SSE)) {
        return false;
    }
    if ((value & avx512) && ((value & avx512) != avx512 || !(value & XCR0_AVX))) {
        return false;
    }
    return !(value & mpx) || (value & mpx) == mpx;
}

bool efer_valid(uint64_t value, uint64_t now, uint64_t supported, bool paging_on)
{
    if (value & ~(supported | EFER_LMA)) {
        return false;
    }
    /* LME can't change while paging is on (APM vol. 2, 3.1.7). */
    return !(paging_on && ((value ^ now) & EFER_LME));
}
