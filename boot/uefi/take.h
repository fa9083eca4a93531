/* SPDX-License-Identifier: MIT */
/* Puts the hypervisor under the machine as it runs. */
#ifndef XMHF_BOOT_UEFI_TAKE_H
#define XMHF_BOOT_UEFI_TAKE_H

#include <boot/uefi/conf.h>
#include <boot/uefi/efi.h>

/*
 * Make every CPU a guest of the hypervisor, all or none. `tsc`: near our first instruction. True,
 * and `line` tells what was done; the caller goes on as the guest's program. False: nothing has
 * changed, all memory is given back, and `line` has the reason.
 */
bool take(const struct uefi *u, const struct conf *conf, uint64_t tsc, char *line, size_t max);

#endif
