/* SPDX-License-Identifier: MIT */
/* What the guest sees of CPUID, on every machine of tests/vectors/{svm,vmx}. */
#include "unit.h"
#include "vectors.h"


#include <hw/insn.h>
#include <policy/msr_policy.h>
#include <policy/cpuid_policy.h>
#include <xmhf/hypercall.h>

#include "fake/machine.h"

/* Numbers are written out here on purpose: names come from the header under test. */
struct bits { uint32_t leaf, sub; char reg; uint32_t mask; };
#define ANY 0xffffffffu

/* Must be 0 in the guest's view, wherever the data of that leaf shows. */
static const struct bits hidden[] = {
    { 0x1, ANY, 'c', 1u << 5 | 1u << 6 },              /* VMX, SMX */
    { 0x1, ANY, 'c', 1u << 2 | 1u << 4 },              /* DTES64, DS-CPL */
    { 0x1, ANY, 'd', 1u << 21 },                       /* DS */
    { 0x6, ANY, 'a', 1u << 19 | 1u << 23 },            /* HFI, thread director */
    { 0x7, 0, 'b', 1u << 2 | 1u << 25 },               /* SGX, PT */
    { 0x7, 0, 'c', 1u << 7 | 1u << 13 | 1u << 16 | 1u << 29 | 1u << 30 | 1u << 31 },
    { 0x7, 0, 'd', 1u << 1 | 1u << 5 | 1u << 18 | 1u << 19 | 1u << 20 },
    { 0x7, 0, 'd', 1u << 22 | 1u << 24 | 1u << 25 },   /* AMX */
    { 0x7, 1, 'a', 1u << 17 | 1u << 18 | 1u << 19 | 1u << 21 | 1u << 22 | 1u << 26 | 1u << 27 },
    { 0xd, 0, 'a', 1u << 11 | 1u << 12 | 1u << 17 | 1u << 18 },
    { 0xd, 0, 'd', 1u << 30 },                         /* LWP */
    { 0xd, 1, 'a', 1u << 4 },
    { 0xd, 1, 'c', ~0u }, { 0xd, 1, 'd', ~0u },
    { 0xd, 11, 'a', ~0u }, { 0xd, 12, 'a', ~0u }, { 0xd, 17, 'a', ~0u }, { 0xd, 18, 'a', ~0u },
    { 0xd, 8, 'a', ~0u }, { 0xd, 62, 'a', ~0u },
    { 0x12, ANY, 'a', ~0u }, { 0x12, ANY, 'b', ~0u }, { 0x14, ANY, 'a', ~0u },
    { 0x14, ANY, 'b', ~0u }, { 0x14, ANY, 'c', ~0u }, { 0x1d, ANY, 'a', ~0u },
    { 0x1e, ANY, 'b', ~0u }, { 0x1c, ANY, 'a', ~0u },
    { 0x80000001, ANY, 'c', 1u << 2 | 1u << 10 | 1u << 12 | 1u << 15 },
    { 0x80000008, ANY, 'b', 1u << 1 | 1u << 3 | 1u << 21 }, /* IRPERF, INVLPGB */
    { 0x8000000a, ANY, 'a', ~0u }, { 0x8000000a, ANY, 'b', ~0u },
    { 0x8000000a, ANY, 'c', ~0u }, { 0x8000000a, ANY, 'd', ~0u },
    { 0x8000001b, ANY, 'a', ~0u }, { 0x8000001c, ANY, 'a', ~0u }, { 0x8000001c, ANY, 'd', ~0u },
    { 0x8000001f, ANY, 'a', ~0u }, { 0x8000001f, ANY, 'b', ~0u },
    { 0x80000022, ANY, 'a', 1u << 1 | 1u << 2 },       /* LBR v2 */
    /* what the MSR table or EFER refuses, and forms that aren't decoded */
    { 0x1, ANY, 'c', 1u << 11 | 1u << 18 },            /* SDBG, DCA */
    { 0x6, ANY, 'a', 1u << 13 | 1u << 24 },            /* HDC, HFI's interrupt */
    { 0x7, 1, 'a', 1u << 8 }, { 0x7, 1, 'b', 3 },      /* perfmon's extension, PPIN, TSE */
    { 0x7, 1, 'c', 1u << 5 },                          /* MSR_IMM */
    { 0x7, 1, 'd', 1u << 17 | 1u << 21 },              /* UIRET_UIF, APX */
    { 0x7, 2, 'd', 1u << 6 },                          /* UC-lock disable */
    { 0xd, 0, 'a', 1u << 19 }, { 0xd, 19, 'a', ~0u },  /* APX */
    { 0x10, 0, 'b', ~0xeu },
    { 0x19, ANY, 'b', 1u << 4 },                       /* backup of keys */
    { 0x23, ANY, 'a', ~0u }, { 0x23, ANY, 'b', ~0u }, { 0x29, ANY, 'a', ~0u },
    { 0x80000001, ANY, 'c', 1u << 13 },                /* WDT */
    { 0x80000007, ANY, 'b', 1u << 2 }, { 0x80000007, ANY, 'd', 3u << 1 }, /* HWA, FID, VID */
    { 0x80000008, ANY, 'b', 1u << 8 | 1u << 13 | 1u << 25 }, /* MCOMMIT, INT_WBINVD, VIRT_SSBD */
    { 0x80000020, 0, 'b', ~2u },
    { 0x80000021, ANY, 'a', 1u << 7 | 1u << 31 },      /* UAI, SRSO_MSR_FIX */
    { 0x80000022, ANY, 'c', ~0u },
};

