/* SPDX-License-Identifier: MIT */
/* What the SVM back end does about an exit before common code sees it, if anything; some exits end
 * here. */
#include <virt/svm/svm.h>

/* The instruction may run again, and its code breakpoint is behind us, as after a #PF. Intel's CPUs
 * save RFLAGS.RF as 1 then (SDM vol. 3, 28.3.3), of AMD's nothing is said. */
static void nested_fault(struct vcpu *v, const struct vmcb *c)
{
    if (!(c->exit_int_info & SVM_EVENT_VALID)) {
        v->regs.rflags |= RFLAGS_RF;
    }
}

/* A #DB may be the end of our own step over the guest's IRET. */
static void exception(struct vcpu *v, struct exit *e)
{
    if (e->exception.vector == EXC_DB && svm_nmi_step_done(v)) {
        e->kind = EXIT_NMI_WINDOW;
    }
}

void svm_take_exit(struct vcpu *v, const struct vmcb *c, struct exit *e)
{
    svm_decode(c, v, e);
    if (e->kind == EXIT_NESTED_FAULT) {
        nested_fault(v, c);
    } else if (e->kind == EXIT_EXCEPTION) {
        exception(v, e);
    } else if (e->raw == SVM_EXIT_IRET && c == svm(v)->os) {
        svm_nmi_iret(v);
        e->kind = EXIT_NONE;
    }
}
