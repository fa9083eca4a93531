/* SPDX-License-Identifier: MIT */
/* Inside of init/: the steps from the boot stage to the guest. Nothing outside includes this. */
#ifndef XMHF_INIT_H
#define XMHF_INIT_H

#include <virt/virt.h>
#include <xmhf/boot_info.h>

/* main.c. The way of all starts: from init/entry.S, on the boot CPU; on each CPU once its tables
 * are loaded; on the boot CPU, last. */
_Noreturn void core_main(const struct boot_info *from);
int main_bring_up(struct vcpu *v);       /* 0, or -1 with a log line */
int main_start_others(void);             /* those that nobody hands over; 0, or -1 likewise */
void main_dismiss_others(void);          /* take that back */
void main_log_what_there_is(void);
_Noreturn void main_start_guest(struct vcpu *v, const struct vcpu_state *s);

/* live.c: core_main has prepared all that can fail on the boot CPU `v`, which goes back now. */
_Noreturn void live_ready(struct vcpu *v, const struct boot_info *bi);

#endif