/* Bits that may differ from the hardware's besides the hidden ones. */
static const struct bits computed[] = {
    { 0x1, ANY, 'c', 1u << 27 | 1u << 31 },            /* OSXSAVE, hypervisor */
    { 0x1, ANY, 'd', 1u << 9 },                        /* APIC */
    { 0x6, ANY, 'd', ~0u }, { 0x6, ANY, 'c', 0xff00 }, /* HFI's and its classes' sizes */
    { 0x7, 0, 'c', 1u << 4 },                          /* OSPKE */
    { 0x7, 1, 'd', 1u << 8 | 1u << 15 | 1u << 18 },
    { 0xd, 0, 'b', ~0u }, { 0xd, 0, 'c', ~0u }, { 0xd, 1, 'b', ~0u },
    { 0xd, 8, 'b', ~0u }, { 0xd, 8, 'c', ~0u }, { 0xd, 17, 'b', ~0u }, { 0xd, 17, 'c', ~0u },
    { 0xd, 18, 'b', ~0u }, { 0xd, 18, 'c', ~0u }, { 0xd, 62, 'b', ~0u }, { 0xd, 62, 'c', ~0u },
    { 0xd, 11, 'c', ~0u }, { 0xd, 12, 'c', ~0u },
    { 0x12, ANY, 'c', ~0u }, { 0x12, ANY, 'd', ~0u }, { 0x14, ANY, 'd', ~0u },
    { 0x19, ANY, 'b', 1u },
    { 0xa, ANY, 'a', 0xffff }, { 0xa, ANY, 'c', ~0xfu }, { 0xa, ANY, 'd', 0x1f }, /* counters */
    { 0x80000022, ANY, 'b', 0x3ffc0f },
    { 0xd, 19, 'b', ~0u }, { 0xd, 19, 'c', ~0u }, { 0x23, ANY, 'c', ~0u }, { 0x23, ANY, 'd', ~0u },
    { 0x29, ANY, 'b', ~0u },
    { 0x1b, ANY, 'a', ~0u }, { 0x1b, ANY, 'b', ~0u }, { 0x1b, ANY, 'c', ~0u },
    { 0x1b, ANY, 'd', ~0u }, { 0x1c, ANY, 'b', ~0u }, { 0x1c, ANY, 'c', ~0u },
    { 0x1c, ANY, 'd', ~0u }, { 0x1d, ANY, 'b', ~0u }, { 0x1d, ANY, 'c', ~0u },
    { 0x1d, ANY, 'd', ~0u }, { 0x1e, ANY, 'a', ~0u }, { 0x1e, ANY, 'c', ~0u },
    { 0x1e, ANY, 'd', ~0u }, { 0x20, ANY, 'a', ~0u }, { 0x20, ANY, 'b', ~0u },
    { 0x20, ANY, 'c', ~0u }, { 0x20, ANY, 'd', ~0u },
    { 0x80000008, ANY, 'd', 0xffff },
    { 0x8000001b, ANY, 'b', ~0u }, { 0x8000001b, ANY, 'c', ~0u }, { 0x8000001b, ANY, 'd', ~0u },
    { 0x8000001c, ANY, 'b', ~0u }, { 0x8000001c, ANY, 'c', ~0u },
    { 0x8000001f, ANY, 'c', ~0u }, { 0x8000001f, ANY, 'd', ~0u },
};

