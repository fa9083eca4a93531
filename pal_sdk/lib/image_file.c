/* SPDX-License-Identifier: MIT */
/* Reads an image file, which may be damaged. */
#include "image_file.h"
#include <string.h>
#include <xmhf/measurement.h>

#define PAGE 4096u

/* What is still to be read. */
struct rest {
    const uint8_t *at;
    size_t size;
};

/* The next n bytes, to `to`. False if there are fewer. */
static bool take(struct rest *r, void *to, size_t n)
{
    if (r->size < n) {
        return false;
    }
    if (n != 0) {
        memcpy(to, r->at, n);
    }
    r->at += n;
    r->size -= n;
    return true;
}

bool pal_file_has_contents(uint32_t type)
{
    return type == TV_SECTION_CODE || type == XMHF_SECTION_RODATA || type == TV_SECTION_DATA;
}

static bool known_type(uint32_t type)
{
    return pal_file_has_contents(type) || type == XMHF_SECTION_BSS || type == TV_SECTION_STACK
        || type == TV_SECTION_PARAM;
}

/* --- the structure -------------------------------------------------------------------- */

static enum pal_file_error check_mode(const struct xmhf_image *h)
{
    if (h->mode != PAL_ID_MODE_64 && h->mode != PAL_ID_MODE_32) {
        return PAL_FILE_MODE;
    }
    if (h->mode < 8 * sizeof(void *)) {
        return PAL_FILE_MODE_32;
    }
    if (h->mode == PAL_ID_MODE_64 ? h->convention != XMHF_SYSV && h->convention != XMHF_MICROSOFT
                           : h->convention != XMHF_CDECL) {
        return PAL_FILE_CONVENTION;
    }
    return PAL_FILE_OK;
}

static enum pal_file_error check_head(const struct xmhf_image *h)
{
    if (h->version != XMHF_IMAGE_VERSION) {
        return PAL_FILE_VERSION;
    }
    if (h->sections == 0 || h->sections > XMHF_IMAGE_SECTIONS || h->entries == 0
        || h->entries > XMHF_IMAGE_ENTRIES || h->params > XMHF_IMAGE_PARAMS) {
        return PAL_FILE_COUNTS;
    }
    if (h->size != XMHF_IMAGE_SIZE(h->sections, h->params, h->entries)) {
        return PAL_FILE_SIZE;
    }
    if (h->caller != 0 || (h->flags & ~XMHF_IMAGE_DEBUG) != 0 || h->stubs != 0) {
        return PAL_FILE_RESERVED;
    }
    return check_mode(h);
}

/* --- sections ------------------------------------------------------------------------- */

static enum pal_file_error check_sections(struct pal_file *f)
{
    const uint64_t end = f->head.mode == PAL_ID_MODE_64 ? 1ULL << 47 : 1ULL << 32;
    uint64_t next = PAGE;
    uint64_t pages = 0;

    f->content_pages = 0;
    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct xmhf_image_section *s = &f->section[i];

        pages += s->pages;
        if (!known_type(s->type) || s->address % PAGE != 0 || s->pages == 0
            || pages > XMHF_IMAGE_PAGES || s->source != 0 || s->address >= end
            || (uint64_t)s->pages * PAGE > end - s->address) {
            return PAL_FILE_SECTION;
        }
        if (s->address < next) {
            return PAL_FILE_ORDER;
        }
        next = s->address + ((uint64_t)s->pages + 1) * PAGE;
        f->content_pages += pal_file_has_contents(s->type) ? s->pages : 0;
    }
    return PAL_FILE_OK;
}

static uint32_t sections_of(const struct pal_file *f, uint32_t type)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->head.sections; i++) {
        n += f->section[i].type == type;
    }
    return n;
}

static enum pal_file_error check_stacks(const struct pal_file *f)
{
    const uint32_t params = sections_of(f, TV_SECTION_PARAM);

    return f->head.stacks != 0 && f->head.stacks <= XMHF_IMAGE_STACKS
        && sections_of(f, TV_SECTION_STACK) == f->head.stacks
        && (params == 0 || params == f->head.stacks) ? PAL_FILE_OK : PAL_FILE_STACKS;
}

