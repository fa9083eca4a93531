/* SPDX-License-Identifier: MIT */
/* INIT and start-up IPIs: rounds, extra SIPIs, shorthands, destinations, the INIT state. */
#include <x86/msr.h>
#include "guest.h"

#define INIT       0x4500u
#define SIPI       (0x4600u | TRAMPOLINE >> 12)
#define OTHERS     0xc0000u
#define SELF       0x40000u
#define LOGICAL    0x800u
#define DUMP_PAGE  0x9000u
#define DUMP_DATA  0xa000u

struct dump {
    uint32_t gpr[8];
    uint16_t seg[6]; /* ES CS SS DS FS GS */
    uint32_t eflags, cr0, cr2, cr3, cr4, dr[4], dr6, dr7, efer;
    uint32_t pat[2], lstar[2], sysenter_eip;
    uint16_t idt_limit;
    uint32_t idt_base;
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint32_t rounds, done;
} __attribute__((packed));

extern const uint8_t dump_start[], dump_end[];

static void nothing(struct cpu *c) { (void)c; }

/* An AP that stays busy in 64-bit mode, counting. */
static void count(struct cpu *c)
{
    for (;;) {
        c->count[0]++;
    }
}

/* What INIT keeps: values that no CPU starts with. */
#define KEPT_PAT      0x0606060606000401ULL
#define KEPT_LSTAR    0xffffffff81234567ULL
#define KEPT_SYSENTER 0x1234567u
static uint32_t kept_caches; /* CR0.CD, or 0 */

/* One that leaves registers as far from the INIT state as it can. */
static void dirty(struct cpu *c)
{
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_PGE | CR4_TSD);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE | EFER_SCE);
    __asm__ volatile("movl $0x55555555, %%eax; movq %%rax, %%dr0; movq %%rax, %%dr1;"
                     "movq %%rax, %%dr2; movq %%rax, %%dr3; movq %%rax, %%cr2;"
                     "movl $0x155, %%eax; movq %%rax, %%dr7" ::: "rax");
    wrmsr(MSR_IA32_PAT, KEPT_PAT);
    wrmsr(MSR_LSTAR, KEPT_LSTAR);
    wrmsr(MSR_IA32_SYSENTER_EIP, KEPT_SYSENTER);
    write_cr0((read_cr0() & ~(CR0_CD | CR0_NW)) | kept_caches);
    c->count[0]++;
    for (;;) {
        __asm__ volatile("sti; pause; cli");
    }
}

static void wait_started(unsigned cpu, unsigned more_than, const char *what)
{
    for (unsigned i = 0; i < 1000 && cpu_of(cpu)->started <= more_than; i++) {
        delay_us(1000);
    }
    CHECK(cpu_of(cpu)->started == more_than + 1, "%s: CPU %u started %u times, not %u", what, cpu,
          cpu_of(cpu)->started, more_than + 1);
}

static void rounds(unsigned n)
{
    for (unsigned r = 0; r < n; r++) {
        for (unsigned i = 1; i < cpu_total(); i++) {
            CHECK(ap_run(i, r & 1 ? count : nothing), "round %u: CPU %u doesn't start", r, i);
        }
    }
}

/* Does the CPU go on counting? A busy host may keep it waiting: up to three seconds. */
static bool goes_on(struct cpu *c)
{
    uint64_t counted = c->count[0];

    for (unsigned i = 0; i < 150 && c->count[0] == counted; i++) {
        delay_us(20000);
    }
    return c->count[0] != counted;
}

/* Does it come to a stop within three seconds? */
static bool stops(struct cpu *c)
{
    for (unsigned i = 0; i < 30; i++) {
        uint64_t counted = c->count[0];
        delay_us(100000);
        if (c->count[0] == counted) {
            return true;
        }
    }
    return false;
}

/* SIPIs to a CPU that runs are ignored. */
static void extra_sipis(void)
{
    struct cpu *c = cpu_of(1);

    CHECK(ap_run(1, count), "CPU 1 doesn't start");
    unsigned before = c->started;
    for (unsigned i = 0; i < 20; i++) {
        ipi(1, SIPI);
        delay_us(200);
    }
    CHECK(goes_on(c), "a SIPI stopped a running CPU");
    CHECK(c->started == before, "a SIPI to a running CPU started it");
}

