/* SPDX-License-Identifier: MIT */
/* Takes and gives back the pages of a PAL's control structures. */
#include "memory.h"
#include "mode16.h"
#include "segments.h"

/* FPU state is put behind what a page holds, if there is room; it begins at a multiple of 64. */
static size_t rounded(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static bool xstate_inside(size_t size)
{
    return rounded(size) + xstate_size() <= PAGE_SIZE;
}

/* The pages that the lists need besides the control page. False: out of memory. */
static bool new_lists(struct tv_pal *pal, enum memory_kind kind)
{
    pal->module = pool_alloc();
    if (pal->module && kind == MEMORY_IMAGE) {
        pal->params = pool_alloc();
        if (!pal->params) {
            pool_free_dirty(pal->module);
            return false;
        }
    }
    return pal->module;
}

struct tv_pal *memory_new(enum memory_kind kind)
{
    struct tv_pal *pal = pool_alloc();
    struct tv_image *im;

    if (!pal) {
        return NULL;
    }
    if (kind != MEMORY_PUBLIC && !new_lists(pal, kind)) {
        pool_free_dirty(pal);
        return NULL;
    }
    im = &pal->image;
    if (kind == MEMORY_PUBLIC) {
        im->sections = pal->lists.sections;
        im->params = pal->lists.params;
        im->entries = pal->lists.entries;
    } else if (kind == MEMORY_MODULE) {
        im->sections = pal->module->lists.sections;
        im->params = pal->module->lists.params;
        im->entries = pal->module->lists.entries;
    } else {
        im->sections = pal->module->image.sections;
        im->params = pal->params;
        im->entries = pal->module->image.entries;
    }
    return pal;
}

/* FPU state of an activation, in a page whose first `size` bytes are used. */
static bool attach_xstate(struct tv_activation *act, void *page, size_t size)
{
    act->xstate = xstate_inside(size) ? (uint8_t *)page + rounded(size) : pool_alloc();
    return act->xstate;
}

bool memory_attach(struct tv_pal *pal)
{
    bool good = attach_xstate(&pal->act, pal, sizeof(*pal));

    for (uint32_t k = 1; good && k < pal->image.stacks; k++) {
        struct tv_activation *act = pool_alloc();
        pal->module->more[k - 1] = act;
        good = act && attach_xstate(act, act, sizeof(*act));
    }
    return good;
}

uint32_t memory_pages(const struct tv_image *im)
{
    return 1 + im->module + im->image + (im->stacks - 1) + !xstate_inside(sizeof(struct tv_pal))
        + (xstate_inside(sizeof(struct tv_activation)) ? 0 : im->stacks - 1);
}

static void free_module_page(struct tv_module_page *page)
{
    for (uint32_t k = 0; k < XMHF_MODULE_STACKS - 1 && page->more[k]; k++) {
        if (page->more[k]->xstate && !xstate_inside(sizeof(struct tv_activation))) {
            pool_free_dirty(page->more[k]->xstate);
        }
        pool_free_dirty(page->more[k]);
    }
    pool_free_dirty(page);
}

/* Only what was used is wiped, as with tables: it is half of the cost. */
void memory_free(struct tv_pal *pal)
{
    size_t used = rounded(sizeof(*pal));

    if (pal->params) {
        pool_free_dirty(pal->params);
    }
    if (pal->module) {
        free_module_page(pal->module);
    }
    if (pal->act.xstate && !xstate_inside(sizeof(*pal))) {
        pool_free_dirty(pal->act.xstate);
    } else if (pal->act.xstate_used) {
        used += align_up(xstate_size(), 8);
    }
    hw_fill64(pal, 0, used / 8);
    pool_free(pal);
}

/* As 16-bit code knows them: the top of its stack and its parameters' area. */
static void ready_16(const struct tv_pal *pal, struct tv_activation *act,
                     const struct tv_section *stack)
{
    const struct tv_image *im = &pal->image;

    segments_ready(pal, act, (uint32_t)(stack - im->sections));
    act->stack_va = (uint64_t)mode16_offset(im, tv_section_end(stack) - 1) + 1 - TV_STACK_SLACK;
    if (im->word == 2 && act->param_page) {
        act->param_va = mode16_far(im, act->param_va);
    }
}

void memory_ready(struct tv_pal *pal)
{
    const struct tv_image *im = &pal->image;

    for (uint32_t k = 0; k < im->stacks; k++) {
        const struct tv_section *stack = tv_section_nth(im, TV_SECTION_STACK, k);
        const struct tv_section *param = tv_section_nth(im, TV_SECTION_PARAM, k);
        struct tv_activation *act = tv_act(pal, k);
        uint8_t *top = space_frame(&pal->space, stack->first + stack->pages - 1);
        act->stack_top = top + PAGE_SIZE - TV_STACK_SLACK;
        act->stack_va = tv_section_end(stack) - TV_STACK_SLACK;
        if (param) {
            act->param_page = space_frame(&pal->space, param->first);
            act->param_va = param->start;
            act->param_first = param->first;
        }
        if (segments_own(pal)) {
            ready_16(pal, act, stack);
        }
    }
}
