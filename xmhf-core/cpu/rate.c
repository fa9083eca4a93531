/* SPDX-License-Identifier: MIT */
/* How fast the TSC runs, by clocks whose rate is known. */
#include <cpu/rate.h>
#include <debug/log.h>
#include <hw/insn.h>
#include <hw/wait.h>
#include <x86/cpuid.h>

#define PIT_HZ      1193182u
#define PIT_CH2     0x42
#define PIT_COMMAND 0x43
#define PIT_START   0xb0 /* channel 2, low then high byte, mode 0: counts down once */
#define PIT_LATCH   0x80 /* channel 2 */
#define PORT_B      0x61 /* bit 0: channel 2's gate; bit 1: the speaker */
#define PM_HZ       3579545u /* ACPI 6.5, 4.8.3.3 */
#define PM_MASK     0xffffffu /* 24 bits, or 32 */

/* IA-PC HPET 1.0a, 2.3: registers; the counter runs up. */
#define HPET_PERIOD  0x04      /* femtoseconds for each tick */
#define HPET_CONFIG  0x10
#define HPET_ENABLE  BIT(0)
#define HPET_COUNTER 0xf0
#define HPET_PERIOD_MAX 100000000u /* 05F5E100h, 100 ns */
#define HPET_PERIOD_MIN 1000000u   /* 1 ns: no such device is faster */

#define WINDOW_US   500 /* of one measurement: 3 ms for six */
#define TRIES       3    /* of which the middle counts: an SMI may come between two reads */

#define CPUID_TSC   0x15
#define CPUID_MHZ   0x16

static uint16_t pm_port;
static volatile uint8_t *hpet_base;

static uint32_t read_pm(void)
{
    return hw_in32(pm_port) & PM_MASK;
}

/* Ticks since its start: it counts down from FFFFh. */
static uint32_t read_pit(void)
{
    hw_out8(PIT_COMMAND, PIT_LATCH);
    uint32_t low = hw_in8(PIT_CH2);
    return 0xffff - (low | (uint32_t)hw_in8(PIT_CH2) << 8);
}

static void start_pit(void)
{
    hw_out8(PORT_B, (uint8_t)((hw_in8(PORT_B) & ~2u) | 1u));
    hw_out8(PIT_COMMAND, PIT_START);
    hw_out8(PIT_CH2, 0xff);
    hw_out8(PIT_CH2, 0xff);
}

static uint32_t read_hpet(void)
{
    return hw_mmio_read32(hpet_base + HPET_COUNTER);
}

/* Wait until the counter that `read` reads is `ticks` or more ahead of `from`. Returns how far
 * ahead it was then; 0: it stands still. The bound is long enough: until the TSC's rate is
 * measured it goes by WAIT_KHZ_MAX, which no TSC reaches. */
static uint32_t advance(uint32_t (*read)(void), uint32_t mask, uint32_t from, uint32_t ticks)
{
    const struct wait bound = wait_begin(4 * WINDOW_US);
    uint32_t passed;

    do {
        passed = (read() - from) & mask;
        if (passed >= ticks) {
            return passed;
        }
    } while (!wait_over(&bound));
    return 0;
}

/* The TSC's kHz by a clock of `hz`; 0 if that doesn't run. */
static unsigned measure_once(uint32_t (*read)(void), uint32_t mask, uint32_t hz)
{
    uint32_t first = read();
    uint32_t edge = advance(read, mask, first, 1);
    uint64_t start = hw_rdtsc();
    uint32_t passed = edge ? advance(read, mask, first + edge, hz / 1000 * WINDOW_US / 1000) : 0;
    uint64_t khz = passed ? (hw_rdtsc() - start) * (hz / 100) / passed / 10 : 0;

    return khz > WAIT_KHZ_MAX ? 0 : (unsigned)khz; /* that is no clock either */
}

