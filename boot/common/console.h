/* SPDX-License-Identifier: MIT */
/* Output of the boot stage, for the case that it can't start the core. */
#ifndef XMHF_BOOT_CONSOLE_H
#define XMHF_BOOT_CONSOLE_H

/* Write `s` to COM1 and to the text screen, if screen_init (util/screen.h) has told of one. */
void boot_puts(const char *s);

#endif
