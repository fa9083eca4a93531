/* SPDX-License-Identifier: MIT */
/*
 * IA32_APIC_BASE through all its transitions, on a machine whose MSR behaves as the SDM's figure of
 * states says: what the guest reads, what the hardware has, and that kicks still reach the CPU.
 */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log.h>
#include <guest/apic_mode.h>
#include <guest/phys.h>
#include <guest/ipi.h>
#include <hw/apic.h>
#include <hw/wait.h>
#include <smp/stop.h>
#include <virt/virt.h>
#include <x86/cpuid.h>
#include <x86/msr.h>

#define BASE 0xfee00100ull /* of the boot CPU */
#define EN   APIC_BASE_EN
#define EXTD APIC_BASE_EXTD

static struct vcpu v;
static uint32_t lvt[2], svr;
static unsigned resets, forgotten, lines, polls, arrives_at;
static bool emulator, page_is_memory;
static struct virt_ops ops;
const struct virt_ops *virt = &ops;

void log_line(const char *fmt, ...) { (void)fmt; lines++; }
void stop_and_reset(const char *why) { fail_msg("reset: %s", why); abort(); }
void ipi_forget_ids(struct vcpu *cpu) { (void)cpu; forgotten++; }
hpa_t guest_phys_root(bool apic_off) { return hpa(apic_off ? 2 : 1); }
static void set_root(struct vcpu *cpu, hpa_t root) { (void)cpu; page_is_memory = root.a == 2; }
uint32_t apic_id(void) { return *machine_msr(MSR_IA32_APIC_BASE) & EXTD ? 0x123 : 0x23; }
struct wait wait_begin(unsigned us) { polls = 0; return (struct wait){ 0, us }; }

bool wait_over(const struct wait *w)
{
    (void)w;
    if (++polls == arrives_at) {
        atomic_fetch_add(&v.nmis_seen, 1);
    }
    return polls > 100;
}

void apic_write(unsigned reg, uint32_t value)
{
    if (reg == APIC_SVR) {
        svr = value;
    } else {
        assert_true(reg == APIC_LINT0 || reg == APIC_LINT1);
        lvt[reg == APIC_LINT1] = value;
    }
}

void apic_soft_reset(void (*take)(void *), void *arg)
{
    (void)take, (void)arg;
    assert_true(*machine_msr(MSR_IA32_APIC_BASE) & EN);
    resets++;
    svr = 0xff;
    lvt[0] = lvt[1] = 0x10000;
}

static void starts(uint64_t mode)
{
    machine_reset(0);
    machine_set_cpuid(CPUID_BASIC, 0, (struct cpuid_regs){ .eax = 7 });
    machine_set_cpuid(CPUID_FEATURES, 0, (struct cpuid_regs){
        .ecx = emulator ? CPUID_1_ECX_HYPERVISOR : 0 });
    machine_set_msr(MSR_IA32_APIC_BASE, BASE | mode);
    memset(&v, 0, sizeof(v));
    atomic_store(&v.apic_id, 0x23);
    ops = (struct virt_ops){ .apic_returns = true, .set_root = set_root };
    page_is_memory = false;
    resets = forgotten = lines = arrives_at = 0;
    svr = 0x1ff;
    lvt[0] = lvt[1] = 0x10000;
}

static uint64_t hardware(void) { return *machine_msr(MSR_IA32_APIC_BASE); }
static uint64_t seen(void) { return apic_mode_read(&v, hardware()); }

/* The hardware's APIC is on, and the pins go through. */
static void check_off(void)
{
    assert_int_equal(seen(), BASE);
    assert_int_equal(hardware(), BASE | EN);
    assert_int_equal(svr, 0x1ff);
    assert_int_equal(lvt[0], 0x700); /* ExtINT */
    assert_int_equal(lvt[1], 0x400); /* NMI */
    assert_true(page_is_memory);
    assert_true(atomic_load(&v.apic_off));
    assert_int_equal(atomic_load(&v.kicks), 0);
}

