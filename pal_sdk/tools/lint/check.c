/* SPDX-License-Identifier: MIT */
/* What a registration would refuse of an image (xmhf/image.h). */
#include "image.h"

#include <string.h>

static void check_head(const struct image *im, struct problems *p)
{
    const struct xmhf_image *h = &im->head;

    if (h->version != XMHF_IMAGE_VERSION
        || h->size != XMHF_IMAGE_SIZE(h->sections, h->params, h->entries)) {
        problem(p, PROBLEM_ERROR, 0, "the image's size or version is another one");
    }
    if (!(h->mode == 32 && h->convention == XMHF_CDECL)
        && !(h->mode == 64
             && (h->convention == XMHF_SYSV || h->convention == XMHF_MICROSOFT))) {
        problem(p, PROBLEM_ERROR, 0, "mode %u with convention %u: there is no such", h->mode,
                h->convention);
    }
    if ((h->flags & ~XMHF_IMAGE_DEBUG) || h->caller || h->stubs) {
        problem(p, PROBLEM_ERROR, 0, "unknown flags, or a field that is not 0 in a file");
    }
    if (h->entries == 0) {
        problem(p, PROBLEM_ERROR, 0, "the image has no entry: declare one, PAL_ENTRY, in the "
                "interface, and give pal-cc --interface");
    }
}

static bool known_type(uint32_t type)
{
    return image_section_type(type)[0] != '?';
}

static void check_section(const struct image *im, uint32_t i, struct problems *p)
{
    const struct xmhf_image_section *s = &im->sections[i];
    const uint64_t limit = im->head.mode == 32 ? 1ULL << 32 : 1ULL << 47;

    if (!known_type(s->type) || s->source != 0) {
        problem(p, PROBLEM_ERROR, 0, "section %u: unknown type, or a source that is not 0", i);
    }
    if (s->address % IMAGE_PAGE != 0 || s->address == 0) {
        problem(p, PROBLEM_ERROR, 0, "section %u begins at 0x%llx, not on a page above the first",
                i, (unsigned long long)s->address);
    }
    if (s->pages == 0 || s->pages > XMHF_IMAGE_PAGES || s->address >= limit
        || (uint64_t)s->pages * IMAGE_PAGE > limit - s->address) {
        problem(p, PROBLEM_ERROR, 0, "section %u is empty, too large, or ends behind the memory "
                "that its mode can reach", i);
    }
    if (i > 0) {
        const struct xmhf_image_section *b = &im->sections[i - 1];

        if (s->address < b->address
            || s->address - b->address < ((uint64_t)b->pages + 1) * IMAGE_PAGE) {
            problem(p, PROBLEM_ERROR, 0, "section %u must be above section %u, with a page between "
                    "them that is unmapped", i, i - 1);
        }
    }
}

static void check_sections(const struct image *im, struct problems *p)
{
    uint32_t code = 0, stacks = 0, params = 0;
    uint64_t pages = 0;

    for (uint32_t i = 0; i < im->head.sections; i++) {
        check_section(im, i, p);
        code += im->sections[i].type == TV_SECTION_CODE;
        stacks += im->sections[i].type == TV_SECTION_STACK;
        params += im->sections[i].type == TV_SECTION_PARAM;
        pages += im->sections[i].pages;
    }
    if (code == 0) {
        problem(p, PROBLEM_ERROR, 0, "the image has no CODE");
    }
    if (stacks == 0 || stacks != im->head.stacks || (params != 0 && params != stacks)) {
        problem(p, PROBLEM_ERROR, 0, "%u STACK and %u PARAM sections for %u stacks", stacks, params,
                im->head.stacks);
    }
    if (stacks > XMHF_IMAGE_STACKS) {
        problem(p, PROBLEM_ERROR, 0, "%u stacks; an image has at most %u", stacks,
                XMHF_IMAGE_STACKS);
    }
    if (pages > XMHF_IMAGE_PAGES) {
        problem(p, PROBLEM_ERROR, 0, "%llu pages; a PAL has at most %u", (unsigned long long)pages,
                XMHF_IMAGE_PAGES);
    }
}

/* What is wrong with parameter `i` of an entry's `params`, or NULL. */
static const char *param_problem(const struct xmhf_image_param *params, uint32_t n, uint32_t i)
{
    const struct xmhf_image_param *q = &params[i];

    if (q->type == TV_PARAM_INTEGER) {
        return q->direction != XMHF_IN || !xmhf_integer_good(q->size) || q->counted_by || q->unit
             ? "an integer is in, of 1, 2, 4 or 8 bytes or a word, without a count" : NULL;
    }
    if (q->type == XMHF_PARAM_OCALL) {
        return q->direction != XMHF_INOUT || q->counted_by || q->unit
             ? "the place for ocalls is in-out and not counted" : NULL;
    }
    if (q->type != TV_PARAM_POINTER) {
        return "unknown type";
    }
    if (q->direction < XMHF_IN || q->direction > XMHF_INOUT) {
        return "a pointer is in, out or in-out";
    }
    if (q->counted_by == 0) {
        return q->unit ? "a unit without a count" : NULL;
    }
    if (q->counted_by > n || params[q->counted_by - 1].type != TV_PARAM_INTEGER) {
        return "is counted by something that is no integer of this entry";
    }
    return q->unit == 0 || q->size % q->unit != 0
         ? "is counted in things that don't fill it exactly" : NULL;
}

