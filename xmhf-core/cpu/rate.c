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

#define WINDOW_US   500 /* of one measurement: 3 ms for six */
#define TRIES       3    /* of which the middle counts: an SMI may come between two reads */

#define CPUID_TSC   0x15
#define CPUID_MHZ   0x16

static uint16_t pm_port;

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

/* Wait until `read` gives something `ticks` or more from `from`: how far it came then, 0 if it
 * stands still. The rate in use is one that no TSC has, so this is long enough. */
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

void rate_measure(uint16_t pm_timer)
{
    unsigned pm = by_pm_timer(pm_timer), pit = by_pit();
    unsigned khz = pm > pit ? pm : pit, apart = pm > pit ? pm - pit : pit - pm;

    if (!khz) {
        khz = by_cpuid();
        log_line("TSC: %u kHz %s: neither PM timer nor PIT runs", khz ? khz : WAIT_KHZ_MAX,
                 khz ? "by CPUID" : "at most");
    } else {
        log_line("TSC: %u kHz by PM timer, %u by PIT%s", pm, pit,
                 pm && pit && apart > khz / 10 ? ": the higher one counts" : "");
    }
    if (khz) {
        wait_set_khz(khz);
    }
}
