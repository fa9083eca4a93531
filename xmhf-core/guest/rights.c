/* SPDX-License-Identifier: MIT */
/*
 * Rights of pages. A call changes what it can in one step; the next one goes on. When all is
 * changed every other CPU is asked to flush (guest/flush.h), and calls are answered AGAIN until all
 * have.
 */
#include <guest/flush.h>
#include <guest/phys.h>
#include <guest/rights.h>
#include <mm/pool.h>
#include <virt/virt.h>

#define RWX (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)

/* In instructions, about: of one step, of looking at a piece of at most 2 MiB, and of each page
 * that changes. The second tree of tables (guest/phys.c) may take 20,000 more. */
#define STEP_COST  60000u
#define PIECE_COST 1500u
#define PAGE_COST  25u

#define JOBS  CPU_MAX /* calls under way; of more the one that was quiet for longest begins anew */
#define STALE 256u    /* calls of others after which one that isn't continued is given up */
#define DYING 64u     /* tables that some CPU may still walk */

/* Split first, which may fail; then set; then wait for flushes. UNDO merges what was split for
 * nothing. */
enum phase { SPLIT, SET, UNDO, WAIT };

/* A call that isn't finished. All under guest_phys_lock. */
static struct job {
    uint64_t first, end;                  /* bytes */
    unsigned rights;
    enum phase phase;
    uint64_t at;                          /* so far in this phase */
    uint64_t stop;                        /* of UNDO */
    uint64_t generation;                  /* that all CPUs have to see */
    enum hyp_rights_answer answer;        /* then */
    uint64_t began, used;                 /* first and last call; 0: a free slot */
} jobs[JOBS];
static uint64_t now;                      /* counts calls */

static struct { hpa_t page; uint64_t generation; } dying[DYING];
static unsigned dying_count;

/* --- turns ---------------------------------------------------------------- */

static _Atomic uint64_t waiters;          /* CPUs, by index, that found the lock taken */
static atomic_uint last_turn;             /* whose it was, index + 1 */

/* Take the lock. Not if this CPU had it last and others have found it taken since: those go first,
 * once. False: not taken, try again. */
static bool take_turn(const struct vcpu *v)
{
    const uint64_t mine = BIT(v->index);

    if (atomic_load(&last_turn) == v->index + 1 && (atomic_exchange(&waiters, 0) & ~mine)) {
        return false;
    }
    if (!guest_phys_lock()) {
        atomic_fetch_or(&waiters, mine);
        return false;
    }
    atomic_fetch_and(&waiters, ~mine);
    atomic_store(&last_turn, v->index + 1);
    return true;
}

/* --- one step ------------------------------------------------------------- */

/* All CPUs have seen generation `which`: free the tables that none of them walks any more. */
static void free_dead(uint64_t which)
{
    unsigned left = 0;

    for (unsigned i = 0; i < dying_count; i++) {
        if (dying[i].generation <= which) {
            pool_free_dirty(core_va(dying[i].page));
        } else {
            dying[left++] = dying[i];
        }
    }
    dying_count = left;
}

static bool is_stale(const struct job *j) { return now - j->used > STALE; }

/* Does another call need what lies below the entry of `level` for `at` as it was split? */
static bool others_need(const struct job *self, uint64_t at, unsigned level)
{
    const uint64_t size = level == 2 ? PAGE_SIZE_2M : PAGE_SIZE_1G, base = align_down(at, size);

    for (unsigned i = 0; i < JOBS; i++) {
        const struct job *j = &jobs[i];
        if (j != self && j->used && !is_stale(j) && (j->phase == SPLIT || j->phase == SET)
            && ranges_overlap(j->first, j->end - j->first, base, size)) {
            return true;
        }
    }
    return false;
}

static bool merge(const struct job *j, uint64_t at)
{
    bool merged = false;
    hpa_t page;

    for (unsigned level = 2; level <= 3; level++) {
        if (!others_need(j, at, level) && guest_phys_merge(gpa(at), level, &page)) {
            dying[dying_count].page = page;
            dying[dying_count++].generation = flush_generation() + 1;
            merged = true;
        }
    }
    return merged;
}

static void next_phase(struct job *j, enum phase phase)
{
    j->stop = j->at;
    j->phase = phase;
    j->at = j->first;
}

/* Split [at, j->at) where the new rights need it. */
static void split(struct job *j, uint64_t at)
{
    if (guest_phys_split(gpa(at), j->at - at, j->rights) != 0) {
        j->answer = HYP_RIGHTS_NO_MEMORY;
        next_phase(j, UNDO);
    } else if (j->at == j->end) {
        next_phase(j, SET);
    }
}

/* Give [at, j->at) its rights (SET), or only merge it again (UNDO). True: CPUs may remember other
 * rights. */
static bool set(struct job *j, uint64_t at)
{
    int n = j->phase == SET ? guest_phys_protect(gpa(at), j->at - at, j->rights) : 0;

    if (n < 0) {
        next_phase(j, SPLIT); /* another call has merged it: this one was quiet for so long */
        return false;
    }
    if (j->at == (j->phase == UNDO ? j->stop : j->end)) {
        j->phase = WAIT;
    }
    return merge(j, at) || n > 0;
}