/* INIT stops a CPU until a SIPI; a level de-assert does nothing. */
static void init_stops(void)
{
    struct cpu *c = cpu_of(1);

    CHECK(ap_run(1, count), "CPU 1 doesn't start");
    ipi(1, 0x8500); /* INIT level de-assert: ignored since the Pentium 4 */
    delay_us(20000);
    if (hypervisor) { /* the emulator's own APIC takes it for an INIT */
        CHECK(goes_on(c), "INIT level de-assert stopped a CPU");
    }
    ipi(1, INIT);
    CHECK(stops(c), "a CPU still counts after INIT");
    unsigned before = c->started;
    ipi(1, SIPI);
    wait_started(1, before, "SIPI after a pause");
}

/* All others by shorthand; the sender itself must not be touched. */
static void shorthands(void)
{
    unsigned before[CPU_LIMIT];

    ap_trampoline();
    ap_main = nothing;
    for (unsigned i = 1; i < cpu_total(); i++) {
        before[i] = cpu_of(i)->started;
    }
    ipi(0, OTHERS | INIT);
    delay_us(10000);
    ipi(0, OTHERS | SIPI);
    for (unsigned i = 1; i < cpu_total(); i++) {
        wait_started(i, before[i], "all but self");
    }
    ipi(0, SELF | SIPI); /* reserved combinations: nothing may happen */
    delay_us(1000);
    for (unsigned i = 1; i < cpu_total(); i++) {
        CHECK(cpu_of(i)->started == before[i] + 1, "CPU %u restarted", i);
    }
}

/* Logical destinations, set by the CPUs themselves: in the flat model a bit for each CPU, in the
 * cluster model one of two clusters and a bit in it (SDM vol. 3, 11.6.2.2). */
static bool clusters;

static uint32_t logical_id(unsigned cpu)
{
    return clusters ? (cpu >> 1) << 4 | 1u << (cpu & 1) : 1u << cpu;
}

static void set_logical(struct cpu *c)
{
    apic_write(0xf0, 0x1ff);
    apic_write(0xe0, clusters ? 0x0fffffff : 0xffffffff);
    apic_write(0xd0, logical_id(c->index) << 24);
    c->count[1] = apic_read(0xd0);
    count(c);
}

static void logical(bool in_clusters)
{
    clusters = in_clusters;
    for (unsigned i = 1; i < cpu_total(); i++) {
        uint32_t ldr = logical_id(i) << 24;

        cpu_of(i)->count[1] = 0;
        CHECK(ap_run(i, set_logical), "CPU %u doesn't start", i);
        for (unsigned j = 0; j < 3000 && cpu_of(i)->count[1] != ldr; j++) {
            delay_us(1000);
        }
        CHECK(cpu_of(i)->count[1] == ldr, "LDR of CPU %u reads 0x%llx", i,
              (unsigned long long)cpu_of(i)->count[1]);
    }
    ipi(clusters ? 0xf1 : 0x80, LOGICAL | INIT); /* nobody has this id */
    for (unsigned i = 1; i < cpu_total(); i++) {
        CHECK(goes_on(cpu_of(i)), "CPU %u stopped at an INIT for nobody", i);
    }
    for (unsigned i = 1; i < cpu_total(); i++) {
        unsigned before = cpu_of(i)->started;

        ap_main = count;
        ipi(logical_id(i), LOGICAL | INIT);
        CHECK(stops(cpu_of(i)), "CPU %u counts after a logical INIT", i);
        ipi(i, SIPI); /* INIT cleared the LDR: the SIPI goes by the id */
        wait_started(i, before, "logical destination");
        ipi(logical_id(i), LOGICAL | INIT); /* nobody's any more */
        CHECK(goes_on(cpu_of(i)), "CPU %u still has its logical id after INIT", i);
    }
}

