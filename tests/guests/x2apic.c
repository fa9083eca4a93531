/* SPDX-License-Identifier: MIT */
/* x2APIC: CPUs started, interrupted and reset through MSR 0x830; no way back out of the mode. */
#include <x86/cpuid.h>
#include <x86/msr.h>
#include "guest.h"

#define VECTOR   0x50u
#define FIXED    (0x4000u | VECTOR)
#define NMI      0x4400u
#define INIT     0x4500u
#define SIPI     (0x4600u | TRAMPOLINE >> 12)
#define OTHERS   0xc0000u
#define LOGICAL  0x800u
#define EOI      (MSR_X2APIC_FIRST + 0xb)
#define SVR      (MSR_X2APIC_FIRST + 0xf)

/* INIT leaves the mode on (SDM vol. 3, 11.12.5.1); the emulator's doesn't. */
static void enable(void)
{
    uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

    if (!(base & APIC_BASE_EXTD)) {
        wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EXTD);
    }
    wrmsr(SVR, 0x1ff);
}

static void on_vector(struct trap_frame *f)
{
    (void)f;
    this_cpu()->count[1]++;
    wrmsr(EOI, 0);
}

static void on_nmi(struct trap_frame *f)
{
    (void)f;
    this_cpu()->count[2]++;
}

static void serve(struct cpu *c)
{
    enable();
    sti();
    c->count[3] = rdmsr(MSR_X2APIC_APICID) + 1;
    for (;;) {
        c->count[0]++;
    }
}

/* Another MSR than the guest's own would be a bad answer to a bad write: #GP at the WRMSR. */
static void refused(uint32_t msr, uint64_t value, const char *what)
{
    struct exec x = exec_for(0, 64);

    x.gpr[RCX] = msr;
    x.gpr[RAX] = (uint32_t)value;
    x.gpr[RDX] = value >> 32;
    EXEC(&x, 0x0f, 0x30);
    CHECK(x.vector == EXC_GP && at_start(&x), "%s: vector %llu", what,
          (unsigned long long)x.vector);
}

static void start(unsigned cpu)
{
    struct cpu *c = cpu_of(cpu);

    c->count[3] = 0;
    CHECK(ap_run(cpu, serve), "CPU %u doesn't start, after %u times", cpu, c->started);
    for (unsigned i = 0; i < 3000 && c->count[3] == 0; i++) {
        delay_us(1000);
    }
    CHECK(c->count[3] == cpu + 1, "CPU %u has the x2APIC id %lld", cpu, (long long)c->count[3] - 1);
}

/* `count` of the CPU is to become `want`, within three seconds, and to stay there. */
static void wait_for(unsigned cpu, unsigned count, uint64_t want, const char *what)
{
    volatile uint64_t *n = &cpu_of(cpu)->count[count];

    for (unsigned i = 0; i < 30000 && *n != want; i++) {
        delay_us(100);
    }
    CHECK(*n == want, "%s: CPU %u had %llu, not %llu", what, cpu, (unsigned long long)*n,
          (unsigned long long)want);
}

static void interrupts(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned cpu = 1; cpu < cpu_total(); cpu++) {
            uint64_t fixed = cpu_of(cpu)->count[1], nmis = cpu_of(cpu)->count[2];

            ipi(cpu, FIXED);
            wait_for(cpu, 1, fixed + 1, "a fixed interrupt");
            ipi(cpu, NMI);
            wait_for(cpu, 2, nmis + 1, "an NMI");
            if (hypervisor) { /* in cluster 0 the id is the bit's number; see resets() */
                ipi(1u << cpu, LOGICAL | NMI);
                wait_for(cpu, 2, nmis + 2, "a logical NMI");
            }
        }
    }
    uint64_t before[CPU_LIMIT];
    for (unsigned cpu = 0; cpu < cpu_total(); cpu++) {
        before[cpu] = cpu_of(cpu)->count[1];
    }
    ipi(0, OTHERS | FIXED);
    for (unsigned cpu = 0; cpu < cpu_total(); cpu++) {
        wait_for(cpu, 1, before[cpu] + (cpu != 0), "all but self");
    }
    sti();
    wrmsr(MSR_X2APIC_SELF_IPI, VECTOR);
    wait_for(0, 1, before[0] + 1, "self IPI");
    cli();
}

/* An INIT stops CPU 1 until its SIPI. */
static void stop_and_start(uint32_t dest, uint32_t init, const char *what)
{
    struct cpu *c = cpu_of(1);
    unsigned before = c->started;
    uint64_t counted = 0;

    ipi(dest, init);
    for (unsigned i = 0; i < 30 && counted != c->count[0]; i++) {
        counted = c->count[0];
        delay_us(100000);
    }
    CHECK(counted == c->count[0], "%s: the CPU still counts", what);
    ipi(1, SIPI);
    for (unsigned i = 0; i < 3000 && c->started == before; i++) {
        delay_us(1000);
    }
    CHECK(c->started == before + 1, "%s, SIPI: started %u times", what, c->started - before);
}

static void resets(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned cpu = 1; cpu < cpu_total(); cpu++) {
            start(cpu);
        }
    }
    stop_and_start(1, INIT, "INIT");
    if (hypervisor) { /* the emulator's APIC knows no logical destinations in this mode */
        stop_and_start(1u << 1, LOGICAL | INIT, "logical INIT"); /* cluster 0, bit 1: id 1 */
    }
}

void guest_main(void)
{
    unsigned rounds = (unsigned)number("rounds", 30);

    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC)) {
        skip("the CPU has no x2APIC");
    }
    handlers[VECTOR] = on_vector;
    handlers[EXC_NMI] = on_nmi;
    refused(MSR_X2APIC_ICR, INIT, "x2APIC's ICR in xAPIC mode");
    enable();
    x2apic = true;
    CHECK(rdmsr(MSR_X2APIC_APICID) == 0, "the boot CPU's x2APIC id isn't 0");
    resets(rounds);
    for (unsigned cpu = 1; cpu < cpu_total(); cpu++) {
        start(cpu);
    }
    interrupts(rounds);
    uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
    refused(MSR_IA32_APIC_BASE, base & ~APIC_BASE_EXTD, "from x2APIC to xAPIC");
    if (hypervisor) { /* the CPU would allow it */
        refused(MSR_IA32_APIC_BASE, base & ~(APIC_BASE_EXTD | APIC_BASE_EN), "APIC off");
    }
    pass("%u rounds of INIT-SIPI-SIPI, interrupts and NMIs to each of %u APs; no way back",
         rounds, cpu_total() - 1);
}