static uint32_t reg_of(const struct cpuid_regs *r, char reg)
{
    return reg == 'a' ? r->eax : reg == 'b' ? r->ebx : reg == 'c' ? r->ecx : r->edx;
}

static uint32_t mask_of(const struct bits *table, size_t n, uint32_t leaf, uint32_t sub, char reg)
{
    uint32_t mask = 0;

    for (size_t i = 0; i < n; i++) {
        if (table[i].leaf == leaf && table[i].reg == reg
            && (table[i].sub == ANY || table[i].sub == sub)) {
            mask |= table[i].mask;
        }
    }
    return mask;
}

/* Components of IA32_XSS: supervisor states, by the CPU's own word. Never in the view. */
static bool supervisor_component(uint32_t leaf, uint32_t sub)
{
    return leaf == 0xd && sub >= 2 && (hw_cpuid(leaf, sub).ecx & 1);
}

/* `leaf` has the data of leaf `real`. */
static void check_leaf(uint32_t leaf, uint32_t real, uint32_t sub, const struct cpuid_guest *g)
{
    struct cpuid_regs view = cpuid_guest_view(hw_cpuid, leaf, sub, g), hw = hw_cpuid(leaf, sub);

    for (const char *reg = "abcd"; *reg != 0; reg++) {
        uint32_t hide = mask_of(hidden, ARRAY_SIZE(hidden), real, sub, *reg);
        uint32_t free = mask_of(computed, ARRAY_SIZE(computed), real, sub, *reg);
        uint32_t v = reg_of(&view, *reg), h = reg_of(&hw, *reg);

        if ((v & hide) != 0) {
            fail_msg("leaf %x.%x e%cx: %x shows hidden %x", leaf, sub, *reg, v, v & hide);
        }
        if (supervisor_component(real, sub)) {
            assert_int_equal(v, 0);
        } else if (((v ^ h) & ~(hide | free)) != 0) {
            fail_msg("leaf %x.%x e%cx: %x, hardware %x", leaf, sub, *reg, v, h);
        }
    }
}