static void off_and_on(void **state)
{
    (void)state;
    starts(EN);
    assert_true(apic_mode_write(&v, BASE));
    check_off();
    assert_int_equal(resets, 1);
    assert_int_equal(forgotten, 1);
    assert_true(apic_mode_write(&v, BASE)); /* again: nothing */
    assert_int_equal(resets, 1);
    lvt[0] = 0x10000, svr = 0xff; /* an INIT */
    apic_mode_after_init(&v);
    check_off();
    assert_false(apic_mode_write(&v, BASE | EN | EXTD)); /* through xAPIC mode only */
    assert_false(apic_mode_write(&v, BASE | EXTD));
    check_off();
    assert_true(apic_mode_write(&v, BASE | EN));
    assert_int_equal(seen(), BASE | EN);
    assert_int_equal(resets, 2);
    assert_false(page_is_memory);
    assert_int_equal(svr, 0xff); /* as after a reset */
    assert_int_equal(lvt[0] & lvt[1], 0x10000);
    apic_mode_after_init(&v);
    assert_int_equal(lvt[0], 0x10000);
}

static void what_every_cpu_refuses(void **state)
{
    static const uint64_t bad[] = {
        BASE | EXTD, (BASE | EN) + 0x1000, BASE + 0x1000, BASE | EN | 1,
            (BASE | EN) ^ APIC_BASE_BSP,
        BASE | EN | BIT(52), BASE | EN | BIT(9),
    };

    (void)state;
    starts(EN);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(apic_mode_write(&v, bad[i]));
        assert_int_equal(hardware(), BASE | EN);
        assert_int_equal(resets, 0);
    }
    assert_true(apic_mode_write(&v, BASE | EN)); /* as it is */
    assert_int_equal(resets, 0);
}

/* In x2APIC mode a CPU has its own id again: kicks go by it. */
static void to_x2apic_and_back(void **state)
{
    (void)state;
    starts(EN);
    assert_true(apic_mode_write(&v, BASE | EN | EXTD));
    assert_int_equal(hardware(), BASE | EN | EXTD);
    assert_int_equal(atomic_load(&v.apic_id), 0x123);
    assert_false(apic_mode_write(&v, BASE | EN)); /* not directly, on any CPU */
    assert_false(apic_mode_write(&v, BASE));      /* no kick would reach id 0x123 in xAPIC mode */
    assert_int_equal(lines, 1);
    atomic_store(&v.apic_id, 0x42);
    assert_true(apic_mode_write(&v, BASE));
    check_off();
    assert_int_equal(atomic_load(&v.apic_id), 0x23);
    assert_true(apic_mode_write(&v, BASE | EN));
    assert_int_equal(seen(), BASE | EN);
}

static void where_it_may_not_come_back(void **state)
{
    static const struct { bool emulator, amd, says, locked, may; } cpus[] = {
        { true, true, false, false, false }, { true, false, true, false, false },
        { false, true, false, false, true }, { false, false, false, false, false },
        { false, false, true, true, false }, { false, false, true, false, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
        emulator = cpus[i].emulator;
        starts(EN | EXTD);
        emulator = false;
        ops.apic_returns = cpus[i].amd;
        if (cpus[i].says) {
            machine_set_msr(MSR_IA32_ARCH_CAPABILITIES, ARCH_CAP_XAPIC_DISABLE);
            machine_set_msr(MSR_IA32_XAPIC_DISABLE_STATUS, cpus[i].locked);
        }
        assert_int_equal(apic_mode_write(&v, BASE), cpus[i].may);
        assert_int_equal(lines, !cpus[i].may);
        assert_int_equal(atomic_load(&v.kicks), 0);
        if (!cpus[i].may) {
            assert_int_equal(seen(), BASE | EN | EXTD);
            assert_int_equal(resets, 0);
        }
    }
}

/* A kick under way is waited for, so that it isn't lost with the APIC; one that was, is given
 * up. */
static void kicks_meanwhile(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 50; at += 7) {
        starts(EN | EXTD);
        atomic_store(&v.kicks, 1);
        arrives_at = at;
        assert_true(apic_mode_write(&v, BASE));
        /* That NMI is still to be told from the guest's: exit/nmi.c takes the kick off. */
        assert_int_equal(atomic_load(&v.kicks), at != 0);
        assert_int_equal(atomic_load(&v.nmis_seen), at != 0);
        assert_int_equal(polls, at ? at : 101);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_and_on), cmocka_unit_test(what_every_cpu_refuses),
        cmocka_unit_test(to_x2apic_and_back), cmocka_unit_test(where_it_may_not_come_back),
        cmocka_unit_test(kicks_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
