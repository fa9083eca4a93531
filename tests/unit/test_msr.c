/* SPDX-License-Identifier: MIT */
/* WRMSR exits whose value decides: what a guest may write to registers that the policy names. */
#include "unit.h"

#include "fake/machine.h"
#include <cpu/clock.h>
#include <cpu/vcpus.h>
#include <exit/dispatch.h>
#include <guest/ipi.h>
#include <guest/apic_mode.h>
#include <hw/apic.h>
#include <hypapp/hypapp.h>
#include <policy/asked.h>
#include <virt/virt.h>
#include <x86/cpu.h>
#include <x86/msr.h>

static struct vcpu v;
static unsigned faults, skips, forgotten;

struct vcpu *this_vcpu(void) { return &v; }

uint64_t apic_mode_read(const struct vcpu *cpu, uint64_t now) { (void)cpu; return now ^ 0x800; }
bool apic_mode_write(struct vcpu *cpu, uint64_t value) { (void)cpu; return value == 1; }
void cpuid_forget(struct vcpu *cpu) { (void)cpu; forgotten++; }

/* An MSR that the VMCB or VMCS has, and what it takes. */
static uint64_t star;
static bool state_read(struct vcpu *cpu, uint32_t msr, uint64_t *value)
{
    (void)cpu;
    *value = msr == MSR_STAR ? star : *value;
    return msr == MSR_STAR;
}
static bool state_write(struct vcpu *cpu, uint32_t msr, uint64_t value)
{
    (void)cpu;
    assert_int_equal(msr, MSR_STAR);
    star = value == 0xbad ? star : value;
    return value != 0xbad;
}
static unsigned agains;
static void end_shadow(struct vcpu *cpu) { (void)cpu; agains++; }

static struct virt_ops ops = {
    .name = "none", .state_msr_read = state_read, .state_msr_write = state_write,
    .end_shadow = end_shadow,
};
const struct virt_ops *virt = &ops;

bool ipi_guest_x2apic(struct vcpu *cpu, uint64_t icr) { (void)cpu; (void)icr; return true; }
void hyp_inject_gp(struct vcpu *cpu) { (void)cpu; faults++; }
void exit_skip(struct vcpu *cpu, unsigned len) { (void)cpu; skips += len == 2; }

unsigned exit_insn_len(struct vcpu *cpu, const struct exit *e, const uint8_t *opcode, size_t oplen,
                       struct guest_paging *p)
{
    (void)cpu, (void)e, (void)opcode, (void)oplen, (void)p;
    return 2;
}

/* What the hypapp answers, and what it was asked. */
static enum hyp_answer answer;
static uint64_t answer_value, asked_value;
static unsigned asks;
static bool asked_write;
static enum hyp_answer asked(struct vcpu *cpu, uint32_t index, bool write, uint64_t *value)
{
    (void)cpu, (void)index;
    asks++;
    asked_write = write;
    asked_value = *value;
    *value = answer_value;
    return answer;
}
const struct hypapp hypapp = { .name = "test", .msr = asked };

/* The guest's WRMSR; false: #GP. */
static bool wrmsr(uint32_t msr, uint64_t value)
{
    const struct exit e = { .kind = EXIT_WRMSR, .msr.index = msr };

    faults = skips = 0;
    v.regs.gpr[GPR_RAX] = (uint32_t)value;
    v.regs.gpr[GPR_RDX] = value >> 32;
    exit_wrmsr(&v, &e);
    assert_int_equal(faults + skips, 1);
    return skips;
}

/* The guest's RDMSR; false: #GP. */
static bool rdmsr_works(uint32_t msr)
{
    const struct exit e = { .kind = EXIT_RDMSR, .msr.index = msr };

    faults = skips = 0;
    exit_rdmsr(&v, &e);
    assert_int_equal(faults + skips, 1);
    return skips;
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    v = (struct vcpu){ .index = 0 };
    return 0;
}

/* With BNDCFGS.EN the core's own branches would empty the bounds registers of a PAL. */
static void no_mpx_in_ring_0(void **state)
{
    (void)state;
    assert_false(wrmsr(MSR_IA32_BNDCFGS, 0)); /* no such register */
    machine_set_msr(MSR_IA32_BNDCFGS, 0);
    assert_true(wrmsr(MSR_IA32_BNDCFGS, 0));
    assert_false(wrmsr(MSR_IA32_BNDCFGS, 1));
    assert_false(wrmsr(MSR_IA32_BNDCFGS, 3));
    assert_int_equal(*machine_msr(MSR_IA32_BNDCFGS), 0);
}