/* A feature and the MSRs whose writes come with it (SDM vol. 4, APM vol. 2, appendix A). */
static const struct { uint32_t leaf, sub; char reg; unsigned bit; uint32_t msr[4]; } with_msrs[] = {
    { 1, 0, 'd', 4, { 0x10 } }, { 1, 0, 'd', 11, { 0x174, 0x175, 0x176 } },
    { 1, 0, 'd', 14, { 0x17a, 0x400, 0x403 } }, { 1, 0, 'd', 16, { 0x277 } },
    { 1, 0, 'd', 22, { 0x19a, 0x19b, 0x19c } }, { 1, 0, 'd', 12, { 0x200, 0x2ff } },
    { 1, 0, 'c', 11, { 0xc80 } }, { 1, 0, 'c', 18, { 0x1f8 } }, { 1, 0, 'c', 24, { 0x6e0 } },
    { 6, 0, 'a', 2, { 0x1b2 } }, { 6, 0, 'a', 6, { 0x1b1, 0x1b2 } },
    { 6, 0, 'a', 7, { 0x770, 0x774 } },
    { 6, 0, 'a', 8, { 0x773 } }, { 6, 0, 'a', 11, { 0x772 } }, { 6, 0, 'a', 13, { 0xdb0, 0xdb1 } },
    { 6, 0, 'a', 19, { 0x17d0, 0x17d1 } }, { 6, 0, 'a', 22, { 0x776 } },
    { 6, 0, 'c', 3, { 0x1b0 } },
    { 7, 0, 'b', 1, { 0x3b } }, { 7, 0, 'b', 12, { 0xc8d, 0xc8f } }, { 7, 0, 'b', 15, { 0xc8f } },
    { 7, 0, 'b', 25, { 0x570 } }, { 7, 0, 'c', 5, { 0xe1 } }, { 7, 0, 'c', 7, { 0x6a0 } },
    { 7, 0, 'c', 31, { 0x6e1 } }, { 7, 0, 'd', 5, { 0x985 } }, { 7, 0, 'd', 9, { 0x123 } },
    { 7, 0, 'd', 13, { 0x10f } }, { 7, 0, 'd', 19, { 0x14ce } }, { 7, 0, 'd', 26, { 0x48, 0x49 } },
    { 7, 0, 'd', 27, { 0x48 } }, { 7, 0, 'd', 28, { 0x10b } }, { 7, 0, 'd', 31, { 0x48 } },
    { 7, 1, 'a', 8, { 0x1900 } }, { 7, 1, 'a', 22, { 0x17da } }, { 7, 1, 'b', 0, { 0x4e } },
    { 7, 1, 'd', 15, { 0x1c } }, { 0x10, 0, 'b', 1, { 0xc90, 0xc81 } },
    { 0x10, 0, 'b', 2, { 0xd10, 0xc82 } }, { 0x10, 0, 'b', 3, { 0xd50 } },
    { 0x10, 0, 'b', 5, { 0xe00 } },
    { 0x19, 0, 'b', 4, { 0xd91 } },
    { 0x80000001, 0, 'c', 10, { 0xc0011030 } }, { 0x80000001, 0, 'c', 13, { 0xc0010074 } },
    { 0x80000001, 0, 'c', 15, { 0xc0000105 } },
    { 0x80000001, 0, 'c', 23, { 0xc0010200, 0xc001020b } },
    { 0x80000001, 0, 'c', 24, { 0xc0010240, 0xc0010247 } },
    { 0x80000001, 0, 'c', 26, { 0xc0011027, 0xc0011019, 0xc001101a, 0xc001101b } },
    { 0x80000001, 0, 'c', 28, { 0xc0010230, 0xc001023b } },
    { 0x80000001, 0, 'd', 11, { 0xc0000081 } },
    { 0x80000001, 0, 'd', 27, { 0xc0000103 } },
    { 0x80000007, 0, 'b', 2, { 0xc00100c0 } },
    { 0x80000007, 0, 'b', 3, { 0xc0002000, 0xc00023ff } },
    { 0x80000007, 0, 'd', 1, { 0xc0010041 } }, { 0x80000007, 0, 'd', 7, { 0xc0010062 } },
    { 0x80000007, 0, 'd', 9, { 0xc0010015 } },
    { 0x80000008, 0, 'b', 1, { 0xc00000e9 } }, { 0x80000008, 0, 'b', 12, { 0x49 } },
    { 0x80000008, 0, 'b', 14, { 0x48 } }, { 0x80000008, 0, 'b', 25, { 0xc001011f } },
    { 0x80000008, 0, 'b', 27, { 0xc00102b1, 0xc00102b3 } },
    { 0x80000020, 0, 'b', 1, { 0xc0000200, 0xc000020f } },
    { 0x80000020, 0, 'b', 2, { 0xc0000280 } },
    { 0x80000020, 0, 'b', 3, { 0xc0000400 } }, { 0x80000020, 0, 'b', 5, { 0xc00003ff } },
    { 0x80000021, 0, 'a', 13, { 0xc0000108 } }, { 0x80000021, 0, 'a', 17, { 0xc0010015 } },
    { 0x80000021, 0, 'a', 31, { 0xc001102e } },
    { 0x80000022, 0, 'a', 0, { 0xc0000301, 0xc0000302 } },
    { 0x80000022, 0, 'a', 1, { 0xc000010f } },
    { 0x80000022, 0, 'c', 0, { 0xc0010800 } },
};

/* On a machine that has every feature: what is shown can be used, or it is hidden. */
static struct cpuid_regs everything(uint32_t leaf, uint32_t sub)
{
    (void)sub;
    if ((leaf & 0xffff) == 0) {
        return (struct cpuid_regs){ leaf ? 0x80000028 : 0x30, 0, 0, 0 };
    }
    return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
}

static void what_is_shown_can_be_used(void **state)
{
    const struct cpuid_guest g = { .xcr0 = 1, .apic_enabled = true };
    unsigned shown = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(with_msrs); i++) {
        struct cpuid_regs r = cpuid_guest_view(everything, with_msrs[i].leaf, with_msrs[i].sub, &g);
        bool shows = reg_of(&r, with_msrs[i].reg) >> with_msrs[i].bit & 1;

        shown += shows;
        for (unsigned j = 0; j < 4 && with_msrs[i].msr[j] != 0; j++) {
            if (shows && msr_write_action(with_msrs[i].msr[j]) == MSR_DENY) {
                fail_msg("leaf %x.%x e%cx[%u] is shown, but its MSR %x is denied",
                         with_msrs[i].leaf,
                         with_msrs[i].sub, with_msrs[i].reg, with_msrs[i].bit, with_msrs[i].msr[j]);
            }
        }
    }
    assert_in_range(shown, 40, ARRAY_SIZE(with_msrs) - 15);
}

