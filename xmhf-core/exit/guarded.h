/* SPDX-License-Identifier: MIT */
/* Carrying out the guest's stores to a page that is read-only for it because of some bytes. */
#ifndef XMHF_EXIT_GUARDED_H
#define XMHF_EXIT_GUARDED_H

#include <cpu/vcpu.h>
#include <virt/exit.h>

/* EXIT_NESTED_FAULT: the instruction at RIP writes to a page with guarded bytes (guest/facs.h). It
 * is carried out but for those, or the guest gets a fault: #GP(0) and a log line if it is none that
 * insn/write.h knows. */
void exit_guarded_write(struct vcpu *v, const struct exit *e);

/* Boot CPU, after facs_guard: enter the pages in the table of regions. 0 or -1. */
int exit_guarded_init(void);

#endif
