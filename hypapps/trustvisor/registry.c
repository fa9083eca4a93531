/* SPDX-License-Identifier: MIT */
/*
 * Finds PALs, and keeps count of them: a static table of slots, chained by (address space, page of
 * the stubs) for calls and by address space for quotas and conflicts.
 *
 * Readers of a hash chain take no lock. A writer makes the bucket's sequence number odd
 * while it changes the chain, so a reader that sees the same even number before and
 * after has walked a whole chain, even if slots moved elsewhere meanwhile.
 *
 * The lock is held for a few hundred instructions. Comparing a new PAL with the others of its
 * process takes many times that: it is done with references to them, without the lock. Meanwhile
 * `adding` keeps others from adding to the same chain of owners; PALs may leave it. Where both its
 * lists and those of the others are so long that one exit can't do all, a PAL is linked first and
 * compared in the next exit. Until then nobody else is compared with it, so that of two that
 * overlap one is refused; but no two have their stubs in the same page, by which they are found.
 */
#include "registry.h"

#define BUCKETS       1024u
#define OWNER_BUCKETS 256u
#define GENERATION    (1ULL << 32)
#define LINKS         32u   /* of a chain that are walked while the lock is held */
#define CHAIN_MAX     64u   /* of a bucket: none is as long, since nobody knows the hash's keys */

struct bucket {
    _Atomic uint32_t sequence;
    _Atomic uint16_t head;      /* slot index + 1; 0: empty */
};

static struct spinlock lock = SPINLOCK_INIT;
static struct tv_slot slots[TV_SLOTS];
static struct bucket buckets[BUCKETS];
static uint16_t owners[OWNER_BUCKETS];
static atomic_flag adding[OWNER_BUCKETS];   /* a CPU adds to this chain: a try-lock */
static uint64_t key[2];                     /* of the hash: odd, other ones at each boot */
static uint16_t free_head;
_Atomic uint16_t registry_reap_head;

static uint64_t life_make(uint64_t life, enum tv_state state, unsigned refs)
{
    return (life & ~(GENERATION - 1)) | (uint64_t)state << 16 | refs;
}

/* PALs lie at regular distances, in processes whose numbers are alike: without the last
 * multiplication chains of twenty were seen. */
static struct bucket *bucket_of(uint64_t owner, uint64_t page)
{
    uint64_t h = owner * key[0] + page * key[1];

    return &buckets[(h ^ h >> 32) * 0x9e3779b97f4a7c15ULL >> 54];
}

static unsigned owner_bucket(uint64_t owner)
{
    return (unsigned)(owner * key[0] >> 56);
}

static uint16_t *owner_head(uint64_t owner)
{
    return &owners[owner_bucket(owner)];
}

static uint16_t link_to(const struct tv_slot *s)
{
    return (uint16_t)(s - slots + 1);
}

unsigned registry_index(const struct tv_slot *s)
{
    return (unsigned)(s - slots);
}

void registry_init(void)
{
    key[0] = 0x9e3779b97f4a7c15ULL ^ hw_rdtsc() << 1;
    key[1] = 0xd6e8feb86659fd93ULL ^ hw_rdtsc() << 21;
    for (unsigned i = 0; i < TV_SLOTS; i++) {
        atomic_store(&slots[i].life, 0);
        atomic_store(&slots[i].next, (uint16_t)(i + 2 <= TV_SLOTS ? i + 2 : 0));
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        atomic_store(&buckets[i].head, 0);
    }
    for (unsigned i = 0; i < OWNER_BUCKETS; i++) {
        owners[i] = 0;
        atomic_flag_clear(&adding[i]);
    }
    free_head = 1;
    registry_reap_head = 0;
}

#define FIND_TRIES 50 /* then others change this chain faster than it can be walked */

/* --- look-up without lock ------------------------------------------------------- */

/* The same under the lock, where nothing changes meanwhile. */
static struct tv_slot *find_locked(struct bucket *b, uint64_t owner, uint64_t page)
{
    struct tv_slot *s = NULL;
    uint16_t i;

