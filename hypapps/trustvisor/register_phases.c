/* SPDX-License-Identifier: MIT */
/* The work of a registration, phase by phase: compare, room, copy in, measure, recheck,
 * overwrite. */
#include "register_phases.h"
#include "collect.h"
#include "owner.h"
#include "registry.h"
#include "stubs.h"
#include <util/string.h>

/* What a page of each phase takes of an exit's instructions. Hashing goes by smaller
 * pieces: a page takes more than an exit may. */
#define COST_PLACE     8      /* of finding a place for the return page, and two sections */
#define COST_LDT       12000  /* of filling a 16-bit PAL's, ... */
#define COST_SEGMENT   900    /* ... and of a section's return page there, with tables */
#define COST_COPY      1340   /* with a walk that takes 500: no NX, or A isn't set yet */
#define COST_FRESH     400    /* of a page of zeros */
#define COST_PIECE     200    /* of a piece, less the hashing itself */
#define COST_LINES     600    /* of gathering a part of an image's lists */
#define PIECE          512u
#define PIECES         ((uint32_t)PAGE_SIZE / PIECE)
_Static_assert(TV_IDENTITY_PART <= PIECE, "a part costs no more");
#define COST_RECHECK   550
#define COST_OVERWRITE 700
#define COST_WIPE      700    /* of a page of `seen` */
_Static_assert(TV_ATOMIC_PAGES * COST_COPY <= BUDGET
               && (TV_ATOMIC_PAGES + 1) * (COST_RECHECK + COST_OVERWRITE) <= BUDGET,
               "one exit can do it");

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

/* --- comparing ------------------------------------------------------------------ */

/* With the other PALs of the process, if there was no time for it yet: in an exit of its own. */
static enum step phase_compare(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;
    enum registry_answer answer;

    if (reg->judged) {
        return STEP_NEXT;
    }
    if (w->budget < BUDGET) {
        return STEP_AGAIN;
    }
    answer = registry_judge(w->pal, &w->other);
    if (answer == REGISTRY_AGAIN) {
        return STEP_AGAIN;
    }
    w->budget -= (int)(reg->compared * COST_COMPARE + reg->beside * COST_BESIDE);
    w->error = TV_QUOTA;
    return answer == REGISTRY_ADDED ? STEP_NEXT
           : answer == REGISTRY_CONFLICT ? STEP_CONFLICT : STEP_ERROR;
}

/* --- room ----------------------------------------------------------------------- */

static enum step out_of_memory(struct work *w, size_t pages)
{
    w->error = TV_NO_MEMORY;
    if (w->budget < BUDGET - COST_COMPARE * 1000) {
        return STEP_AGAIN; /* looking for memory takes an exit of its own */
    }
    w->budget = 0;
    return collect_room(w->v, pages) == ROOM_NONE ? STEP_ERROR : STEP_AGAIN;
}

static int cost_of_space(const struct tv_image *im)
{
    const uint32_t n = im->section_count;

    return (int)(n * n * COST_PLACE
                 + (im->mode == PAL_ID_MODE_16 ? COST_LDT + n * COST_SEGMENT : 0));
}

static enum step phase_room(struct work *w)
{
    struct tv_pal *pal = w->pal;
    size_t need = pal->reg.need + pal->image.pages / 256 + 2;

    if (pool_free_count() < need) {
        return out_of_memory(w, need);
    }
    if (!afford(w, cost_of_space(&pal->image))) {
        return STEP_AGAIN; /* comparing with many others has taken all */
    }
    /* Another CPU may have been faster: what was taken so far goes back in any case. */
    w->error = TV_NO_MEMORY;
    return space_init(&pal->space, &pal->image) && pageset_init(&pal->reg.seen, pal->image.pages)
               ? STEP_NEXT : STEP_ERROR;
}

/* --- copy ----------------------------------------------------------------------- */

/* A frame was seen before, at another page: is it still there? In a long registration the OS may
 * have moved that page, and given its frame to another one of ours. If the page is away, the OS
 * has to bring it back first: it may be the same frame (notes/bugs/aliased-frame.md). */
static enum step check_moved(struct work *w, uint32_t number, gpa_t g)
{
    const struct tv_section *sec = tv_source_of(&w->pal->image, number);
    void *page;
    gpa_t now;
    enum gm_result r = gm_page(w->c, gva(tv_source_va(sec, number)), ACCESS_READ | ACCESS_USER,
                               &page, &now, &w->fault);

