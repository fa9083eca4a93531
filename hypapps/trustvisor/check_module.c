/* SPDX-License-Identifier: MIT */
/* Checks the structure of a registration by the module interface; pure. */
#include "check_module.h"
#include <xmhf/measurement.h>

static enum tv_error check_header(const struct xmhf_module *d, bool is_64)
{
    if (!tv_known_struct(d)) {
        return TV_BAD_STRUCT;
    }
    if (is_64 ? d->convention != XMHF_SYSV && d->convention != XMHF_MICROSOFT
             : d->convention != XMHF_CDECL) {
        return TV_BAD_CONVENTION;
    }
    return (d->flags & ~XMHF_MODULE_PIC) != 0 || d->reserved != 0 ? TV_BAD_FLAGS : TV_OK;
}

static bool known_type(uint32_t type)
{
    return (type >= TV_SECTION_CODE && type <= TV_SECTION_STACK) || type == XMHF_SECTION_RODATA;
}

static enum tv_error check_sections(const struct xmhf_module *d, struct tv_image *im)
{
    if (d->sections == 0 || d->sections > XMHF_MODULE_SECTIONS) {
        return TV_BAD_SECTIONS;
    }
    for (uint32_t i = 0; i < d->sections; i++) {
        const struct xmhf_module_section *in = &d->section[i];
        enum tv_error e = !known_type(in->type) ? TV_BAD_SECTION_TYPE
                          : in->reserved != 0   ? TV_BAD_FLAGS
                          : tv_image_section(im, in->type, in->start, in->pages);
        if (e != TV_OK) {
            return e;
        }
    }
    return TV_OK;
}

static enum tv_error check_param(const struct xmhf_module_param *p)
{
    if (p->type == TV_PARAM_INTEGER) {
        return p->direction == XMHF_IN && p->size == 0 ? TV_OK : TV_BAD_DIRECTION;
    }
    if (p->type != TV_PARAM_POINTER) {
        return TV_BAD_PARAM_TYPE;
    }
    if (p->direction < XMHF_IN || p->direction > XMHF_INOUT) {
        return TV_BAD_DIRECTION;
    }
    return p->size > TV_AREA_MAX ? TV_PARAMS_TOO_BIG : TV_OK;
}

/* Each POINTER's data has its own place in the PARAM section, whatever entry is called; `*end`:
 * bytes of all. */
static enum tv_error check_params(const struct xmhf_module *d, struct tv_image *im, uint64_t *end)
{
    *end = 0;
    if (d->params > XMHF_MODULE_PARAMS) {
        return TV_BAD_PARAMS;
    }
    for (uint32_t i = 0; i < d->params; i++) {
        const struct xmhf_module_param *in = &d->param[i];
        enum tv_error e = check_param(in);
        if (e != TV_OK) {
            return e;
        }
        im->params[i] = (struct tv_param){
            .size = in->size, .bytes = in->size & 0xfffff, .offset = (uint32_t)*end,
            .type = in->type & 0xff, .direction = in->direction & 0xf,
        };
        im->has_data = im->has_data || in->size != 0;
        *end = align_up(*end + in->size, TV_DATA_ALIGN);
    }
    im->param_count = d->params;
    return *end > TV_AREA_MAX ? TV_PARAMS_TOO_BIG : TV_OK;
}

/* Each call that can be under way has a STACK and, unless there is no POINTER, a PARAM section
 * that all data fits in. */
static enum tv_error check_stacks(const struct xmhf_module *d, uint64_t bytes, struct tv_image *im)
{
    bool areas = tv_section_nth(im, TV_SECTION_PARAM, 0);

    if (d->stacks == 0 || d->stacks > XMHF_MODULE_STACKS
        || !tv_section_nth(im, TV_SECTION_STACK, d->stacks - 1)
        || tv_section_nth(im, TV_SECTION_STACK, d->stacks)
        || (areas && !tv_section_nth(im, TV_SECTION_PARAM, d->stacks - 1))
        || tv_section_nth(im, TV_SECTION_PARAM, d->stacks)) {
        return TV_BAD_STACKS;
    }
    for (uint32_t i = 0; i < d->params && !areas; i++) {
        if (d->param[i].type == TV_PARAM_POINTER) {
            return TV_NO_PARAM;
        }
    }
    for (uint32_t k = 0; k < d->stacks && areas; k++) {
        if (bytes > tv_section_nth(im, TV_SECTION_PARAM, k)->pages * PAGE_SIZE) {
            return TV_PARAMS_TOO_BIG;
        }
    }
    im->stacks = d->stacks;
    return TV_OK;
}

/* Entry `i` against the ones before. */
static bool entry_good(const struct xmhf_module *d, uint32_t i, const struct tv_image *im)
{
    const struct xmhf_module_entry *e = &d->entry[i];
    const struct tv_section *code = tv_section_at(im, e->address);

    if (!code || code->type != TV_SECTION_CODE || e->address % XMHF_MODULE_ENTRY_ALIGN != 0
        || (e->address & PAGE_MASK) >= PAGE_SIZE - TV_STUB_BLOCK
        || e->address >> PAGE_SHIFT != d->entry[0].address >> PAGE_SHIFT
        || e->first_param > d->params || e->params > d->params - e->first_param) {
        return false;
    }
    for (uint32_t k = 0; k < i; k++) {
        if (d->entry[k].address == e->address) {
            return false;
        }
    }
    return true;
}

static enum tv_error check_entries(const struct xmhf_module *d, uint64_t entry, struct tv_image *im)
{
    if (!tv_section_nth(im, TV_SECTION_CODE, 0)) {
        return TV_NO_CODE;
    }
    if (d->entries == 0 || d->entries > XMHF_MODULE_ENTRIES) {
        return TV_BAD_ENTRIES;
    }
    for (uint32_t i = 0; i < d->entries; i++) {
        const struct xmhf_module_entry *e = &d->entry[i];
        if (!entry_good(d, i, im)) {
            return TV_BAD_ENTRIES;
        }
        im->entries[i] = (struct tv_entry){
            e->address, (uint16_t)e->first_param, (uint16_t)e->params, 0, 0,
        };
    }
    im->entry_count = d->entries;
    im->entry = im->entries[0].va;
    im->code = (uint8_t)(tv_section_at(im, im->entry) - im->sections);
    return im->entry == entry ? TV_OK : TV_BAD_ENTRY;
}

enum tv_error tv_check_module(const struct xmhf_module *d, uint64_t entry, bool is_64,
                           struct tv_image *im)
{
    enum tv_error e = check_header(d, is_64);
    uint64_t bytes;

    tv_image_begin(im, is_64);
    im->module = true;
    tv_image_convention(im, d->convention);
    im->flags = d->flags;
    im->budget = d->budget;
    if (e == TV_OK) {
        e = check_sections(d, im);
    }
    if (e == TV_OK) {
        e = check_params(d, im, &bytes);
    }
    if (e == TV_OK) {
        e = check_stacks(d, bytes, im);
    }
    return e == TV_OK ? check_entries(d, entry, im) : e;
}
