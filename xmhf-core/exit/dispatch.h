/* SPDX-License-Identifier: MIT */
/* Common exit handling: vendor code decodes, this decides. */
#ifndef XMHF_EXIT_DISPATCH_H
#define XMHF_EXIT_DISPATCH_H

#include <cpu/vcpu.h>
#include <virt/exit.h>

/* Run the guest on this CPU for ever. */
_Noreturn void guest_loop(struct vcpu *v);

/* One exit of the OS or of the sandbox. */
void exit_dispatch(struct vcpu *v, const struct exit *e);

/* The handlers, one file each. */
void exit_cpuid(struct vcpu *v, const struct exit *e);
void exit_rdmsr(struct vcpu *v, const struct exit *e);
void exit_wrmsr(struct vcpu *v, const struct exit *e);
void exit_io(struct vcpu *v, const struct exit *e);
void exit_nested_fault(struct vcpu *v, const struct exit *e);
void exit_hypercall(struct vcpu *v, const struct exit *e);
void exit_exception(struct vcpu *v, const struct exit *e);
void exit_cr_write(struct vcpu *v, const struct exit *e);
void exit_table(struct vcpu *v, const struct exit *e);
/* For guest/task.h: may a task switch load this CR3? */
bool exit_task_cr3(struct vcpu *v, uint64_t *value);
void exit_xsetbv(struct vcpu *v, const struct exit *e);
void exit_entry_failed(struct vcpu *v, const struct exit *e);
void exit_nmi(struct vcpu *v);
void exit_nmi_window(struct vcpu *v);

/* Move RIP behind the instruction of `len` bytes, with the wrap of the mode. */
void exit_skip(struct vcpu *v, unsigned len);

/* Fetch up to 15 bytes at RIP with the guest's rights. Returns how many; on 0 a #PF was
 * queued and the handler returns at once. */
unsigned exit_fetch(struct vcpu *v, uint8_t *buf, struct guest_paging *p);

/* Length of the instruction at RIP, whose opcode must be `opcode`: the hardware's word, or
 * decoded. 0: a fault was queued. Always fills `p`. */
unsigned exit_insn_len(struct vcpu *v, const struct exit *e, const uint8_t *opcode, size_t oplen,
                       struct guest_paging *p);

/* Forget all answers to CPUID (fast_path.h): one that they depend on is about to change. */
void cpuid_forget(struct vcpu *v);

/* Add the rows of policy/regions.h that exit/ has handlers for. Boot CPU, once, before
 * virt_ops->init. 0, or -1: no room. */
int exit_apic_page_init(void);
int exit_io_init(void);

/* Set-up of the MSR shadows; before the guest starts. */
void exit_msr_init(void);

#endif
