/* SPDX-License-Identifier: MIT */
/* The MSR table: well-formed, nothing dangerous writable, nothing that a stock kernel
 * writes unguarded refused. */
#include "unit.h"

#include <policy/msr_policy.h>
#include <x86/msr.h>

struct range { uint32_t first, last; };

static void table_is_sorted(void **state)
{
    (void)state;
    assert_true(msr_rule_count > 50);
    for (size_t i = 0; i < msr_rule_count; i++) {
        const struct msr_rule *r = &msr_rules[i];

        assert_true(r->first <= r->last);
        assert_true(i == 0 || msr_rules[i - 1].last < r->first);
        assert_in_range(r->read, MSR_PASS, MSR_SPECIAL);
        assert_in_range(r->write, MSR_PASS, MSR_SPECIAL);
        assert_non_null(r->why);
        assert_true(strlen(r->why) > 3);
    }
}

/* The look-up finds what a plain search finds, and the default elsewhere. */
static void look_up(void **state)
{
    static const struct range sweep[] = {
        { 0, 0x2fff }, { 0x40000000, 0x400000ff }, { 0xbffffff0, 0xc0002fff },
        { 0xc000fff0, 0xc0011fff }, { 0xfffffff0, 0xfffffffe },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sweep); i++) {
        for (uint32_t msr = sweep[i].first; msr <= sweep[i].last; msr++) {
            enum msr_action read = MSR_HARDWARE, write = MSR_DENY;

            for (size_t j = 0; j < msr_rule_count; j++) {
                if (msr >= msr_rules[j].first && msr <= msr_rules[j].last) {
                    read = msr_rules[j].read;
                    write = msr_rules[j].write;
                }
            }
            assert_int_equal(msr_read_action(msr), read);
            assert_int_equal(msr_write_action(msr), write);
        }
    }
    assert_int_equal(msr_read_action(0xffffffff), MSR_HARDWARE);
    assert_int_equal(msr_write_action(0xffffffff), MSR_DENY);
}

/* A write of the guest reaches the real register. */
static bool writable(uint32_t msr)
{
    switch (msr_write_action(msr)) {
    case MSR_PASS:
    case MSR_HARDWARE:
        return true;
    default:
        return false;
    }
}

static void no_physical_address_is_writable(void **state)
{
    static const struct range bad[] = {
        { 0x1b, 0x1b },             /* APIC_BASE: by named code only */
        { 0x79, 0x79 }, { 0xc0010020, 0xc0010020 }, /* microcode */
        { 0x9b, 0x9b }, { 0x9e, 0x9e },             /* MSEG, SMBASE */
        { 0x1f2, 0x1f5 },           /* SMRR, PRMRR */
        { 0x200, 0x21f }, { 0x250, 0x250 }, { 0x258, 0x259 }, { 0x268, 0x26f },
        { 0x277, 0x277 }, { 0x2ff, 0x2ff },         /* MTRRs, PAT */
        { 0x2a0, 0x2a1 },           /* PRMRR_BASE_0 */
        { 0x480, 0x493 },           /* VMX */
        { 0x502, 0x502 },           /* SEAMRR */
        { 0x560, 0x561 }, { 0x570, 0x572 }, { 0x580, 0x587 }, /* PT */
        { 0x600, 0x600 }, { 0x3f1, 0x3f1 },         /* DS_AREA, PEBS_ENABLE */
        { 0x87, 0x87 }, { 0x981, 0x984 }, { 0x985, 0x98a },         /* TME, UINTR */
        { 0xd93, 0xd93 },           /* PASID */
        { 0x14ce, 0x14cf }, { 0x17d0, 0x17d1 },     /* arch LBR, HFI table */
        { 0x6a0, 0x6a8 }, { 0x6e1, 0x6e1 },         /* CET, PKRS */
        { 0x4b564d00, 0x4b564d0f }, /* KVM's, of a hypervisor below us */
        { 0x40000000, 0x400000ff }, /* Hyper-V's */
        { 0xc0000080, 0xc0000080 }, /* EFER: by virt_ops only */
        { 0xc0010010, 0xc0010010 }, { 0xc0010016, 0xc001001a }, { 0xc001001d, 0xc001001d },
        { 0xc0010058, 0xc0010058 }, { 0xc0010111, 0xc0010119 }, { 0xc001011b, 0xc001011b },
        { 0xc001011e, 0xc001011e }, { 0xc0010130, 0xc0010133 },
        { 0xc0011000, 0xc001100d }, /* CPUID overrides */
        { 0xc0011030, 0xc001103d }, /* IBS */
        { 0xc000010f, 0xc000010f },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (uint32_t msr = bad[i].first; msr <= bad[i].last; msr++) {
            if (writable(msr)) {
                fail_msg("MSR %#x can be written", msr);
            }
        }
    }
}