/* SIPI by the id that means all: those that wait start, the sender goes on. */
static void broadcast(void)
{
    unsigned before[CPU_LIMIT];

    ap_main = nothing;
    for (unsigned i = 1; i < cpu_total(); i++) {
        before[i] = cpu_of(i)->started;
    }
    ipi(0, OTHERS | INIT);
    delay_us(10000);
    ipi(0xff, SIPI);
    for (unsigned i = 1; i < cpu_total(); i++) {
        wait_started(i, before[i], "id 255");
    }
}

/* The others go on when one is reset. */
static void only_one(void)
{
    if (cpu_total() < 3) {
        return;
    }
    CHECK(ap_run(1, count) && ap_run(2, count), "CPUs 1 and 2 don't start");
    for (unsigned i = 0; i < 20; i++) {
        uint64_t other = cpu_of(2)->count[0];

        CHECK(ap_run(1, count), "CPU 1 doesn't start");
        /* An emulator's host may have fewer CPUs than the machine: be patient. */
        for (unsigned j = 0; j < 1000 && cpu_of(2)->count[0] == other; j++) {
            delay_us(1000);
        }
        CHECK(cpu_of(2)->count[0] != other, "CPU 2 stopped when CPU 1 was reset");
    }
}

/* An AP starts another AP. */
static void starter(struct cpu *c)
{
    c->count[2] = ap_run(2, nothing) ? 1 : 2;
}

static void from_ap(void)
{
    if (cpu_total() < 3) {
        return;
    }
    unsigned before = cpu_of(2)->started;
    CHECK(ap_run(1, starter), "CPU 1 doesn't start");
    for (unsigned i = 0; i < 2000 && !cpu_of(1)->count[2]; i++) {
        delay_us(1000);
    }
    CHECK(cpu_of(1)->count[2] == 1 && cpu_of(2)->started == before + 1,
          "CPU 1 couldn't start CPU 2");
}

/* SDM vol. 3, table 9-1; APM vol. 2, table 14-1. */
static void check_dump(const struct dump *d, unsigned round)
{
    const uint32_t caches = round == 0 ? d->cr0 & (uint32_t)(CR0_CD | CR0_NW) : kept_caches;

    for (unsigned i = 0; i < 8; i++) {
        uint32_t want = i == RDX ? cpuid(1, 0).eax : 0;
        CHECK(d->gpr[i] == want, "round %u: general register %u is 0x%x, not 0x%x", round, i,
              d->gpr[i], want);
    }
    for (unsigned i = 0; i < 6; i++) {
        uint32_t want = i == 1 ? DUMP_PAGE >> 4 : 0;
        CHECK(d->seg[i] == want, "segment register %u is 0x%x", i, d->seg[i]);
    }
    CHECK(d->eflags == RFLAGS_ONE, "EFLAGS is 0x%x", d->eflags);
    CHECK(d->cr0 == (CR0_ET | caches), "round %u: CR0 is 0x%x", round, d->cr0);
    CHECK(!(d->dr[0] | d->dr[1] | d->dr[2] | d->dr[3]), "DR0 to DR3 are 0x%x 0x%x 0x%x 0x%x",
          d->dr[0], d->dr[1], d->dr[2], d->dr[3]);
    if (round > 0) {
        CHECK((d->pat[0] | (uint64_t)d->pat[1] << 32) == KEPT_PAT, "PAT is 0x%x %x", d->pat[1],
              d->pat[0]);
        CHECK((d->lstar[0] | (uint64_t)d->lstar[1] << 32) == KEPT_LSTAR, "LSTAR is 0x%x %x",
              d->lstar[1], d->lstar[0]);
        CHECK(d->sysenter_eip == KEPT_SYSENTER, "SYSENTER_EIP is 0x%x", d->sysenter_eip);
    }
    CHECK(d->cr2 == 0 && d->cr3 == 0 && d->cr4 == 0, "CR2, CR3, CR4 are 0x%x 0x%x 0x%x", d->cr2,
          d->cr3, d->cr4);
    CHECK(d->dr6 == DR6_AT_INIT && d->dr7 == DR7_AT_INIT, "DR6, DR7 are 0x%x 0x%x", d->dr6, d->dr7);
    CHECK(d->efer == 0, "EFER is 0x%x", d->efer);
    CHECK(d->idt_limit == 0xffff && d->idt_base == 0, "IDTR is 0x%x:0x%x", d->idt_base,
          d->idt_limit);
    CHECK(d->gdt_limit == 0xffff && d->gdt_base == 0, "GDTR is 0x%x:0x%x", d->gdt_base,
          d->gdt_limit);
}