static unsigned measure(void (*restart)(void), uint32_t (*read)(void), uint32_t mask, uint32_t hz)
{
    unsigned khz[TRIES];

    for (unsigned i = 0; i < TRIES; i++) {
        if (restart) {
            restart();
        }
        unsigned now = measure_once(read, mask, hz), k = i;
        for (; k > 0 && khz[k - 1] > now; k--) {
            khz[k] = khz[k - 1];
        }
        khz[k] = now;
        if (now == 0) {
            return 0;
        }
    }
    return khz[TRIES / 2];
}

static unsigned by_pm_timer(uint16_t port)
{
    pm_port = port;
    return port ? measure(NULL, read_pm, PM_MASK, PM_HZ) : 0;
}

static unsigned by_pit(void)
{
    uint8_t port_b = hw_in8(PORT_B);
    unsigned khz = measure(start_pit, read_pit, 0xffff, PIT_HZ);

    hw_out8(PORT_B, port_b & 0x0f); /* the rest is status */
    return khz;
}

/* Counting is turned on meanwhile where firmware has left it off. */
static unsigned by_hpet(volatile void *hpet)
{
    hpet_base = hpet;
    uint32_t period = hpet ? hw_mmio_read32(hpet_base + HPET_PERIOD) : 0;
    if (period < HPET_PERIOD_MIN || period > HPET_PERIOD_MAX) {
        return 0;
    }
    uint32_t config = hw_mmio_read32(hpet_base + HPET_CONFIG);
    if (!(config & HPET_ENABLE)) {
        hw_mmio_write32(hpet_base + HPET_CONFIG, config | HPET_ENABLE);
    }
    unsigned khz = measure(NULL, read_hpet, 0xffffffff, (uint32_t)(1000000000000000 / period));
    if (!(config & HPET_ENABLE)) {
        hw_mmio_write32(hpet_base + HPET_CONFIG, config);
    }
    return khz;
}

/* SDM vol. 3, 20.7.3: leaf 15h: ECX Hz * EBX / EAX; some CPUs leave ECX 0 and have MHz in 16h. */
static unsigned by_cpuid(void)
{
    uint32_t max = hw_cpuid(CPUID_BASIC, 0).eax;
    struct cpuid_regs tsc = max >= CPUID_TSC ? hw_cpuid(CPUID_TSC, 0) : (struct cpuid_regs){ 0 };
    uint64_t khz = 0;

    if (tsc.eax && tsc.ebx && tsc.ecx) {
        khz = (uint64_t)tsc.ecx * tsc.ebx / tsc.eax / 1000;
    } else if (tsc.eax && tsc.ebx && max >= CPUID_MHZ) {
        khz = (hw_cpuid(CPUID_MHZ, 0).eax & 0xffff) * 1000ULL;
    }
    return khz > WAIT_KHZ_MAX ? 0 : (unsigned)khz;
}

/* By HPET or CPUID, where neither PM timer nor PIT runs. */
static unsigned without_them(volatile void *hpet)
{
    const char *by = "HPET";
    unsigned khz = by_hpet(hpet);

    if (!khz) {
        khz = by_cpuid();
        by = khz ? "CPUID" : "nothing, at most";
    }
    log_line("TSC: %u kHz by %s: neither PM timer nor PIT runs", khz ? khz : WAIT_KHZ_MAX, by);
    return khz;
}

void rate_measure(uint16_t pm_timer, volatile void *hpet)
{
    unsigned pm = by_pm_timer(pm_timer), pit = by_pit();
    unsigned khz = pm > pit ? pm : pit, apart = pm > pit ? pm - pit : pit - pm;

    if (khz) {
        log_line("TSC: %u kHz by PM timer, %u by PIT%s", pm, pit,
                 pm && pit && apart > khz / 10 ? ": the higher one counts" : "");
    } else {
        khz = without_them(hpet);
    }
    if (khz) {
        wait_set_khz(khz);
    }
}