/* A counter counts its own hyperthread only: on the other one a PAL may run. */
static void no_counter_counts_the_other_thread(void **state)
{
    const uint64_t event = 0x4300c0; /* instructions, in rings 0 and 3, on */

    (void)state;
    for (uint32_t msr = MSR_IA32_PERFEVTSEL0; msr < MSR_IA32_PERFEVTSEL0 + 8; msr++) {
        assert_false(wrmsr(msr, event));
        machine_set_msr(msr, 0);
        assert_true(wrmsr(msr, event | 1ULL << 32));
        assert_int_equal(*machine_msr(msr), event | 1ULL << 32);
        assert_true(wrmsr(msr, event | PERFEVTSEL_ANY));
        assert_int_equal(*machine_msr(msr), event);
    }
    machine_set_msr(MSR_IA32_FIXED_CTR_CTRL, 0);
    assert_true(wrmsr(MSR_IA32_FIXED_CTR_CTRL, 0xbbbb | FIXED_CTR_ANY));
    assert_int_equal(*machine_msr(MSR_IA32_FIXED_CTR_CTRL), 0xbbbb);
}

/* The core's clock goes on evenly whatever the guest writes, and a write that faults changes
 * nothing. (A read of the fake machine's TSC takes 100 ticks.) */
static void the_guests_clock(void **state)
{
    const uint64_t values[] = { 0, 1, 1ULL << 40, ~0ULL - 100000, 1ULL << 63, 12345 };

    (void)state;
    machine.tsc_msr = MSR_IA32_TSC;
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        uint64_t before = clock_now();

        assert_true(wrmsr(MSR_IA32_TSC, values[i]));
        assert_in_range(machine.tsc, values[i], values[i] + 200);
        assert_in_range(clock_now() - before, 0, 400);
        assert_false(wrmsr(MSR_IA32_TSC_ADJUST, values[i])); /* there is none */
        assert_in_range(clock_now() - before, 0, 900);
    }
    clock_join(clock_now()); /* as the boot CPU's */
    assert_int_not_equal(v.clock_offset, 0);
    v.clock_offset = 0;
    machine.tsc = 1000;
    clock_join(5000); /* behind */
    assert_in_range(clock_now(), 5000, 5300);
    v.clock_offset = 0;
    machine.tsc = CLOCK_APART * 3;
    clock_join(5000); /* far before */
    assert_in_range(clock_now(), 5000, 5300);
    v.clock_offset = 0;
    machine.tsc = 7000;
    clock_join(5000); /* what the message took */
    assert_int_equal(v.clock_offset, 0);
}

/* guest/apic_mode.c decides; CPUID tells what it decided. */
static void apic_base(void **state)
{
    (void)state;
    machine_set_msr(MSR_IA32_APIC_BASE, 0xfee00900);
    forgotten = 0;
    v.regs.gpr[GPR_RCX] = MSR_IA32_APIC_BASE;
    const struct exit e = { .kind = EXIT_RDMSR, .insn_len = 2, .msr = { MSR_IA32_APIC_BASE } };
    exit_rdmsr(&v, &e);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0xfee00100);
    assert_false(wrmsr(MSR_IA32_APIC_BASE, 2));
    assert_int_equal(forgotten, 0);
    assert_true(wrmsr(MSR_IA32_APIC_BASE, 1));
    assert_int_equal(forgotten, 1);
}

/* Bits outside the row stay as they are, or it is #GP. */
static void hwcr(void **state)
{
    const uint64_t firmware = 1ULL << 24 | 0x11; /* TscFreqSel, INVD, SMM lock */

    (void)state;
    assert_false(wrmsr(MSR_AMD_HWCR, 0));
    machine_set_msr(MSR_AMD_HWCR, firmware);
    assert_true(wrmsr(MSR_AMD_HWCR, firmware | 1ULL << 25 | 1ULL << 35));
    assert_true(wrmsr(MSR_AMD_HWCR, firmware));
    for (unsigned bit = 0; bit < 64; bit++) {
        if (bit != 25 && bit != 35) {
            assert_false(wrmsr(MSR_AMD_HWCR, firmware ^ 1ULL << bit)); /* 20: ports fault */
            assert_true(*machine_msr(MSR_AMD_HWCR) == firmware);
        }
    }
}