/* Bytes that a PARAM section has, 0 without any. */
static uint64_t room_of(const struct image *im)
{
    uint64_t room = 0;

    for (uint32_t i = 0; i < im->head.sections; i++) {
        const uint64_t bytes = (uint64_t)im->sections[i].pages * IMAGE_PAGE;

        if (im->sections[i].type == TV_SECTION_PARAM && (room == 0 || bytes < room)) {
            room = bytes;
        }
    }
    return room;
}

/* Do the data of an entry's POINTERs fit? */
static void check_room(const struct image *im, uint32_t e, const struct xmhf_image_param *params,
                       struct problems *p)
{
    const uint32_t n = im->entries[e].params;
    const uint64_t bytes = image_param_bytes(params, n), room = room_of(im);
    bool pointers = false;

    for (uint32_t i = 0; i < n; i++) {
        pointers |= params[i].type == TV_PARAM_POINTER;
        if (params[i].type == XMHF_PARAM_OCALL && params[i].size > XMHF_IMAGE_AREA) {
            problem(p, PROBLEM_ERROR, 0, "entry %u (%s): ocalls of %u bytes; there can be %u", e,
                    im->entry_names[e], params[i].size, XMHF_IMAGE_AREA);
        }
    }
    if (bytes > XMHF_IMAGE_AREA) {
        problem(p, PROBLEM_ERROR, 0, "entry %u (%s): its pointers have %llu bytes together; one "
                "call's may have %u", e, im->entry_names[e], (unsigned long long)bytes,
                XMHF_IMAGE_AREA);
    } else if (bytes > room || (pointers && room == 0)) {
        problem(p, PROBLEM_ERROR, 0, "entry %u (%s): its pointers have %llu bytes, a PARAM section "
                "%llu", e, im->entry_names[e], (unsigned long long)bytes,
                (unsigned long long)room);
    }
}

static void check_entry(const struct image *im, uint32_t e, const struct xmhf_image_param *params,
                        struct problems *p)
{
    const struct xmhf_image_entry *entry = &im->entries[e];
    uint32_t ocalls = 0;
    bool inside = false;

    for (uint32_t i = 0; i < im->head.sections; i++) {
        inside |= im->sections[i].type == TV_SECTION_CODE
            && entry->address - im->sections[i].address
               < (uint64_t)im->sections[i].pages * IMAGE_PAGE;
    }
    if (!xmhf_integer_good(entry->result)) {
        problem(p, PROBLEM_ERROR, 0, "entry %u (%s): its result is no integer of 1, 2, 4 or 8 "
                "bytes, and no word", e, im->entry_names[e]);
    }
    if (!inside) {
        problem(p, PROBLEM_ERROR, 0, "entry %u (%s) is at 0x%llx, outside CODE", e,
                im->entry_names[e], (unsigned long long)entry->address);
    }
    for (uint32_t i = 0; i < entry->params; i++) {
        const char *wrong = param_problem(params, entry->params, i);

        if (wrong) {
            problem(p, PROBLEM_ERROR, 0, "entry %u (%s), parameter %u: %s", e, im->entry_names[e],
                    i, wrong);
        }
        ocalls += params[i].type == XMHF_PARAM_OCALL;
    }
    if (ocalls > 1) {
        problem(p, PROBLEM_ERROR, 0, "entry %u (%s) has two places for ocalls", e,
                im->entry_names[e]);
    }
    check_room(im, e, params, p);
}

static void check_entries(const struct image *im, struct problems *p)
{
    uint32_t first = 0;

    for (uint32_t e = 0; e < im->head.entries; e++) {
        const uint32_t n = im->entries[e].params;

        if (n > XMHF_IMAGE_ENTRY_PARAMS || n > im->head.params - first) {
            problem(p, PROBLEM_ERROR, 0, "entry %u (%s) has %u parameters, more than there are or "
                    "can be (%u)", e, im->entry_names[e], n, XMHF_IMAGE_ENTRY_PARAMS);
            return;
        }
        check_entry(im, e, &im->params[first], p);
        first += n;
    }
    if (first != im->head.params) {
        problem(p, PROBLEM_ERROR, 0, "%u parameters belong to no entry", im->head.params - first);
    }
}

void image_check(const struct image *im, struct problems *p)
{
    check_head(im, p);
    check_sections(im, p);
    check_entries(im, p);
}
