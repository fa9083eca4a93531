/* SPDX-License-Identifier: MIT */
/* Checks the structures of a registration by the public ABI; pure. */
#include "image.h"
#include <xmhf/measurement.h>

void tv_image_begin(struct tv_image *im, bool wide)
{
    *im = (struct tv_image){
        .mode = wide ? PAL_ID_MODE_64 : PAL_ID_MODE_32, .caller_wide = wide, .word = wide ? 8 : 4,
        .lowest = UINT64_MAX, .stacks = 1,
        .sections = im->sections, .params = im->params, .entries = im->entries,
    };
}

/* Count the section behind the last one, and find its place among them. False: it overlaps one. Only
 * its neighbours can: to compare it with all of 64 took a third of what an exit may. */
static bool put_in_order(struct tv_image *im)
{
    const uint32_t fresh = im->section_count;
    const struct tv_section *s = im->sections;
    uint32_t place = fresh;

    while (place > 0 && s[im->order[place - 1]].start > s[fresh].start) {
        place--;
    }
    if ((place > 0 && tv_section_end(&s[im->order[place - 1]]) > s[fresh].start) ||
        (place < fresh && tv_section_end(&s[fresh]) > s[im->order[place]].start)) {
        return false;
    }
    for (uint32_t i = fresh; i > place; i--) {
        im->order[i] = im->order[i - 1];
    }
    im->order[place] = (uint8_t)fresh;
    im->section_count++;
    return true;
}

enum tv_error tv_image_section(struct tv_image *im, uint32_t type, uint64_t start, uint64_t pages)
{
    struct tv_section *out = &im->sections[im->section_count];
    const uint64_t user_end = im->caller_wide ? TV_USER_END : TV_USER_END_32;

    if (start & PAGE_MASK) {
        return TV_MISALIGNED;
    }
    /* The number of pages is bounded first, so that nothing below wraps. */
    if (pages == 0 || pages > TV_PAGES_MAX - im->pages || start >= user_end ||
        pages * PAGE_SIZE > user_end - start) {
        return TV_BAD_SIZE;
    }
    *out = (struct tv_section){ start, (uint32_t)pages, im->pages, type };
    if (!put_in_order(im)) {
        return TV_OVERLAP;
    }
    im->pages += out->pages;
    im->lowest = im->sections[im->order[0]].start;
    return TV_OK;
}

const struct tv_section *tv_section_nth(const struct tv_image *im, uint32_t type, uint32_t k)
{
    for (uint32_t i = 0; i < im->section_count; i++) {
        if (im->sections[i].type == type && k-- == 0) {
            return &im->sections[i];
        }
    }
    return NULL;
}

/* The public ABI doesn't mind an empty section, as a linker script may give: it is left out. */
static bool is_nothing(const struct tv_pal_section *s)
{
    return s->page_num == 0 && (s->start_addr & PAGE_MASK) == 0;
}

static enum tv_error check_sections(const struct tv_pal_sections *s, struct tv_image *im)
{
    if (s->num_sections == 0 || s->num_sections > TV_MAX_SECTIONS) {
        return TV_BAD_SECTIONS;
    }
    for (uint32_t i = 0; i < s->num_sections; i++) {
        const struct tv_pal_section *in = &s->sections[i];
        enum tv_error e = TV_BAD_SECTION_TYPE;
        if (in->type >= TV_SECTION_CODE && in->type <= TV_SECTION_SHARED_CODE) {
            e = is_nothing(in) ? TV_OK
                               : tv_image_section(im, in->type, in->start_addr, in->page_num);
        }
        if (e != TV_OK) {
            return e;
        }
    }
    return TV_OK;
}

static enum tv_error check_roles(uint64_t entry, struct tv_image *im)
{
    const struct tv_section *code = tv_section_at(im, entry);

    if (tv_section_nth(im, TV_SECTION_CODE, 0) == NULL) {
        return TV_NO_CODE;
    }
    if (tv_section_nth(im, TV_SECTION_STACK, 0) == NULL) {
        return TV_NO_STACK;
    }
    if (tv_section_nth(im, TV_SECTION_PARAM, 0) == NULL) {
        return TV_NO_PARAM;
    }
    if (code == NULL || code->type != TV_SECTION_CODE ||
        (entry & PAGE_MASK) > PAGE_SIZE - TV_STUB_LEN) {
        return TV_BAD_ENTRY;
    }
    im->code = (uint8_t)(code - im->sections);
    im->entry = entry;
    return TV_OK;
}

