/* SPDX-License-Identifier: MIT */
/*
 * TV_HC_REG, in steps: room, copy in, measure, recheck, overwrite. Up to TV_ATOMIC_PAGES
 * the whole copy happens in one exit, and so do recheck and overwrite: an error or a
 * fault before has changed nothing. A larger PAL is overwritten in steps once all its
 * pages were seen writable.
 *
 * Between steps the caller's RDX holds a random token, so that the hypercall executed
 * again is told from a new one; RDX gets its value back at the end.
 */
#include "pal.h"
#include <util/string.h>

/* Instructions of one exit, and what a page of each phase takes of them. Hashing goes by smaller
 * pieces: a page takes more than an exit may. */
#define BUDGET         170000 /* a piece and what surrounds it take up to a tenth more */
#define COST_COMPARE   16     /* of two sections: its own, and its own with other PALs' */
#define COST_BESIDE    10     /* of another PAL's being there: its link, and five times for a reference */
#define COST_GATE      8      /* of finding a place for the gate, and two sections */
#define COST_COPY      1000
#define COST_PIECE     300    /* of a piece, less the hashing itself */
#define PIECE          512u
#define COST_RECHECK   260
#define COST_OVERWRITE 800
#define COST_ROOM      2000   /* wiping a page or looking at an owner */
#define COST_WIPE      700    /* of a page of `seen` */

#define KEPT OWNER_LOOK_MAX   /* bytes at the entry that tell whether its page is what it was */

#define PAGE_RIGHTS (ACCESS_READ | ACCESS_WRITE | ACCESS_USER)

/* What a phase says. */
enum step { STEP_NEXT, STEP_AGAIN, STEP_FAULT, STEP_ERROR };

struct work {
    struct vcpu *v;
    const struct hyp_caller *c;
    struct tv_pal *pal;
    int budget;
    enum tv_error error;     /* for STEP_ERROR */
    struct gm_fault fault;   /* for STEP_FAULT */
};

/* Where page `index`, which is in this section, is. */
static uint64_t page_va(const struct tv_section *s, uint32_t index)
{
    return s->start + (uint64_t)(index - s->first) * PAGE_SIZE;
}

static uint32_t entry_index(const struct tv_image *im)
{
    const struct tv_section *s = &im->sections[im->code];

    return s->first + (uint32_t)((im->entry - s->start) >> PAGE_SHIFT);
}

static bool afford(struct work *w, int cost)
{
    if (w->budget < cost) {
        return false;
    }
    w->budget -= cost;
    return true;
}

static enum step failed(struct work *w, enum gm_result r)
{
    w->error = TV_NOT_RAM;
    return r == GM_FAULT ? STEP_FAULT : STEP_ERROR;
}

/* --- room ----------------------------------------------------------------------- */

static enum step out_of_memory(struct work *w, size_t pages)
{
    w->error = TV_NO_MEMORY;
    if (w->budget < BUDGET - COST_COMPARE * 1000) {
        return STEP_AGAIN; /* looking for memory takes an exit of its own */
    }
    w->budget = 0;
    return death_make_room(w->v, pages) == ROOM_NONE ? STEP_ERROR : STEP_AGAIN;
}

static enum step phase_room(struct work *w)
{
    struct tv_pal *pal = w->pal;
    size_t need = space_need(&pal->image) + pal->image.pages / 256 + 2;

    if (pool_free_count() < need) {
        return out_of_memory(w, need);
    }
    if (!afford(w, (int)(pal->image.section_count * pal->image.section_count * COST_GATE))) {
        return STEP_AGAIN; /* comparing with many others has taken all */
    }
    /* Another CPU may have been faster: what was taken so far goes back in any case. */
    w->error = TV_NO_MEMORY;
    return space_init(&pal->space, &pal->image) && pageset_init(&pal->reg.seen, pal->image.pages)
               ? STEP_NEXT : STEP_ERROR;
}

/* --- copy ----------------------------------------------------------------------- */

/* A frame was seen before, at another page: is it still there? In a long registration the OS
 * may have moved that page, and given its frame to another one of ours. If the page is away, the
 * OS has to bring it back first: it may be the same frame. */
static enum step check_moved(struct work *w, uint32_t number, gpa_t g)
{
    const struct tv_section *sec = tv_section_of(&w->pal->image, number);
    void *page;
    gpa_t now;
    enum gm_result r = gm_page(w->c, gva(page_va(sec, number)), ACCESS_READ | ACCESS_USER, &page,
                               &now, &w->fault);

