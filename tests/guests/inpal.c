/* SPDX-License-Identifier: MIT */
/*
 * NMI and INIT at a CPU that is inside a PAL. A PAL that never returns runs on CPU 1; that
 * it is inside, CPU 0 knows from TV_BUSY. Each NMI must reach the OS's handler once and the
 * PAL must go on; an INIT must take the CPU out, and the PAL can be unregistered then.
 */
#include <x86/cpuid.h>
#include <xmhf/trustvisor.h>
#include "guest.h"

#define PAGE 4096
#define NMIS 50
#define ICR_NMI 0x4400u
#define SETTLED 500000 /* us: a busy host may keep CPU 1 waiting on its way into the PAL */

static uint8_t pages[4][PAGE] __attribute__((aligned(PAGE))); /* code, parameters, 2 stack */
static volatile unsigned nmis, nmis_elsewhere, back_again;

static void on_nmi(struct trap_frame *f)
{
    (void)f;
    if (this_cpu()->index == 1) {
        nmis++;
    } else {
        nmis_elsewhere++;
    }
}

static uint64_t entry(void) { return (uintptr_t)pages[0]; }

static void register_pal(void)
{
    static const struct tv_pal_params params = {
        .num_params = 1, .params = { { .type = TV_PARAM_INTEGER, .size = 1 } },
    };
    struct tv_pal_sections s = { .num_sections = 3, .sections = {
        { TV_SECTION_CODE, 1, entry() }, { TV_SECTION_PARAM, 1, (uintptr_t)pages[1] },
        { TV_SECTION_STACK, 2, (uintptr_t)pages[2] },
    } };

    memcpy(pages[0], "\xf3\x90\xeb\xfc", 4); /* pause; jmp back to it */
    uint64_t error = hypercall_done(TV_HC_REG, (uintptr_t)&s, (uintptr_t)&params, entry());
    CHECK(error == TV_OK, "TV_HC_REG gave %llu", (unsigned long long)error);
}

/* On CPU 1: never comes back. */
static void spin_in_pal(struct cpu *c)
{
    struct exec x = exec_for(3, 64);

    (void)c;
    x.rsp -= 128;
    x.rflags |= RFLAGS_IF;
    x.rip = entry();
    exec_at(&x);
    fail("the PAL ended: vector %llu at 0x%llx", (unsigned long long)x.vector,
         (unsigned long long)x.rip);
}

static void mark_back(struct cpu *c)
{
    (void)c;
    back_again = 1;
}

/* What TV_HC_UNREG says while CPU 1 is in the PAL; it is out for moments around an NMI, but
 * then unregistering succeeds, and everything that follows would fail. */
static void check_inside(const char *when)
{
    uint64_t error = hypercall_done(TV_HC_UNREG, entry(), 0, 0);

    CHECK(error == TV_BUSY, "%s CPU 1 is not in the PAL: TV_HC_UNREG gave %llu", when,
          (unsigned long long)error);
}

static void send_nmis(void)
{
    for (unsigned i = 1; i <= NMIS; i++) {
        ipi(1, ICR_NMI);
        for (unsigned ms = 0; ms < 2000 && nmis < i; ms++) {
            delay_us(1000);
        }
        CHECK(nmis == i, "after %u NMIs the handler has seen %u", i, nmis);
        delay_us(2000); /* back through the resume stub */
    }
    CHECK(nmis_elsewhere == 0, "CPU 0 got %u NMIs", nmis_elsewhere);
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    uint64_t before = info(XMHF_INFO_POOL_FREE);
    handlers[EXC_NMI] = on_nmi;
    register_pal();
    CHECK(ap_run(1, spin_in_pal), "CPU 1 didn't start");
    delay_us(SETTLED);
    check_inside("before the NMIs");
    send_nmis();
    delay_us(SETTLED);
    check_inside("after the NMIs");
    CHECK(ap_run(1, mark_back), "CPU 1 didn't come back from an INIT in the PAL");
    for (unsigned ms = 0; ms < 2000 && !back_again; ms++) {
        delay_us(1000);
    }
    CHECK(back_again, "CPU 1 started, but it doesn't run what it should");
    uint64_t error = hypercall_done(TV_HC_UNREG, entry(), 0, 0);
    CHECK(error == TV_OK, "after the INIT TV_HC_UNREG gave %llu", (unsigned long long)error);
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
    pass("%u NMIs and an INIT found a CPU inside a PAL", NMIS);
}
