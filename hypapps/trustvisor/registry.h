/* SPDX-License-Identifier: MIT */
/* The registry: finding PALs by process and address, adding them, and the list of the dead. */
#ifndef TV_REGISTRY_H
#define TV_REGISTRY_H

#include "pal.h"

void registry_init(void);
unsigned registry_index(const struct tv_slot *s);

/* Has the slot these keys, just now? */
static inline bool slot_is(const struct tv_slot *s, uint64_t owner, uint64_t page)
{
    return atomic_load_explicit(&s->page, memory_order_relaxed) == page
        && atomic_load_explicit(&s->owner, memory_order_relaxed) == owner;
}

enum taken { TAKEN, NOT_IT, NOT_IN_STATE };

/* A reference to `s` if it has these keys, and its state is one of `states`. */
static inline enum taken registry_take(struct tv_slot *s, uint64_t owner, uint64_t page,
                                       unsigned states)
{
    uint64_t life = atomic_load_explicit(&s->life, memory_order_acquire);

    do {
        if (!slot_is(s, owner, page)) {
            return NOT_IT;
        }
        if (!(TV_IN(slot_state(life)) & states)) {
            return NOT_IN_STATE;
        }
    } while (!atomic_compare_exchange_weak_explicit(&s->life, &life, life + 1,
                                                    memory_order_acquire, memory_order_acquire));
    return TAKEN;
}

/* The slot whose stubs lie in the page of `va`, with a reference taken, if its state is
 * one of `states` (TV_IN()); else NULL. Constant time; no lock. */
struct tv_slot *registry_find(uint64_t owner, uint64_t va, unsigned states);
/* The same. `hint`: the slot that it probably is, or NULL. */
static inline struct tv_slot *registry_get(uint64_t owner, uint64_t va, unsigned states,
                                           struct tv_slot *hint)
{
    return hint && registry_take(hint, owner, va >> PAGE_SHIFT, states) == TAKEN
        ? hint : registry_find(owner, va, states);
}
/* The same for a REGISTERING slot that no CPU works on. `*busy`: one is, try again. */
struct tv_slot *registry_get_idle(uint64_t owner, uint64_t va, bool *busy);
/* A reference to slot `index` if its state is one of `states`. */
struct tv_slot *registry_get_index(unsigned index, unsigned states);
/* Give a reference back. The last one of a DYING slot hands it to the reaper. */
void registry_put(struct tv_slot *s);

enum registry_answer {
    REGISTRY_ADDED,
    REGISTRY_CONFLICT,     /* with another PAL of the process */
    REGISTRY_PENDING,      /* too many registrations of the process are under way */
    REGISTRY_QUOTA,        /* this process has too many, or too many with many sections */
    REGISTRY_QUOTA_PAGES,  /* or with this one too many pages */
    REGISTRY_FULL,         /* no slot is free */
    REGISTRY_AGAIN,        /* another CPU is at it: try again */
};
/* Link `pal` (its image filled) as REGISTERING, one reference held, pal->slot set. On a
 * conflict with a PAL of the same process, or with its own surplus of registrations under
 * way, `*other` is that PAL's slot, referenced. If it would have to be compared with more than
 * `most` sections, it is linked without, and registry_judge is due. */
enum registry_answer registry_add(struct tv_pal *pal, uint64_t owner, uint32_t most,
                                  struct tv_slot **other);
/* Compare `pal`, which is linked, with the others of its process: REGISTRY_ADDED, _CONFLICT,
 * _QUOTA or _AGAIN. */
enum registry_answer registry_judge(struct tv_pal *pal, struct tv_slot **other);

/* Change the state if it is `from`; the caller holds a reference. */
bool registry_change(struct tv_slot *s, enum tv_state from, enum tv_state to);
/* Make it DYING and unlink it; the caller holds a reference. False: it was already. */
bool registry_kill(struct tv_slot *s);

/* LIVE PALs, of one process or of all. */
#define REGISTRY_ALL UINT64_MAX
unsigned registry_count(uint64_t owner);
/* PALs of a process, in any state, and the pages that its quota is charged with. */
unsigned registry_charge(uint64_t owner, uint64_t *pages);

/* The reap list: dead slots without references. pop: NULL if empty. waits: it isn't. */
extern _Atomic uint16_t registry_reap_head; /* changed under the registry's lock */
static inline bool registry_reap_waits(void)
{
    return atomic_load_explicit(&registry_reap_head, memory_order_relaxed) != 0;
}
struct tv_slot *registry_reap_pop(void);
void registry_reap_push(struct tv_slot *s);
/* A wiped slot becomes EMPTY and free. */
void registry_recycle(struct tv_slot *s);

#endif