    w->error = TV_DUPLICATE_PAGE;
    return r == GM_FAULT ? STEP_FAULT : r == GM_OK && now.a == g.a ? STEP_ERROR : STEP_NEXT;
}

/* The same page twice would be lost when it is overwritten: of what is only read it does no harm. */
static enum step remember_page(struct work *w, uint32_t index, gpa_t g)
{
    uint64_t *entry = pageset_put(&w->pal->reg.seen, g, index);
    enum step s = STEP_NEXT;

    if (pageset_number(*entry) != index) {
        s = check_moved(w, pageset_number(*entry), g);
        if (s == STEP_NEXT) {
            pageset_renumber(entry, index);
        }
    }
    return s;
}

static enum step copy_page(struct work *w, const struct tv_section *sec, uint32_t index)
{
    const bool shared = tv_is_shared(sec->type);
    struct tv_pal *pal = w->pal;
    void *page, *frame;
    gpa_t g;
    enum gm_result r = gm_page(w->c, gva(page_va(sec, index)),
                               shared ? ACCESS_READ | ACCESS_USER : PAGE_RIGHTS, &page, &g,
                               &w->fault);

    if (r != GM_OK) {
        return failed(w, r);
    }
    /* First what may have to be tried again: the OS can give us another page each time, and there
     * is room for one to be remembered. */
    frame = space_add(&pal->space, sec, index);
    if (frame == NULL) {
        return out_of_memory(w, pal->image.pages - index);
    }
    if (!shared) {
        enum step s = remember_page(w, index, g);
        if (s != STEP_NEXT) {
            return s;
        }
    }
    hw_copy64(frame, page, PAGE_SIZE / 8);
    return STEP_NEXT;
}

/* Which pages were seen is of no more use: for a large PAL that is many pages to wipe. */
static enum step forget_seen(struct work *w)
{
    uint32_t budget = w->budget < 0 ? 0 : (uint32_t)w->budget / COST_WIPE, left = budget;
    bool done = pageset_free(&w->pal->reg.seen, &left);

    w->budget -= (int)(budget - left) * COST_WIPE;
    return done ? STEP_NEXT : STEP_AGAIN;
}

static enum step phase_copy(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;
    const struct tv_image *im = &w->pal->image;
    const struct tv_section *sec = tv_section_of(im, reg->page);

    if (reg->page == 0 && im->pages <= TV_ATOMIC_PAGES && w->budget < (int)im->pages * COST_COPY) {
        return STEP_AGAIN; /* a small PAL is copied in one exit */
    }
    for (; reg->page < im->pages; reg->page++) {
        enum step s;
        if (!afford(w, COST_COPY)) {
            return STEP_AGAIN;
        }
        if (reg->page == sec->first + sec->pages) {
            sec++;
        }
        s = copy_page(w, sec, reg->page);
        if (s != STEP_NEXT) {
            return s;
        }
    }
    return forget_seen(w);
}

/* --- measure -------------------------------------------------------------------- */

static _Atomic uint64_t hash_ticks;

uint64_t register_hash_ticks(void)
{
    return atomic_load(&hash_ticks);
}

/* What is hashed before the contents, in pieces, and what a piece takes. */
#define PIECES_BEGIN(entries, sections, params) \
    (1 + (int)((sizeof(struct pal_id_header) + (entries) * sizeof(struct pal_id_entry) + \
                (sections) * sizeof(struct pal_id_section) + \
                (params) * sizeof(struct pal_id_param)) / PIECE))
#define COST_MEASURE(cost_of_block) ((int)(PIECE / SHA256_BLOCK * (cost_of_block)) + COST_PIECE)
_Static_assert(PIECES_BEGIN(XMHF_PAL_ENTRIES, XMHF_PAL_SECTIONS, XMHF_PAL_PARAMS)
               * COST_MEASURE(HYP_SHA256_COST_MAX) <= BUDGET, "one exit can do it");

/* As many pieces as this exit affords: in this phase reg->page counts those, and the beginning. */
static enum step measure_some(struct work *w)
{
    const uint32_t pieces = PAGE_SIZE / PIECE;
    const struct tv_image *im = &w->pal->image;
    struct tv_registration *reg = &w->pal->reg;
    const struct hyp_sha256 sha = hyp_sha256(); /* this CPU's; the last exit may have been elsewhere */
    const int cost = COST_MEASURE(sha.cost);

