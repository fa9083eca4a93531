/* SPDX-License-Identifier: MIT */
/* What the core does about a hypapp's answer. */
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <guest/inject.h>
#include <virt/virt.h>
#include <x86/cpu.h>

/* In a shadow, which ring 3 makes by MOV SS, no interrupt would come between the tries, and what is
 * waited for may need this CPU. A code breakpoint there is behind us, as between two rounds of a
 * string instruction (SDM vol. 3, 18.3.1.1). */
void exit_again(struct vcpu *v)
{
    virt->end_shadow(v);
    v->regs.rflags |= RFLAGS_RF;
}

bool exit_answered(struct vcpu *v, enum hyp_answer a, unsigned len)
{
    switch (a) {
    case HYP_CORE:
        return false;
    case HYP_DONE:
        exit_skip(v, len);
        return true;
    case HYP_AGAIN:
        exit_again(v);
        return true;
    case HYP_REFUSE:
        hyp_inject_gp(v);
        return true;
    case HYP_SWITCHED:
        break;
    }
    return true;
}

void exit_guest_event(struct vcpu *v, enum hyp_event what)
{
    if (hypapp.guest_event) {
        hypapp.guest_event(v, what);
    }
}

void exit_init_event(struct vcpu *v)
{
    exit_guest_event(v, HYP_INIT);
}
