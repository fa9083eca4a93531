/* SPDX-License-Identifier: MIT */
/* Inside the library: which PALs of the public ABI there are, whose deaths are signals. */
#ifndef PAL_HANDLER_H
#define PAL_HANDLER_H

#include <stddef.h>

/* A PAL with this entry is registered: its memory, whose first section is CODE. */
void pal_handler_watch(const void *entry, const void *memory, size_t size);
void pal_handler_forget(const void *entry);
/* Of an exception, for people. */
const char *pal_vector_name(unsigned vector);

#endif
