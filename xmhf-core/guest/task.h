/* SPDX-License-Identifier: MIT */
/* Hardware task switches carried out by software, where the CPU exits at each (VMX). */
#ifndef XMHF_GUEST_TASK_H
#define XMHF_GUEST_TASK_H

#include <cpu/vcpu.h>
#include <virt/exit.h>

/*
 * The task switch that exited (SDM vol. 3, 8.3, 26.4.2): `e` is an EXIT_TASK_SWITCH of the OS on
 * the calling CPU. The guest goes on in the new task; or a fault is queued, in the old task where
 * the switch can't begin, which then has changed nothing, else in the new one. Memory is read and
 * written by the guest's own page tables, as the CPU does. Bounded: some 300 bytes.
 * notes/task-switches.md.
 */
void task_switch(struct vcpu *v, const struct exit *e);

/* `may` is asked about each CR3 that a task switch loads, and may change it; false: #GP in the new
 * task. Boot CPU, once, before the guest starts. */
void task_on_cr3(bool (*may)(struct vcpu *v, uint64_t *value));

#endif
