/* SPDX-License-Identifier: MIT */
/* What a guest may set in CR4, XCR0 and EFER. */
#include "unit.h"

#include <exit/cr.h>
#include <x86/cpu.h>
#include <x86/cpuid.h>

static struct cpuid_regs basic, features, ext0, ext1;

static struct cpuid_regs fake_cpuid(uint32_t leaf, uint32_t sub)
{
    return leaf == CPUID_BASIC ? basic : leaf == CPUID_FEATURES ? features
        : sub == 0 ? ext0 : ext1;
}

/* Only what the CPU has needs an exit; and what it has must have one. */
static void hidden_bits_follow_the_cpu(void **state)
{
    const struct { uint32_t *word, bit; uint64_t cr4; } map[] = {
        { &features.ecx, CPUID_1_ECX_VMX, CR4_VMXE }, { &features.ecx, CPUID_1_ECX_SMX, CR4_SMXE },
        { &ext0.ecx, CPUID_7_0_ECX_LA57, CR4_LA57 }, { &ext0.ecx, CPUID_7_0_ECX_CET_SS, CR4_CET },
        { &ext0.edx, CPUID_7_0_EDX_CET_IBT, CR4_CET }, { &ext0.ecx, CPUID_7_0_ECX_PKS, CR4_PKS },
        { &ext0.edx, CPUID_7_0_EDX_UINTR, CR4_UINTR }, { &ext1.eax, CPUID_7_1_EAX_LAM, CR4_LAM_SUP },
        { &ext1.eax, CPUID_7_1_EAX_FRED, CR4_FRED },
    };
    uint64_t all = 0;

    (void)state;
    basic.eax = 7;
    ext0.eax = 1;
    assert_int_equal(cr4_hidden_present(fake_cpuid), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        *map[i].word |= map[i].bit;
        assert_int_equal(cr4_hidden_present(fake_cpuid), map[i].cr4);
        *map[i].word &= ~map[i].bit;
        all |= map[i].cr4;
    }
    assert_int_equal(all & ~cr4_hidden_bits(), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        *map[i].word |= map[i].bit;
    }
    assert_int_equal(cr4_hidden_present(fake_cpuid), all);
    ext0.eax = 0; /* no leaf 7.1: what it says is another leaf's */
    assert_int_equal(cr4_hidden_present(fake_cpuid), all & ~(CR4_LAM_SUP | CR4_FRED));
    basic.eax = 6;
    assert_int_equal(cr4_hidden_present(fake_cpuid), CR4_VMXE | CR4_SMXE);
}

/* SDM vol. 1, 13.3, said once more: by what is needed for each bit. */
static bool may(uint64_t x, uint64_t supported)
{
    static const struct { uint64_t bit, needs; } rule[] = {
        { XCR0_AVX, XCR0_SSE },
        { XCR0_OPMASK, XCR0_AVX | XCR0_ZMM_HI256 | XCR0_HI16_ZMM },
        { XCR0_ZMM_HI256, XCR0_AVX | XCR0_OPMASK | XCR0_HI16_ZMM },
        { XCR0_HI16_ZMM, XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 },
        { XCR0_BNDREGS, XCR0_BNDCSR }, { XCR0_BNDCSR, XCR0_BNDREGS },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rule); i++) {
        if ((x & rule[i].bit) && (x & rule[i].needs) != rule[i].needs) {
            return false;
        }
    }
    return (x & 1) && (x & ~supported) == 0;
}

static void xcr0(void **state)
{
    static const uint64_t supported[] = { 1, 3, 7, 0x1f, 0xe7, 0xff, 0x2ff };
    unsigned allowed = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(supported); i++) {
        for (uint64_t x = 0; x < 0x800; x++) {
            assert_int_equal(xcr0_valid(x, supported[i]), may(x, supported[i]));
            allowed += xcr0_valid(x, supported[i]);
            assert_false(xcr0_valid(x | BIT(63), supported[i]));
        }
    }
    assert_in_range(allowed, 15, 100);
}

static void efer(void **state)
{
    const uint64_t all = EFER_SCE | EFER_LME | EFER_NXE;

    (void)state;
    for (unsigned paging = 0; paging < 2; paging++) {
        assert_true(efer_valid(0, 0, all, paging));
        assert_true(efer_valid(all | EFER_LMA, EFER_LME | EFER_LMA, all, paging));
        assert_int_equal(efer_valid(EFER_LME, 0, all, paging), !paging);
        assert_int_equal(efer_valid(EFER_NXE, EFER_LME, all, paging), !paging);
        for (unsigned bit = 0; bit < 64; bit++) {
            if (!(BIT(bit) & (all | EFER_LMA))) {
                assert_false(efer_valid(BIT(bit), 0, all, paging)); /* SVME among them */
            }
        }
        assert_false(efer_valid(EFER_NXE, 0, all & ~EFER_NXE, paging));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_bits_follow_the_cpu),
        cmocka_unit_test(xcr0),
        cmocka_unit_test(efer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
