/* SPDX-License-Identifier: MIT */
/* Common exit handling: the guest's run loop and the switch over exit kinds (notes/exits.md). */
#include <cpu/clock.h>
#include <cpu/vcpus.h>
#include <debug/log.h>
#include <debug/log_state.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <facts/facts.h>
#include <guest/flush.h>
#include <guest/ipi.h>
#include <guest/task.h>
#include <hypapp/hypapp.h>
#include <smp/stop.h>
#include <virt/fast_path.h>
#include <virt/virt.h>
#include <x86/cpu.h>

/*
 * A machine check that met the core is given to the guest as if it had met the guest: MCG_STATUS
 * and banks still show it, and the guest's handler clears them. A guest that takes none (CR4.MCE =
 * 0) is shut down, as a CPU would be. An event that is queued already is delivered first.
 */
static void machine_check(struct vcpu *v)
{
    static const struct event mc = { .vector = EXC_MC, .type = EVENT_EXCEPTION };
    struct guest_paging p;

    if (virt->event_queued(v)) {
        return;
    }
    atomic_fetch_and(&v->requests, ~REQ_MC);
    virt->get_paging(v, &p);
    if (!(p.cr4 & CR4_MCE)) {
        exit_guest_event(v, HYP_RESET);
        stop_and_reset("machine check, and the guest takes none");
    }
    virt->inject(v, &mc);
}

static void take_requests(struct vcpu *v)
{
    uint32_t r = atomic_load(&v->requests);

    if (r & REQ_STOP) {
        stop_self();
    }
    if (r & REQ_FLUSH) {
        flush_take(v);
        if (!(r &= ~REQ_FLUSH)) {
            return; /* a sandbox goes on: it has nested tables of its own */
        }
    }
    if (v->in_sandbox) {
        /* The sandbox's activation is saved, as at an interrupt, before anything else. */
        const struct exit intr = { .kind = EXIT_INTR };
        hypapp.sandbox_exit(v, &intr);
        ASSERT(!v->in_sandbox);
    }
    if (r & REQ_INIT_SIPI) {
        ipi_take_signals(v);
    }
    if (r & REQ_NMI) {
        atomic_fetch_and(&v->requests, ~REQ_NMI);
        exit_nmi_window(v);
    }
    if (r & REQ_MC) {
        machine_check(v);
    }
}

static void unexpected(struct vcpu *v, const struct exit *e)
{
    log_line("exit 0x%llx is unknown: #UD for the guest", (unsigned long long)e->raw);
    hyp_inject_ud(v);
}

/* Exits from a sandbox that its hypapp has no part in. An INIT is for the OS, not for the sandbox:
 * take_requests leaves the sandbox first. */
#define NOT_THE_HYPAPPS (1u << EXIT_CPUID | 1u << EXIT_NMI | 1u << EXIT_SMI | 1u << EXIT_INIT)
_Static_assert(EXIT_KIND_COUNT <= 32, "a bit for each");

/* Inlined into the loop, which all exits go through. */
inline __attribute__((always_inline)) void exit_dispatch(struct vcpu *v, const struct exit *e)
{
    if (v->in_sandbox && !(NOT_THE_HYPAPPS >> e->kind & 1)) {
        hypapp.sandbox_exit(v, e);
        return;
    }
    switch (e->kind) {
    case EXIT_NONE:
    case EXIT_SMI:
    case EXIT_INTR: return;
    case EXIT_CPUID: exit_cpuid(v, e); return;
    case EXIT_RDMSR: exit_rdmsr(v, e); return;
    case EXIT_WRMSR: exit_wrmsr(v, e); return;
    case EXIT_IO: exit_io(v, e); return;
    case EXIT_HYPERCALL: exit_hypercall(v, e); return;
    case EXIT_NESTED_FAULT: exit_nested_fault(v, e); return;
    case EXIT_EXCEPTION: exit_exception(v, e); return;
    case EXIT_NMI: exit_nmi(v); return;
    case EXIT_NMI_WINDOW: exit_nmi_window(v); return;
    case EXIT_CR_WRITE: exit_cr_write(v, e); return;
    case EXIT_TABLE: exit_table(v, e); return;
    case EXIT_XSETBV: exit_xsetbv(v, e); return;
    case EXIT_INVD: /* never throw away our own cache lines; the guest gets #GP */
        hyp_inject_gp(v);
        return;
    case EXIT_HIDDEN_INSN: hyp_inject_ud(v); return;
    case EXIT_SHUTDOWN:
        exit_guest_event(v, HYP_RESET);
        stop_and_reset("guest triple fault");
    case EXIT_INIT:
        ap_post_init(&v->ap);
        atomic_fetch_or(&v->requests, REQ_INIT_SIPI);
        return;
    case EXIT_SIPI:
        ap_post_sipi(&v->ap, e->sipi.vector);
        atomic_fetch_or(&v->requests, REQ_INIT_SIPI);
        return;
    case EXIT_TASK_SWITCH: task_switch(v, e); return;
    case EXIT_ENTRY_FAILED: exit_entry_failed(v, e); return;
    case EXIT_UNKNOWN:
    case EXIT_KIND_COUNT: unexpected(v, e); return;
    }
}

/* Run, and note how long the last exit kept the guest waiting, requests included. */
static void run_measured(struct vcpu *v, struct exit *e)
{
    uint64_t took = v->exit_began ? clock_since(v->exit_began) : 0;

    if (took > v->longest[e->kind]) {
        v->longest[e->kind] = took;
    }
    virt->run(v, e);
    v->exit_began = clock_now();
}

/* What is to be done before the next entry. Out of line, as it is rare. */
__attribute__((noinline))
static void before_entry(struct vcpu *v)
{
    /* An NMI that the core took itself, on AMD wherever GIF was set, may have been the kick. */
    if (atomic_load_explicit(&v->nmis_seen, memory_order_relaxed)) {
        exit_nmi(v);
    }
    if (atomic_load_explicit(&v->requests, memory_order_relaxed)) {
        take_requests(v);
    }
    if (atomic_load_explicit(&log_waiting, memory_order_relaxed)) {
        log_drain();
    }
}

void guest_loop(struct vcpu *v)
{
    void (*const run)(struct vcpu *v, struct exit *e) =
        core_options()->measure ? run_measured : virt->run;
    struct exit e = { 0 };

    for (;;) {
        if (atomic_load_explicit(&v->nmis_seen, memory_order_relaxed)
            | atomic_load_explicit(&v->requests, memory_order_relaxed)
            | atomic_load_explicit(&log_waiting, memory_order_relaxed)) {
            before_entry(v);
        }
        run(v, &e);
        exit_note(v, e.kind, e.raw);
        exit_dispatch(v, &e);
    }
}