/* --- entries -------------------------------------------------------------------------- */

/* Bytes of the smallest PARAM section. */
static uint64_t param_room(const struct pal_file *f)
{
    uint64_t room = UINT64_MAX;

    for (uint32_t i = 0; i < f->head.sections; i++) {
        const uint64_t bytes = (uint64_t)f->section[i].pages * PAGE;
        if (f->section[i].type == TV_SECTION_PARAM && bytes < room) {
            room = bytes;
        }
    }
    return room == UINT64_MAX ? 0 : room;
}

static bool good_count(const struct xmhf_image_param *p, const struct xmhf_image_param *of,
                       uint32_t n)
{
    if (p->counted_by == 0) {
        return p->unit == 0;
    }
    return p->type == TV_PARAM_POINTER && p->counted_by <= n
        && of[p->counted_by - 1].type == TV_PARAM_INTEGER && p->unit != 0
        && p->size % p->unit == 0;
}

static bool good_param(const struct xmhf_image_param *p, const struct xmhf_image_param *of,
                       uint32_t n)
{
    if (!good_count(p, of, n)) {
        return false;
    }
    switch (p->type) {
    case TV_PARAM_INTEGER:
        return p->direction == XMHF_IN && xmhf_integer_good(p->size);
    case TV_PARAM_POINTER:
        return p->direction >= XMHF_IN && p->direction <= XMHF_INOUT && p->size <= XMHF_IMAGE_AREA;
    case XMHF_PARAM_OCALL:
        return p->direction == XMHF_INOUT && p->size <= XMHF_IMAGE_AREA;
    default:
        return false;
    }
}

static enum pal_file_error check_params(const struct xmhf_image_param *p, uint32_t n,
                                        uint64_t room)
{
    uint64_t bytes = 0;
    uint32_t ocalls = 0, pointers = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!good_param(&p[i], p, n)) {
            return PAL_FILE_PARAM;
        }
        bytes += p[i].type == TV_PARAM_POINTER ? ((uint64_t)p[i].size + 15) / 16 * 16 : 0;
        pointers += p[i].type == TV_PARAM_POINTER;
        ocalls += p[i].type == XMHF_PARAM_OCALL;
    }
    return ocalls > 1 || bytes > room || bytes > XMHF_IMAGE_AREA || (pointers != 0 && room == 0)
        ? PAL_FILE_PARAM : PAL_FILE_OK;
}

static bool in_code(const struct pal_file *f, uint64_t address)
{
    for (uint32_t i = 0; i < f->head.sections; i++) {
        const struct xmhf_image_section *s = &f->section[i];
        if (address >= s->address && address - s->address < (uint64_t)s->pages * PAGE) {
            return s->type == TV_SECTION_CODE;
        }
    }
    return false;
}

static enum pal_file_error check_entries(struct pal_file *f)
{
    const uint64_t room = param_room(f);
    uint32_t next = 0;

    for (uint32_t i = 0; i < f->head.entries; i++) {
        const struct xmhf_image_entry *e = &f->entry[i];

        if (!in_code(f, e->address) || !xmhf_integer_good(e->result)
            || e->params > XMHF_IMAGE_ENTRY_PARAMS
            || e->params > f->head.params - next) {
            return PAL_FILE_ENTRY;
        }
        if (check_params(&f->param[next], e->params, room) != PAL_FILE_OK) {
            return PAL_FILE_PARAM;
        }
        f->first_param[i] = next;
        next += e->params;
    }
    return next == f->head.params ? PAL_FILE_OK : PAL_FILE_ENTRY;
}

/* --- notes ---------------------------------------------------------------------------- */

static bool strings_in(const char *text, size_t size, size_t wanted)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        n += text[i] == 0;
    }
    return n >= wanted;
}

/* A file may end before them. */
static enum pal_file_error read_notes(struct rest *r, struct pal_file *f)
{
    struct xmhf_image_notes notes;

