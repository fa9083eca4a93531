/* SPDX-License-Identifier: MIT */
/*
 * How a CPU that is already running is handed to the core, by a front end that goes on as the
 * guest's program (BOOT_START_LIVE). boot/common/live.S makes the structure; the core reads what
 * isn't in it (MSRs, debug and FPU registers) from the CPU.
 */
#ifndef XMHF_LIVE_H
#define XMHF_LIVE_H

#include <xmhf/live_layout.h>
#include <xmhf/types.h>

/* As SGDT and SIDT store it in 64-bit mode. */
struct live_table { uint16_t limit; uint64_t base; } __attribute__((packed));

enum live_selector {
    LIVE_ES, LIVE_CS, LIVE_SS, LIVE_DS, LIVE_FS, LIVE_GS, LIVE_LDTR, LIVE_TR, LIVE_SELECTORS
};

/* A CPU in 64-bit mode, ring 0, interrupts off, as it goes on at `rip`: natively or as a guest,
 * with an answer in RAX, RFLAGS 2 and any other general registers. */
struct live_cpu {
    uint64_t rip, rsp;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t shared_cr3;     /* loaded while the core is called: the caller's memory and CORE_VA */
    uint16_t selector[LIVE_SELECTORS];
    struct live_table gdtr, idtr;
    uint8_t pad[4];
};

_Static_assert(offsetof(struct live_cpu, rip) == LIVE_RIP, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, rsp) == LIVE_RSP, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, cr0) == LIVE_CR0, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, cr2) == LIVE_CR2, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, cr3) == LIVE_CR3, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, cr4) == LIVE_CR4, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, shared_cr3) == LIVE_SHARED, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, selector) == LIVE_SELECTOR, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, gdtr) == LIVE_GDTR, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, idtr) == LIVE_IDTR, "xmhf/live_layout.h");
_Static_assert(offsetof(struct live_cpu, pad) == LIVE_PAD, "xmhf/live_layout.h");
_Static_assert(sizeof(struct live_cpu) == LIVE_SIZE && LIVE_SIZE % 16 == 0, "xmhf/live_layout.h");

/*
 * Call core_entry or core_take (xmhf/core_image.h) at `target`, with `arg`, on this CPU: interrupts
 * off, CR3 = `shared_cr3`, on the caller's stack, of which 1 KiB must be free. System V's calling
 * convention, also under UEFI. Comes back natively or as a guest; then everything but RAX, flags
 * and the registers that a call may change is as before, interrupts too.
 * `shared_cr3`: 4 levels; the tables in use, and in the slot of CORE_VA the protected range.
 */
uint64_t boot_live_call(uint64_t target, void *arg, uint64_t shared_cr3);

#endif