    if (reg->page == 0) {
        if (!afford(w, cost * PIECES_BEGIN(im->entry_count, im->section_count, im->param_count))) {
            return STEP_AGAIN;
        }
        tv_identity_begin(&reg->hash, sha.blocks, im);
        reg->page++;
    }
    reg->hash.blocks = sha.blocks;
    for (; reg->page <= pieces * im->pages; reg->page++) {
        const uint32_t piece = reg->page - 1;
        const uint8_t *frame;
        if (!afford(w, cost)) {
            return STEP_AGAIN;
        }
        frame = space_frame(&w->pal->space, piece / pieces);
        tv_identity_add(&reg->hash, frame + piece % pieces * PIECE, PIECE);
    }
    tv_identity_end(&reg->hash, w->pal->identity);
    memset(&reg->hash, 0, sizeof(reg->hash));
    return STEP_NEXT;
}

static enum step phase_measure(struct work *w)
{
    uint64_t start = clock_now();
    enum step s = measure_some(w);

    atomic_fetch_add_explicit(&hash_ticks, clock_since(start), memory_order_relaxed);
    return s;
}

/* --- recheck and overwrite ------------------------------------------------------ */

static void overwrite(const struct tv_pal *pal, const struct tv_section *sec, uint32_t index,
                      void *page)
{
    if (index == entry_index(&pal->image)) {
        stubs_write(pal, page);
    } else if (tv_is_code(sec->type)) {
        hw_fill64(page, 0xccccccccccccccccULL, PAGE_SIZE / 8); /* INT3 */
    } else {
        hw_fill64(page, 0, PAGE_SIZE / 8);
    }
}

/* The caller's pages of one section, to be overwritten. */
static enum step find_pages(struct work *w, const struct tv_section *sec,
                            void *pages[TV_ATOMIC_PAGES])
{
    for (uint32_t i = sec->first; i < sec->first + sec->pages; i++) {
        gpa_t g;
        enum gm_result r =
            gm_page(w->c, gva(page_va(sec, i)), PAGE_RIGHTS, &pages[i], &g, &w->fault);
        if (r != GM_OK) {
            return failed(w, r);
        }
    }
    return STEP_NEXT;
}

/* All in one exit: the guest can't take a page away before we return, since whoever
 * unmaps it waits for this CPU to flush its TLB. */
static enum step commit_at_once(struct work *w)
{
    void *pages[TV_ATOMIC_PAGES];
    struct tv_pal *pal = w->pal;
    const struct tv_section *sec = pal->image.sections, *end = sec + pal->image.section_count;

    if (!afford(w, (int)pal->image.pages * (COST_RECHECK + COST_OVERWRITE))) {
        return STEP_AGAIN;
    }
    for (; sec < end; sec++) {
        enum step s = tv_is_shared(sec->type) ? STEP_NEXT : find_pages(w, sec, pages);
        if (s != STEP_NEXT) {
            return s;
        }
    }
    for (sec = pal->image.sections; sec < end; sec++) {
        for (uint32_t i = 0; i < sec->pages && !tv_is_shared(sec->type); i++) {
            overwrite(pal, sec, sec->first + i, pages[sec->first + i]);
        }
    }
    return STEP_NEXT;
}

static enum step phase_recheck(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;

    if (w->pal->image.pages <= TV_ATOMIC_PAGES) {
        return commit_at_once(w);
    }
    for (; reg->page < w->pal->image.pages; reg->page++) {
        const struct tv_section *sec = tv_section_of(&w->pal->image, reg->page);
        void *page;
        gpa_t g;
        enum gm_result r;
        if (!afford(w, COST_RECHECK)) {
            return STEP_AGAIN;
        }
        if (tv_is_shared(sec->type)) {
            reg->page = sec->first + sec->pages - 1;
            continue;
        }
        r = gm_page(w->c, gva(page_va(sec, reg->page)), PAGE_RIGHTS, &page, &g, &w->fault);
        if (r != GM_OK) {
            return failed(w, r);
        }
    }
    return STEP_NEXT;
}

/* Only for a large PAL. The entry's page comes last: before it is written nothing can be
 * called. A page that became something else than RAM is no longer what was copied. */
