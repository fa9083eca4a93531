/* SPDX-License-Identifier: MIT */
/* NMIs: none lost, none invented, none inside another, and INIT clears a pending one. */
#include "guest.h"

#define NMI 0x4400u
#define ROUNDS 300u

static volatile unsigned depth, deepest, taken, again;

static void handler(struct trap_frame *f)
{
    (void)f;
    struct cpu *c = this_cpu();

    c->count[0]++;
    if (c->index == 0) {
        depth++;
        taken++;
        deepest = depth > deepest ? depth : deepest;
        while (again) { /* sent while blocked: they must wait, and become one */
            again--;
            ipi(0, NMI);
            delay_us(1000);
        }
        depth--;
    }
}

/* A busy host may keep a CPU waiting: up to three seconds. The count in the end. */
static uint64_t wait_count(const struct cpu *c, unsigned which, uint64_t want)
{
    for (unsigned i = 0; i < 30000 && c->count[which] < want; i++) {
        delay_us(100);
    }
    return c->count[which];
}

/* Each is waited for, so each must be delivered. */
static void paced(unsigned cpu, unsigned rounds, const char *what)
{
    struct cpu *c = cpu_of(cpu);
    uint64_t start = c->count[0];

    for (unsigned i = 1; i <= rounds; i++) {
        ipi(cpu, NMI);
        uint64_t n = wait_count(c, 0, start + i) - start;
        CHECK(n == i, "%s: %llu NMIs after %u were sent", what, (unsigned long long)n, i);
    }
    delay_us(20000);
    CHECK(c->count[0] - start == rounds, "%s: %llu NMIs, %u were sent", what,
          (unsigned long long)(c->count[0] - start), rounds);
}

static void blocked(void)
{
    for (unsigned n = 1; n <= 3; n++) {
        taken = deepest = 0;
        again = n;
        ipi(0, NMI);
        delay_us(20000);
        CHECK(deepest == 1, "an NMI came inside the handler of another (depth %u)", deepest);
        CHECK(taken == 2, "%u sent from the handler: %u NMIs in all, not 2", n, taken);
    }
}

static void spin(struct cpu *c)
{
    c->count[1] = 1;
    for (;;) {
        pause();
    }
}

static void sleep(struct cpu *c)
{
    c->count[1] = 1;
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

/* Leaves for the hypervisor all the time. */
static bool alike(const struct cpuid *a, const struct cpuid *b)
{
    return a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

/* An NMI may come anywhere between an exit and the next entry; no answer may suffer from it. */
static void busy(struct cpu *c)
{
    const struct cpuid first = cpuid(0, 0), second = cpuid(0x80000000u, 0);

    c->count[1] = 1;
    for (;; c->count[3]++) {
        struct cpuid a = cpuid(0, 0), b = cpuid(0x80000000u, 0);
        CHECK(alike(&a, &first), "CPUID 0 changed to %x %x %x %x", a.eax, a.ebx, a.ecx, a.edx);
        CHECK(alike(&b, &second), "CPUID 80000000 changed to %x %x %x %x", b.eax, b.ebx, b.ecx,
              b.edx);
    }
}

/* A third of the time in the shadow of STI. */
static void shadows(struct cpu *c)
{
    c->count[1] = 1;
    for (;;) {
        __asm__ volatile("sti; nop; cli");
    }
}

/* All at once, from CPU 0, while the target is busy(): some may merge, none may be invented. */
static void flood(unsigned cpu)
{
    struct cpu *c = cpu_of(cpu);
    uint64_t start = c->count[0];

    for (unsigned i = 0; i < 2000; i++) {
        ipi(cpu, NMI);
    }
    wait_count(c, 3, c->count[3] + 2); /* busy() went round: none that was sent is still pending */
    delay_us(50000);
    uint64_t n = c->count[0] - start;
    CHECK(n >= 1 && n <= 2000, "flood: %llu NMIs of 2000 sent", (unsigned long long)n);
    say("flood of 2000 on CPU %u: %llu delivered", cpu, (unsigned long long)n);
    paced(cpu, 20, "after the flood");
}

static void other_cpu(void)
{
    static void (*const works[])(struct cpu *) = { spin, sleep, shadows, busy };
    static const char *const names[] = { "spinning CPU", "halted CPU", "CPU in STI's shadow",
                                         "exiting CPU" };

    for (unsigned i = 0; i < ARRAY_SIZE(works); i++) {
        cpu_of(1)->count[1] = 0;
        CHECK(ap_run(1, works[i]), "CPU 1 doesn't start");
        for (unsigned j = 0; j < 1000 && !cpu_of(1)->count[1]; j++) {
            delay_us(1000);
        }
        paced(1, ROUNDS, names[i]);
    }
    flood(1);
}

static void to_boot_cpu(struct cpu *c)
{
    paced(0, ROUNDS, "boot CPU, by another");
    c->count[2] = 1;
}

static void from_other_cpu(void)
{
    CHECK(ap_run(1, to_boot_cpu), "CPU 1 doesn't start");
    while (!cpu_of(1)->count[2]) {
        pause();
    }
}

/* Broadcast forms: to whom they go, and to nobody else. */
static void shorthands(void)
{
    static const struct { uint32_t dest, bits; unsigned self, other; const char *name; } forms[] = {
        { 0, 0xc0000, 0, 1, "all but self" }, { 0, 0x80000, 1, 1, "all" },
        { 0xff, 0, 1, 1, "id 255" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        uint64_t mine = cpu_of(0)->count[0] + forms[i].self;
        uint64_t other = cpu_of(1)->count[0] + forms[i].other;

        ipi(forms[i].dest, forms[i].bits | NMI);
        wait_count(cpu_of(0), 0, mine);
        wait_count(cpu_of(1), 0, other);
        delay_us(20000);
        CHECK(cpu_of(0)->count[0] == mine && cpu_of(1)->count[0] == other,
              "shorthand %s: %lld too many here, %lld there", forms[i].name,
              (long long)(cpu_of(0)->count[0] - mine), (long long)(cpu_of(1)->count[0] - other));
    }
}

void guest_main(void)
{
    handlers[EXC_NMI] = handler;
    paced(0, ROUNDS, "self");
    blocked();
    paced(0, 20, "self, after nesting");
    if (cpu_total() > 1) {
        other_cpu();
        from_other_cpu();
        shorthands();
    }
    pass("%u of %u paced NMIs each to itself%s; blocked until IRET", ROUNDS, ROUNDS,
         cpu_total() > 1 ? ", a spinning, a halted, an exiting CPU, one in shadows, the boot CPU"
         : "");
}
