/* SPDX-License-Identifier: MIT */
/* Starting CPUs, IPIs and delays, for the tiny guests. */
#include <x86/msr.h>
#include "guest.h"

extern const uint8_t trampoline_start[], trampoline_end[];

unsigned cpu_total(void)
{
    unsigned n = (unsigned)number("cpus", 1);

    return n > CPU_LIMIT ? CPU_LIMIT : n;
}

/* PIT channel 2 counts 1193182 Hz; gate and output are in port 0x61. */
static void delay_chunk(unsigned us)
{
    unsigned ticks = us * 1193 / 1000 + 1;

    outb(0x61, (uint8_t)((inb(0x61) & ~2u) | 1u));
    outb(0x43, 0xb0);
    outb(0x42, (uint8_t)ticks);
    outb(0x42, (uint8_t)(ticks >> 8));
    for (unsigned i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++) {
        pause();
    }
}

void delay_us(unsigned us)
{
    while (us) {
        unsigned chunk = us < 50000 ? us : 50000;

        delay_chunk(chunk);
        us -= chunk;
    }
}

bool x2apic;

void ipi(uint32_t dest, uint32_t command)
{
    if (x2apic) { /* what was stored before must be seen there first (SDM vol. 3, 11.12.3) */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC_ICR, (uint64_t)dest << 32 | command);
        return;
    }
    apic_write(0x310, dest << 24);
    apic_write(0x300, command);
    for (unsigned i = 0; i < 1000000 && (apic_read(0x300) & 0x1000); i++) {
        pause();
    }
}

void ap_trampoline(void)
{
    memcpy((void *)(uintptr_t)TRAMPOLINE, trampoline_start,
           (size_t)(trampoline_end - trampoline_start));
}

bool ap_run(unsigned index, void (*main)(struct cpu *c))
{
    struct cpu *c = cpu_of(index);
    unsigned before = c->started;

    ap_trampoline();
    ap_main = main;
    if (!word("no-init")) { /* an AP that was never started waits for a SIPI already */
        ipi(index, 0x4500);
        delay_us(200);
    }
    for (unsigned i = 0; i < 2; i++) {
        ipi(index, 0x4600 | TRAMPOLINE >> 12);
        delay_us(200);
    }
    for (unsigned i = 0; i < 1000 && c->started == before; i++) {
        delay_us(1000);
    }
    return c->started != before;
}
