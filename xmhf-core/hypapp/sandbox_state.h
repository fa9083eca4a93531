/* SPDX-License-Identifier: MIT */
/* Set-up of hypapp/sandbox.c; for init only. */
#ifndef XMHF_HYPAPP_SANDBOX_STATE_H
#define XMHF_HYPAPP_SANDBOX_STATE_H

#include <cpu/vcpu.h>

/* Boot CPU, once, with CR4.OSXSAVE set. 0, or -1 with a log line. */
int sandbox_init(void);
/* Each CPU. 0, or -1 when out of memory. */
int sandbox_cpu_init(struct vcpu *v);

#endif
