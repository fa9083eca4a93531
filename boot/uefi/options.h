/* SPDX-License-Identifier: MIT */
/* Where the options of xmhf.efi come from. */
#ifndef XMHF_BOOT_UEFI_OPTIONS_H
#define XMHF_BOOT_UEFI_OPTIONS_H

#include <boot/uefi/conf.h>
#include <boot/uefi/efi.h>

/*
 * Fill `conf` from our load options, where they are text; else from xmhf.conf in our own folder;
 * else from \EFI\xmhf\xmhf.conf of the same volume; else there are none. What Secure Boot forbids
 * is told on the console. A file that is there and can't be read counts as damaged.
 */
void options_read(const struct uefi *u, struct conf *conf);

/* A sentence about the damage of what options_read has read. False: there is none. */
bool options_damage(const struct conf *conf, char *why, size_t max);

#endif
