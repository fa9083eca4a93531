/* SPDX-License-Identifier: MIT */
/* What the SDK needs of the operating system. */
#ifndef PAL_OS_H
#define PAL_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, readable, writable, executable, private memory, locked if the system lets us. Children of
 * this process don't get it.
 * `size` is a multiple of 4096. NULL on failure. */
void *pal_os_alloc(size_t size);
/* The same, not executable. */
void *pal_os_alloc_data(size_t size);
/* Makes a page of it executable too. False on failure. */
bool pal_os_executable(void *page);
void pal_os_free(void *memory, size_t size);

/* A number, never 0, that this process keeps and its children don't have. */
uint32_t pal_os_generation(void);

/* What a handler of faults sees and may change of the thread's registers. */
struct pal_fault {
    unsigned vector;         /* of the exception, as far as the system tells: 3, 6, 13, 14, ... */
    uintptr_t ip, sp, bp;
    uintptr_t ax, cx, dx;
    uintptr_t address;       /* that a page fault touched */
};
/* Have `handler` look at each fault of this process before anyone else: true means that it has
 * dealt with it, and the thread goes on with *f. Called by any thread; it may do what a signal
 * handler may. At most three handlers; adding one a second time does nothing. False if the system
 * refuses. */
typedef bool pal_fault_handler(struct pal_fault *f);
bool pal_os_on_fault(pal_fault_handler *handler);

/* Have `handler` look at each fault that nobody else deals with, before it ends the process; what
 * it says and what it leaves in *f doesn't matter. One handler. False if the system refuses. */
bool pal_os_on_fatal(pal_fault_handler *handler);

/* To standard error, all at once, also in a handler. */
void pal_os_complain(const char *text, size_t bytes);

#endif