/* C1E may be turned off and nothing else: with the rest the CPU writes a byte to a port. */
static void int_pending(void **state)
{
    const uint64_t c1e = 3ULL << 27 | 0x8c0123;

    (void)state;
    assert_false(wrmsr(MSR_AMD_INT_PENDING, 0));
    machine_set_msr(MSR_AMD_INT_PENDING, c1e);
    for (unsigned bit = 0; bit < 64; bit++) {
        machine_set_msr(MSR_AMD_INT_PENDING, c1e);
        assert_int_equal(wrmsr(MSR_AMD_INT_PENDING, c1e ^ 1ULL << bit), bit == 27 || bit == 28);
    }
    machine_set_msr(MSR_AMD_INT_PENDING, c1e & ~(3ULL << 27));
    assert_false(wrmsr(MSR_AMD_INT_PENDING, c1e));
}

/* What keeps others from a PAL's vector registers can be turned on, and not off again. */
static void mitigations_stay_on(void **state)
{
    static const struct { uint32_t msr; uint64_t bits; } both[] = {
        { MSR_AMD_FP_CFG, 1ULL << 9 | 1ULL << 4 },
        { MSR_AMD_DE_CFG, 1ULL << 13 | 1ULL << 9 | 1ULL << 1 | 1ULL << 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
        assert_false(wrmsr(both[i].msr, 0)); /* a CPU without it */
        for (unsigned bit = 0; bit < 64; bit++) {
            machine_set_msr(both[i].msr, 0x5ULL << 40);
            assert_int_equal(wrmsr(both[i].msr, 0x5ULL << 40 ^ 1ULL << bit),
                             both[i].bits >> bit & 1);
            machine_set_msr(both[i].msr, ~0ULL);
            assert_false(wrmsr(both[i].msr, ~(1ULL << bit)));
            assert_true(wrmsr(both[i].msr, ~0ULL));
        }
    }
}

/* What an error was is the CPU's word alone; the other registers of a bank are the OS's. */
static void machine_check_banks(void **state)
{
    (void)state;
    for (uint32_t msr = MSR_IA32_MC0_CTL; msr <= MSR_IA32_MC31_MISC; msr++) {
        machine_set_msr(msr, 5);
        assert_int_equal(wrmsr(msr, 1), (msr & 3) != 1);
        assert_true(wrmsr(msr, 0));
    }
    machine_set_msr(MSR_AMD_SMCA_FIRST + 0x11, 5);
    assert_false(wrmsr(MSR_AMD_SMCA_FIRST + 0x11, 1));
    assert_true(wrmsr(MSR_AMD_SMCA_FIRST + 0x11, 0));
    machine_set_msr(MSR_IA32_MCG_STATUS, 5);
    assert_false(wrmsr(MSR_IA32_MCG_STATUS, 4));
    assert_true(wrmsr(MSR_IA32_MCG_STATUS, 0));
}

/* An LVT entry that would send INIT is masked; all others are as written. */
static void x2apic_lvts(void **state)
{
    static const uint32_t lvts[] = { 0x82f, 0x833, 0x834, 0x835, 0x836, 0x850, 0x853 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lvts); i++) {
        assert_false(wrmsr(lvts[i], 0x400));
        machine_set_msr(lvts[i], 0);
        for (uint32_t mode = 0; mode < 8; mode++) {
            bool bad = mode == 3 || mode == 5 || mode == 6;

            assert_true(wrmsr(lvts[i], mode << 8 | 0x31));
            assert_int_equal(*machine_msr(lvts[i]), mode << 8 | 0x31 | (bad ? 0x10000 : 0));
        }
    }
}

/* Where the CPU obeys IA32_MISC_ENABLE, no write may take NX or CPUID leaves from the core; where
 * it doesn't, the MSR is what the CPU makes of it. */
static void misc_enable(void **state)
{
    const uint64_t bad[] = { MISC_ENABLE_XD_DISABLE, MISC_ENABLE_LIMIT_CPUID, 0x400c51889 };
    const uint64_t good = 0x850089;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        machine_reset(0);
        for (unsigned obeyed = 0; obeyed < 2; obeyed++) {
            ops.misc_enable = obeyed;
            assert_false(wrmsr(MSR_IA32_MISC_ENABLE, bad[i])); /* no such register */
            assert_int_equal(rdmsr_works(MSR_IA32_MISC_ENABLE), obeyed);
        }
        machine_set_msr(MSR_IA32_MISC_ENABLE, good);
        assert_false(wrmsr(MSR_IA32_MISC_ENABLE, bad[i]));
        assert_int_equal(*machine_msr(MSR_IA32_MISC_ENABLE), good);
        assert_true(wrmsr(MSR_IA32_MISC_ENABLE, good | 1));
        ops.misc_enable = false;
        assert_true(wrmsr(MSR_IA32_MISC_ENABLE, bad[i]));
        assert_int_equal(*machine_msr(MSR_IA32_MISC_ENABLE), bad[i]);
    }
}

