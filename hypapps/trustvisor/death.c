/* SPDX-License-Identifier: MIT */
/* Ends PALs: closes them to calls, records and logs why they died, wipes what is left. */
#include "death.h"
#include "memory.h"
#include "registry.h"
#include <util/string.h>

#define RECORDS     256u   /* last deaths, by hash of the owner */

struct record {
    uint64_t owner, entry;
    uint64_t nonce[TV_NONCE_SIZE / 8];
    bool image;
    uint64_t rax, rcx, rdx;  /* what a caller is told of it, of an image */
    struct xmhf_pal_stats stats;
};

static struct spinlock record_lock = SPINLOCK_INIT; /* guards records[]; nothing is taken inside */
static struct record records[RECORDS];
static atomic_flag reaping = ATOMIC_FLAG_INIT;

static const char *const death_text[] = {
#define X(name, number, sentence) [number] = sentence,
    TV_DEATHS(X)
#undef X
};

static const char *const section_name[] = {
    [TV_SECTION_CODE] = "CODE", [TV_SECTION_DATA] = "DATA", [TV_SECTION_PARAM] = "PARAM",
    [TV_SECTION_STACK] = "STACK", [TV_SECTION_SHARED_CODE] = "SHARED_CODE",
    [XMHF_SECTION_RODATA] = "RODATA", [XMHF_SECTION_BSS] = "BSS",
};

/* --- records -------------------------------------------------------------------- */

static struct record *record_of(uint64_t owner)
{
    return &records[(owner * 0x9e3779b97f4a7c15ULL) >> 56];
}

/* Why and where: enum tv_death in bits 7:0, vector in 15:8, section in 23:16, offset of the
 * instruction there in 63:32. */
static uint64_t death_word(const struct tv_pal *pal, const struct death_cause *d)
{
    const struct tv_section *sec = tv_section_at(&pal->image, d->rip);
    uint64_t at = !sec ? XMHF_NO_SECTION
                              : (uint64_t)(sec - pal->image.sections) | (d->rip - sec->start) << 16;

    return (uint64_t)d->why | (uint64_t)(d->vector & 0xff) << 8 | at << 16;
}

/* What is told of an address that the PAL touched: of an image its page, of a debug image all
 * (notes/decisions/death-address.md). With the module interface nothing, as ever. */
static uint64_t told(const struct tv_image *im, uint64_t address)
{
    return !im->image ? 0
           : im->flags & XMHF_IMAGE_DEBUG ? address : align_down(address, PAGE_SIZE);
}

void death_status(const struct tv_pal *pal, uint64_t gpr[16])
{
    uint64_t word = atomic_load(&pal->death);

    gpr[GPR_RAX] = atomic_load(&pal->death_address);
    gpr[GPR_RCX] = (uint32_t)word;
    gpr[GPR_RDX] = word >> 32;
}

void death_stats(struct tv_pal *pal, struct xmhf_pal_stats *st)
{
    uint64_t word = atomic_load(&pal->death);

    *st = (struct xmhf_pal_stats){
        .version = XMHF_MODULE_VERSION,
        .stacks = pal->image.stacks,
        .death = XMHF_STATUS_DEATH(word),
        .vector = XMHF_STATUS_VECTOR(word),
        .section = word == 0 ? XMHF_NO_SECTION : XMHF_STATUS_SECTION(word),
        .offset = (uint32_t)(word >> 32),
        .address = atomic_load(&pal->death_address),
    };
    memcpy(st->identity, pal->identity, sizeof(st->identity));
    for (uint32_t k = 0; k < pal->image.stacks; k++) {
        struct tv_activation *act = tv_act(pal, k);
        uint64_t calls = atomic_load(&act->calls);
        st->calls += calls;
        st->interruptions += atomic_load(&act->interrupted);
        /* Each call has left the PAL by the return page, but for one that is under way. */
        st->exits += calls - (calls != 0 && atomic_load(&act->state) != ACT_FREE)
            + atomic_load(&act->others);
    }
}

static void record(struct tv_pal *pal, uint64_t owner)
{
    struct record r = { .owner = owner, .entry = pal->image.entry, .image = pal->image.image };
    uint64_t gpr[16];

    memcpy(r.nonce, pal->nonce, sizeof(r.nonce));
    death_status(pal, gpr);
    r.rax = gpr[GPR_RAX];
    r.rcx = gpr[GPR_RCX];
    r.rdx = gpr[GPR_RDX];
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

bool death_tells(uint64_t owner, uint64_t stubs, const uint64_t nonce[2], uint64_t gpr[16])
{
    struct record r;

    if (!recall(owner, &r) || r.entry != stubs || !r.image
        || memcmp(r.nonce, nonce, sizeof(r.nonce)) != 0
        || r.stats.death == TV_DEATH_OWNER_GONE) {
        return false;
    }
    gpr[GPR_RAX] = r.rax;
    gpr[GPR_RCX] = r.rcx;
    gpr[GPR_RDX] = r.rdx;
    return true;
}

/* Where, without an address: a production PAL tells no more. */
static void log_death(const struct tv_slot *s, const struct death_cause *d)
{
    const struct tv_section *sec = tv_section_at(&s->pal->image, d->rip);

    if (d->why == TV_DEATH_OWNER_GONE) {
        log_line("PAL %u ended: %s", registry_index(s), death_text[d->why]);
    } else if (!sec) {
        log_line("PAL %u died: %s, vector %u, outside its sections", registry_index(s),
                 death_text[d->why], d->vector);
    } else {
        log_line("PAL %u died: %s, vector %u, at %s+0x%llx", registry_index(s), death_text[d->why],
                 d->vector, section_name[sec->type], (unsigned long long)(d->rip - sec->start));
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
    uint32_t old[XMHF_MODULE_STACKS];

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

void death_of(struct tv_slot *s, const struct death_cause *d)
{
    struct tv_pal *pal = s->pal;
    uint64_t none = 0;

    /* The cause comes first: other CPUs tell it to their callers as soon as they see the PAL
     * dying. */
    if (!atomic_compare_exchange_strong(&pal->death, &none, death_word(pal, d))) {
        while (slot_state(atomic_load(&s->life)) != TV_DYING) { /* who was first is about to */
            hw_pause();
        }
        return;
    }
    atomic_store(&pal->death_address, told(&pal->image, d->address));
    if (registry_kill(s)) {
        record(pal, s->owner);
        log_death(s, d);
    }
}

void death_discard(struct vcpu *v, struct tv_slot *s, uint32_t pages)
{
    registry_kill(s);
    registry_put(s);
    death_reap(v, pages);
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
        hyp_sandbox_forget(v, pal->sandbox.tag);
    }
    memory_free(pal);
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
