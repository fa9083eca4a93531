/* SPDX-License-Identifier: MIT */
/* The text screen: what refuses the launch is said there too, since few machines have a UART. */
#ifndef XMHF_UTIL_SCREEN_H
#define XMHF_UTIL_SCREEN_H

#include <xmhf/boot_info.h>

/* Write to `cells`, where all of `s` is mapped; lines go on where they were. NULL, or a screen
 * that isn't of text: nothing is written from now on. */
void screen_init(const struct boot_screen *s, volatile void *cells);

/* `n` characters, from the screen's top on; '\n' ends a line, other control characters are left
 * out. A full screen moves up. One CPU at a time. */
void screen_write(const char *s, size_t n);

#endif
