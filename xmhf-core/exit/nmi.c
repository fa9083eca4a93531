/* SPDX-License-Identifier: MIT */
/* NMIs: ours are kicks; the guest's are latched and delivered when it can take them. */
#include <exit/dispatch.h>
#include <virt/virt.h>
#include <x86/cpu.h>

static void deliver(struct vcpu *v)
{
    static const struct event nmi = { .vector = EXC_NMI, .type = EVENT_NMI };

    if (atomic_load(&v->guest_nmis) == 0) {
        return;
    }
    if (v->in_sandbox || !virt->nmi_ready(v) || !virt->inject(v, &nmi)) {
        virt->want_nmi_window(v);
        return;
    }
    atomic_store(&v->guest_nmis, 0);
}

/*
 * At most one kick is under way to each CPU. The core's NMI handler has counted how many NMIs
 * arrived: one of them is the kick, if one was sent, and the rest are the guest's. Which is which
 * can't be told, but the counts are right (notes/smp.md).
 */
void exit_nmi(struct vcpu *v)
{
    uint32_t seen = atomic_exchange(&v->nmis_seen, 0);

    if (seen > 0 && atomic_exchange(&v->kicks, 0) == 1) {
        seen--;
    }
    if (seen > 0) {
        atomic_store(&v->guest_nmis, 1);
        atomic_fetch_or(&v->requests, REQ_NMI);
    }
}

void exit_nmi_window(struct vcpu *v)
{
    deliver(v);
}
