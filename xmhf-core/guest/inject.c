/* SPDX-License-Identifier: MIT */
/* Queue faults for the guest, and machine checks that met a sandbox. */
#include <guest/inject.h>
#include <virt/virt.h>
#include <x86/cpu.h>

void hyp_inject_gp(struct vcpu *v)
{
    static const struct event gp = { .vector = EXC_GP, .type = EVENT_EXCEPTION, .has_error = true };

    virt->inject(v, &gp);
}

void hyp_inject_ud(struct vcpu *v)
{
    static const struct event ud = { .vector = EXC_UD, .type = EVENT_EXCEPTION };

    virt->inject(v, &ud);
}

void hyp_post_mc(struct vcpu *v)
{
    atomic_fetch_or(&v->requests, REQ_MC);
}

void hyp_inject_fault(struct vcpu *v, const struct gm_fault *f)
{
    const struct event pf = {
        .vector = EXC_PF, .type = EVENT_EXCEPTION, .has_error = true, .error = f->error,
    };

    if (!f->canonical) {
        hyp_inject_gp(v);
        return;
    }
    virt->set_cr2(v, f->addr.a);
    virt->inject(v, &pf);
}
