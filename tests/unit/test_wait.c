/* SPDX-License-Identifier: MIT */
/* Waits by the TSC, and its rate by clocks of which any may stand still, run wrong, or be
 * absent. */
#include "unit.h"

#include <cpu/rate.h>
#include <debug/log.h>
#include <hw/insn.h>
#include <hw/wait.h>

#define PM_PORT 0x1808

/* Time passes by 100 ns for each access. */
static struct {
    uint64_t ns;
    unsigned khz;                 /* the TSC's true rate */
    unsigned pm_hz, pit_hz;       /* what they run at; 0: they stand still */
    bool pm_absent, pit_absent;   /* all ones */
    uint64_t smi_at, smi_ns;      /* from then on so much later, once */
    unsigned smi_before;          /* or before so many reads of the TSC */
    uint64_t pit_start;           /* ns */
    uint8_t port_b;
    uint32_t pit_low, pit_count;
    bool high;                    /* the next byte of the PIT */
    bool hpet_absent;             /* all ones */
    unsigned hpet_hz;
    uint32_t hpet_config, hpet_writes;
    struct cpuid_regs leaf15, leaf16;
    uint32_t leaves;
} m;

static void pass(void)
{
    m.ns += 100;
    if (m.smi_at && m.ns >= m.smi_at) {
        m.ns += m.smi_ns;
        m.smi_at = 0;
    }
}

static uint64_t at(uint64_t hz)
{
    return m.ns / 1000 * hz / 1000000 + m.ns % 1000 * hz / 1000000000;
}


uint64_t hw_rdtsc(void)
{
    if (m.smi_before && --m.smi_before == 0) {
        m.ns += m.smi_ns;
    }
    pass();
    return 777 + at(m.khz * 1000ULL);
}

void hw_pause(void) { pass(); }
void log_line(const char *fmt, ...) { (void)fmt; }

uint32_t hw_in32(uint16_t port)
{
    assert_int_equal(port, PM_PORT);
    pass();
    return m.pm_absent ? 0xffffffff : (uint32_t)(0xfffff0 + at(m.pm_hz)) & 0xffffff;
}

uint8_t hw_in8(uint16_t port)
{
    pass();
    if (port == 0x61) {
        return m.pit_absent ? 0xff : m.port_b | 0x20;
    }
    assert_int_equal(port, 0x42);
    m.high = !m.high;
    return m.pit_absent ? 0xff : (uint8_t)(m.high ? m.pit_count : m.pit_count >> 8);
}

void hw_out8(uint16_t port, uint8_t v)
{
    pass();
    if (port == 0x61) {
        m.port_b = v;
    } else if (port == 0x43 && v == 0x80) {
        uint64_t now = m.ns;
        m.ns -= m.pit_start;
        m.pit_count = 0xffff - (uint32_t)at(m.pit_hz);
        m.ns = now;
        m.high = false;
    } else if (port == 0x42) {
        assert_int_equal(m.port_b & 3, 1); /* counts, and is not heard */
        m.pit_start = m.ns;
    } else {
        assert_true(port == 0x43 && v == 0xb0);
    }
}

static uint8_t hpet[0x400];

uint32_t hw_mmio_read32(const volatile void *p)
{
    switch ((const volatile uint8_t *)p - hpet) {
    case 0x04: return m.hpet_absent ? 0xffffffff : (uint32_t)(1000000000000000 / m.hpet_hz);
    case 0x10: return m.hpet_config;
    case 0xf0:
        pass();
        return m.hpet_config & 1 ? (uint32_t)(0xfffffff0 + at(m.hpet_hz)) : 17;
    default: fail();
    }
    return 0;
}

void hw_mmio_write32(volatile void *p, uint32_t v)
{
    assert_ptr_equal((volatile uint8_t *)p, hpet + 0x10);
    m.hpet_config = v;
    m.hpet_writes++;
}

struct cpuid_regs hw_cpuid(uint32_t leaf, uint32_t sub)
{
    (void)sub;
    return leaf == 0 ? (struct cpuid_regs){ .eax = m.leaves }
         : leaf == 0x15 ? m.leaf15 : leaf == 0x16 ? m.leaf16 : (struct cpuid_regs){ 0 };
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof(m));
    m.khz = 2900000;
    m.pm_hz = 3579545;
    m.pit_hz = 1193182;
    m.port_b = 0x02;
    m.leaves = 0xd;
    m.hpet_absent = true;
    m.hpet_hz = 14318180;
    wait_set_khz(WAIT_KHZ_MAX);
    return 0;
}

/* Measured: within 1%, in the time that is promised; the PIT's gate and the speaker as before. */
static void assert_rate(unsigned khz, unsigned ms)
{
    uint64_t before = m.ns;

    rate_measure(PM_PORT, hpet);
    assert_in_range(wait_khz(), khz - khz / 100, khz + khz / 100);
    assert_in_range((m.ns - before) / 1000000, 0, ms);
    assert_true(m.pit_absent || (m.port_b & 3) == 2);
}

