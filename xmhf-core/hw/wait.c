/* SPDX-License-Identifier: MIT */
/* Waits for hardware, bounded by the TSC. */
#include <hw/insn.h>
#include <hw/wait.h>

static unsigned rate = WAIT_KHZ_MAX;

void wait_set_khz(unsigned khz)
{
    rate = khz;
}

unsigned wait_khz(void)
{
    return rate;
}

struct wait wait_begin(unsigned us)
{
    return (struct wait){ hw_rdtsc(), ((uint64_t)us * rate + 999) / 1000 };
}

bool wait_over(const struct wait *w)
{
    return hw_rdtsc() - w->start >= w->ticks;
}

void wait_us(unsigned us)
{
    const struct wait w = wait_begin(us);

    while (!wait_over(&w)) {
        hw_pause();
    }
}