/* No more counters than there are rows. */
static void counters_have_rows(void **state)
{
    const struct cpuid_guest g = { .xcr0 = 1, .apic_enabled = true };
    struct cpuid_regs r = cpuid_guest_view(everything, 0xa, 0, &g);

    (void)state;
    assert_int_equal(r.eax & 0xffff, 0x805);
    for (uint32_t i = 0; i < (r.eax >> 8 & 0xff); i++) {
        assert_int_not_equal(msr_write_action(0xc1 + i), MSR_DENY);
        assert_int_not_equal(msr_write_action(0x186 + i), MSR_DENY);
        assert_int_not_equal(msr_write_action(0x4c1 + i), MSR_DENY);
    }
    assert_int_equal(r.edx & 0x1f, 4);
    assert_int_equal(r.ecx, 0xf);
    assert_int_not_equal(msr_write_action(0x309 + 3), MSR_DENY);
    r = cpuid_guest_view(everything, 0x80000022, 0, &g);
    assert_int_equal(r.ebx & 0x3ffc0f, 4u << 10 | 6);
}

static const struct cpuid_guest guests[] = {
    { .cr4 = 0, .xcr0 = 1, .apic_enabled = true },
    { .cr4 = 1u << 18 | 1u << 22 | 1u << 19, .xcr0 = 7, .apic_enabled = true },
    { .cr4 = 1u << 18, .xcr0 = 0x602e7, .apic_enabled = false },
};

static void check_machine(void)
{
    static const uint32_t beyond[] = { 0x21, 0x24, 0x1000, 0x3fffffff, 0x50000000, 0x7a567254,
                                       0x80000050, 0x8000ffff, 0x80860000, 0xc0000100, 0xffffffff };
    uint32_t max = hw_cpuid(0, 0).eax;

    for (size_t n = 0; n < ARRAY_SIZE(guests); n++) {
        for (uint32_t leaf = 0; leaf <= 0x20; leaf++) {
            for (uint32_t sub = 0; sub <= (leaf == 0xd ? 64 : 3); sub++) {
                uint32_t real = leaf <= max ? leaf : machine.intel ? max : leaf;
                check_leaf(leaf, real, sub, &guests[n]);
            }
        }
        for (uint32_t leaf = 0x80000000; leaf <= 0x80000028; leaf++) {
            bool exists = leaf <= hw_cpuid(0x80000000, 0).eax;
            check_leaf(leaf, exists || !machine.intel ? leaf : max, 0, &guests[n]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
            for (uint32_t sub = 0; sub < 3; sub++) {
                check_leaf(beyond[i], machine.intel ? max : beyond[i], sub, &guests[n]);
            }
        }
    }
}

/* Bits that mirror guest state. */
static void check_mirrors(void)
{
    bool xsave = hw_cpuid(1, 0).ecx >> 26 & 1, pku = hw_cpuid(7, 0).ecx >> 3 & 1;

    for (unsigned n = 0; n < 8; n++) {
        const struct cpuid_guest g = {
            .cr4 = (n & 1 ? 1u << 18 : 0) | (n & 2 ? 1u << 22 : 0), .xcr0 = 1,
            .apic_enabled = (n & 4) != 0,
        };
        struct cpuid_regs one = cpuid_guest_view(hw_cpuid, 1, 0, &g);
        struct cpuid_regs seven = cpuid_guest_view(hw_cpuid, 7, 0, &g);

        assert_int_equal(one.ecx >> 31, 1);
        assert_int_equal(one.ecx >> 27 & 1, xsave && (n & 1));
        assert_int_equal(one.edx >> 9 & 1, (hw_cpuid(1, 0).edx >> 9 & 1) && (n & 4));
        assert_int_equal(seven.ecx >> 4 & 1, pku && (n & 2));
    }
}

/* Our formula for the size of all components gives what the CPU says, where it has none
 * that we hide. */
static unsigned check_sizes(void)
{
    struct cpuid_regs hw = hw_cpuid(0xd, 0), view;
    uint64_t all = hw.eax | (uint64_t)hw.edx << 32;
    uint64_t hide = 1u << 11 | 1u << 12 | 3u << 17 | 1ULL << 62;
    struct cpuid_guest g = { .cr4 = 1u << 18, .xcr0 = all, .apic_enabled = true };

    if (hw_cpuid(0, 0).eax < 0xd || all == 0 || hw_cpuid(0xd, 2).eax == 0 || (all & hide) != 0) {
        return 0;
    }
    view = cpuid_guest_view(hw_cpuid, 0xd, 0, &g);
    assert_int_equal(view.ecx, hw.ecx);
    assert_int_equal(view.ebx, hw.ecx);
    g.xcr0 = 1;
    assert_int_equal(cpuid_guest_view(hw_cpuid, 0xd, 0, &g).ebx, 576);
    return 1;
}

static void every_machine(void **state)
{
    static const char *const dirs[] = { "svm", "vmx" };
    unsigned machines = 0, sizes = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        struct vectors files = vectors_of(dirs[i]);

        while (vectors_next(&files)) {
            machine_reset(0);
            machine_load(files.path);
            if (hw_cpuid(0, 0).eax == 0) {
                continue; /* MSRs only */
            }
            print_message("# %s\n", files.name);
            machines++;
            check_machine();
            check_mirrors();
            sizes += check_sizes();
        }
    }
    print_message("# %u machines, XSAVE sizes checked on %u\n", machines, sizes);
    assert_true(machines > 120 && sizes > 20);
}

