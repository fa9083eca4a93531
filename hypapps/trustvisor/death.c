/* SPDX-License-Identifier: MIT */
/* Ends of PALs: records, collection of what dead processes left, wiping. */
#include "pal.h"
#include <smp/spinlock.h>
#include <util/string.h>

#define RECORDS     256u   /* last deaths, by hash of the owner */
#define REAP_PAGES  128u   /* wiped per exit; 4 KiB cost about 600 instructions */
#define LOOKS       80u    /* owners looked at per exit, at most 2,000 instructions each */

struct record { uint64_t owner, entry; struct xmhf_pal_stats stats; };

static struct spinlock record_lock = SPINLOCK_INIT; /* guards records[]; nothing is taken inside */
static struct record records[RECORDS];
static atomic_flag reaping = ATOMIC_FLAG_INIT;
static atomic_uint cursor;      /* next slot whose owner is looked at */
static atomic_uint fruitless;   /* slots looked at since something was found, or nobody looked for long */
static _Atomic uint64_t looked; /* TSC of the last look */

static const char *const death_text[] = {
#define X(name, number, sentence) [number] = sentence,
    TV_DEATHS(X)
#undef X
};

static const char *const section_name[] = {
    [TV_SECTION_CODE] = "CODE", [TV_SECTION_DATA] = "DATA", [TV_SECTION_PARAM] = "PARAM",
    [TV_SECTION_STACK] = "STACK", [TV_SECTION_SHARED_CODE] = "SHARED_CODE",
    [XMHF_SECTION_RODATA] = "RODATA",
};

/* --- records -------------------------------------------------------------------- */

static struct record *record_of(uint64_t owner)
{
    return &records[(owner * 0x9e3779b97f4a7c15ULL) >> 56];
}

/* Why and where: enum tv_death in bits 7:0, vector in 15:8, section in 23:16, offset of the
 * instruction there in 63:32. */
static uint64_t death_word(const struct tv_pal *pal, enum tv_death why, unsigned vector,
                           uint64_t rip)
{
    const struct tv_section *sec = tv_section_at(&pal->image, rip);
    uint64_t at = sec == NULL ? XMHF_NO_SECTION
                              : (uint64_t)(sec - pal->image.sections) | (rip - sec->start) << 16;

    return (uint64_t)why | (uint64_t)(vector & 0xff) << 8 | at << 16;
}

void death_status(const struct tv_pal *pal, uint64_t *rcx, uint64_t *rdx)
{
    uint64_t word = atomic_load(&pal->death);

    *rcx = (uint32_t)word;
    *rdx = word >> 32;
}

void death_stats(struct tv_pal *pal, struct xmhf_pal_stats *st)
{
    uint64_t word = atomic_load(&pal->death);

    *st = (struct xmhf_pal_stats){
        .version = XMHF_PAL_VERSION,
        .stacks = pal->image.stacks,
        .death = XMHF_STATUS_DEATH(word),
        .vector = XMHF_STATUS_VECTOR(word),
        .section = word == 0 ? XMHF_NO_SECTION : XMHF_STATUS_SECTION(word),
        .offset = (uint32_t)(word >> 32),
    };
    for (uint32_t k = 0; k < pal->image.stacks; k++) {
        struct tv_activation *act = tv_act(pal, k);
        uint64_t calls = atomic_load(&act->calls);
        st->calls += calls;
        st->interruptions += atomic_load(&act->interrupted);
        /* Each call but one under way has left by the gate. */
        st->exits += calls - (calls != 0 && atomic_load(&act->state) != ACT_FREE) +
                     atomic_load(&act->others);
    }
}

static void record(struct tv_pal *pal, uint64_t owner)
{
    struct record r = { .owner = owner, .entry = pal->image.entry };

    death_stats(pal, &r.stats);
    spin_lock(&record_lock);
    *record_of(owner) = r;
    spin_unlock(&record_lock);
}

/* The last death of this process's PALs. False: none is known. */
static bool recall(uint64_t owner, struct record *r)
{
    spin_lock(&record_lock);
    *r = *record_of(owner);
    spin_unlock(&record_lock);
    return r->owner == owner && r->stats.death != TV_DEATH_ALIVE;
}

uint64_t death_last(uint64_t owner)
{
    struct record r;

    return !recall(owner, &r) ? 0
           : (uint64_t)r.stats.death << 32 | r.stats.vector << 16 | r.stats.death;
}

bool death_last_stats(uint64_t owner, uint64_t entry, struct xmhf_pal_stats *st)
{
    struct record r;
    bool found = recall(owner, &r) && r.entry == entry;

    *st = r.stats;
    return found;
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

/* One activation. `*old`: its state before. */
static bool claim_one(struct tv_activation *act, uint32_t *old)
{
    *old = atomic_load(&act->state);
    do {
        if (*old == ACT_RUNNING || *old == ACT_CLAIMED) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&act->state, old, ACT_CLAIMED));
    return true;
}

