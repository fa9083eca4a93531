/* SPDX-License-Identifier: MIT */
/*
 * An event whose delivery raises it again: a #DB by a breakpoint on the stack that #DB uses. A
 * bare CPU never gets out of that by itself. The hypervisor must: another CPU's INIT and NMI have
 * to reach it, and the other CPU has to go on (CVE-2015-8104).
 */
#include "guest.h"

#define DB_IST     3
#define DR7_WRITE8 0x90401u /* breakpoint 0: local, writes, 8 bytes */

static uint8_t stack[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static void count_db(struct trap_frame *f)
{
    (void)f;
    this_cpu()->count[0]++;
}

/* The frame's SS lands in the last 8 bytes of the stack. */
static void loop(struct cpu *c)
{
    uint64_t top = (uintptr_t)stack + sizeof(stack);

    c->tss.ist[DB_IST - 1] = top;
    c->count[0] = c->count[1] = 0;
    __asm__ volatile("mov %0, %%dr0\n mov %1, %%dr7\n"
                     "movq $0, (%0)" :: "r"(top - 8), "r"((uint64_t)DR7_WRITE8) : "memory");
    c->count[1] = 1; /* got out of it */
    __asm__ volatile("mov %0, %%dr7" :: "r"(0x400ULL));
    for (;;) {
        pause();
    }
}

static void idle(struct cpu *c)
{
    c->count[2]++;
}

void guest_main(void)
{
    const unsigned rounds = 20;
    struct cpu *c = cpu_of(1);
    unsigned out = 0;

    CHECK(cpu_total() >= 2, "two CPUs are needed");
    handlers[EXC_DB] = count_db;
    set_gate(EXC_DB, (uintptr_t)trap_entries + 16 * EXC_DB, DB_IST, 0);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t before = c->count[2];
        CHECK(ap_run(1, loop), "the CPU did not start");
        delay_us(20000);
        out += c->count[1] != 0;
        if (c->count[1] == 0) {
            ipi(1, 0x4400); /* NMI: the loop must not keep the hypervisor from seeing it */
            delay_us(1000);
        }
        CHECK(ap_run(1, idle), "round %u: INIT does not reach the CPU", i);
        CHECK(c->count[2] == before + 1, "round %u: the CPU did not start anew", i);
    }
    if (out == rounds) {
        skip("this CPU's breakpoints don't see what a delivery writes");
    }
    pass("%u of %u loops of #DB, each ended by INIT from another CPU", rounds - out, rounds);
}
