/* SPDX-License-Identifier: MIT */
/* Finds PALs whose owners have gone, and makes room for new ones. */
#include "collect.h"
#include "death.h"
#include "owner.h"
#include "registry.h"

#define REAP_PAGES  128u           /* wiped per exit; 4 KiB cost about 600 instructions */
#define LOOKS       80u            /* owners looked at per exit, at most 2,000 instructions each */
#define KEPT        OWNER_LOOK_MAX /* bytes at the entry that tell whether its page is as it was */

static atomic_uint cursor;      /* next slot whose owner is looked at */
static atomic_uint fruitless;   /* slots looked at since something was found, or since nobody
                                   looked for long */
static _Atomic uint64_t looked; /* TSC of the last look */

/* --- has the owner gone? -------------------------------------------------------- */

/* Is the owner's memory being overwritten, and may the owner still go on with that? It may at any
 * time until it has gone. What shows it is the entry's page: it is overwritten last, so it is as
 * it was. */
static bool goes_on_overwriting(struct vcpu *v, const struct tv_pal *pal)
{
    const uint64_t at = align_down(pal->image.entry, KEPT);
    const uint8_t *frame;

    if (!tv_overwrites(pal)) {
        return false;
    }
    if (pal->image.image) {
        return owner_look(v, pal, at, pal->module->kept, KEPT) != OWNER_GONE;
    }
    frame = space_frame(&pal->space, tv_stub_page(&pal->image));
    return owner_look(v, pal, at, frame + (at & PAGE_MASK), KEPT) != OWNER_GONE;
}

/* Has the process given up registering this PAL, or unregistering it after all was handed back?
 * There are no stubs to look for then: not yet, or not any more. */
static bool is_abandoned(struct vcpu *v, const struct tv_pal *pal)
{
    struct hyp_caller owner = { .paging = pal->owner, .no_ad = true };
    struct gm_fault f;
    uint8_t byte;

    if (tv_quiet(pal, TV_ABANDONED_TICKS)) {
        return !goes_on_overwriting(v, pal);
    }
    /* A page that is away may only be moved just now: no reason to lose a PAL whose owner's memory
     * is being overwritten, with contents that nobody else has. */
    return tv_quiet(pal, TV_STALE_TICKS) && !tv_overwrites(pal)
        && gm_read(&owner, gva(pal->image.entry), &byte, 1, &f) != GM_OK;
}

/* collect_if_gone; if `patient` it leaves a PAL alone that has handed all back, as long as its
 * owner may come for the answer. */
static bool end_without_owner(struct vcpu *v, struct tv_slot *s, bool patient)
{
    const struct tv_pal *pal = s->pal;
    bool running;

    if (owner_look(v, pal, pal->nonce_va, pal->nonce, TV_NONCE_SIZE) != OWNER_GONE) {
        return false;
    }
    /* A PAL that is being unregistered is closed already; is a CPU at it just now? */
    if (slot_state(atomic_load(&s->life)) == TV_LEAVING
            ? atomic_flag_test_and_set(&s->pal->stepping) : !death_claim(s->pal, &running)) {
        return false;
    }
    if (patient && pal->leaving > pal->image.pages && !is_abandoned(v, pal)) {
        atomic_flag_clear(&s->pal->stepping);
        return false;
    }
    death_of(s, &(struct death_cause){ .why = TV_DEATH_OWNER_GONE });
    return true;
}

bool collect_if_gone(struct vcpu *v, struct tv_slot *s)
{
    return end_without_owner(v, s, false);
}

/* --- memory for a new PAL ------------------------------------------------------- */

/* Kill the PAL if nobody will come back for it. */
static bool collect(struct vcpu *v, struct tv_slot *s)
{
    uint64_t life = atomic_load(&s->life);

    if (slot_state(life) != TV_REGISTERING) {
        return end_without_owner(v, s, true);
    }
    /* Ours is the only reference, so no CPU can begin a step now. */
    return slot_refs(life) == 1 && is_abandoned(v, s->pal) && registry_kill(s);
}

/* Look at some owners. True if a PAL was killed; `*passed` slots were passed. */
static bool collect_some(struct vcpu *v, unsigned looks, unsigned *passed)
{
    bool found = false;

    for (*passed = 0; !found && *passed < TV_SLOTS && looks > 0; ++*passed) {
        unsigned index = atomic_fetch_add(&cursor, 1) % TV_SLOTS;
        struct tv_slot *s = registry_get_index(index, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING)
                                                      | TV_IN(TV_REGISTERING));
        if (s) {
            looks--;
            found = collect(v, s);
            registry_put(s);
        }
    }
    return found;
}

enum room collect_look(struct vcpu *v, unsigned looks)
{
    unsigned passed;

    /* A search that was broken off long ago says nothing about today's owners: begin anew. (CPUs'
     * TSCs may differ, hence clock_since.) */
    if (clock_since(atomic_exchange(&looked, clock_now())) > TV_STALE_TICKS) {
        atomic_store(&fruitless, 0);
    }
    if (collect_some(v, looks, &passed)) {
        atomic_store(&fruitless, 0);
        return ROOM_AGAIN;
    }
    if (atomic_fetch_add(&fruitless, passed) + passed < TV_SLOTS) {
        return ROOM_AGAIN;
    }
    atomic_store(&fruitless, 0);
    return ROOM_NONE;
}

enum room collect_room(struct vcpu *v, size_t pages)
{
    bool more;

    if (pool_free_count() >= pages) {
        return ROOM_FOUND;
    }
    if (pages > pool_total()) {
        return ROOM_NONE;
    }
    more = death_reap(v, REAP_PAGES);
    return more || pool_free_count() >= pages ? ROOM_AGAIN : collect_look(v, LOOKS);
}