/* One piece of at most 2 MiB; its cost. */
static unsigned piece(struct job *j, bool *changed)
{
    const uint64_t at = j->at, top = align_down(at, PAGE_SIZE_2M) + PAGE_SIZE_2M;
    const uint64_t size = (top < j->end ? top : j->end) - at;
    struct nested_leaf leaf;

    j->at += size;
    if (j->phase == SPLIT) {
        split(j, at);
    } else {
        *changed |= set(j, at);
    }
    return nested_lookup(&guest_nested, gpa(at), &leaf) && leaf.level > 1
        ? PIECE_COST : PIECE_COST + PAGE_COST * (unsigned)(size / PAGE_SIZE);
}

static enum hyp_rights_answer go_on(struct vcpu *v, struct job *j)
{
    bool changed = false;

    for (unsigned cost = 0; j->phase != WAIT && cost < STEP_COST && dying_count + 2 <= DYING;) {
        cost += piece(j, &changed);
    }
    if (changed) {
        guest_phys_changed();
        j->generation = flush_new_generation();
    }
    if (j->phase != WAIT && dying_count + 2 <= DYING) {
        return HYP_RIGHTS_AGAIN;
    }
    const uint64_t which = flush_generation();
    if (!flush_all_seen(v, j->phase == WAIT ? j->generation : which)) {
        return HYP_RIGHTS_AGAIN;
    }
    free_dead(j->phase == WAIT ? j->generation : which);
    if (j->phase != WAIT) {
        return HYP_RIGHTS_AGAIN;
    }
    j->used = 0;
    return j->answer;
}

/* --- calls ---------------------------------------------------------------- */

static struct job *find_job(uint64_t first, uint64_t end, unsigned rights)
{
    struct job *oldest = &jobs[0];

    now++;
    for (unsigned i = 0; i < JOBS; i++) {
        struct job *j = &jobs[i];
        if (j->used && j->first == first && j->end == end && j->rights == rights) {
            j->used = now;
            return j;
        }
        oldest = j->used < oldest->used ? j : oldest;
    }
    *oldest = (struct job){ .first = first, .end = end, .rights = rights, .at = first, .began = now,
                            .used = now, .generation = flush_generation() };
    return oldest;
}

/* Must this call wait for one that began before it and wants other rights for some of the pages?
 * Else the two could undo each other's work for ever. */
static bool must_wait(const struct job *self)
{
    for (unsigned i = 0; i < JOBS; i++) {
        struct job *j = &jobs[i];
        if (!j->used || j->began >= self->began || j->rights == self->rights
            || !ranges_overlap(j->first, j->end - j->first, self->first, self->end - self->first)) {
            continue;
        }
        if (!is_stale(j)) {
            return true;
        }
        j->used = 0;
    }
    return false;
}

static bool user_exec;                    /* ACCESS_EXEC_USER means something */

int hyp_user_exec(void)
{
    user_exec = virt->user_exec && virt->user_exec();
    return user_exec ? 0 : -1;
}

static bool acceptable_rights(unsigned rights)
{
    const unsigned both = ACCESS_EXEC | ACCESS_EXEC_USER;

    return !(rights & ~(RWX | (user_exec ? ACCESS_EXEC_USER : 0))) && (rights & both) != both
        && (!rights || (rights & ACCESS_READ));
}

static bool acceptable(gpa_t first, uint64_t pages, unsigned rights)
{
    return !(first.a & PAGE_MASK) && pages != 0 && pages < BIT(40) && acceptable_rights(rights)
        && (rights == RWX || guest_phys_can_split())
        && guest_phys_ops.map(first, (size_t)(pages * PAGE_SIZE));
}

enum hyp_rights_answer hyp_rights(struct vcpu *v, gpa_t first, uint64_t pages, unsigned rights)
{
    if (!acceptable(first, pages, rights)) {
        return HYP_RIGHTS_REFUSED;
    }
    if (!take_turn(v)) {
        return HYP_RIGHTS_AGAIN;
    }
    if (rights != RWX) {
        guest_map_judge(guest_phys_rights);
    }
    struct job *j = find_job(first.a, first.a + pages * PAGE_SIZE, rights);
    enum hyp_rights_answer answer = must_wait(j) ? HYP_RIGHTS_AGAIN : go_on(v, j);
    guest_phys_unlock();
    return answer;
}

/* Which of `rights` count for an access now. No CPU tells for sure by which kind of address, the
 * user's or the kernel's, code was fetched; but ring 3 has only the user's. */
static unsigned rights_now(struct vcpu *v, unsigned rights)
{
    struct guest_paging p = { 0 };

    if (rights & ACCESS_EXEC_USER) {
        virt->get_paging(v, &p);
    }
    return access_rights_by(p.cpl == 3, rights);
}

enum rights_fault guest_rights_fault(struct vcpu *v, gpa_t g, unsigned access)
{
    const gpa_t page = gpa(align_down(g.a, PAGE_SIZE));
    struct nested_leaf leaf;

    /* set before the first right is taken; a generation is made only behind that */
    if (!__atomic_load_n(&guest_phys_ops.rights, __ATOMIC_SEQ_CST)
        || !guest_phys_ops.map(page, PAGE_SIZE)
        || !nested_lookup(&guest_nested, page, &leaf)) {
        return RIGHTS_WHOLE;
    }
    if (!(access & RWX & ~rights_now(v, leaf.rights))) {
        virt->flush_nested(v); /* this CPU may remember less */
        return RIGHTS_GIVEN;
    }
    return access & RWX & ~rights_now(v, guest_phys_rights(page)) ? RIGHTS_TAKEN : RIGHTS_WHOLE;
}