static void both_clocks_run(void **state)
{
    static const unsigned rates[] = { 50000, 1000000, 2900000, 5700000 }; /* the first: Bochs */

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        setup(NULL);
        m.khz = rates[i];
        assert_rate(rates[i], 20);
    }
}

/* A laptop's PIT without a clock; a PM timer that the firmware has switched off; no port at all. */
static void one_clock_runs(void **state)
{
    (void)state;
    m.pit_hz = 0;
    assert_rate(2900000, 60);
    setup(NULL);
    m.pit_absent = true;
    assert_rate(2900000, 60);
    setup(NULL);
    m.pm_hz = 0;
    assert_rate(2900000, 60);
    setup(NULL);
    m.pm_absent = true;
    assert_rate(2900000, 60);
    setup(NULL);
    rate_measure(0, NULL);
    assert_in_range(wait_khz(), 2871000, 2929000);
}

static void no_clock_runs(void **state)
{
    (void)state;
    m.pit_hz = m.pm_hz = 0;
    rate_measure(PM_PORT, hpet);
    assert_int_equal(wait_khz(), WAIT_KHZ_MAX); /* no CPUID leaf: too long, never too short */
    m.leaves = 0x16;
    m.leaf15 = (struct cpuid_regs){ .eax = 2, .ebx = 216, .ecx = 24000000 };
    assert_rate(2592000, 150);
    m.leaf15.ecx = 0; /* a crystal that isn't told */
    m.leaf16.eax = 2600;
    wait_set_khz(WAIT_KHZ_MAX);
    assert_rate(2600000, 150);
    m.leaf15.ebx = 0;
    wait_set_khz(WAIT_KHZ_MAX);
    rate_measure(PM_PORT, hpet);
    assert_int_equal(wait_khz(), WAIT_KHZ_MAX);
}

/* A machine of today: no PIT, no PM timer; the HPET on, or left off by the firmware. */
static void only_the_hpet_runs(void **state)
{
    static const unsigned rates[] = { 14318180, 19200000, 24000000, 100000000 };

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(rates); i++) {
        const uint32_t config = i % 2 ? 3 : 2;
        setup(NULL);
        m.pit_absent = m.pm_absent = true;
        m.leaves = 0x16;
        m.leaf15 = (struct cpuid_regs){ .eax = 1, .ebx = 100, .ecx = 10000000 }; /* not asked */
        m.hpet_absent = false;
        m.hpet_hz = rates[i / 2];
        m.hpet_config = config;
        assert_rate(2900000, 150);
        assert_int_equal(m.hpet_config, config);
        assert_int_equal(m.hpet_writes, config & 1 ? 0 : 2);
    }
    m.pm_absent = false; /* with a PM timer it's left alone */
    m.hpet_config = 2;
    m.hpet_writes = 0;
    assert_rate(2900000, 150);
    assert_int_equal(m.hpet_writes, 0);
    m.pm_absent = true;
    m.hpet_hz = 4000000; /* 250 ns: no HPET */
    assert_rate(1000000, 150);
    assert_int_equal(m.hpet_writes, 0);
}

/* Clocks that disagree: the longer wait. Nonsense isn't believed. */
static void clocks_that_run_wrong(void **state)
{
    (void)state;
    m.pit_hz /= 2;
    assert_rate(5800000, 30);
    setup(NULL);
    m.pm_hz /= 2;
    assert_rate(5800000, 30);
    setup(NULL);
    m.pit_hz /= 20; /* more than any TSC would have */
    assert_rate(2900000, 200);
}

/* Time is lost somewhere: one of three measurements is wrong. */
static void an_smi_meanwhile(void **state)
{
    (void)state;
    for (uint64_t when = 50000; when < 15000000; when += 170000) {
        setup(NULL);
        m.smi_at = when;
        m.smi_ns = when / 170000 % 2 ? 50000000 : 3000000;
        assert_rate(2900000, 100);
    }
    /* between the PM timer's first edge and the TSC, among others */
    for (unsigned n = 1; n < 20; n++) {
        setup(NULL);
        m.pit_hz = 0;
        m.smi_before = n;
        m.smi_ns = 1000000;
        assert_rate(2900000, 100);
    }
}

/* However the rate is known, no wait is shorter than it says; and none is endless. */
static void waits(void **state)
{
    (void)state;
    for (unsigned measured = 0; measured < 2; measured++) {
        for (unsigned us = 1; us < 100000; us = us * 3 + 1) {
            uint64_t before = m.ns;
            wait_us(us);
            assert_in_range(m.ns - before, us * 1000ULL - 200, (measured ? 1020ULL : 3500ULL) * us
                            + 2000);
        }
        rate_measure(PM_PORT, hpet);
    }
    const struct wait none = wait_begin(0);
    assert_true(wait_over(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(both_clocks_run, setup),
        cmocka_unit_test_setup(one_clock_runs, setup),
        cmocka_unit_test_setup(no_clock_runs, setup),
        cmocka_unit_test_setup(only_the_hpet_runs, setup),
        cmocka_unit_test_setup(clocks_that_run_wrong, setup),
        cmocka_unit_test_setup(an_smi_meanwhile, setup),
        cmocka_unit_test_setup(waits, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
