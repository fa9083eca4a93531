/* SPDX-License-Identifier: MIT */
/* The event that waits for the next entry, and the rules for a second one on top of it, which both
 * vendors share. */
#ifndef XMHF_VIRT_EVENT_H
#define XMHF_VIRT_EVENT_H

#include <cpu/vcpu.h>
#include <smp/stop.h>
#include <x86/cpu.h>

struct event_slot {
    struct event event;
    bool full;
};

static inline bool event_contributory(uint8_t vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* A fault while an exception was being delivered (SDM vol. 3, 6.15; APM vol. 2, 8.2.9). */
static inline bool event_makes_double_fault(const struct event *first, const struct event *second)
{
    if (first->type != EVENT_EXCEPTION || second->type != EVENT_EXCEPTION) {
        return false;
    }
    return (event_contributory(first->vector) && event_contributory(second->vector))
        || (first->vector == EXC_PF
            && (event_contributory(second->vector) || second->vector == EXC_PF));
}

/* A fault while a double fault was being delivered: shutdown. Where the delivery exits at
 * each try, the CPU never sees it as one (notes/bugs/double-fault-loop.md). */
static inline bool event_makes_triple_fault(const struct event *first, const struct event *second)
{
    return first->type == EVENT_EXCEPTION && first->vector == EXC_DF
        && second->type == EVENT_EXCEPTION
        && (event_contributory(second->vector) || second->vector == EXC_PF);
}

/* Must the frame of this event have RFLAGS.RF set? That of a fault must, or a code breakpoint at
 * the instruction would be met again when it is tried again (SDM vol. 3, 18.3.1.1; APM vol. 2,
 * 3.1.6). The CPU pushes what an entry loads (SDM vol. 3, 27.6.1). A #DB is a trap, or of a code
 * breakpoint, whose handler has to set RF itself; #BP and #OF are traps, #DF and #MC aborts: for
 * these RF stays as the exit left it, which is 1 in the middle of a repeated string instruction. */
static inline bool event_sets_rf(const struct event *ev)
{
    const uint32_t others = 1u << EXC_DB | 1u << EXC_NMI | 1u << EXC_BP | 1u << EXC_OF
        | 1u << EXC_DF
        | 1u << EXC_MC;

    return ev->type == EVENT_EXCEPTION && ev->vector < 32 && !(others >> ev->vector & 1);
}

/* Queue `ev`. An exception takes the place of what was queued, as a CPU does with a fault
 * during a delivery; anything else waits: false. */
static inline bool event_queue(struct event_slot *slot, const struct event *ev)
{
    static const struct event df = { .vector = EXC_DF, .type = EVENT_EXCEPTION, .has_error = true };

    if (slot->full && ev->type != EVENT_EXCEPTION) {
        return false;
    }
    if (slot->full && event_makes_triple_fault(&slot->event, ev)) {
        stop_and_reset("guest triple fault");
    }
    slot->event = slot->full && event_makes_double_fault(&slot->event, ev) ? df : *ev;
    slot->full = true;
    return true;
}

#endif
