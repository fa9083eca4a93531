/* SPDX-License-Identifier: MIT */
/* Traps in the core: kicks, instructions that may fault, and the end of everything else. */
#include <cpu/mc.h>
#include <cpu/traps.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <x86/cpu.h>

extern const uint64_t core_fixup_start[], core_fixup_end[];   /* pairs: the instruction, where to */
extern const uint64_t core_windows_start[], core_windows_end[]; /* triples: hw/window.inc */

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

/* An NMI that comes in a window returns to where its code gives up (hw/window.inc). */
static void leave_window(struct trap_frame *f)
{
    for (const uint64_t *p = core_windows_start; p < core_windows_end; p += 3) {
        if (f->rip >= p[0] && f->rip < p[1]) {
            f->rip = p[2];
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
