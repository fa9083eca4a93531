/* SPDX-License-Identifier: MIT */
/* The CPU refuses the guest's state: what becomes of it ends in the guest. */
#include <debug/log.h>
#include <exit/answer.h>
#include <exit/dispatch.h>
#include <hypapp/hypapp.h>
#include <smp/stop.h>
#include <virt/virt.h>

#define REFUSALS 4u /* in a row, with nothing run between: more is a shutdown */

/* A CPU never leaves its guest in a state that it won't enter: it gives a fault at the instruction
 * that would. Where something did all the same, the state is mended and the guest goes on. Where no
 * rule that we know is broken the fault comes now; that is also right for an emulator that
 * tells "refused" where it should give #GP (QEMU: MOV to CR4 with reserved bits;
 * notes/bugs/refused-states.md). */
void exit_entry_failed(struct vcpu *v, const struct exit *e)
{
    bool in_a_row = !e->entry.ran && v->trace_next == v->refused_at + 1;

    v->refused = in_a_row ? v->refused + 1 : 1;
    v->refused_at = v->trace_next;
    if (v->refused > REFUSALS) {
        exit_guest_event(v, HYP_RESET);
        stop_and_reset("the CPU refuses the guest's state again and again, as a triple fault");
    }
    const char *rule = virt->legalise(v);
    log_line("the CPU refuses this guest state (exit 0x%llx): %s", (unsigned long long)e->raw,
             rule ? rule : "#GP for the guest");
    if (!rule) {
        hyp_inject_gp(v);
    }
}
