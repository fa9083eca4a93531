/* SPDX-License-Identifier: MIT */
/* Traps in the core: kicks, instructions that may fault, and the end of everything else. */
#include <cpu/mc.h>
#include <cpu/traps.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <x86/cpu.h>

extern const uint8_t park_window_start[], park_window_end[];
extern const uint8_t vmx_window_start[], vmx_window_end[], vmx_window_abort[];
extern const uint8_t vmx_fast_window_start[], vmx_fast_window_end[], vmx_fast_window_abort[];
extern const uint8_t vmx_park_start[], vmx_park_end[];
extern const uint64_t core_fixup_start[], core_fixup_end[];

/* A fault at an instruction of the fixup table goes on at its fixup address. */
static bool fix_up(struct trap_frame *f)
{
    for (const uint64_t *p = core_fixup_start; p < core_fixup_end; p += 2) {
        if (p[0] == f->rip) {
            f->rip = p[1];
            return true;
        }
    }
    return false;
}

/* Code that has looked for requests and is about to stop looking: an NMI that comes between
 * must be seen, so it returns to where the code gives up. */
static void leave_window(struct trap_frame *f)
{
    const struct { const uint8_t *start, *end, *to; } windows[] = {
        { park_window_start, park_window_end, park_window_end },
        { vmx_park_start, vmx_park_end, vmx_park_end },
        { vmx_window_start, vmx_window_end, vmx_window_abort },
        { vmx_fast_window_start, vmx_fast_window_end, vmx_fast_window_abort },
    };

    for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
        if (f->rip >= (uintptr_t)windows[i].start && f->rip < (uintptr_t)windows[i].end) {
            f->rip = (uintptr_t)windows[i].to;
            return;
        }
    }
}

void trap_handle(struct trap_frame *f)
{
    if (f->vector == EXC_NMI) {
        this_vcpu()->nmi_rip = f->rip;
        this_vcpu()->nmi_rsp = f->rsp;
        atomic_fetch_add_explicit(&this_vcpu()->nmis_seen, 1, memory_order_relaxed);
        leave_window(f);
        return;
    }
    if (f->vector == EXC_MC && this_vcpu()->draining) {
        this_vcpu()->drained_mc = true;
        return;
    }
    if (f->vector == EXC_MC && mc_survivable()) {
        atomic_fetch_or(&this_vcpu()->requests, REQ_MC);
        leave_window(f);
        return;
    }
    if (f->vector == EXC_SX && (uint32_t)f->error == SX_INIT) { /* an INIT that a device sent */
        ap_post_init(&this_vcpu()->ap);
        atomic_fetch_or(&this_vcpu()->requests, REQ_INIT_SIPI);
        leave_window(f);
        return;
    }
    if (f->vector == EXC_GP && fix_up(f)) {
        return;
    }
    panic_trap(f);
}