static enum step phase_overwrite(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;
    const struct tv_image *im = &w->pal->image;
    uint32_t last = entry_index(im);

    if (im->pages <= TV_ATOMIC_PAGES) {
        return STEP_NEXT;
    }
    for (; reg->page <= im->pages; reg->page++) {
        uint32_t index = reg->page == im->pages ? last : reg->page;
        const struct tv_section *sec = tv_section_of(im, index);
        void *page;
        gpa_t g;
        enum gm_result r;
        if (reg->page == last) {
            continue;
        }
        if (!afford(w, COST_RECHECK + COST_OVERWRITE)) {
            return STEP_AGAIN;
        }
        if (tv_is_shared(sec->type)) {
            reg->page = sec->first + sec->pages - 1;
            continue;
        }
        r = gm_page(w->c, gva(page_va(sec, index)), PAGE_RIGHTS, &page, &g, &w->fault);
        if (r == GM_FAULT) {
            return STEP_FAULT;
        }
        if (r == GM_OK) {
            overwrite(w->pal, sec, index, page);
        }
    }
    return STEP_NEXT;
}

bool register_began_overwriting(const struct tv_pal *pal)
{
    return pal->reg.phase == PHASE_OVERWRITE;
}

bool register_overwrites(struct vcpu *v, const struct tv_pal *pal)
{
    const uint64_t at = align_down(pal->image.entry, KEPT);
    const uint8_t *frame;

    if (!register_began_overwriting(pal)) {
        return false;
    }
    frame = space_frame(&pal->space, entry_index(&pal->image));
    return owner_look(v, pal, at, frame + (at & PAGE_MASK), KEPT) != OWNER_GONE;
}

/* --- steps ---------------------------------------------------------------------- */

static enum step one_phase(struct work *w)
{
    switch (w->pal->reg.phase) {
    case PHASE_ROOM:
        return phase_room(w);
    case PHASE_COPY:
        return phase_copy(w);
    case PHASE_MEASURE:
        return phase_measure(w);
    case PHASE_RECHECK:
        return phase_recheck(w);
    default:
        return phase_overwrite(w);
    }
}

static void go_live(struct tv_pal *pal)
{
    call_ready(pal);
    pal->sandbox = (struct sandbox){
        .nested_root = space_nested_root(&pal->space),
        .cr3 = space_cr3(&pal->space),
        .mode = pal->image.mode == PAL_ID_MODE_64 ? SANDBOX_64 : SANDBOX_32,
        .tag = sandbox_new_tag(),
    };
    pal->budget = pal->image.budget != 0 ? pal->image.budget : tv_budget;
    pal->charge = (uint32_t)space_size(&pal->space) + call_pages(&pal->image);
    registry_change(pal->slot, TV_REGISTERING, TV_LIVE);
}

/* Pages that may be wiped, and owners looked at, in an exit that has done so much. */
static uint32_t affordable(uint32_t spent)
{
    uint32_t n = spent < BUDGET ? (BUDGET - spent) / COST_ROOM : 0;

    return n < 8 ? 8 : n;
}

/* Nothing comes of it. */
static void discard(struct work *w)
{
    w->v->regs.gpr[GPR_RDX] = w->pal->reg.rdx;
    death_discard(w->v, w->pal->slot, affordable((uint32_t)(BUDGET - w->budget)));
}

/* Come again: the hypercall is executed once more, with the token. */
static enum hc_result come_again(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;

    w->v->regs.gpr[GPR_RDX] = reg->token;
    reg->last_step = clock_now();
    registry_put(w->pal->slot);
    return HC_AGAIN;
}

static enum hc_result pause_for_fault(struct work *w)
{
    enum hc_result r = HC_AGAIN;

    if (w->pal->reg.phase == PHASE_COPY && w->pal->image.pages <= TV_ATOMIC_PAGES) {
        /* Nothing worth keeping, and the guest may never come back after the fault. */
        discard(w);
    } else {
        r = come_again(w);
    }
    hyp_inject_fault(w->v, &w->fault);
    return r;
}

/* The caller holds the only reference; it is given back here. `spent`: instructions so far. */
static enum hc_result steps(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                            uint32_t spent)
{
    struct work w = { .v = v, .c = c, .pal = pal, .budget = BUDGET - (int)spent };