/* Lays the parameter block out: a count, then per parameter, last one first, three
 * words and the data (public ABI, section 2.4). */
static enum tv_error check_params(const struct tv_pal_params *p, struct tv_image *im)
{
    uint64_t room = tv_section_nth(im, TV_SECTION_PARAM, 0)->pages * PAGE_SIZE;
    uint64_t at = TV_AREA_OFFSET + sizeof(uint64_t);

    if (p->num_params == 0 || p->num_params > TV_MAX_PARAMS) {
        return TV_BAD_PARAMS;
    }
    if (room > TV_AREA_MAX) {
        room = TV_AREA_MAX;
    }
    im->param_count = p->num_params;
    for (uint32_t i = p->num_params; i-- > 0;) {
        const struct tv_pal_param *in = &p->params[i];
        struct tv_param *out = &im->params[i];
        if (in->type != TV_PARAM_INTEGER && in->type != TV_PARAM_POINTER) {
            return TV_BAD_PARAM_TYPE;
        }
        *out = (struct tv_param){
            .type = (uint8_t)in->type, .direction = XMHF_IN, .size = in->size,
            .offset = (uint32_t)at,
        };
        if (in->type == TV_PARAM_POINTER) {
            if (in->size > TV_AREA_MAX / im->word) {
                return TV_PARAMS_TOO_BIG;
            }
            out->direction = XMHF_INOUT;
            out->bytes = (uint32_t)(in->size * im->word);
            im->has_data = im->has_data || out->bytes != 0;
        }
        at += TV_HEADER + out->bytes;
    }
    return at > room ? TV_PARAMS_TOO_BIG : TV_OK;
}

enum tv_error tv_check(const struct tv_pal_sections *s, const struct tv_pal_params *p,
                       uint64_t entry, bool wide, struct tv_image *im)
{
    enum tv_error e;

    tv_image_begin(im, wide);
    im->convention = wide ? XMHF_SYSV : XMHF_CDECL;
    im->flags = PAL_ID_FLAG_LEGACY;
    e = check_sections(s, im);
    if (e == TV_OK) {
        e = check_roles(entry, im);
    }
    if (e == TV_OK) {
        e = check_params(p, im);
    }
    if (e == TV_OK) {
        im->entries[0] = (struct tv_entry){ entry, 0, im->param_count };
        im->entry_count = 1;
    }
    return e;
}

bool tv_images_overlap(const struct tv_image *a, const struct tv_image *b)
{
    const uint8_t *i = a->order, *k = b->order;
    const uint8_t *i_end = i + a->section_count, *k_end = k + b->section_count;
    const struct tv_section *s = &a->sections[*i], *t = &b->sections[*k];
    uint64_t s_end = tv_section_end(s), t_end = tv_section_end(t);

    if (i == i_end || k == k_end) {
        return false;
    }
    for (;;) {
        bool next_s = s_end <= t->start;
        if (!next_s && t_end > s->start) {
            if (!tv_is_shared(s->type) || !tv_is_shared(t->type)) {
                return true;
            }
            next_s = s_end <= t_end;
        }
        if (next_s) {
            if (++i == i_end) {
                return false;
            }
            s = &a->sections[*i];
            s_end = tv_section_end(s);
        } else {
            if (++k == k_end) {
                return false;
            }
            t = &b->sections[*k];
            t_end = tv_section_end(t);
        }
    }
}

const struct tv_section *tv_section_of(const struct tv_image *im, uint32_t index)
{
    const struct tv_section *s = &im->sections[im->section_count - 1];

    while (s->first > index) {
        s--;
    }
    return s;
}

const struct tv_section *tv_section_at(const struct tv_image *im, uint64_t va)
{
    for (uint32_t i = 0; i < im->section_count; i++) {
        const struct tv_section *s = &im->sections[i];
        if (va >= s->start && va - s->start < s->pages * PAGE_SIZE) {
            return s;
        }
    }
    return NULL;
}