/* Undervolting is a way into a PAL. */
static void no_voltage_is_writable(void **state)
{
    (void)state;
    assert_false(writable(0x150));
    for (uint32_t msr = 0xc0010064; msr <= 0xc001006b; msr++) {
        assert_false(writable(msr));
    }
    assert_false(writable(0xc0010071));
}

static void hidden_features_are_denied(void **state)
{
    static const struct range hidden[] = {
        { 0x480, 0x493 }, { 0x8c, 0x8f }, { 0x9b, 0x9b }, { 0xc0010114, 0xc0010114 },
        { 0xc0010117, 0xc0010119 }, { 0x6a0, 0x6a8 }, { 0x1c4, 0x1c5 }, { 0x985, 0x98a },
        { 0xc0000104, 0xc0000104 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
        for (uint32_t msr = hidden[i].first; msr <= hidden[i].last; msr++) {
            assert_int_equal(msr_read_action(msr), MSR_DENY);
            assert_int_equal(msr_write_action(msr), MSR_DENY);
        }
    }
    /* the value must not tell of VMX, and 32-bit Debian reads 570 */
    assert_int_equal(msr_read_action(0x3a), MSR_SPECIAL);
    assert_int_equal(msr_write_action(0x3a), MSR_DENY);
    assert_int_equal(msr_read_action(0x570), MSR_HARDWARE);
}

/* WRMSRs of Linux 6.1 without exception fixup, on AMD or Intel, at boot or later: a #GP
 * would put "unchecked MSR access error" into dmesg. */
static void linux_gets_no_new_warning(void **state)
{
    static const uint32_t written[] = {
        0x10, 0x1b, 0x33, 0x329, 0x3b, 0x48, 0x49, 0x8b, 0xe1, 0xe2, 0x10b, 0x122, 0x123, 0x140,
        0x174, 0x175, 0x176, 0x17a, 0x17b, 0x186, 0x199, 0x19b, 0x1a0, 0x1b0, 0x1b2, 0x1d9,
        0x200, 0x2ff, 0x277, 0x280, 0x309, 0x38d, 0x38f, 0x390, 0x400, 0x401, 0x404, 0x47f,
        0x4d0, 0x6e0, 0x770, 0x774, 0x808, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83e, 0xc8f,
        0xc90, 0xda0,
        0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101,
        0xc0000102, 0xc0000103, 0xc0000200, 0xc0002000, 0xc0002001, 0xc0010000, 0xc0010004,
        0xc0010015, 0xc001001f, 0xc0010055, 0xc0010062, 0xc0010200, 0xc0010201, 0xc00102b1,
        0xc00102b3, 0xc0011020, 0xc0011021, 0xc0011022, 0xc0011023, 0xc0011019, 0xc001101b,
        0xc0011027, 0xc0011029, 0xc001102a, 0xc0000301, 0xc0000302,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        if (msr_write_action(written[i]) == MSR_DENY) {
            fail_msg("MSR %#x is denied, but Linux writes it unguarded", written[i]);
        }
    }
}

/* Design: these never exit, and nothing else that the host depends on passes. */
static void pass_through(void **state)
{
    static const struct range both[] = {
        { 0x48, 0x49 }, { 0x174, 0x176 }, { 0x6e0, 0x6e0 }, { 0xc0000081, 0xc0000084 },
        { 0xc0000100, 0xc0000103 }, { 0x800, 0x82e }, { 0x831, 0x832 }, { 0x837, 0x84f },
        { 0x860, 0x8ff },
    };
    unsigned count = 0, expected = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        for (uint32_t msr = both[i].first; msr <= both[i].last; msr++) {
            assert_int_equal(msr_read_action(msr), MSR_PASS);
            assert_int_equal(msr_write_action(msr), MSR_PASS);
            expected++;
        }
    }
    for (size_t i = 0; i < msr_rule_count; i++) {
        if (msr_rules[i].write == MSR_PASS) {
            count += msr_rules[i].last - msr_rules[i].first + 1;
        }
    }
    assert_int_equal(count, expected); /* no other */
    assert_int_equal(msr_read_action(0xe7), MSR_PASS);
    assert_int_equal(msr_read_action(0xe8), MSR_PASS);
    assert_int_equal(msr_write_action(0x830), MSR_SPECIAL);
    assert_int_equal(msr_write_action(MSR_IA32_APIC_BASE), MSR_SPECIAL);
    assert_int_equal(msr_write_action(MSR_IA32_MISC_ENABLE), MSR_SPECIAL);
    assert_int_equal(msr_write_action(MSR_IA32_XSS), MSR_SPECIAL);
    assert_int_equal(msr_write_action(MSR_IA32_BNDCFGS), MSR_SPECIAL);
}