    while (pal->reg.phase <= PHASE_OVERWRITE) {
        switch (one_phase(&w)) {
        case STEP_NEXT:
            if (++pal->reg.phase == PHASE_OVERWRITE) {
                owner_remember(pal);
            }
            pal->reg.page = 0;
            break;
        case STEP_AGAIN:
            return come_again(&w);
        case STEP_FAULT:
            return pause_for_fault(&w);
        default:
            discard(&w);
            return tv_done(v, w.error);
        }
    }
    v->regs.gpr[GPR_RDX] = pal->reg.rdx;
    go_live(pal);
    registry_put(pal->slot);
    return tv_done(v, TV_OK);
}

/* --- the first step ------------------------------------------------------------- */

/* Read a count and that many entries of 16 bytes behind it: no more, since the object may
 * end with its page. Each byte is fetched once. `max` entries fit `out`. */
static enum gm_result read_list(const struct hyp_caller *c, uint64_t from, void *out,
                                uint32_t max, struct gm_fault *f)
{
    uint32_t *header = out;
    enum gm_result r =
        tv_reaches(c, from, 8, f) ? gm_read(c, gva(from), header, 8, f) : GM_FAULT;

    if (r != GM_OK || header[0] < 1 || header[0] > max) {
        return r;
    }
    return tv_reaches(c, from + 8, header[0] * 16, f)
               ? gm_read(c, gva(from + 8), header + 2, header[0] * 16, f) : GM_FAULT;
}

/* Has nobody gone on with this registration for too long? One at the same place was abandoned, by a signal
 * handler, say; a thread elsewhere may wait for a CPU. Of one that overwrites the contents would be lost. */
static bool given_up(const struct tv_pal *pal, enum registry_answer why)
{
    return tv_quiet(pal, register_began_overwriting(pal) ? TV_ABANDONED_TICKS
                         : why == REGISTRY_CONFLICT      ? TV_STALE_TICKS : TV_SLOW_TICKS);
}

/* A PAL of this process is in the way. Sort out whether it still means anything. */
static enum hc_result conflict(struct vcpu *v, enum registry_answer why, struct tv_slot *other,
                               uint64_t entry, uint32_t spent)
{
    uint64_t life = atomic_load(&other->life);
    enum tv_error e = other->pal->image.entry == entry ? TV_EXISTS : TV_OVERLAP;

    if (slot_state(life) == TV_REGISTERING) {
        if (slot_refs(life) == 1 && given_up(other->pal, why)) {
            registry_kill(other);
        }
    } else if (why == REGISTRY_CONFLICT && slot_state(life) != TV_DYING && !death_collect(v, other)) {
        registry_put(other);
        return tv_done(v, e);
    }
    registry_put(other);
    death_reap(v, affordable(spent));
    return HC_AGAIN;
}

/* No slot is free, or this process has too much; dead processes may have left some of them,
 * those with its own CR3 included. */
static enum hc_result full(struct vcpu *v, enum registry_answer why, uint32_t spent)
{
    enum tv_error e = why == REGISTRY_QUOTA ? TV_QUOTA
                      : why == REGISTRY_QUOTA_PAGES ? TV_QUOTA_PAGES : TV_QUOTA_ALL;

    if (death_reap(v, affordable(spent)) || death_look(v, affordable(spent)) != ROOM_NONE) {
        return HC_AGAIN;
    }
    return tv_done(v, e);
}

static enum hc_result add(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal)
{
    uint64_t entry = pal->image.entry;
    enum registry_answer answer;
    struct tv_slot *other;
    uint32_t spent;

    pal->charge = (uint32_t)space_need(&pal->image) + call_pages(&pal->image);
    if (pal->charge > pool_total()) {
        call_free(pal);
        return tv_done(v, TV_NO_MEMORY);
    }
    pal->owner = c->paging;
    pal->owner.pkru = 0; /* a thread's, and of this moment */
    pal->reg.rdx = v->regs.gpr[GPR_RDX];
    pal->reg.last_step = clock_now();
    hyp_random(&pal->reg.token, pal->image.word); /* as much as RDX, or EDX, holds */
    hyp_random(pal->nonce, sizeof(pal->nonce));
    stubs_place(pal);
    answer = registry_add(pal, tv_owner(&c->paging), &other);
    spent = pal->reg.compared * COST_COMPARE + pal->reg.beside * COST_BESIDE;
    if (answer == REGISTRY_ADDED) {
        return steps(v, c, pal, spent);
    }
    call_free(pal);
    if (answer == REGISTRY_AGAIN) {
        return HC_AGAIN;
    }
    return other != NULL ? conflict(v, answer, other, entry, spent) : full(v, answer, spent);
}

