/* SPDX-License-Identifier: MIT */
/* The UART of the log. Every wait is bounded; output is dropped rather than waited for. */
#ifndef XMHF_DEBUG_SERIAL_H
#define XMHF_DEBUG_SERIAL_H

#include <xmhf/types.h>

/* `port`: I/O base of a 16550, 0 = none. */
void serial_init(uint16_t port);
/* All of it; waits for the UART. */
void serial_write(const char *s, size_t n);
/* As much as the UART takes at once: never waits. Returns the number of characters that are done
 * with (without a UART all). */
size_t serial_write_ready(const char *s, size_t n);
/* Before the last words: whatever the guest has begun to set up, characters go out. */
void serial_take_over(void);

#endif
