/* SPDX-License-Identifier: MIT */
/* The width of physical addresses, less what memory encryption has taken of it. */
#include <cpu/width.h>
#include <hw/insn.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

static unsigned cpu_width(void)
{
    if (hw_cpuid(CPUID_EXTENDED, 0).eax < CPUID_ADDRESS_SIZES) {
        return 36; /* SDM vol. 3, 4.1.4 */
    }
    return hw_cpuid(CPUID_ADDRESS_SIZES, 0).eax & 0xff;
}

/*
 * KeyIDs are the top bits of the width that CPUID tells, those of TDX among them, as soon as
 * firmware has activated encryption: nothing else shows it (Intel MKTME specification, 4; SDM
 * vol. 4, table 2-2, 982H).
 */
static const char *take_key_bits(unsigned *bits)
{
    uint64_t activate;

    if (hw_cpuid(CPUID_BASIC, 0).eax < CPUID_EXT_FEATURES
        || !(hw_cpuid(CPUID_EXT_FEATURES, 0).ecx & CPUID_7_0_ECX_TME)) {
        return NULL;
    }
    if (!hw_rdmsr_safe(MSR_IA32_TME_ACTIVATE, &activate)) {
        return "IA32_TME_ACTIVATE, which says how many address bits are keys";
    }
    if (activate & TME_ACTIVATE_ENABLE) {
        *bits -= (unsigned)(activate >> TME_ACTIVATE_KEYID_SHIFT) & TME_ACTIVATE_KEYID_MASK;
    }
    return NULL;
}

/*
 * SME: while SYSCFG says that it is on, the C-bit encrypts, and the width is less by what EBX[11:6]
 * says (APM vol. 2, 7.10.1 and 7.10.2; vol. 3, E.4.17). The C-bit may be above the width or in it.
 */
static const char *take_c_bit(unsigned *bits)
{
    uint64_t syscfg;

    if (hw_cpuid(CPUID_EXTENDED, 0).eax < CPUID_SEV
        || !(hw_cpuid(CPUID_SEV, 0).eax & (CPUID_8_1F_EAX_SME | CPUID_8_1F_EAX_SEV))
        || !hw_rdmsr_safe(MSR_AMD_SYSCFG, &syscfg) || !(syscfg & SYSCFG_MEM_ENCRYPTION)) {
        return NULL;
    }
    uint32_t ebx = hw_cpuid(CPUID_SEV, 0).ebx;
    unsigned c_bit = ebx & 0x3f;
    if (c_bit < 32) {
        return "the place of the C-bit (CPUID 8000_001F:EBX), with memory encryption switched on";
    }
    *bits -= ebx >> 6 & 0x3f;
    *bits = *bits > c_bit ? c_bit : *bits;
    return NULL;
}

const char *phys_width(unsigned *bits)
{
    unsigned width = cpu_width();
    const char *missing = take_key_bits(&width);

    if (!missing) {
        missing = take_c_bit(&width);
    }
    if (!missing && (width < 32 || width > 52)) { /* or fewer bits are taken than there are */
        missing = "a width of physical addresses (CPUID 8000_0008) that makes sense";
    }
    if (!missing) {
        *bits = width > PHYS_WIDTH_MAX ? PHYS_WIDTH_MAX : width;
    }
    return missing;
}

uint64_t phys_beyond(void)
{
    unsigned bits;

    return ~0ULL << (phys_width(&bits) ? cpu_width() & 0x3f : bits);
}
