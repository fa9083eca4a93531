/* SPDX-License-Identifier: MIT */
/*
 * Memory that firmware overwrites at the next start (TCG PC Client Platform Reset Attack Mitigation
 * Specification 1.10): what wipes PALs after a reset that no CPU announces, by a watchdog or a
 * button.
 */
#ifndef XMHF_BOOT_UEFI_MOR_H
#define XMHF_BOOT_UEFI_MOR_H

#include <boot/uefi/efi.h>

enum mor_state {
    MOR_NONE,     /* the firmware can't do it */
    MOR_LOCKED,   /* it will, and nobody can take that back before the next reset */
    MOR_SET,      /* it will, but an OS may take that back */
    MOR_REFUSED,  /* the firmware didn't take the request */
};

/* Ask for it, and lock the request. To be called before there are PALs, with boot services. */
enum mor_state mor_set(const struct uefi *u);

/* For a line on the console: what is wrong, or NULL. */
const char *mor_warning(enum mor_state state);

#endif
