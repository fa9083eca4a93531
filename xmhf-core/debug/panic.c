/* SPDX-License-Identifier: MIT */
/* panic(): for our own bugs only. Stops all CPUs, wipes PALs and keys, then resets. */
#include <cpu/cpu.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <hw/insn.h>
#include <irq/stop.h>
#include <util/fmt.h>

void panic(const char *fmt, ...)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;
    char text[160];
    va_list ap;

    if (!atomic_flag_test_and_set(&once)) {
        stop_other_cpus();
        stop_wipe();
        log_break_lock();
        va_start(ap, fmt);
        fmt_vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        log_line("PANIC: %s", text);
        log_line("PAL memory is wiped; resetting");
        stop_reset();
    }
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}
