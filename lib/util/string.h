/* SPDX-License-Identifier: MIT */
/* The string functions that freestanding code needs, and that the compiler may call. Plain
 * C, eight bytes at a time; hw_copy64 and hw_fill64 (hw/insn.h) are faster for pages. */
#ifndef XMHF_UTIL_STRING_H
#define XMHF_UTIL_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
/* Copy at most size-1 bytes and always terminate; returns strlen(src). */
size_t str_copy(char *dst, const char *src, size_t size);

#endif
