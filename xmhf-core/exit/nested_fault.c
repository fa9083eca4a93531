/* SPDX-License-Identifier: MIT */
/* NPT and EPT violations: memory with a handler, the protected range, device memory. */
#include <debug/log.h>
#include <exit/dispatch.h>
#include <guest/inject.h>
#include <guest/phys.h>
#include <guest/rights.h>
#include <hypapp/hypapp.h>
#include <policy/regions.h>
#include <virt/virt.h>

/*
 * An address above the width that CPUID shows. Where our width is the CPU's it finds such bits
 * itself and gives #PF with RSVD; so do we if we know the linear address, which AMD's CPUs tell of
 * fetches only. Otherwise, and for tables that CR3 or an entry places there, it is #GP(0). The
 * instruction is not done again, so nothing loops.
 */
static void no_such_address(struct vcpu *v, const struct exit *e)
{
    struct gm_fault f = { .addr = gva(e->fault.linear), .canonical = true };
    struct guest_paging p;
    struct walk w;

    if (e->fault.has_linear) {
        virt->get_paging(v, &p);
        unsigned access = e->fault.access | ACCESS_NO_AD;
        if (guest_walk(&guest_phys_ops, &p, f.addr, access, &w) == WALK_FAULT && w.canonical) {
            f.error = w.error;
            hyp_inject_fault(v, &f);
            return;
        }
    }
    hyp_inject_gp(v);
}

/* True if the fault was one of rights: taken away by the hypapp, who knows why and what to do about
 * it, or given back by another CPU meanwhile. */
static bool about_rights(struct vcpu *v, const struct exit *e)
{
    enum rights_fault rights = guest_rights_fault(v, e->fault.addr, e->fault.access);
    enum hyp_answer a = HYP_DONE;

    if (rights == RIGHTS_TAKEN) {
        a = hypapp.fault ? hypapp.fault(v, e) : HYP_CORE;
    }
    if (a == HYP_CORE || a == HYP_REFUSE) {
        hyp_inject_gp(v);
    } else if (a == HYP_AGAIN && !virt->event_queued(v)) {
        virt->end_shadow(v); /* as exit_again: what is waited for may need an interrupt */
    }
    return rights != RIGHTS_WHOLE;
}

/* Not a page table's, nor for the delivery of an event: handlers look at the instruction at RIP,
 * which has nothing to do with those. */
static bool of_operand(struct vcpu *v, const struct exit *e)
{
    return !e->fault.walk && !virt->event_queued(v);
}

void exit_nested_fault(struct vcpu *v, const struct exit *e)
{
    gpa_t g = e->fault.addr;
    const struct region *r = region_find(REGION_MEMORY, g.a, 1, e->fault.access);

    if (e->fault.reserved) {
        log_line("the CPU doesn't take our entry for 0x%llx", (unsigned long long)g.a);
    }
    if (e->fault.reserved || guest_phys_beyond(g)) {
        no_such_address(v, e);
    } else if (r && !of_operand(v, e)) {
        hyp_inject_gp(v);
    } else if (r) {
        r->handle(v, e);
    } else if (about_rights(v, e)) {
        return;
    } else if ((e->fault.access & ACCESS_EXEC) && guest_phys_make_executable(g)) {
        return; /* its large page is small ones now */
    } else if (!guest_phys_protected(g) && guest_phys_map_device(g)) {
        return; /* mapped now: run the instruction again */
    } else {
        hyp_inject_gp(v);
    }
}
