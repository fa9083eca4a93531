/* SPDX-License-Identifier: MIT */
/* The core's clock: the TSC without what the guest has written to it. */
#include <cpu/clock.h>
#include <cpu/vcpus.h>
#include <hw/insn.h>

uint64_t clock_now(void)
{
    return hw_rdtsc() - this_vcpu()->clock_offset;
}

bool clock_guest_write(uint32_t msr, uint64_t value)
{
    uint64_t before = hw_rdtsc();
    bool done = hw_wrmsr_safe(msr, value);

    this_vcpu()->clock_offset += done ? hw_rdtsc() - before : 0;
    return done;
}

void clock_join(uint64_t boot_cpu)
{
    uint64_t now = hw_rdtsc();

    if (now - boot_cpu > CLOCK_APART) { /* behind counts too: unsigned */
        this_vcpu()->clock_offset = now - boot_cpu;
    }
}