static void register_dump(void)
{
    struct dump *d = (void *)(uintptr_t)DUMP_DATA;

    for (unsigned r = 0; r < 3; r++) {
        uint64_t before = cpu_of(1)->count[0];

        kept_caches = r == 2 ? (uint32_t)CR0_CD : 0;
        CHECK(ap_run(1, r && hypervisor ? dirty : nothing), "CPU 1 doesn't start");
        for (unsigned i = 0; r && hypervisor && i < 3000 && cpu_of(1)->count[0] == before; i++) {
            delay_us(1000);
        }
        memset(d, 0, sizeof(*d));
        memcpy((void *)(uintptr_t)DUMP_PAGE, dump_start, (size_t)(dump_end - dump_start));
        ipi(1, INIT);
        delay_us(10000);
        /* Again after a while: bare, the emulator loses a SIPI that finds the INIT not taken
         * yet. */
        for (unsigned i = 0; i < 3000 && !((volatile struct dump *)d)->done; i++) {
            if (i % 300 == 0) {
                ipi(1, 0x4600 | DUMP_PAGE >> 12);
            }
            delay_us(1000);
        }
        CHECK(d->done == 1, "the dump wasn't made (%u)", d->done);
        if (r == 0) {
            say("EDX 0x%x CR0 0x%x DR6 0x%x DR7 0x%x", d->gpr[RDX], d->cr0, d->dr6, d->dr7);
        }
        if (hypervisor) { /* the emulator's INIT keeps some of them: not our business */
            check_dump(d, r);
        }
    }
}

/* One that holds back whatever comes, with a software-enabled APIC. */
static void hold_back(struct cpu *c)
{
    apic_write(0xf0, 0x1ff);
    c->count[3]++;
    for (;;) {
        __asm__ volatile("cli; pause");
    }
}

/* Interrupts with the vectors of exceptions, NMI and #MC among them as far as the APIC takes
 * them, are pending when the CPU is reset: whoever takes them there must not mistake them. */
static void exception_vectors(void)
{
    for (unsigned vector = 0; vector < 256; vector += vector < 33 ? 1 : 222) {
        uint64_t before = cpu_of(1)->count[3];

        CHECK(ap_run(1, hold_back), "CPU 1 doesn't start");
        for (unsigned i = 0; i < 3000 && cpu_of(1)->count[3] == before; i++) {
            delay_us(1000);
        }
        /* one alone, then all of them together */
        for (unsigned i = vector; i < (vector == 0 ? 33 : vector + 1); i++) {
            ipi(1, 0x4000 | i);
        }
    }
    CHECK(ap_run(1, nothing), "CPU 1 doesn't start after interrupts with exceptions' vectors");
}

void guest_main(void)
{
    unsigned n = (unsigned)number("rounds", 100);

    CHECK(cpu_total() > 1, "needs cpus=2 or more");
    CHECK((apic_read(0x20) >> 24) == 0, "the boot CPU's APIC id isn't 0");
    CHECK(!hypervisor || info(XMHF_INFO_CPUS) == cpu_total(), "the hypervisor has other CPUs");
    register_dump();
    exception_vectors();
    extra_sipis();
    init_stops();
    shorthands();
    broadcast();
    logical(false);
    logical(true);
    only_one();
    from_ap();
    rounds(n);
    pass("%u INIT-SIPI-SIPI rounds on each of %u APs; shorthands, destinations, registers, "
         "pending interrupts of all exceptions' vectors", n,
         cpu_total() - 1);
}
