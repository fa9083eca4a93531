/* SPDX-License-Identifier: MIT */
/* The log's inner side: for init, panic and the crash record. */
#ifndef XMHF_DEBUG_LOG_STATE_H
#define XMHF_DEBUG_LOG_STATE_H

#include <stdatomic.h>
#include <xmhf/types.h>

/* Lines that guest actions may put on the UART: so many at once, and one more in so many
 * TSC ticks; others are dropped. */
#define LOG_GUEST_BURST 200
#define LOG_GUEST_TICKS (1ULL << 28)

void log_set_quiet(bool quiet);
/* The last line of log_error, without a line's end, at most `size` - 1 characters and a NUL. */
void log_last_error(char *to, size_t size);
/* From now on every line is marked as caused by the guest, as it may be, and no CPU waits for the
 * UART: what it doesn't take at once stays in a queue, and a line that finds no room there is
 * lost. */
void log_guest_started(void);
/* Is something in the queue? */
extern atomic_bool log_waiting;
/* Send of the queue what the UART takes now. At any time outside NMI context. */
void log_drain(void);
/* The machine is about to end: send the queue, and from now on wait for the UART, even if a stopped
 * CPU holds the log's lock. */
void log_break_lock(void);

#endif