bool death_claim(struct tv_pal *pal, bool *running)
{
    uint32_t old[XMHF_PAL_STACKS];

    for (uint32_t k = 0; k < pal->image.stacks; k++) {
        if (!claim_one(tv_act(pal, k), &old[k])) {
            *running = old[k] == ACT_RUNNING;
            while (k-- > 0) { /* who wanted to resume meanwhile tries again */
                atomic_store(&tv_act(pal, k)->state, old[k]);
            }
            return false;
        }
    }
    return true;
}

void death_of(struct tv_slot *s, enum tv_death why, unsigned vector, uint64_t rip)
{
    uint64_t none = 0;

    /* First what other CPUs tell their callers once they see that it is dying. */
    if (atomic_compare_exchange_strong(&s->pal->death, &none,
                                       death_word(s->pal, why, vector, rip)) &&
        registry_kill(s)) {
        record(s->pal, s->owner);
        log_death(s, why, vector, rip);
    }
}

void death_discard(struct vcpu *v, struct tv_slot *s, uint32_t pages)
{
    registry_kill(s);
    registry_put(s);
    death_reap(v, pages);
}

/* Did the process give up its registration, whose stubs aren't there yet to tell, or to have the PAL
 * wiped, when they aren't there any more? */
static bool is_abandoned(struct vcpu *v, const struct tv_pal *pal)
{
    struct hyp_caller owner = { .paging = pal->owner, .peek = true };
    struct gm_fault f;
    uint8_t byte;

    if (tv_quiet(pal, TV_ABANDONED_TICKS)) {
        return !register_overwrites(v, pal);
    }
    /* An OS takes pages away for a moment to move them: too little to lose what is overwritten for. */
    return tv_quiet(pal, TV_STALE_TICKS) && !register_began_overwriting(pal) &&
           gm_read(&owner, gva(pal->image.entry), &byte, 1, &f) != GM_OK;
}

/* As death_collect. `patient`: an owner that has got all back may come for its answer. */
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
    death_of(s, TV_DEATH_OWNER_GONE, 0, 0);
    return true;
}

bool death_collect(struct vcpu *v, struct tv_slot *s)
{
    return end_without_owner(v, s, false);
}

/* --- wiping --------------------------------------------------------------------- */

/* Wipe one dead PAL as far as the budget goes. True when nothing is left of it. */
static bool reap_one(struct vcpu *v, struct tv_slot *s, uint32_t *budget)
{
    struct tv_pal *pal = s->pal;
    uint32_t besides; /* tables, activations, control page: they aren't free of cost either */

    if (!pageset_free(&pal->reg.seen, budget) || !space_free(&pal->space, &pal->image, budget)) {
        return false;
    }
    besides = pal->charge - pal->image.pages;
    *budget -= besides < *budget ? besides : *budget;
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
        more = pages == 0 || !reap_one(v, s, &pages);
        if (more) {
            registry_reap_push(s);
        }
    }
    atomic_flag_clear_explicit(&reaping, memory_order_release);
    return more;
}

/* --- memory for a new PAL ------------------------------------------------------- */

/* Kill the PAL if nobody will come back for it. */
static bool collect(struct vcpu *v, struct tv_slot *s)
{
    uint64_t life = atomic_load(&s->life);

    if (slot_state(life) != TV_REGISTERING) {
        return end_without_owner(v, s, true);
    }
    /* With our reference there no CPU can begin a step now. */
    return slot_refs(life) == 1 && is_abandoned(v, s->pal) && registry_kill(s);
}

/* Look at some owners. True if a PAL was killed; `*passed` slots were passed. */
static bool collect_some(struct vcpu *v, unsigned looks, unsigned *passed)
{
    bool found = false;

    for (*passed = 0; !found && *passed < TV_SLOTS && looks > 0; ++*passed) {
        unsigned index = atomic_fetch_add(&cursor, 1) % TV_SLOTS;
        struct tv_slot *s =
            registry_get_index(index, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING) | TV_IN(TV_REGISTERING));
        if (s != NULL) {
            looks--;
            found = collect(v, s);
            registry_put(s);
        }
    }
    return found;
}

enum room death_look(struct vcpu *v, unsigned looks)
{
    unsigned passed;

    /* What somebody else saw who didn't go on says nothing about the owners of today. CPUs' TSCs may
     * differ. */
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
    return more || pool_free_count() >= pages ? ROOM_AGAIN : death_look(v, LOOKS);
}