    spin_lock(&lock);
    i = atomic_load(&b->head);
    for (unsigned n = 0; i != 0 && n < CHAIN_MAX; n++, i = atomic_load(&s->next)) {
        s = &slots[i - 1];
        if (slot_is(s, owner, page)) {
            break;
        }
    }
    spin_unlock(&lock);
    return i != 0 && slot_is(s, owner, page) ? s : NULL;
}

/* The chain's slot with these keys, or NULL. What it returns may be stale at once. */
static struct tv_slot *find(struct bucket *b, uint64_t owner, uint64_t page)
{
    for (unsigned tries = 0; tries < FIND_TRIES; tries++) {
        uint32_t sequence = atomic_load_explicit(&b->sequence, memory_order_acquire);
        uint16_t i = atomic_load_explicit(&b->head, memory_order_acquire);
        struct tv_slot *s = NULL;

        while (i != 0 && !slot_is(s = &slots[i - 1], owner, page)
            && atomic_load_explicit(&b->sequence, memory_order_relaxed) == sequence) {
            i = atomic_load_explicit(&s->next, memory_order_acquire);
        }
        atomic_thread_fence(memory_order_acquire);
        if (!(sequence & 1)
            && atomic_load_explicit(&b->sequence, memory_order_relaxed) == sequence) {
            return i == 0 ? NULL : s;
        }
        hw_pause();
    }
    return find_locked(b, owner, page);
}

struct tv_slot *registry_find(uint64_t owner, uint64_t va, unsigned states)
{
    uint64_t page = va >> PAGE_SHIFT;

    for (;;) {
        struct tv_slot *s = find(bucket_of(owner, page), owner, page);
        if (!s) {
            return NULL;
        }
        switch (registry_take(s, owner, page, states)) {
        case TAKEN:
            return s;
        case NOT_IN_STATE:
            return NULL;
        default:
            break; /* reused since: look again */
        }
    }
}

struct tv_slot *registry_get_idle(uint64_t owner, uint64_t va, bool *busy)
{
    struct bucket *b = bucket_of(owner, va >> PAGE_SHIFT);
    struct tv_slot *s = find(b, owner, va >> PAGE_SHIFT);
    uint64_t life;

    *busy = false;
    if (!s) {
        return NULL;
    }
    life = atomic_load_explicit(&s->life, memory_order_acquire);
    if (slot_state(life) != TV_REGISTERING || !slot_is(s, owner, va >> PAGE_SHIFT)) {
        return NULL;
    }
    *busy = slot_refs(life) != 0
        || !atomic_compare_exchange_strong(&s->life, &life, life + 1);
    return *busy ? NULL : s;
}

struct tv_slot *registry_get_index(unsigned index, unsigned states)
{
    struct tv_slot *s = &slots[index];
    uint64_t life = atomic_load_explicit(&s->life, memory_order_acquire);

    do {
        if (!(TV_IN(slot_state(life)) & states)) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&s->life, &life, life + 1));
    return s;
}

void registry_put(struct tv_slot *s)
{
    uint64_t life = atomic_fetch_sub_explicit(&s->life, 1, memory_order_acq_rel) - 1;

    if (slot_refs(life) == 0 && slot_state(life) == TV_DYING) {
        registry_reap_push(s);
    }
}

bool registry_change(struct tv_slot *s, enum tv_state from, enum tv_state to)
{
    uint64_t life = atomic_load(&s->life);

    do {
        if (slot_state(life) != from) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&s->life, &life,
                                           life_make(life, to, slot_refs(life))));
    return true;
}

/* --- chains, under the lock ----------------------------------------------------- */

