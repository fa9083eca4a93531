/* SPDX-License-Identifier: MIT */
/* Which loader comes after xmhf.efi, and how it is started. */
#ifndef XMHF_BOOT_UEFI_NEXT_H
#define XMHF_BOOT_UEFI_NEXT_H

#include <boot/uefi/conf.h>
#include <boot/uefi/efi.h>

/*
 * Start what comes next, with its own load options: conf->next; without that the first entry of
 * BootOrder behind the one that started us (BootCurrent) that is active, isn't an application,
 * isn't ourselves, and can be loaded; else \EFI\BOOT\BOOTX64.EFI of our volume. What can't be
 * loaded is told on the console. Returns the status of what was started, once it returns; else why
 * nothing was.
 */
EFI_STATUS next_start(const struct uefi *u, const struct conf *conf);

/*
 * Mark that a copy of this program is at work, so that another one that is started by what it
 * starts knows. False, and nothing is done: there is such a mark; the copy that made it is told.
 */
bool next_mark(const struct uefi *u);
void next_unmark(const struct uefi *u);

#endif