/* A control page, after looking for room if need be. NULL: `*r` is what to do. */
static struct tv_pal *new_pal(struct vcpu *v, bool own, enum hc_result *r)
{
    enum room room = death_make_room(v, 3);
    struct tv_pal *pal = room == ROOM_FOUND ? call_new(own) : NULL;

    if (pal == NULL) {
        *r = room == ROOM_NONE ? tv_done(v, TV_NO_MEMORY) : HC_AGAIN;
    }
    return pal;
}

/* `e`: what was found wrong with pal->image. */
static enum hc_result begin(struct vcpu *v, const struct hyp_caller *c, struct tv_pal *pal,
                            enum tv_error e)
{
    enum room room;

    if (e != TV_OK) {
        call_free(pal);
        return tv_done(v, e);
    }
    if (!call_attach(pal)) {
        uint32_t need = call_pages(&pal->image);
        call_free(pal);
        room = death_make_room(v, need);
        return room == ROOM_NONE ? tv_done(v, TV_NO_MEMORY) : HC_AGAIN;
    }
    return add(v, c, pal);
}

enum hc_result tv_register(struct vcpu *v, const struct hyp_caller *c)
{
    struct tv_pal_sections sections;
    struct tv_pal_params params;
    struct tv_pal *pal;
    struct gm_fault f;
    enum hc_result answer = HC_AGAIN;
    enum gm_result r = read_list(c, tv_arg(v, c, GPR_RCX), &sections, TV_MAX_SECTIONS, &f);

    if (r == GM_OK) {
        r = read_list(c, tv_arg(v, c, GPR_RSI), &params, TV_MAX_PARAMS, &f);
    }
    if (r != GM_OK) {
        return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, TV_NOT_RAM);
    }
    pal = new_pal(v, false, &answer);
    return pal == NULL ? answer
           : begin(v, c, pal, tv_check(&sections, &params, tv_arg(v, c, GPR_RDI), tv_wide(c),
                                       &pal->image));
}

/* Size and version, and the rest only if they are known: another version's may be shorter, and end with
 * its page. Each byte is fetched once. */
static enum gm_result read_own(const struct hyp_caller *c, uint64_t from, struct xmhf_pal *d,
                               struct gm_fault *f)
{
    const uint32_t head = offsetof(struct xmhf_pal, convention), rest = sizeof(*d) - head;
    enum gm_result r = tv_reaches(c, from, head, f) ? gm_read(c, gva(from), d, head, f) : GM_FAULT;

    if (r != GM_OK || !tv_known_struct(d)) {
        return r;
    }
    return tv_reaches(c, from + head, rest, f)
               ? gm_read(c, gva(from + head), (uint8_t *)d + head, rest, f) : GM_FAULT;
}

enum hc_result tv_register_own(struct vcpu *v, const struct hyp_caller *c)
{
    struct xmhf_pal d;
    struct tv_pal *pal;
    struct gm_fault f;
    enum hc_result answer = HC_AGAIN;
    enum gm_result r = read_own(c, tv_arg(v, c, GPR_RCX), &d, &f);

    if (r != GM_OK) {
        return r == GM_FAULT ? tv_fault(v, &f) : tv_done(v, TV_NOT_RAM);
    }
    if (!tv_known_struct(&d)) {
        return tv_done(v, TV_BAD_STRUCT);
    }
    pal = new_pal(v, true, &answer);
    return pal == NULL ? answer
           : begin(v, c, pal, tv_check_own(&d, tv_arg(v, c, GPR_RDI), tv_wide(c), &pal->image));
}

enum hc_result tv_register_step(struct vcpu *v, const struct hyp_caller *c)
{
    const uint64_t entry = tv_arg(v, c, GPR_RDI);
    bool busy;
    struct tv_slot *s = registry_get_idle(tv_owner(&c->paging), entry, &busy);

    if (s == NULL) {
        return busy ? HC_AGAIN : HC_UNKNOWN;
    }
    if (s->pal->reg.token == tv_arg(v, c, GPR_RDX) && s->pal->image.entry == entry &&
        s->pal->image.caller_wide == tv_wide(c)) {
        return steps(v, c, s->pal, 0);
    }
    registry_put(s);
    return HC_UNKNOWN;
}