    w->error = TV_DUPLICATE_PAGE;
    return r == GM_FAULT ? STEP_FAULT : r == GM_OK && now.a == g.a ? STEP_ERROR : STEP_NEXT;
}

/* No page may be at two places of a PAL: overwriting it for one would overwrite what belongs to the
 * other, the stubs perhaps. SHARED_CODE, which is only read, doesn't come here. */
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
    enum gm_result r = gm_page(w->c, gva(tv_source_va(sec, index)),
                               shared ? ACCESS_READ | ACCESS_USER : TV_PAGE_RIGHTS, &page, &g,
                               &w->fault);

    if (r != GM_OK) {
        return failed(w, r);
    }
    /* First what may have to be tried again: the OS can give us another page each time, and there
     * is room for one to be remembered (notes/bugs/full-page-set.md). */
    frame = space_add(&pal->space, sec, index);
    if (!frame) {
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

/* An image's page of stubs is none of its pages: it is only looked at. There is room in `seen`,
 * where its stacks aren't. */
static enum step take_stubs(struct work *w)
{
    struct tv_pal *pal = w->pal;
    void *page;
    gpa_t g;
    enum gm_result r = gm_page(w->c, gva(pal->image.entry), TV_PAGE_RIGHTS, &page, &g, &w->fault);

    if (r != GM_OK) {
        return failed(w, r);
    }
    memcpy(pal->module->kept, page, sizeof(pal->module->kept));
    return remember_page(w, pal->image.pages, g);
}

/* Give the memory of `seen` back, as much as this exit affords: for a large PAL that is many
 * pages to wipe. All pages are in, so nobody asks any more. */
static enum step forget_seen(struct work *w)
{
    uint32_t budget = w->budget < 0 ? 0 : (uint32_t)w->budget / COST_WIPE, left = budget;
    bool done = pageset_free(&w->pal->reg.seen, &left);

    w->budget -= (int)(budget - left) * COST_WIPE;
    return done ? STEP_NEXT : STEP_AGAIN;
}

/* Page `index` of the PAL, which is in this section, or the one of its stubs. */
static enum step take_page(struct work *w, const struct tv_section *sec, uint32_t index)
{
    const struct tv_image *im = &w->pal->image;

    if (index == im->pages) {
        return take_stubs(w);
    }
    if (!sec->fresh) {
        return copy_page(w, sec, index);
    }
    return space_add(&w->pal->space, sec, index) ? STEP_NEXT : out_of_memory(w, im->pages - index);
}

static enum step phase_copy(struct work *w)
{
    struct tv_registration *reg = &w->pal->reg;
    const struct tv_image *im = &w->pal->image;
    const struct tv_section *sec = tv_source_of(im, reg->page);
    const uint32_t pages = tv_source_pages(im);

    if (reg->page == 0 && im->pages <= TV_ATOMIC_PAGES && w->budget < (int)pages * COST_COPY) {
        return STEP_AGAIN; /* a small PAL is copied in one exit */
    }
    for (; reg->page < pages; reg->page++) {
        enum step s;
        if (reg->page == sec->first + sec->pages) {
            sec++;
        }
        if (!afford(w, sec->fresh ? COST_FRESH : COST_COPY)) {
            return STEP_AGAIN;
        }
        s = take_page(w, sec, reg->page);
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
_Static_assert(PIECES_BEGIN(XMHF_MODULE_ENTRIES, XMHF_MODULE_SECTIONS, XMHF_MODULE_PARAMS)
               * COST_MEASURE(HYP_SHA256_COST_MAX) <= BUDGET, "one exit can do it");

/* How many pages from `index` on have no contents: as many as the section that begins there. */
static uint32_t pages_not_hashed(const struct tv_image *im, uint32_t index)
{
    const struct tv_section *s = tv_section_of(im, index);

    return s->fresh ? s->pages : 0;
}

/* Parts of what is hashed before the contents. */
static uint32_t parts_of(const struct tv_image *im)
{
    return im->image ? tv_identity_parts(im) : 1;
}

static int cost_of_part(const struct tv_image *im, unsigned cost_of_block)
{
    const int cost = COST_MEASURE(cost_of_block);

    return im->image ? cost + COST_LINES
           : cost * PIECES_BEGIN(im->entry_count, im->section_count, im->param_count);
}

/* As many pieces as this exit affords: in this phase reg->page counts those, and the parts before
 * them. */
static enum step measure_some(struct work *w)
{
    const struct tv_image *im = &w->pal->image;
    struct tv_registration *reg = &w->pal->reg;
    const struct hyp_sha256 sha = hyp_sha256(); /* this CPU's: the last exit may be another's */
    const uint32_t parts = parts_of(im);

    reg->hash.blocks = sha.blocks;
    for (; reg->page < parts; reg->page++) {
        if (!afford(w, cost_of_part(im, sha.cost))) {
            return STEP_AGAIN;
        }
        if (im->image) {
            tv_identity_part(&reg->hash, sha.blocks, im, reg->page);
        } else {
            tv_identity_begin(&reg->hash, sha.blocks, im);
        }
    }
    for (; reg->page < parts + PIECES * im->pages; reg->page++) {
        const uint32_t piece = reg->page - parts;
        const uint8_t *frame;
        if (im->image && piece % PIECES == 0) {
            const uint32_t skipped = pages_not_hashed(im, piece / PIECES);
            if (skipped != 0) {
                reg->page += skipped * PIECES - 1;
                continue;
            }
        }
        if (!afford(w, COST_MEASURE(sha.cost))) {
            return STEP_AGAIN;
        }
        frame = space_frame(&w->pal->space, piece / PIECES);
        tv_identity_add(&reg->hash, frame + piece % PIECES * PIECE, PIECE);
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
    if (index == tv_stub_page(&pal->image)) {
        stubs_write(pal, page);
    } else if (tv_is_code(sec->type) && !pal->image.image) {
        hw_fill64(page, TV_INT3S, PAGE_SIZE / 8);
    } else {
        hw_fill64(page, 0, PAGE_SIZE / 8);
    }
}

/* The caller's pages of one section, to be overwritten. */
static enum step find_pages(struct work *w, const struct tv_section *sec,
                            void *pages[TV_ATOMIC_PAGES + 1])
{
    for (uint32_t i = sec->first; i < sec->first + sec->pages; i++) {
        gpa_t g;
        enum gm_result r = gm_page(w->c, gva(tv_source_va(sec, i)), TV_PAGE_RIGHTS, &pages[i], &g,
                                   &w->fault);
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
    void *pages[TV_ATOMIC_PAGES + 1];
    struct tv_pal *pal = w->pal;
    const struct tv_image *im = &pal->image;
    const struct tv_section *sec = im->sections, *end = sec + im->section_count + im->image;

    if (!afford(w, (int)tv_source_pages(im) * (COST_RECHECK + COST_OVERWRITE))) {
        return STEP_AGAIN;
    }
    for (; sec < end; sec++) {
        enum step s = tv_is_taken(sec) ? find_pages(w, sec, pages) : STEP_NEXT;
        if (s != STEP_NEXT) {
            return s;
        }
    }
    for (sec = im->sections; sec < end; sec++) {
        for (uint32_t i = 0; i < sec->pages && tv_is_taken(sec); i++) {
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
    for (; reg->page < tv_source_pages(&w->pal->image); reg->page++) {
        const struct tv_section *sec = tv_source_of(&w->pal->image, reg->page);
        void *page;
        gpa_t g;
        enum gm_result r;
        if (!afford(w, COST_RECHECK)) {
            return STEP_AGAIN;
        }
        if (!tv_is_taken(sec)) {
            reg->page = sec->first + sec->pages - 1;
            continue;
        }
        r = gm_page(w->c, gva(tv_source_va(sec, reg->page)), TV_PAGE_RIGHTS, &page, &g, &w->fault);
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
    const uint32_t last = tv_stub_page(im), pages = tv_source_pages(im);

    if (im->pages <= TV_ATOMIC_PAGES) {
        return STEP_NEXT;
    }
    for (; reg->page <= pages; reg->page++) {
        uint32_t index = reg->page == pages ? last : reg->page;
        const struct tv_section *sec = tv_source_of(im, index);
        void *page;
        gpa_t g;
        enum gm_result r;
        if (reg->page == last) {
            continue;
        }
        if (!afford(w, COST_RECHECK + COST_OVERWRITE)) {
            return STEP_AGAIN;
        }
        if (!tv_is_taken(sec)) {
            reg->page = sec->first + sec->pages - 1;
            continue;
        }
        r = gm_page(w->c, gva(tv_source_va(sec, index)), TV_PAGE_RIGHTS, &page, &g, &w->fault);
        if (r == GM_FAULT) {
            return STEP_FAULT;
        }
        if (r == GM_OK) {
            overwrite(w->pal, sec, index, page);
        }
    }
    return STEP_NEXT;
}

enum step register_phase(struct work *w)
{
    switch (w->pal->reg.phase) {
    case PHASE_COMPARE:
        return phase_compare(w);
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
