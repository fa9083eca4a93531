/* SPDX-License-Identifier: MIT */
/* Guest writes to CR0, CR3, CR4, XCR0 and EFER: what they may set. Pure. */
#include <policy/cr.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

/* Every CPU with long mode has these. QEMU takes VME and PVI and doesn't show them. */
#define CR4_ALWAYS (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE \
                    | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT)

/* CR4's bits that this CPU has (SDM vol. 3, 2.5; APM vol. 2, 3.1.3). */
static uint64_t cr4_present(cpuid_reader read)
{
    struct cpuid_regs r1 = read(CPUID_FEATURES, 0);
    struct cpuid_regs none = { 0 };
    bool has7 = read(CPUID_BASIC, 0).eax >= CPUID_EXT_FEATURES;
    struct cpuid_regs r70 = has7 ? read(CPUID_EXT_FEATURES, 0) : none;
    struct cpuid_regs r71 = has7 && r70.eax >= 1 ? read(CPUID_EXT_FEATURES, 1) : none;
    const struct { bool present; uint64_t bits; } map[] = {
        { r1.ecx & CPUID_1_ECX_VMX, CR4_VMXE },
        { r1.ecx & CPUID_1_ECX_SMX, CR4_SMXE },
        { r1.ecx & CPUID_1_ECX_PCID, CR4_PCIDE },
        { r1.ecx & CPUID_1_ECX_XSAVE, CR4_OSXSAVE },
        { r70.ebx & CPUID_7_0_EBX_FSGSBASE, CR4_FSGSBASE },
        { r70.ebx & CPUID_7_0_EBX_SMEP, CR4_SMEP },
        { r70.ebx & CPUID_7_0_EBX_SMAP, CR4_SMAP },
        { r70.ecx & CPUID_7_0_ECX_UMIP, CR4_UMIP },
        { r70.ecx & CPUID_7_0_ECX_PKU, CR4_PKE },
        { r70.ecx & CPUID_7_0_ECX_KL, CR4_KL },
        { r70.ecx & CPUID_7_0_ECX_LA57, CR4_LA57 },
        { (r70.ecx & CPUID_7_0_ECX_CET_SS) || (r70.edx & CPUID_7_0_EDX_CET_IBT), CR4_CET },
        { r70.ecx & CPUID_7_0_ECX_PKS, CR4_PKS },
        { r70.edx & CPUID_7_0_EDX_UINTR, CR4_UINTR },
        { r71.eax & CPUID_7_1_EAX_LASS, CR4_LASS },
        { r71.eax & CPUID_7_1_EAX_LAM, CR4_LAM_SUP },
        { r71.eax & CPUID_7_1_EAX_FRED, CR4_FRED },
    };
    uint64_t bits = CR4_ALWAYS;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        bits |= map[i].present ? map[i].bits : 0;
    }
    return bits;
}

uint64_t cr4_hidden_present(cpuid_reader read)
{
    return cr4_present(read) & cr4_hidden_bits();
}

uint64_t cr4_visible(cpuid_reader read)
{
    return cr4_present(read) & ~cr4_hidden_bits();
}

bool cr4_valid(uint64_t value, const struct guest_paging *p, uint64_t visible)
{
    bool long_mode = p->efer & EFER_LMA;

    if ((value & ~visible) || (long_mode && !(value & CR4_PAE))) {
        return false;
    }
    /* PCIDE is set only in long mode, and only while CR3 has no PCID (APM vol. 2, 3.1.3). */
    return !(value & ~p->cr4 & CR4_PCIDE) || (long_mode && !(p->cr3 & PAGE_MASK));
}

/* SDM vol. 2, MOV to control registers, and vol. 3, 2.5 and 10.8.5; APM vol. 2, 3.1.1 and 14.6. */
bool cr0_valid(uint64_t value, const struct guest_paging *p, bool cs_long)
{
    bool turns_on = value & ~p->cr0 & CR0_PG, turns_off = ~value & p->cr0 & CR0_PG;

    if (value >> 32 || ((value & CR0_NW) && !(value & CR0_CD))
        || ((value & CR0_PG) && !(value & CR0_PE))) {
        return false;
    }
    if (turns_on && (p->efer & EFER_LME) && (!(p->cr4 & CR4_PAE) || cs_long)) {
        return false;
    }
    return !turns_off || (p->mode != MODE_LONG64 && !(p->cr4 & CR4_PCIDE));
}

uint64_t cr0_taken(uint64_t value)
{
    return (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD
                     | CR0_PG)) | CR0_ET;
}

bool cr3_valid(uint64_t value, const struct guest_paging *p, uint64_t beyond)
{
    /* Bit 63 of the source says with PCIDE that nothing is to be flushed (SDM vol. 3, 4.10.4.1). */
    value &= ~(p->cr4 & CR4_PCIDE ? CR3_NO_FLUSH : 0);
    return !(p->efer & EFER_LMA) || !(value & beyond);
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

/* APM vol. 2, 3.1.7, and vol. 3, appendix E. */
uint64_t efer_supported(cpuid_reader read)
{
    static const struct { bool in_ecx; uint32_t mask; uint64_t efer; } rows[] = {
        { false, CPUID_8_1_EDX_LM, EFER_LME }, { false, CPUID_8_1_EDX_NX, EFER_NXE },
        { false, BIT(25), EFER_FFXSR },        { true, BIT(17), EFER_TCE },
    };
    const struct cpuid_regs r = read(CPUID_EXT_AMD, 0);
    uint64_t bits = EFER_SCE;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bits |= (rows[i].in_ecx ? r.ecx : r.edx) & rows[i].mask ? rows[i].efer : 0;
    }
    if (read(CPUID_EXTENDED, 0).eax >= 0x80000021 && (read(0x80000021, 0).eax & BIT(8))) {
        bits |= EFER_AUTO_IBRS;
    }
    return bits;
}

bool efer_valid(uint64_t value, uint64_t now, uint64_t supported, bool paging_on)
{
    if (value & ~(supported | EFER_LMA)) {
        return false;
    }
    /* LME can't change while paging is on (APM vol. 2, 3.1.7). */
    return !(paging_on && ((value ^ now) & EFER_LME));
}
