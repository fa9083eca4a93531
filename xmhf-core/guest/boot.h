/* SPDX-License-Identifier: MIT */
/* Loading the guest that the boot modules hold. */
#ifndef XMHF_GUEST_BOOT_H
#define XMHF_GUEST_BOOT_H

#include <virt/virt.h>
#include <xmhf/boot_info.h>

/* Put the guest in place and fill `s` with the state that the boot CPU starts it in. 0, or -1
 * with a log line. */
int guest_boot_load(const struct boot_info *bi, struct vcpu_state *s);

#endif
