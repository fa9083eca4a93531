/* SPDX-License-Identifier: MIT */
/* Checks the structure of a registration of an image (notes/decisions/images.md); pure. */
#include "check_image.h"
#include "mode16.h"

/* The measurement takes flags, directions and types as they are. */
_Static_assert(XMHF_PARAM_OCALL < 1 << 4 && XMHF_INOUT < 1 << 4, "they fit struct tv_param");

static uint64_t user_end(bool is_64)
{
    return is_64 ? TV_USER_END : TV_USER_END_32;
}

/* --- before the lists ------------------------------------------------------------- */

static enum tv_error check_counts(const struct xmhf_image *d)
{
    if (d->sections == 0 || d->sections > XMHF_IMAGE_SECTIONS) {
        return TV_BAD_SECTIONS;
    }
    if (d->params > XMHF_IMAGE_PARAMS) {
        return TV_BAD_PARAMS;
    }
    if (d->entries == 0 || d->entries > XMHF_IMAGE_ENTRIES) {
        return TV_IMAGE_ENTRIES;
    }
    return d->size == XMHF_IMAGE_SIZE(d->sections, d->params, d->entries) ? TV_OK : TV_BAD_LISTS;
}

static enum tv_error check_mode(uint32_t mode)
{
    switch (mode) {
    case PAL_ID_MODE_16: return TV_MODES & XMHF_FEATURE_MODE_16 ? TV_OK : TV_NO_MODE;
    case PAL_ID_MODE_32: return TV_MODES & XMHF_FEATURE_MODE_32 ? TV_OK : TV_NO_MODE;
    case PAL_ID_MODE_64: return TV_MODES & XMHF_FEATURE_MODE_64 ? TV_OK : TV_NO_MODE;
    default: return TV_BAD_MODE;
    }
}

/* Is there such a convention for code of this mode? */
static bool is_of(uint32_t convention, uint32_t mode)
{
    switch (convention) {
    case XMHF_CDECL: return mode != PAL_ID_MODE_64;
    case XMHF_SYSV:
    case XMHF_MICROSOFT: return mode == PAL_ID_MODE_64;
    case XMHF_CDECL16:
    case XMHF_PASCAL16: return mode == PAL_ID_MODE_16;
    default: return false;
    }
}

enum tv_error tv_check_image_head(const struct xmhf_image *d, uint64_t stubs, bool is_64)
{
    if (!tv_known_image(d)) {
        return TV_BAD_STRUCT;
    }
    enum tv_error e = check_mode(d->mode);

    if (e != TV_OK) {
        return e;
    }
    if (!is_of(d->convention, d->mode)
        || (d->caller != 0 && !is_of(d->caller, is_64 ? PAL_ID_MODE_64 : PAL_ID_MODE_32))) {
        return TV_BAD_CONVENTION;
    }
    if ((d->flags & ~(XMHF_IMAGE_DEBUG | (d->mode == PAL_ID_MODE_16 ? XMHF_IMAGE_TILED : 0u)))
        != 0) {
        return TV_BAD_FLAGS;
    }
    if (d->stubs != stubs || stubs == 0 || stubs % PAGE_SIZE != 0
        || stubs >= user_end(is_64)) {
        return TV_BAD_STUBS;
    }
    return check_counts(d);
}

/* --- sections --------------------------------------------------------------------- */

static bool has_contents(uint32_t type)
{
    return type == TV_SECTION_CODE || type == XMHF_SECTION_RODATA || type == TV_SECTION_DATA;
}

static bool known_type(uint32_t type)
{
    return has_contents(type) || type == XMHF_SECTION_BSS || type == TV_SECTION_STACK
        || type == TV_SECTION_PARAM;
}

/* Are these pages below the end? Nothing wraps, since there are few enough. */
static bool fits(uint64_t start, uint32_t pages, uint64_t end)
{
    return start < end && pages * PAGE_SIZE <= end - start;
}

/* The caller's pages of the section that comes next in the list. */
static enum tv_error check_source(const struct xmhf_image_section *in, struct tv_image *im)
{
    if (!has_contents(in->type)) {
        return in->source == 0 ? TV_OK : TV_BAD_SOURCE;
    }
    if (in->source == 0) {
        return TV_BAD_SOURCE;
    }
    if (in->source % PAGE_SIZE != 0) {
        return TV_MISALIGNED;
    }
    if (!fits(in->source, in->pages, user_end(im->caller_64))) {
        return TV_BAD_SIZE;
    }
    return tv_image_source(im, im->section_count) ? TV_OK : TV_OVERLAP;
}

/* `next`: where it may begin. */
static enum tv_error check_section(const struct xmhf_image_section *in, uint64_t next,
                                   struct tv_image *im)
{
    if (!known_type(in->type)) {
        return TV_BAD_SECTION_TYPE;
    }
    if (in->address % PAGE_SIZE != 0) {
        return TV_MISALIGNED;
    }
    if (in->pages == 0 || in->pages > TV_PAGES_MAX - im->pages
        || !fits(in->address, in->pages, user_end(im->mode == PAL_ID_MODE_64))) {
        return TV_BAD_SIZE;
    }
    if (in->address < next) {
        return TV_NO_GAP;
    }
    im->sections[im->section_count] = (struct tv_section){
        .start = in->address, .pages = in->pages, .first = im->pages, .type = in->type,
        .fresh = !has_contents(in->type), .source = in->source,
    };
    return check_source(in, im);
}