/* What the hypapp asked for comes to it first, whatever the policy is; HYP_CORE is the policy. */
static void the_hypapp_is_asked(void **state)
{
    (void)state;
    assert_int_equal(hyp_msr_range(2, 1, ACCESS_READ), -1);
    assert_int_equal(hyp_msr_range(1, 2, 0), -1);
    assert_int_equal(hyp_msr_range(1, 2, ACCESS_EXEC), -1);
    assert_int_equal(hyp_msr_range(MSR_STAR, MSR_LSTAR, ACCESS_WRITE), 0);
    assert_int_equal(hyp_msr_range(0x12345, 0x12345, ACCESS_READ | ACCESS_WRITE), 0);
    assert_true(asked_msr(MSR_LSTAR, ACCESS_WRITE) && !asked_msr(MSR_LSTAR, ACCESS_READ));
    assert_true(asked_msr(0x12345, ACCESS_READ) && !asked_msr(0x12346, ACCESS_READ | ACCESS_WRITE));
    machine_set_msr(MSR_LSTAR, 5);
    answer = HYP_CORE;
    answer_value = 0x1234567890; /* in place of the guest's */
    asks = 0;
    assert_true(wrmsr(MSR_STAR, 0x5000000077));
    assert_true(asks == 1 && asked_write && asked_value == 0x5000000077 && star == 0x1234567890);
    answer_value = 0xbad;
    assert_false(wrmsr(MSR_STAR, 1)); /* the CPU wouldn't take it */
    assert_true(wrmsr(MSR_LSTAR, 1)); /* not of the VMCB */
    assert_int_equal(*machine_msr(MSR_LSTAR), 0xbad);
    assert_true(rdmsr_works(MSR_STAR) && asks == 3); /* reads weren't asked for */
    assert_int_equal(v.regs.gpr[GPR_RAX] | v.regs.gpr[GPR_RDX] << 32, 0x1234567890);
    answer = HYP_DONE; /* a register that no CPU has */
    answer_value = 0xfedcba9876543210;
    assert_true(rdmsr_works(0x12345) && !asked_write);
    assert_int_equal(v.regs.gpr[GPR_RAX], 0x76543210);
    assert_int_equal(v.regs.gpr[GPR_RDX], 0xfedcba98);
    assert_true(wrmsr(0x12345, 1) && asked_write);
    answer = HYP_CORE;
    assert_false(wrmsr(0x12345, 1));
    assert_false(rdmsr_works(0x12345));
    answer = HYP_REFUSE;
    assert_false(rdmsr_works(0x12345));
    assert_false(wrmsr(MSR_STAR, 1));
    assert_int_equal(star, 0x1234567890);
    answer = HYP_AGAIN;
    const struct exit e = { .kind = EXIT_WRMSR, .msr.index = MSR_STAR };
    faults = skips = 0;
    exit_wrmsr(&v, &e);
    assert_true(faults + skips == 0 && agains == 1 && (v.regs.rflags & RFLAGS_RF));
    answer = HYP_SWITCHED;
    exit_wrmsr(&v, &e);
    assert_true(faults + skips == 0 && agains == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(no_mpx_in_ring_0, setup),
        cmocka_unit_test_setup(misc_enable, setup),
        cmocka_unit_test_setup(apic_base, setup),
        cmocka_unit_test_setup(hwcr, setup),
        cmocka_unit_test_setup(int_pending, setup),
        cmocka_unit_test_setup(mitigations_stay_on, setup),
        cmocka_unit_test_setup(machine_check_banks, setup),
        cmocka_unit_test_setup(x2apic_lvts, setup),
        cmocka_unit_test_setup(the_guests_clock, setup),
        cmocka_unit_test_setup(no_counter_counts_the_other_thread, setup),
        cmocka_unit_test_setup(the_hypapp_is_asked, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