static void chain_begin(struct bucket *b)
{
    atomic_fetch_add_explicit(&b->sequence, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void chain_end(struct bucket *b)
{
    atomic_fetch_add_explicit(&b->sequence, 1, memory_order_release);
}

/* Both chains are linked both ways, so that taking a slot out needs no search under the lock. */
static void chain_in(struct tv_slot *s)
{
    struct bucket *b = bucket_of(s->owner, s->page);
    uint16_t *head = owner_head(s->owner), first = atomic_load(&b->head);

    s->prev_of_owner = 0;
    s->next_of_owner = *head;
    if (*head != 0) {
        slots[*head - 1].prev_of_owner = link_to(s);
    }
    *head = link_to(s);
    s->prev = 0;
    if (first != 0) {
        slots[first - 1].prev = link_to(s);
    }
    chain_begin(b);
    atomic_store(&s->next, first);
    atomic_store(&b->head, link_to(s));
    chain_end(b);
}

static void chain_out(struct tv_slot *s)
{
    struct bucket *b = bucket_of(s->owner, s->page);
    uint16_t next = atomic_load(&s->next);

    *(s->prev_of_owner != 0 ? &slots[s->prev_of_owner - 1].next_of_owner : owner_head(s->owner)) =
        s->next_of_owner;
    if (s->next_of_owner != 0) {
        slots[s->next_of_owner - 1].prev_of_owner = s->prev_of_owner;
    }
    if (next != 0) {
        slots[next - 1].prev = s->prev;
    }
    chain_begin(b);
    atomic_store(s->prev != 0 ? &slots[s->prev - 1].next : &b->head, next);
    chain_end(b);
}

/* --- adding ----------------------------------------------------------------------- */

/* The PALs of a process, with a reference to each; the newest first. */
struct family {
    unsigned count, walked;            /* slots, and links of the chain on the way */
    uint16_t slot[TV_PALS_PER_PROCESS];
};

/* Take one more reference. Under the lock; `s` is linked, so it has a reference already, or isn't
 * DYING. */
static void refer(struct tv_slot *s)
{
    atomic_fetch_add(&s->life, 1);
}

/* Gather the PALs of up to LINKS links of the chain, from slot number `i` on. If the chain goes
 * on, returns the last slot of these, with a reference; else NULL. */
static struct tv_slot *gather_some(uint64_t owner, uint16_t i, struct family *f)
{
    struct tv_slot *s = NULL;

    for (unsigned n = 0; i != 0 && n < LINKS; n++, i = s->next_of_owner) {
        s = &slots[i - 1];
        f->walked++;
        if (s->owner == owner && f->count < TV_PALS_PER_PROCESS) {
            refer(s);
            f->slot[f->count++] = i;
        }
    }
    if (i == 0) {
        return NULL;
    }
    refer(s);
    return s;
}

/* Gather all PALs of the process. False: the slot where we stood has left the chain meanwhile; try
 * again. The caller has `adding`. */
static bool gather(uint64_t owner, struct family *f)
{
    struct tv_slot *at = NULL, *before;
    bool linked = true;

    f->count = f->walked = 0;
    do {
        before = at;
        spin_lock(&lock);
        linked = !before || slot_state(before->life) != TV_DYING;
        at = linked ? gather_some(owner, before ? before->next_of_owner : *owner_head(owner), f)
                    : NULL;
        spin_unlock(&lock);
        if (before) {
            registry_put(before);
        }
    } while (at);
    return linked;
}

/* Give all references back but the one to `keep`. */
static void part(const struct family *f, const struct tv_slot *keep)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (&slots[f->slot[i] - 1] != keep) {
            registry_put(&slots[f->slot[i] - 1]);
        }
    }
}

struct sums { unsigned sections; uint64_t pages; };

static struct sums sums_of(const struct family *f)
{
    struct sums sum = { 0 };

    for (unsigned i = 0; i < f->count; i++) {
        const struct tv_pal *pal = slots[f->slot[i] - 1].pal;
        sum.sections += pal->image.sources;
        sum.pages += pal->charge;
    }
    return sum;
}

