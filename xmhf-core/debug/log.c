/* SPDX-License-Identifier: MIT */
/* The log: lines go to the UART, bounded. */
#include <cpu/cpu.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <debug/serial.h>
#include <hw/insn.h>
#include <smp/spinlock.h>
#include <util/fmt.h>

static struct spinlock lock = SPINLOCK_INIT; /* guards everything below and the UART */
static unsigned guest_lines;    /* printed and not yet forgiven */
static uint64_t guest_forgiven; /* TSC of the last time that one was */
static bool quiet, guest_started, lock_broken;

void log_set_quiet(bool q) { quiet = q; }
void log_guest_started(void) { guest_started = true; }
void log_break_lock(void) { lock_broken = true; }

/* May a guest put one more line on the UART? */
static bool guest_may_print(void)
{
    uint64_t past = (hw_rdtsc() - guest_forgiven) / LOG_GUEST_TICKS;

    if (past > 0) {
        guest_lines = past < guest_lines ? guest_lines - (unsigned)past : 0;
        guest_forgiven = hw_rdtsc();
    }
    if (guest_lines >= LOG_GUEST_BURST) {
        return false;
    }
    guest_lines++;
    return true;
}

static void emit(const char *line, size_t n, bool error)
{
    bool print = !quiet || error || lock_broken;

    if (print && guest_started && !lock_broken) {
        print = guest_may_print();
    }
    if (print) {
        serial_write(line, n);
    }
}

static void vlog(bool error, const char *fmt, va_list ap)
{
    char line[256];
    int n = guest_started ? fmt_snprintf(line, sizeof(line), "[xmhf cpu%u guest] ", this_vcpu()->index)
                          : fmt_snprintf(line, sizeof(line), "[xmhf] ");

    n += fmt_vsnprintf(line + n, sizeof(line) - 2 - (size_t)n, fmt, ap);
    if ((size_t)n > sizeof(line) - 3) {
        n = sizeof(line) - 3;
    }
    line[n++] = '\r';
    line[n++] = '\n';
    if (!lock_broken) {
        spin_lock(&lock);
    }
    emit(line, (size_t)n, error);
    if (!lock_broken) {
        spin_unlock(&lock);
    }
}

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vlog(false, fmt, ap);
    va_end(ap);
}

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vlog(true, fmt, ap);
    va_end(ap);
}
