/* SPDX-License-Identifier: MIT */
/* Ends of PALs: records, collection of what dead processes left, wiping. */
#include "tv.h"
#include <util/string.h>

#define RECORDS     256u   /* last deaths, by hash of the owner */
#define REAP_PAGES  128u   /* wiped per exit; 4 KiB cost about 600 instructions */
#define LOOKS       256u   /* owners looked at per exit, about 300 instructions each */

/* tv_owner in bits 63:16, enum tv_death in 15:8, vector in 7:0. */
static _Atomic uint64_t records[RECORDS];
static atomic_flag reaping = ATOMIC_FLAG_INIT;
static atomic_uint cursor;      /* next slot whose owner is looked at */
static atomic_uint fruitless;   /* slots looked at since something was found */

static const char *const death_text[] = {
#define X(name, number, sentence) [number] = sentence,
    TV_DEATHS(X)
#undef X
};

static const char *const section_name[] = {
    [TV_SECTION_CODE] = "CODE", [TV_SECTION_DATA] = "DATA", [TV_SECTION_PARAM] = "PARAM",
    [TV_SECTION_STACK] = "STACK", [TV_SECTION_SHARED_CODE] = "SHARED_CODE",
};

/* --- records -------------------------------------------------------------------- */

static _Atomic uint64_t *record_of(uint64_t owner)
{
    return &records[(owner * 0x9e3779b97f4a7c15ULL) >> 56];
}

uint64_t death_last(uint64_t owner)
{
    uint64_t r = atomic_load(record_of(owner)), why = r >> 8 & 0xff;

    return r >> 16 != owner ? 0 : why << 32 | (r & 0xff) << 16 | why;
}

/* Where, without an address: a production PAL tells no more. */
static void log_death(const struct tv_slot *s, enum tv_death why, unsigned vector, uint64_t rip)
{
    const struct tv_section *sec = tv_section_at(&s->pal->image, rip);

    if (why == TV_DEATH_OWNER_GONE) {
        log_line("PAL %u ended: %s", registry_index(s), death_text[why]);
    } else if (sec == NULL) {
        log_line("PAL %u died: %s, vector %u, outside its sections", registry_index(s),
                 death_text[why], vector);
    } else {
        log_line("PAL %u died: %s, vector %u, at %s+0x%llx", registry_index(s), death_text[why],
                 vector, section_name[sec->type], (unsigned long long)(rip - sec->start));
    }
}

/* --- killing -------------------------------------------------------------------- */

bool death_claim(struct tv_pal *pal, uint32_t *old)
{
    *old = atomic_load(&pal->act.state);
    do {
        if (*old == ACT_RUNNING || *old == ACT_CLAIMED) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&pal->act.state, old, ACT_CLAIMED));
    return true;
}

void death_unclaim(struct tv_pal *pal, uint32_t old)
{
    atomic_store(&pal->act.state, old);
}

void death_of(struct tv_slot *s, enum tv_death why, unsigned vector, uint64_t rip)
{
    if (registry_kill(s)) {
        uint64_t owner = s->owner;
        atomic_store(record_of(owner), owner << 16 | (uint64_t)why << 8 | (vector & 0xff));
        log_death(s, why, vector, rip);
    }
}

void death_discard(struct vcpu *v, struct tv_slot *s)
{
    registry_kill(s);
    registry_put(s);
    death_reap(v, REAP_PAGES);
}

bool death_collect(struct tv_slot *s)
{
    struct hyp_caller owner = { .paging = s->pal->owner, .peek = true };
    struct gm_fault f;
    uint32_t old;

    if (stubs_check(s->pal, &owner, &f) == STUBS_THERE) {
        return false;
    }
    /* A PAL that is being unregistered is closed already; is a CPU at it just now? */
    if (slot_state(atomic_load(&s->life)) == TV_LEAVING
            ? atomic_flag_test_and_set(&s->pal->stepping) : !death_claim(s->pal, &old)) {
        return false;
    }
    death_of(s, TV_DEATH_OWNER_GONE, 0, 0);
    return true;
}

/* --- wiping --------------------------------------------------------------------- */

/* Wipe one dead PAL as far as the budget goes. True when nothing is left of it. */
static bool reap_one(struct vcpu *v, struct tv_slot *s, uint32_t *budget)
{
    struct tv_pal *pal = s->pal;

    pageset_free(&pal->reg.seen);
    if (!space_free(&pal->space, &pal->image, budget)) {
        return false;
    }
    if (pal->sandbox.tag != 0) {
        virt->sandbox_forget(v, pal->sandbox.tag);
    }
    call_free(pal);
    registry_recycle(s);
    return true;
}

bool death_reap(struct vcpu *v, uint32_t pages)
{
    struct tv_slot *s;
    bool more = false;

    if (atomic_flag_test_and_set_explicit(&reaping, memory_order_acquire)) {
        return true;
    }
    while (!more && (s = registry_reap_pop()) != NULL) {
        more = !reap_one(v, s, &pages);
        if (more) {
            registry_reap_push(s);
        } else if (pages > 0) {
            pages--; /* tables and control page aren't free of cost */
        }
    }
    atomic_flag_clear_explicit(&reaping, memory_order_release);
    return more;
}

/* --- memory for a new PAL ------------------------------------------------------- */

/* Kill the PAL if nobody will come back for it. */
static bool collect(struct tv_slot *s)
{
    uint64_t life = atomic_load(&s->life);

    if (slot_state(life) != TV_REGISTERING) {
        return death_collect(s);
    }
    /* With our reference there no CPU can begin a step now. */
    return slot_refs(life) == 1 &&
           hw_rdtsc() - s->pal->reg.last_step > TV_ABANDONED_TICKS && registry_kill(s);
}

/* Look at some owners. True if a PAL was killed; `*looked` slots were passed. */
static bool collect_some(unsigned *looked)
{
    unsigned looks = 0;
    bool found = false;

    for (*looked = 0; !found && *looked < TV_SLOTS && looks < LOOKS; ++*looked) {
        unsigned index = atomic_fetch_add(&cursor, 1) % TV_SLOTS;
        struct tv_slot *s =
            registry_get_index(index, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING) | TV_IN(TV_REGISTERING));
        if (s != NULL) {
            looks++;
            found = collect(s);
            registry_put(s);
        }
    }
    return found;
}

enum room death_look(void)
{
    unsigned looked;

    if (collect_some(&looked)) {
        atomic_store(&fruitless, 0);
        return ROOM_AGAIN;
    }
    if (atomic_fetch_add(&fruitless, looked) + looked < TV_SLOTS) {
        return ROOM_AGAIN;
    }
    atomic_store(&fruitless, 0);
    return ROOM_NONE;
}

enum room death_make_room(struct vcpu *v, size_t pages)
{
    bool more;

    if (pool_free_count() >= pages) {
        return ROOM_FOUND;
    }
    if (pages > pool_total()) {
        return ROOM_NONE;
    }
    more = death_reap(v, REAP_PAGES);
    if (pool_free_count() >= pages) {
        return ROOM_FOUND;
    }
    return more ? ROOM_AGAIN : death_look();
}
