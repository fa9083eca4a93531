/* SPDX-License-Identifier: MIT */
/*
 * TV_HC_UNREG: hand the measured CODE and RODATA back, wipe the rest. Of an image nothing is handed
 * back: the caller has its file, and its page of stubs is filled with INT3. Restartable: once the
 * PAL is LEAVING it can't be called any more, and any further TV_HC_UNREG goes on where the last
 * one stopped. The entry's page is written last, so that the nonce, which shows that the
 * owner is there, stays to the end.
 */
#include "unregister.h"
#include "caller.h"
#include "death.h"
#include "registry.h"
#include "stubs.h"

#define CHECK_PAGES 512u   /* looked at before the point of no return */
#define STEP_PAGES  128u   /* written per exit */
#define OTHER_PAGES 8u     /* of others that are wiped in an exit that has done that much */

enum step { STEP_DONE, STEP_AGAIN, STEP_FAULT, STEP_BUSY };

#define KNOWN_PAGES 16u    /* looked up once only, if all is done in one exit */

struct work {
    const struct hyp_caller *c;
    struct tv_pal *pal;
    struct gm_fault fault;
    uint32_t known;              /* entries of pages[]; they hold until we return, since who
                                    unmaps a page waits for this CPU to flush its TLB */
    uint32_t index[KNOWN_PAGES];
    void *pages[KNOWN_PAGES];
    bool wrote;                  /* pages were written or wiped in this exit */
};

/* The first page of CODE or RODATA from `index` on; im->pages if there is none, as for an image.
 * SHARED_CODE was never taken. */
static uint32_t next_given_back(const struct tv_image *im, uint32_t index)
{
    while (index < im->pages && !im->image) {
        const struct tv_section *s = tv_section_of(im, index);
        if (tv_is_constant(s->type) && !tv_is_shared(s->type)) {
            return index;
        }
        index = s->first + s->pages;
    }
    return im->pages;
}

static enum gm_result caller_page(struct work *w, uint32_t index, void **page)
{
    const struct tv_section *s = tv_source_of(&w->pal->image, index);
    gpa_t g;

    for (uint32_t i = 0; i < w->known; i++) {
        if (w->index[i] == index) {
            *page = w->pages[i];
            return GM_OK;
        }
    }
    return gm_page(w->c, gva(tv_source_va(s, index)), TV_PAGE_RIGHTS, page, &g, &w->fault);
}

/* As long as nothing is changed, a fault leaves the PAL as it was. */
static bool check_pages(struct work *w)
{
    const struct tv_image *im = &w->pal->image;
    uint32_t index = next_given_back(im, 0);
    void *stubs;

    if (im->image) {
        return caller_page(w, tv_stub_page(im), &stubs) != GM_FAULT;
    }
    for (uint32_t n = 0; n < CHECK_PAGES && index < im->pages; n++) {
        void *page;
        enum gm_result r = caller_page(w, index, &page);
        if (r == GM_FAULT) {
            return false;
        }
        if (r == GM_OK && w->known < KNOWN_PAGES) {
            w->index[w->known] = index;
            w->pages[w->known++] = page;
        }
        index = next_given_back(im, index + 1);
    }
    return true;
}

/* Wipe the frames, some per exit: TV_OK says that nothing is left of the PAL. */
static enum step wipe(struct work *w)
{
    uint32_t budget = STEP_PAGES;

    if (space_free(&w->pal->space, &w->pal->image, &budget)) {
        return STEP_DONE;
    }
    w->pal->reg.last_step = clock_now();
    return STEP_AGAIN;
}

/* Write one page back. A page that isn't RAM any more is the caller's loss. */
static bool give_back(struct work *w, uint32_t index)
{
    void *page;
    enum gm_result r = caller_page(w, index, &page);

    if (r == GM_OK && index == w->pal->image.pages) {
        hw_fill64(page, TV_INT3S, PAGE_SIZE / 8); /* an image's stubs */
    } else if (r == GM_OK) {
        hw_copy64(page, space_frame(&w->pal->space, index), PAGE_SIZE / 8);
    }
    return r != GM_FAULT;
}