static enum tv_error check_sections(const struct tv_descriptor *d, struct tv_image *im)
{
    uint64_t next = PAGE_SIZE; /* nothing is at a null pointer */

    for (uint32_t i = 0; i < d->image.sections; i++) {
        enum tv_error e = check_section(&d->sections[i], next, im);
        if (e != TV_OK) {
            return e;
        }
        next = tv_section_end(&im->sections[i]) + PAGE_SIZE;
        im->section_count++;
        im->pages += d->sections[i].pages;
    }
    im->lowest = im->sections[0].start;
    im->sections[im->section_count] = (struct tv_section){
        .pages = 1, .first = im->pages, .type = TV_SECTION_CODE, .source = d->image.stubs,
    };
    return tv_image_source(im, im->section_count) ? TV_OK : TV_OVERLAP;
}

/* Each call that can be under way has a STACK and, if there are any, a PARAM section. */
static enum tv_error check_stacks(uint32_t stacks, struct tv_image *im)
{
    const bool areas = tv_section_nth(im, TV_SECTION_PARAM, 0);

    im->stacks = stacks;
    return stacks != 0 && stacks <= XMHF_IMAGE_STACKS
        && tv_section_nth(im, TV_SECTION_STACK, stacks - 1)
        && !tv_section_nth(im, TV_SECTION_STACK, stacks)
        && (!areas || tv_section_nth(im, TV_SECTION_PARAM, stacks - 1))
        && !tv_section_nth(im, TV_SECTION_PARAM, stacks) ? TV_OK : TV_BAD_STACKS;
}

/* --- entries and their parameters ------------------------------------------------- */

/* Parameter `p` of an entry, whose `n` ones these are: is what it says about a count possible? */
static bool count_good(const struct xmhf_image_param *p, const struct xmhf_image_param *of,
                       uint32_t n)
{
    if (p->counted_by == 0) {
        return p->unit == 0;
    }
    return p->type == TV_PARAM_POINTER && p->counted_by <= n
        && of[p->counted_by - 1].type == TV_PARAM_INTEGER && p->unit != 0
        && p->size % p->unit == 0;
}

static enum tv_error check_param(const struct xmhf_image_param *p)
{
    switch (p->type) {
    case TV_PARAM_INTEGER:
        return p->direction != XMHF_IN ? TV_BAD_DIRECTION
               : xmhf_integer_good(p->size) ? TV_OK : TV_BAD_INTEGER;
    case TV_PARAM_POINTER:
        return p->direction < XMHF_IN || p->direction > XMHF_INOUT ? TV_BAD_DIRECTION
               : p->size > XMHF_IMAGE_AREA ? TV_PARAMS_TOO_BIG : TV_OK;
    case XMHF_PARAM_OCALL:
        return p->direction != XMHF_INOUT ? TV_BAD_DIRECTION
               : p->size > XMHF_IMAGE_AREA ? TV_PARAMS_TOO_BIG : TV_OK;
    default:
        return TV_BAD_PARAM_TYPE;
    }
}

static enum tv_error check_params(const struct xmhf_image_param *p, uint32_t n)
{
    unsigned ocalls = 0;

    for (uint32_t i = 0; i < n; i++) {
        enum tv_error e = check_param(&p[i]);
        if (e != TV_OK) {
            return e;
        }
        if (!count_good(&p[i], p, n)) {
            return TV_BAD_COUNT;
        }
        ocalls += p[i].type == XMHF_PARAM_OCALL;
    }
    return ocalls > 1 ? TV_BAD_OCALL : TV_OK;
}

/* Where data that would begin at `end` does: with far pointers all of it is in one segment, or it
 * begins with one. */
static uint64_t place(const struct tv_image *im, uint64_t end, uint32_t bytes)
{
    const bool crosses = bytes != 0
        && end / MODE16_SEGMENT != (end + bytes - 1) / MODE16_SEGMENT;

    return im->word == 2 && crosses ? align_up(end, MODE16_SEGMENT) : end;
}

/* Lay the data of an entry's POINTERs out; returns where it ends. */
static uint64_t place_params(const struct xmhf_image_param *p, uint32_t n, struct tv_image *im,
                             struct tv_param *out)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct xmhf_image_param in = p[i]; /* `out` may lie there */
        const uint32_t bytes = in.type == TV_PARAM_POINTER ? in.size : 0;
        end = place(im, end, bytes);
        if (end + bytes > XMHF_IMAGE_AREA) {
            return UINT64_MAX;
        }
        out[i] = (struct tv_param){
            .most = in.size, .counted_by = in.counted_by, .unit = in.unit,
            .bytes = bytes & 0xfffff, .offset = (uint32_t)end, .type = in.type & 0xff,
            .direction = in.direction & 0xf,
        };
        im->has_counts = im->has_counts || in.counted_by != 0;
        im->is_sized = im->is_sized
            || (in.type == TV_PARAM_INTEGER && in.size != XMHF_INTEGER_WORD);
        im->has_ocall = im->has_ocall || in.type == XMHF_PARAM_OCALL;
        im->has_data = im->has_data || bytes != 0 || im->has_counts || im->has_ocall;
        end = align_up(end + bytes, TV_DATA_ALIGN);
    }
    return end;
}