/* The PAL of the family that overlaps `pal`, or NULL. Without `whole` only the pages of the stubs
 * are looked at. */
static struct tv_slot *overlapping(const struct tv_pal *pal, const struct family *f, bool whole)
{
    const uint64_t page = pal->image.entry >> PAGE_SHIFT;

    for (unsigned i = 0; i < f->count; i++) {
        struct tv_slot *s = &slots[f->slot[i] - 1];
        if (s->pal != pal
            && (s->page == page || (whole && s->pal->reg.judged
                                    && tv_images_overlap(&pal->image, &s->pal->image)))) {
            return s;
        }
    }
    return NULL;
}

/* Of too many registrations under way the oldest, which may end at any time; else NULL. */
static struct tv_slot *surplus(const struct family *f)
{
    struct tv_slot *oldest = NULL;
    unsigned pending = 0;

    for (unsigned i = 0; i < f->count; i++) {
        struct tv_slot *s = &slots[f->slot[i] - 1];
        if (slot_state(s->life) == TV_REGISTERING) {
            pending++;
            oldest = s;
        }
    }
    return pending >= TV_PENDING_MAX ? oldest : NULL;
}

/* Pairs of sections to be compared, `n` of the new one. */
static uint32_t pairs(const struct family *f, uint32_t n)
{
    return f->count * n + sums_of(f).sections;
}

/* May it be one more of this family? */
static enum registry_answer judge(struct tv_pal *pal, const struct family *f, uint32_t most,
                                  struct tv_slot **other)
{
    const uint32_t n = pal->image.sources, compared = pairs(f, n);

    pal->reg.compared = n * n / 2; /* among each other, by now */
    pal->reg.beside = f->walked + 5 * f->count;
    if (compared > TV_COMPARE_MAX) {
        return REGISTRY_QUOTA;
    }
    pal->reg.judged = pal->reg.compared + compared <= most;
    pal->reg.compared += pal->reg.judged ? compared : 0;
    *other = overlapping(pal, f, pal->reg.judged);
    if (*other) {
        return REGISTRY_CONFLICT;
    }
    *other = surplus(f);
    if (*other) {
        return REGISTRY_PENDING;
    }
    return f->count >= TV_PALS_PER_PROCESS ? REGISTRY_QUOTA
           : sums_of(f).pages + pal->charge > tv_pages_per_process(pool_total())
           ? REGISTRY_QUOTA_PAGES : REGISTRY_ADDED;
}

/* Into a free slot, if there is one. */
static enum registry_answer link_in(struct tv_pal *pal, uint64_t owner)
{
    struct tv_slot *s;

    spin_lock(&lock);
    s = free_head == 0 ? NULL : &slots[free_head - 1];
    if (s) {
        free_head = s->next;
        s->pal = pal;
        pal->slot = s;
        atomic_store(&s->owner, owner);
        atomic_store(&s->page, pal->image.entry >> PAGE_SHIFT);
        chain_in(s);
        atomic_store(&s->life, life_make(s->life, TV_REGISTERING, 1));
    }
    spin_unlock(&lock);
    return s ? REGISTRY_ADDED : REGISTRY_FULL;
}

/* What becomes of a PAL, decided while its family is at hand. `most`: pairs of sections that may be
 * compared now. *other is NULL; set, it keeps its reference. */
typedef enum registry_answer decision(struct tv_pal *pal, uint64_t owner, uint32_t most,
                                      const struct family *f, struct tv_slot **other);

/* Decide with references to all PALs of the process, while nobody adds to it. */
static enum registry_answer with_family(decision *decide, struct tv_pal *pal, uint64_t owner,
                                        uint32_t most, struct tv_slot **other)
{
    atomic_flag *mine = &adding[owner_bucket(owner)];
    enum registry_answer answer = REGISTRY_AGAIN;
    struct family f;

    *other = NULL;
    if (atomic_flag_test_and_set_explicit(mine, memory_order_acquire)) {
        return REGISTRY_AGAIN;
    }
    if (gather(owner, &f)) {
        answer = decide(pal, owner, most, &f, other);
    }
    atomic_flag_clear_explicit(mine, memory_order_release);
    part(&f, *other);
    return answer;
}

