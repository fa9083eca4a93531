/* SPDX-License-Identifier: MIT */
/*
 * Lines of text drawn into a picture: where UEFI firmware has started the machine there is no
 * screen of text, and hardly ever a UART, for what refuses the launch. util/screen.h writes here
 * too.
 */
#ifndef XMHF_UTIL_PICTURE_H
#define XMHF_UTIL_PICTURE_H

#include <xmhf/boot_info.h>

/* Bytes of it from `f->base` on; 0: there is none, or none that could be drawn into. At most 256
 * MiB. */
uint64_t picture_bytes(const struct boot_framebuffer *f);

/* Draw into what is mapped at `mapped`, all of it; `f` stays where it is. Lines go on where they
 * were. NULL: nothing is drawn from now on. */
void picture_init(const struct boot_framebuffer *f, volatile void *mapped);

/* As screen_write (util/screen.h), but for a full picture, which begins at the top again. */
void picture_write(const char *s, size_t n);

#endif
