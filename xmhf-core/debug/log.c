/* SPDX-License-Identifier: MIT */
/* The log: lines go to the UART, errors before the guest starts also to the screen. A guest never
 * waits for it. */
#include <cpu/clock.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <debug/serial.h>
#include <smp/spinlock.h>
#include <util/fmt.h>
#include <util/screen.h>

#define QUEUE 4096u /* characters; a power of two */

static struct spinlock lock = SPINLOCK_INIT; /* guards everything below and the UART */
static char queue[QUEUE];
static char last_error[256]; /* of what came before the guest */
static unsigned queued, sent;   /* characters, counted on and on */
static unsigned guest_lines;    /* printed and not yet forgiven */
static uint64_t guest_forgiven; /* TSC of the last time that one was */
static bool quiet, guest_started, lock_broken;

atomic_bool log_waiting;

void log_last_error(char *to, size_t size)
{
    spin_lock(&lock);
    fmt_snprintf(to, size, "%s", last_error);
    spin_unlock(&lock);
}

void log_set_quiet(bool q) { quiet = q; }
void log_guest_started(void) { guest_started = true; }

/* May a guest put one more line on the UART? */
static bool guest_may_print(void)
{
    uint64_t past = clock_since(guest_forgiven) / LOG_GUEST_TICKS;

    if (past > 0) {
        guest_lines = past < guest_lines ? guest_lines - (unsigned)past : 0;
        guest_forgiven = clock_now();
    }
    if (guest_lines >= LOG_GUEST_BURST) {
        return false;
    }
    guest_lines++;
    return true;
}

static void send_queue(void)
{
    while (sent != queued) {
        unsigned at = sent % QUEUE, n = queued - sent;
        unsigned piece = n < QUEUE - at ? n : QUEUE - at;
        unsigned done = piece;

        if (lock_broken) {
            serial_write(queue + at, piece);
        } else {
            done = (unsigned)serial_write_ready(queue + at, piece);
        }
        sent += done;
        if (done < piece) {
            break;
        }
    }
    atomic_store_explicit(&log_waiting, sent != queued, memory_order_relaxed);
}

void log_drain(void)
{
    if (spin_trylock(&lock)) { /* else somebody is at it */
        send_queue();
        spin_unlock(&lock);
    }
}

void log_break_lock(void)
{
    lock_broken = true;
    serial_take_over();
    send_queue();
}

/* A line of a running guest. */
static void enqueue(const char *line, unsigned n)
{
    if (QUEUE - (queued - sent) < n || !guest_may_print()) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        queue[(queued + i) % QUEUE] = line[i];
    }
    queued += n;
    send_queue();
}

static void emit(const char *line, size_t n, bool error)
{
    if (!guest_started && (error || lock_broken)) {
        screen_write(line, n); /* later it is the guest's */
    }
    if (lock_broken || (!guest_started && (error || !quiet))) {
        serial_write(line, n);
    } else if (error || !quiet) {
        enqueue(line, (unsigned)n);
    }
}

static void vlog(bool error, const char *fmt, va_list ap)
{
    char line[256];
    const int prefix = guest_started
        ? fmt_snprintf(line, sizeof(line), "[xmhf cpu%u guest] ", this_vcpu()->index)
        : fmt_snprintf(line, sizeof(line), "[xmhf] ");
    int n = prefix + fmt_vsnprintf(line + prefix, sizeof(line) - 2 - (size_t)prefix, fmt, ap);

    if ((size_t)n > sizeof(line) - 3) {
        n = sizeof(line) - 3;
    }
    line[n++] = '\r';
    line[n++] = '\n';
    if (!lock_broken) {
        spin_lock(&lock);
    }
    if (error && !guest_started) {
        line[n - 2] = '\0';
        fmt_snprintf(last_error, sizeof(last_error), "%s", line + prefix);
        line[n - 2] = '\r';
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
