/* SPDX-License-Identifier: MIT */
/* Source lines of addresses, by binutils' addr2line, which reads ELF and PE files. */
#ifndef PAL_LINT_LINES_H
#define PAL_LINT_LINES_H

#include <stddef.h>
#include <stdint.h>

#define LINE_MAX_TEXT 512u

/* "FILE:LINE" of each of the `n` addresses; "" where it isn't known, or without addr2line. */
void lines_of(const char *file, const uint64_t *addresses, size_t n, char (*lines)[LINE_MAX_TEXT]);

#endif
