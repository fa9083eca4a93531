/* SPDX-License-Identifier: MIT */
/* Checks the structures of a registration by the public ABI; pure. */
#include "check.h"
#include <xmhf/measurement.h>

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

    if (!tv_section_nth(im, TV_SECTION_CODE, 0)) {
        return TV_NO_CODE;
    }
    if (!tv_section_nth(im, TV_SECTION_STACK, 0)) {
        return TV_NO_STACK;
    }
    if (!tv_section_nth(im, TV_SECTION_PARAM, 0)) {
        return TV_NO_PARAM;
    }
    if (!code || code->type != TV_SECTION_CODE
        || (entry & PAGE_MASK) > PAGE_SIZE - TV_STUB_LEN) {
        return TV_BAD_ENTRY;
    }
    im->code = (uint8_t)(code - im->sections);
    im->entry = entry;
    return TV_OK;
}

/* Lays the parameter block out: a count, then per parameter, last one first, three
 * words and the data, as the public ABI has it. */
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
            .type = in->type & 0xff, .direction = XMHF_IN, .size = in->size,
            .offset = (uint32_t)at,
        };
        if (in->type == TV_PARAM_POINTER) {
            if (in->size > TV_AREA_MAX / im->word) {
                return TV_PARAMS_TOO_BIG;
            }
            out->direction = XMHF_INOUT;
            out->bytes = (in->size * im->word) & 0xfffff;
            im->has_data = im->has_data || out->bytes != 0;
        }
        at += TV_HEADER + out->bytes;
    }
    return at > room ? TV_PARAMS_TOO_BIG : TV_OK;
}

enum tv_error tv_check(const struct tv_pal_sections *s, const struct tv_pal_params *p,
                       uint64_t entry, bool is_64, struct tv_image *im)
{
    enum tv_error e;

    tv_image_begin(im, is_64);
    tv_image_convention(im, is_64 ? XMHF_SYSV : XMHF_CDECL);
    im->flags = PAL_ID_FLAG_LEGACY;
    e = check_sections(s, im);
    if (e == TV_OK) {
        e = check_roles(entry, im);
    }
    if (e == TV_OK) {
        e = check_params(p, im);
    }
    if (e == TV_OK) {
        im->entries[0] = (struct tv_entry){ entry, 0, (uint16_t)im->param_count, 0, 0 };
        im->entry_count = 1;
    }
    return e;
}