/* A CPU with everything: XSAVE areas as on Sapphire Rapids. */
static void load_everything(void)
{
    machine_reset(0);
    machine_set_cpuid(0, 0, (struct cpuid_regs){ 0x20, 0x756e6547, 0x6c65746e, 0x49656e69 });
    for (uint32_t leaf = 1; leaf <= 0x20; leaf++) {
        for (uint32_t sub = 0; sub < 3 && leaf != 0xd; sub++) {
            machine_set_cpuid(leaf, sub, (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u });
        }
    }
    machine_set_cpuid(0xd, 0, (struct cpuid_regs){ 0x602e7, 11008, 11008, 0 });
    machine_set_cpuid(0xd, 1, (struct cpuid_regs){ 0x1f, 11008, 0x1900 | 1u << 15, 0 });
    machine_set_cpuid(0xd, 2, (struct cpuid_regs){ 256, 576, 0, 0 });
    machine_set_cpuid(0xd, 5, (struct cpuid_regs){ 64, 1088, 0, 0 });
    machine_set_cpuid(0xd, 6, (struct cpuid_regs){ 512, 1152, 0, 0 });
    machine_set_cpuid(0xd, 7, (struct cpuid_regs){ 1024, 1664, 0, 0 });
    machine_set_cpuid(0xd, 8, (struct cpuid_regs){ 128, 0, 1, 0 });
    machine_set_cpuid(0xd, 9, (struct cpuid_regs){ 8, 2688, 0, 0 });
    machine_set_cpuid(0xd, 11, (struct cpuid_regs){ 16, 0, 1, 0 });
    machine_set_cpuid(0xd, 12, (struct cpuid_regs){ 24, 0, 1, 0 });
    machine_set_cpuid(0xd, 17, (struct cpuid_regs){ 64, 2752, 2, 0 });
    machine_set_cpuid(0xd, 18, (struct cpuid_regs){ 8192, 2816, 6, 0 });
    machine_set_cpuid(0x80000000, 0, (struct cpuid_regs){ 0x80000028, 0, 0, 0 });
    for (uint32_t leaf = 0x80000001; leaf <= 0x80000028; leaf++) {
        machine_set_cpuid(leaf, 0, (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u });
    }
}