static enum registry_answer decide_new(struct tv_pal *pal, uint64_t owner, uint32_t most,
                                       const struct family *f, struct tv_slot **other)
{
    const enum registry_answer answer = judge(pal, f, most, other);

    return answer == REGISTRY_ADDED ? link_in(pal, owner) : answer;
}

enum registry_answer registry_add(struct tv_pal *pal, uint64_t owner, uint32_t most,
                                  struct tv_slot **other)
{
    return with_family(decide_new, pal, owner, most, other);
}

static enum registry_answer decide_linked(struct tv_pal *pal, uint64_t owner, uint32_t most,
                                          const struct family *f, struct tv_slot **other)
{
    enum registry_answer answer = REGISTRY_QUOTA; /* others may have come meanwhile */

    (void)owner;
    pal->reg.compared = pairs(f, pal->image.sources) - 2 * pal->image.sources; /* itself */
    pal->reg.beside = f->walked + 5 * f->count;
    if (pal->reg.compared <= most) {
        *other = overlapping(pal, f, true);
        answer = *other ? REGISTRY_CONFLICT : REGISTRY_ADDED;
    }
    pal->reg.judged = answer == REGISTRY_ADDED;
    return answer;
}

enum registry_answer registry_judge(struct tv_pal *pal, struct tv_slot **other)
{
    return with_family(decide_linked, pal, atomic_load(&pal->slot->owner), TV_COMPARE_MAX, other);
}

bool registry_kill(struct tv_slot *s)
{
    uint64_t life = atomic_load(&s->life);

    do {
        if (slot_state(life) == TV_DYING) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&s->life, &life,
                                           life_make(life, TV_DYING, slot_refs(life))));
    spin_lock(&lock);
    chain_out(s);
    spin_unlock(&lock);
    return true;
}

/* Without the lock: what changes meanwhile is counted or not. */
unsigned registry_count(uint64_t owner)
{
    unsigned count = 0;

    for (unsigned i = 0; i < TV_SLOTS; i++) {
        count += slot_state(slots[i].life) == TV_LIVE
            && (owner == REGISTRY_ALL || slots[i].owner == owner);
    }
    return count;
}

unsigned registry_charge(uint64_t owner, uint64_t *pages)
{
    const unsigned alive = TV_IN(TV_REGISTERING) | TV_IN(TV_LIVE) | TV_IN(TV_LEAVING);
    unsigned pals = 0;

    *pages = 0;
    for (unsigned i = 0; i < TV_SLOTS; i++) {
        struct tv_slot *s = slots[i].owner == owner ? registry_get_index(i, alive) : NULL;
        if (s) {
            pals++;
            *pages += s->pal->charge;
            registry_put(s);
        }
    }
    return pals;
}

/* --- the dead ------------------------------------------------------------------- */

struct tv_slot *registry_reap_pop(void)
{
    struct tv_slot *s = NULL;

    spin_lock(&lock);
    if (registry_reap_head != 0) {
        s = &slots[registry_reap_head - 1];
        registry_reap_head = s->next;
    }
    spin_unlock(&lock);
    return s;
}

void registry_reap_push(struct tv_slot *s)
{
    spin_lock(&lock);
    atomic_store(&s->next, registry_reap_head);
    registry_reap_head = link_to(s);
    spin_unlock(&lock);
}

void registry_recycle(struct tv_slot *s)
{
    spin_lock(&lock);
    s->pal = NULL;
    atomic_store(&s->owner, 0);
    atomic_store(&s->page, 0);
    atomic_store(&s->life, life_make(s->life + GENERATION, TV_EMPTY, 0));
    atomic_store(&s->next, free_head);
    free_head = link_to(s);
    spin_unlock(&lock);
}
