/* SPDX-License-Identifier: MIT */
/* A small vsnprintf for freestanding code: %d %u %x %lx %lu %llx %llu %zu %p %s %c %%,
 * with width, '0', '-' and precision for %s. */
#ifndef XMHF_UTIL_FMT_H
#define XMHF_UTIL_FMT_H

#include <stdarg.h>
#include <stddef.h>

/* As C's vsnprintf: always terminates if size > 0; returns the untruncated length. */
int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
