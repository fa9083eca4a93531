/* SPDX-License-Identifier: MIT */
/* What a registration does in its steps: room, copy in, measure, recheck, overwrite. Whatever
 * grows with the PAL is taken off an exit's BUDGET (notes/bugs/long-exits.md). */
#ifndef TV_REGISTER_PHASES_H
#define TV_REGISTER_PHASES_H

#include "pal.h"

#define BUDGET         178000 /* instructions of one exit: what surrounds the steps takes up to a
                                 tenth more. Seven pieces are hashed */
#define COST_RANDOM    7000   /* token, nonce, factor: up to one refill of the generator */
#define COST_COMPARE   16     /* of two sections: its own, and its own with other PALs' */
#define COST_BESIDE    10     /* of another PAL: its link, and five times for a reference */
#define COST_SECTION   600    /* of a section in an image's list; ... */
#define COST_LOOK      8      /* ... of looking for an entry there; ... */
#define COST_PARAM     160    /* ... of a parameter */
#define COST_ROOM      2000   /* wiping a page or looking at an owner */

/* What a phase says. */
enum step { STEP_NEXT, STEP_AGAIN, STEP_FAULT, STEP_ERROR, STEP_CONFLICT };

struct work {
    struct vcpu *v;
    const struct hyp_caller *c;
    struct tv_pal *pal;
    int budget;
    enum tv_error error;     /* for STEP_ERROR */
    struct gm_fault fault;   /* for STEP_FAULT */
    struct tv_slot *other;   /* for STEP_CONFLICT: the PAL in the way, referenced */
};

/* Go on with the phase that the registration is in: STEP_NEXT says that it is over. The caller
 * holds the only reference. */
enum step register_phase(struct work *w);

/* TSC ticks spent hashing since boot: benchmarks tell that part from the rest. */
uint64_t register_hash_ticks(void);

#endif