    f->names = NULL;
    f->names_size = f->ocalls = 0;
    f->gate = 0;
    if (r->size == 0) {
        return PAL_FILE_OK;
    }
    if (!take(r, &notes, sizeof(notes))
        || memcmp(notes.magic, XMHF_NOTES_MAGIC, sizeof(notes.magic)) != 0
        || notes.size < sizeof(notes) || notes.size - sizeof(notes) > r->size
        || notes.ocalls > r->size
        || !strings_in((const char *)r->at, notes.size - sizeof(notes),
                       1 + (size_t)f->head.entries + notes.ocalls)) {
        return PAL_FILE_NOTES;
    }
    f->names = (const char *)r->at;
    f->names_size = notes.size - sizeof(notes);
    f->ocalls = notes.ocalls;
    f->gate = notes.gate;
    return PAL_FILE_OK;
}

static const char *name_number(const struct pal_file *f, size_t i)
{
    const char *at = f->names;

    while (at && i-- != 0) {
        at += strlen(at) + 1; /* as many strings as this are there */
    }
    return at;
}

const char *pal_file_entry_name(const struct pal_file *f, uint32_t i)
{
    return i < f->head.entries ? name_number(f, 1 + (size_t)i) : NULL;
}

const char *pal_file_ocall_name(const struct pal_file *f, uint32_t i)
{
    return i < f->ocalls ? name_number(f, 1 + (size_t)f->head.entries + i) : NULL;
}

void pal_file_find_ocalls(struct pal_file *f)
{
    for (uint32_t i = 0; i < f->head.entries; i++) {
        const struct xmhf_image_param *p = &f->param[f->first_param[i]];
        uint32_t at = 0;

        while (at < f->entry[i].params && p[at].type != XMHF_PARAM_OCALL) {
            at++;
        }
        f->ocall_param[i] = at < f->entry[i].params ? (int8_t)at : -1;
    }
}

/* --- all of it ------------------------------------------------------------------------ */

static enum pal_file_error read_head(struct rest *r, struct pal_file *f)
{
    uint8_t magic[XMHF_IMAGE_MAGIC_SIZE];

    if (!take(r, magic, sizeof(magic))) {
        return PAL_FILE_SHORT;
    }
    if (memcmp(magic, XMHF_IMAGE_MAGIC, sizeof(magic) - 1) != 0) {
        return PAL_FILE_MAGIC;
    }
    if (magic[sizeof(magic) - 1] != (uint8_t)XMHF_IMAGE_MAGIC[sizeof(magic) - 1]) {
        return PAL_FILE_VERSION;
    }
    return take(r, &f->head, sizeof(f->head)) ? check_head(&f->head) : PAL_FILE_SHORT;
}

static enum pal_file_error read_lists(struct rest *r, struct pal_file *f)
{
    return take(r, f->section, f->head.sections * sizeof(f->section[0]))
        && take(r, f->param, f->head.params * sizeof(f->param[0]))
        && take(r, f->entry, f->head.entries * sizeof(f->entry[0])) ? PAL_FILE_OK : PAL_FILE_SHORT;
}

static enum pal_file_error read_contents(struct rest *r, struct pal_file *f)
{
    const size_t size = (size_t)f->content_pages * PAGE;

    f->contents = r->at;
    if (r->size < size) {
        return PAL_FILE_CONTENTS;
    }
    r->at += size;
    r->size -= size;
    return PAL_FILE_OK;
}

enum pal_file_error pal_file_read(const void *file, size_t size, struct pal_file *f)
{
    struct rest r = { file, size };
    enum pal_file_error e = read_head(&r, f);

    e = e != PAL_FILE_OK ? e : read_lists(&r, f);
    e = e != PAL_FILE_OK ? e : check_sections(f);
    e = e != PAL_FILE_OK ? e : check_stacks(f);
    e = e != PAL_FILE_OK ? e : check_entries(f);
    if (e == PAL_FILE_OK) {
        pal_file_find_ocalls(f);
    }
    e = e != PAL_FILE_OK ? e : read_contents(&r, f);
    return e != PAL_FILE_OK ? e : read_notes(&r, f);
}