/* MTRRs: every variable pair a CPU can have, all fixed ones, the default type; shadowed
 * both ways. PAT and EFER live with the guest. */
static void memory_types(void **state)
{
    unsigned shadowed = 0;

    (void)state;
    for (size_t i = 0; i < msr_rule_count; i++) {
        if (msr_rules[i].write == MSR_SHADOW) {
            assert_int_equal(msr_rules[i].read, MSR_SHADOW);
            shadowed += msr_rules[i].last - msr_rules[i].first + 1;
        }
    }
    assert_int_equal(shadowed, 32 + 11 + 1);
    assert_int_equal(msr_write_action(MSR_IA32_PAT), MSR_GUEST_STATE);
    assert_int_equal(msr_read_action(MSR_EFER), MSR_GUEST_STATE);
    assert_int_equal(msr_write_action(MSR_IA32_MTRRCAP), MSR_DENY);
}

/* Every row that lets a write through says which bits, or why any value will do, or that only 0
 * does; a row without an exit can't look at bits. */
static void every_row_names_its_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < msr_rule_count; i++) {
        const struct msr_rule *r = &msr_rules[i];
        bool writes = r->write != MSR_DENY && r->write != MSR_IGNORE;

        if (!writes) {
            assert_true(r->bits == 0);
        } else if (r->bits == 0) {
            assert_int_equal(r->write, MSR_SPECIAL);
            assert_non_null(strstr(r->why, "only 0"));
        } else if (~r->bits == 0) {
            if (!strstr(r->why, "any value")) {
                fail_msg("MSR %#x takes every bit without a reason: %s", r->first, r->why);
            }
        } else if (r->write == MSR_PASS) {
            fail_msg("MSR %#x doesn't exit, so its bits can't be looked at", r->first);
        }
        assert_true(msr_write_bits(r->first) == r->bits && msr_write_bits(r->last) == r->bits);
    }
    assert_true(msr_write_bits(0xffffffff) == 0);
}

/* By the manuals: what these bits do goes past us. */
static void no_dangerous_bit(void **state)
{
    static const struct { uint32_t msr; uint64_t bits; const char *what; } bad[] = {
        { 0x33, 1ULL << 31, "LOCK# off" },
        { 0x33, 1ULL << 28, "UC-lock disable" },
        { 0x123, 1ULL << 4 | 1ULL << 3 | 1ULL << 0, "RDRAND and vector registers can be read" },
        { 0xe2, 1ULL << 10 | 1ULL << 15, "IN becomes MWAIT; lock" },
        { 0x1a0, 1ULL << 34 | 1ULL << 22, "XD off, CPUID limited" },
        { 0x1d9, 0x1c0, "branch trace store" },
        { 0x19b, 1ULL << 25, "hardware feedback" },
        { 0x186, 1ULL << 19, "pin control" },
        { 0x610, 1ULL << 63, "lock" },
        { 0xc0010015, 1ULL << 20, "#GP at port accesses" },
        { 0xc0010015, 1ULL << 18, "machine checks forged" },
        { 0xc0010015, 0x1ffULL, "SMM lock, TLB cache, INVD, FERR, ..." },
        { 0xc0010015, 1ULL << 24 | 1ULL << 30, "the TSC's rate, IRPerf" },
        { 0xc0010055, 0x67ffffffULL, "a byte to a port" },
        { 0xc0010000, 3ULL << 40 | 1ULL << 21, "counts the host alone" },
        { 0xc001020a, 3ULL << 40, "counts the host alone" },
        { 0xc0000080, 1ULL << 12, "SVME" },
        { 0xc0011020, 0xfdbffffdffff7befULL, "the load-store unit" },
        { 0xc0010050, ~0ULL, "SMIs at ports" }, { 0xc0010054, ~0ULL, "SMIs at ports" },
        { 0xc0010056, ~0ULL, "a port" }, { 0xc0011022, ~0ULL, "DC_CFG" },
        { 0xc001102d, ~0ULL, "nobody's" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t bits = msr_write_bits(bad[i].msr) & bad[i].bits;

        if (bits != 0) {
            fail_msg("MSR %#x takes %#llx: %s", bad[i].msr, (unsigned long long)bits, bad[i].what);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sorted),
        cmocka_unit_test(look_up),
        cmocka_unit_test(no_physical_address_is_writable),
        cmocka_unit_test(no_voltage_is_writable),
        cmocka_unit_test(hidden_features_are_denied),
        cmocka_unit_test(linux_gets_no_new_warning),
        cmocka_unit_test(pass_through),
        cmocka_unit_test(memory_types),
        cmocka_unit_test(every_row_names_its_bits),
        cmocka_unit_test(no_dangerous_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
