/* SPDX-License-Identifier: MIT */
/* What the SDK needs of the operating system. */
#ifndef PAL_OS_H
#define PAL_OS_H

#include <stddef.h>

/* Zeroed, readable, writable, executable, private memory, locked if the system lets us. Children of
 * this process don't get it.
 * `size` is a multiple of 4096. NULL on failure. */
void *pal_os_alloc(size_t size);
void pal_os_free(void *memory, size_t size);

#endif
