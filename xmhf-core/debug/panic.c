/* SPDX-License-Identifier: MIT */
/* panic(): for our own bugs only. Stops all CPUs, wipes PALs and keys, then resets. */
#include <cpu/cpu.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <hw/insn.h>
#include <irq/stop.h>
#include <util/fmt.h>

/* Only the first CPU gets here twice or alone; the others stop. */
static _Noreturn void finish(const char *text, const struct trap_frame *trap)
{
    static atomic_flag once = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&once)) {
        stop_other_cpus();
        stop_wipe();
        log_break_lock();
        crash_write(text, trap);
        log_line("PANIC: %s", text);
        log_line("PAL memory is wiped; resetting");
        stop_reset();
    }
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

void panic(const char *fmt, ...)
{
    char text[CRASH_TEXT];
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    finish(text, NULL);
}

void panic_trap(const struct trap_frame *f)
{
    char text[CRASH_TEXT];

    fmt_snprintf(text, sizeof(text), "exception %u in the core, error 0x%x, rip 0x%llx",
                 (unsigned)f->vector, (unsigned)f->error, (unsigned long long)f->rip);
    finish(text, f);
}