/* All ones from the hardware: each hidden bit is 0, each other bit is 1. */
static void everything_on(void **state)
{
    (void)state;
    load_everything();
    check_machine();
    for (uint32_t leaf = 1; leaf <= 0x20; leaf++) {
        for (uint32_t sub = 0; sub < 2 && leaf != 0xd; sub++) {
            struct cpuid_regs view = cpuid_guest_view(hw_cpuid, leaf, sub, &guests[1]);
            for (const char *reg = "abcd"; *reg != 0; reg++) {
                uint32_t clear = ~reg_of(&view, *reg);
                assert_int_equal(clear & ~mask_of(hidden, ARRAY_SIZE(hidden), leaf, sub, *reg) &
                                 ~mask_of(computed, ARRAY_SIZE(computed), leaf, sub, *reg), 0);
            }
        }
    }
    /* kept on purpose: MONITOR, x2APIC, WAITPKG, PKU, INVPCID */
    assert_int_equal(cpuid_guest_view(hw_cpuid, 1, 0, &guests[0]).ecx & 0x00200008, 0x00200008);
    assert_int_equal(cpuid_guest_view(hw_cpuid, 7, 0, &guests[0]).ecx & 0x28, 0x28);
    assert_int_equal(cpuid_guest_view(hw_cpuid, 7, 0, &guests[0]).ebx & 0x400, 0x400);
}

static void xsave_sizes_follow_xcr0(void **state)
{
    static const struct { uint64_t xcr0; uint32_t standard, compacted; } cases[] = {
        { 0x1, 576, 576 },       { 0x3, 576, 576 },       { 0x7, 832, 832 },
        { 0xe7, 2688, 2432 },    { 0x2e7, 2696, 2440 },   { 0x203, 2696, 584 },
        { 0x207, 2696, 840 },    { 0x602e7, 2696, 2440 }, /* AMX isn't the guest's */
    };

    (void)state;
    load_everything();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct cpuid_guest g = { .cr4 = 1u << 18, .xcr0 = cases[i].xcr0 };
        struct cpuid_regs r = cpuid_guest_view(hw_cpuid, 0xd, 0, &g);

        assert_int_equal(r.eax, 0x2e7);
        assert_int_equal(r.ebx, cases[i].standard);
        assert_int_equal(r.ecx, 2696);
        r = cpuid_guest_view(hw_cpuid, 0xd, 1, &g);
        assert_int_equal(r.eax, 0xf);
        assert_int_equal(r.ebx, cases[i].compacted);
        assert_int_equal(r.ecx | r.edx, 0);
    }
    /* the alignment bit, on a component that the guest gets */
    for (unsigned i = 0; i < machine.cpuid_count; i++) {
        if (machine.cpuid[i].leaf == 0xd && machine.cpuid[i].sub == 9) {
            machine.cpuid[i].r.ecx = 2;
        } else if (machine.cpuid[i].leaf == 0xd && machine.cpuid[i].sub == 2) {
            machine.cpuid[i].r.eax = 260;
        }
    }
    const struct cpuid_guest g = { .cr4 = 1u << 18, .xcr0 = 0x207 };
    assert_int_equal(cpuid_guest_view(hw_cpuid, 0xd, 1, &g).ebx, 576 + 320 + 8);
}

static void our_leaves(void **state)
{
    struct cpuid_regs r;
    char text[13] = "";

    (void)state;
    load_everything();
    r = cpuid_guest_view(hw_cpuid, 0x40000000, 5, &guests[0]);
    assert_int_equal(r.eax, 0x40000001);
    memcpy(text, &r.ebx, 4);
    memcpy(text + 4, &r.ecx, 4);
    memcpy(text + 8, &r.edx, 4);
    assert_string_equal(text, XMHF_CPUID_SIGNATURE);
    r = cpuid_guest_view(hw_cpuid, 0x40000001, 0, &guests[0]);
    assert_int_equal(r.eax, XMHF_VERSION);
    assert_int_equal(r.ebx | r.ecx | r.edx, 0);
    for (uint32_t leaf = 0x40000002; leaf <= 0x40000200; leaf++) {
        r = cpuid_guest_view(hw_cpuid, leaf, 0, &guests[0]);
        assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
    }
}

static void cr4_bits(void **state)
{
    (void)state;
    assert_true(cr4_hidden_bits() == (1ULL << 12 | 1ULL << 13 | 1ULL << 14 | 1ULL << 23 |
                                      1ULL << 24 | 1ULL << 25 | 1ULL << 28 | 1ULL << 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_can_be_used),
        cmocka_unit_test(counters_have_rows),
        cmocka_unit_test(every_machine),
        cmocka_unit_test(everything_on),
        cmocka_unit_test(xsave_sizes_follow_xcr0),
        cmocka_unit_test(our_leaves),
        cmocka_unit_test(cr4_bits),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    machine_reset(0);
    return failed;
}