/* Bytes of parameters that fit the PARAM sections. */
static uint64_t area_of(const struct tv_image *im)
{
    const struct tv_section *s;
    uint64_t room = UINT64_MAX;

    for (uint32_t k = 0; (s = tv_section_nth(im, TV_SECTION_PARAM, k)) != NULL; k++) {
        room = s->pages * PAGE_SIZE < room ? s->pages * PAGE_SIZE : room;
    }
    return room == UINT64_MAX ? 0 : room;
}

static bool has_pointer(const struct xmhf_image_param *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (p[i].type == TV_PARAM_POINTER) {
            return true;
        }
    }
    return false;
}

/* The next entry, with the next ones of the parameters; `room`: bytes for its data. */
static enum tv_error check_entry(const struct tv_descriptor *d, const struct xmhf_image_entry *in,
                                 uint64_t room, struct tv_image *im)
{
    const struct xmhf_image_param *p = &d->params[im->param_count];
    const struct tv_section *code = tv_section_at(im, in->address);
    enum tv_error e;
    uint64_t end;

    if (!code || code->type != TV_SECTION_CODE || in->params > XMHF_IMAGE_ENTRY_PARAMS
        || in->params > d->image.params - im->param_count) {
        return TV_IMAGE_ENTRIES;
    }
    if (!xmhf_integer_good(in->result)
        || (im->word == 2 && XMHF_INTEGER_BYTES(in->result) > sizeof(uint32_t))) {
        return TV_BAD_INTEGER;
    }
    e = check_params(p, in->params);
    if (e != TV_OK) {
        return e;
    }
    if (room == 0 && has_pointer(p, in->params)) {
        return TV_NO_PARAM;
    }
    end = place_params(p, in->params, im, &im->params[im->param_count]);
    if (end > room) {
        return TV_PARAMS_TOO_BIG;
    }
    im->entries[im->entry_count++] = (struct tv_entry){
        in->address, (uint16_t)im->param_count, (uint16_t)in->params, end & 0xfffff,
        in->result & 0xfff,
    };
    im->is_sized = im->is_sized || in->result != XMHF_INTEGER_WORD;
    im->param_count += in->params;
    return TV_OK;
}

static enum tv_error check_entries(const struct tv_descriptor *d, struct tv_image *im)
{
    const uint64_t room = area_of(im);

    if (!tv_section_nth(im, TV_SECTION_CODE, 0)) {
        return TV_NO_CODE;
    }
    for (uint32_t i = 0; i < d->image.entries; i++) {
        enum tv_error e = check_entry(d, &d->entries[i], room, im);
        if (e != TV_OK) {
            return e;
        }
    }
    return im->param_count == d->image.params ? TV_OK : TV_IMAGE_ENTRIES;
}

/* How arguments get from code of one convention to code of another, or of the same. */
static void choose_ways(struct tv_image *im)
{
    const bool settles = im->is_sized || im->word == 2; /* in 16-bit frames all takes other slots */

    im->converts = settles || im->word != im->caller_word;
    im->takes = settles ? TV_WAY_SLOTS : im->word < im->caller_word ? TV_WAY_NARROW : im->caller;
    im->gives = settles && im->mode != PAL_ID_MODE_64 ? TV_WAY_SLOTS : im->convention;
}

/* The caller's convention, which the descriptor may leave open. */
static uint32_t caller_of(const struct xmhf_image *d, bool is_64)
{
    if (d->caller != 0) {
        return d->caller;
    }
    return !is_64 ? XMHF_CDECL : d->mode == PAL_ID_MODE_64 ? d->convention : XMHF_SYSV;
}

enum tv_error tv_check_image(const struct tv_descriptor *d, bool is_64, struct tv_image *im)
{
    enum tv_error e;

    tv_image_begin(im, is_64);
    im->module = im->image = true;
    im->quick = 2;
    tv_image_convention(im, d->image.convention);
    im->caller = (uint8_t)caller_of(&d->image, is_64);
    im->mode = (enum pal_id_mode)d->image.mode;
    im->word = im->mode == PAL_ID_MODE_16 && d->image.convention == XMHF_CDECL
                   ? 4 : (uint8_t)(im->mode / 8);
    im->flags = d->image.flags;
    im->budget = d->image.budget;
    im->entry = d->image.stubs;
    e = check_sections(d, im);
    if (e == TV_OK && im->mode == PAL_ID_MODE_16) {
        e = mode16_check(im);
    }
    if (e == TV_OK) {
        e = check_stacks(d->image.stacks, im);
    }
    if (e == TV_OK) {
        e = check_entries(d, im);
    }
    choose_ways(im);
    return e;
}
