/* SPDX-License-Identifier: MIT */
/* The lists of what a caller asks to register: adding to them and searching them; pure. */
#include "image.h"

void tv_image_begin(struct tv_image *im, bool is_64)
{
    *im = (struct tv_image){
        .mode = is_64 ? PAL_ID_MODE_64 : PAL_ID_MODE_32, .caller_64 = is_64, .quick = is_64,
        .word = is_64 ? 8 : 4, .caller_word = is_64 ? 8 : 4, .lowest = UINT64_MAX, .stacks = 1,
        .sections = im->sections, .params = im->params, .entries = im->entries,
    };
}

void tv_image_convention(struct tv_image *im, uint32_t convention)
{
    im->convention = im->caller = im->takes = im->gives = (uint8_t)convention;
}

/* Only its neighbours can overlap it: to compare it with all of 64 took a third of what an exit
 * may. */
bool tv_image_source(struct tv_image *im, uint32_t index)
{
    const struct tv_section *s = im->sections;
    uint32_t place = im->sources;

    while (place > 0 && s[im->order[place - 1]].source > s[index].source) {
        place--;
    }
    if ((place > 0 && tv_source_end(&s[im->order[place - 1]]) > s[index].source)
        || (place < im->sources && tv_source_end(&s[index]) > s[im->order[place]].source)) {
        return false;
    }
    for (uint32_t i = im->sources; i > place; i--) {
        im->order[i] = im->order[i - 1];
    }
    im->order[place] = (uint8_t)index;
    im->sources++;
    return true;
}

enum tv_error tv_image_section(struct tv_image *im, uint32_t type, uint64_t start, uint64_t pages)
{
    struct tv_section *out = &im->sections[im->section_count];
    const uint64_t user_end = im->caller_64 ? TV_USER_END : TV_USER_END_32;

    if (start & PAGE_MASK) {
        return TV_MISALIGNED;
    }
    /* The number of pages is bounded first, so that nothing below wraps. */
    if (pages == 0 || pages > TV_PAGES_MAX - im->pages || start >= user_end
        || pages * PAGE_SIZE > user_end - start) {
        return TV_BAD_SIZE;
    }
    *out = (struct tv_section){ start, (uint32_t)pages, im->pages, type, false, start };
    if (!tv_image_source(im, im->section_count)) {
        return TV_OVERLAP;
    }
    im->section_count++;
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

bool tv_images_overlap(const struct tv_image *a, const struct tv_image *b)
{
    const uint8_t *i = a->order, *k = b->order;
    const uint8_t *i_end = i + a->sources, *k_end = k + b->sources;
    const struct tv_section *s = &a->sections[*i], *t = &b->sections[*k];
    uint64_t s_end = tv_source_end(s), t_end = tv_source_end(t);

    if (i == i_end || k == k_end) {
        return false;
    }
    for (;;) {
        bool next_s = s_end <= t->source;
        if (!next_s && t_end > s->source) {
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
            s_end = tv_source_end(s);
        } else {
            if (++k == k_end) {
                return false;
            }
            t = &b->sections[*k];
            t_end = tv_source_end(t);
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

const struct tv_section *tv_source_of(const struct tv_image *im, uint32_t index)
{
    return im->image && index == im->pages ? &im->sections[im->section_count]
                                           : tv_section_of(im, index);
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
