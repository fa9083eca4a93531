/* SPDX-License-Identifier: MIT */
/* Traps in the core. */
#ifndef XMHF_CPU_TRAPS_H
#define XMHF_CPU_TRAPS_H

#include <xmhf/types.h>

/* What hw/entry.S leaves on the stack. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* Called by hw/entry.S. NMI context must not lock, log or touch guest state. */
void trap_handle(struct trap_frame *f);

#endif
