/* SPDX-License-Identifier: MIT */
/* The log: lines go to a ring in memory and, bounded, to the UART. */
#include <cpu/cpu.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <debug/serial.h>
#include <smp/spinlock.h>
#include <util/fmt.h>

static struct spinlock lock = SPINLOCK_INIT; /* guards ring, position, guest_lines, the UART */
static char ring[LOG_RING_SIZE];
static size_t position;
static unsigned guest_lines;
static bool quiet, guest_started, lock_broken;

void log_set_quiet(bool q) { quiet = q; }
void log_guest_started(void) { guest_started = true; }
void log_break_lock(void) { lock_broken = true; }

static void put(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ring[position++ % LOG_RING_SIZE] = s[i];
    }
}

static void emit(const char *line, size_t n)
{
    bool print = !quiet || lock_broken;

    if (guest_started && !lock_broken && ++guest_lines > LOG_GUEST_MAX) {
        print = false;
    }
    put(line, n);
    if (print) {
        serial_write(line, n);
    }
}

static void vlog(const char *fmt, va_list ap)
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
    emit(line, (size_t)n);
    if (!lock_broken) {
        spin_unlock(&lock);
    }
}

void log_line(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vlog(fmt, ap);
    va_end(ap);
}