static enum step write_pages(struct work *w)
{
    const struct tv_image *im = &w->pal->image;
    uint32_t last = tv_stub_page(im);

    w->wrote = true;
    if (w->pal->leaving > im->pages) {
        return wipe(w);
    }
    for (uint32_t n = 0;; n++) {
        uint32_t index = next_given_back(im, w->pal->leaving);
        if (index == last) {
            index = next_given_back(im, index + 1);
        }
        w->pal->leaving = index;
        if (n == STEP_PAGES) {
            return STEP_AGAIN;
        }
        if (!give_back(w, index == im->pages ? last : index)) {
            return STEP_FAULT;
        }
        w->pal->leaving = index + 1;
        if (index == im->pages) {
            return wipe(w);
        }
    }
}

/* The first step: close it to calls, unless nothing of it is to be handed back. */
static enum step begin(struct work *w, struct tv_slot *s, bool there)
{
    bool running;

    if (there && !check_pages(w)) {
        return STEP_FAULT;
    }
    if (!death_claim(w->pal, &running)) {
        /* Who looks for dead owners has it for a moment; a running CPU keeps it. */
        return running ? STEP_BUSY : STEP_AGAIN;
    }
    if (!there) {
        return STEP_DONE; /* other memory is there now: not ours to write */
    }
    return registry_change(s, TV_LIVE, TV_LEAVING) ? write_pages(w) : STEP_AGAIN;
}

static enum step step(struct work *w, struct tv_slot *s)
{
    enum tv_state state = slot_state(atomic_load(&s->life));
    enum stubs_answer stubs;

    if (state != TV_LIVE && state != TV_LEAVING) {
        return STEP_AGAIN; /* it has just died, and isn't found any more */
    }
    if (w->pal->leaving > w->pal->image.pages) {
        return write_pages(w); /* all is written */
    }
    stubs = stubs_check(w->pal, w->c, &w->fault);
    if (stubs == STUBS_FAULT) {
        return STEP_FAULT;
    }
    if (state == TV_LIVE) {
        return begin(w, s, stubs == STUBS_THERE);
    }
    return stubs == STUBS_THERE ? write_pages(w) : STEP_DONE;
}

static enum hc_result answer(struct vcpu *v, struct work *w, struct tv_slot *s, enum step r)
{
    switch (r) {
    case STEP_DONE:
        death_discard(v, s, w->wrote ? OTHER_PAGES : STEP_PAGES);
        return tv_done(v, TV_OK);
    case STEP_FAULT:
        registry_put(s);
        return tv_fault(v, &w->fault);
    case STEP_BUSY:
        registry_put(s);
        return tv_done(v, TV_BUSY);
    default:
        registry_put(s);
        return HC_AGAIN;
    }
}

bool unregister_works(struct tv_pal *pal)
{
    if (atomic_flag_test_and_set(&pal->stepping)) {
        return true;
    }
    atomic_flag_clear(&pal->stepping);
    return false;
}

enum hc_result tv_unregister(struct vcpu *v, const struct hyp_caller *c)
{
    struct work w;
    const uint64_t entry = tv_arg(v, c, GPR_RCX);
    struct tv_slot *s;
    enum step r;

    s = registry_get(tv_owner(&c->paging), entry, TV_IN(TV_LIVE) | TV_IN(TV_LEAVING), NULL);
    if (!s) {
        return tv_done(v, TV_NOT_FOUND);
    }
    w.c = c;
    w.pal = s->pal;
    w.known = 0;
    w.wrote = false;
    if (w.pal->image.entry != entry || w.pal->image.caller_64 != tv_is_64(c)) {
        registry_put(s);
        return tv_done(v, TV_NOT_FOUND);
    }
    if (atomic_flag_test_and_set(&w.pal->stepping)) {
        registry_put(s);
        return HC_AGAIN;
    }
    r = step(&w, s);
    atomic_flag_clear(&w.pal->stepping);
    return answer(v, &w, s, r);
}
