/* SPDX-License-Identifier: MIT */
/* panic(): for our own bugs only. Stops all CPUs, wipes the pool and keys, then resets. */
#include <cpu/traps.h>
#include <cpu/vcpus.h>
#include <debug/crash.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <hw/insn.h>
#include <mm/host_map.h>
#include <smp/stop.h>
#include <util/fmt.h>

/* A fault on the panic's own way comes back here. Each time less is tried. */
static void give_up(unsigned depth)
{
    if (depth == 1) {
        stop_wipe();
    }
    if (depth <= 2) {
        stop_reset();
    }
}

/* Only the CPU that ends the machine goes on, and may be here twice; the others stop. `rip`, `rsp`:
 * the caller's. */
static _Noreturn void finish(const char *text, const struct trap_frame *trap, uint64_t rip,
                             uint64_t rsp)
{
    static unsigned depth;

    stop_elect();
    if (depth > 0) {
        give_up(depth++);
    } else {
        depth = 1;
        stop_other_cpus();
        crash_collect(text, trap, rip, rsp);
        stop_wipe();
        log_break_lock();
        crash_write();
        log_line("PANIC: %s", text);
        log_line("protected memory is wiped; resetting");
        stop_reset();
    }
    for (;;) {
        hw_cli();
        hw_hlt();
    }
}

/* Where panic() was called from: a return address, and RSP as it is after that return. */
#define CALLER (uintptr_t)__builtin_return_address(0), (uintptr_t)__builtin_dwarf_cfa()

void panic(const char *fmt, ...)
{
    char text[CRASH_TEXT];
    va_list ap;

    va_start(ap, fmt);
    fmt_vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    finish(text, NULL, CALLER);
}

void panic_trap(const struct trap_frame *f)
{
    char text[CRASH_TEXT];

    fmt_snprintf(text, sizeof(text), "exception %u in the core, error 0x%x, rip 0x%llx%s",
                 (unsigned)f->vector, (unsigned)f->error, (unsigned long long)f->rip,
                 host_stack_overflowed(f->rsp) ? ": stack overflow" : "");
    finish(text, f, 0, 0);
}
