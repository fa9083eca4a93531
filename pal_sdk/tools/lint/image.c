/* SPDX-License-Identifier: MIT */
/* Image files: reading, writing, the identity. */
#include "image.h"

#include <sha256/sha256.h>
#include <stdlib.h>
#include <string.h>

const char *image_section_type(uint32_t type)
{
    switch (type) {
    case TV_SECTION_CODE: return "CODE";
    case TV_SECTION_DATA: return "DATA";
    case TV_SECTION_PARAM: return "PARAM";
    case TV_SECTION_STACK: return "STACK";
    case XMHF_SECTION_RODATA: return "RODATA";
    case XMHF_SECTION_BSS: return "BSS";
    default: return "?";
    }
}

bool image_has_contents(uint32_t type)
{
    return type == TV_SECTION_CODE || type == TV_SECTION_DATA || type == XMHF_SECTION_RODATA;
}

bool image_is(const uint8_t *data, size_t size)
{
    return size >= XMHF_IMAGE_MAGIC_SIZE
        && memcmp(data, XMHF_IMAGE_MAGIC, XMHF_IMAGE_MAGIC_SIZE) == 0;
}

/* Take `n` bytes from the front of what is left. */
static bool take(const uint8_t **at, size_t *left, void *to, size_t n)
{
    if (*left < n) {
        return false;
    }
    memcpy(to, *at, n);
    *at += n;
    *left -= n;
    return true;
}

/* The string in front, which a zero ends. */
static bool take_string(const uint8_t **at, size_t *left, char to[PAL_DESCRIPTOR_NAME])
{
    const size_t n = strnlen((const char *)*at, *left);
    char name[FILE_NAME_MAX];

    if (n == *left) {
        return false;
    }
    file_name(name, (const char *)*at, n < PAL_DESCRIPTOR_NAME - 1 ? n : PAL_DESCRIPTOR_NAME - 1);
    memcpy(to, name, PAL_DESCRIPTOR_NAME);
    *at += n + 1;
    *left -= n + 1;
    return true;
}

static bool read_lists(struct image *im, const uint8_t **at, size_t *left)
{
    const struct xmhf_image *h = &im->head;

    return take(at, left, &im->head, sizeof(im->head)) && h->sections <= XMHF_IMAGE_SECTIONS
        && h->params <= XMHF_IMAGE_PARAMS && h->entries <= XMHF_IMAGE_ENTRIES
        && take(at, left, im->sections, h->sections * sizeof(im->sections[0]))
        && take(at, left, im->params, h->params * sizeof(im->params[0]))
        && take(at, left, im->entries, h->entries * sizeof(im->entries[0]));
}

static bool read_contents(struct image *im, const uint8_t **at, size_t *left)
{
    for (uint32_t i = 0; i < im->head.sections; i++) {
        const uint64_t bytes = (uint64_t)im->sections[i].pages * IMAGE_PAGE;

        if (image_has_contents(im->sections[i].type)) {
            if (bytes > *left) {
                return false;
            }
            im->contents[i] = *at;
            im->filled[i] = bytes;
            *at += bytes;
            *left -= bytes;
        }
    }
    return true;
}

static bool read_notes(struct image *im, const uint8_t *at, size_t left)
{
    struct xmhf_image_notes notes;
    const size_t all = left;
    bool good;

    if (!take(&at, &left, &notes, sizeof(notes)) || notes.size < sizeof(notes) || notes.size > all
        || memcmp(notes.magic, XMHF_NOTES_MAGIC, sizeof(notes.magic)) != 0
        || notes.ocalls > PAL_DESCRIPTOR_OCALLS) {
        return false;
    }
    left = notes.size - sizeof(notes);
    good = take_string(&at, &left, im->name);
    for (uint32_t i = 0; good && i < im->head.entries; i++) {
        good = take_string(&at, &left, im->entry_names[i]);
    }
    for (uint32_t i = 0; good && i < notes.ocalls; i++) {
        good = take_string(&at, &left, im->ocalls[i]);
    }
    im->gate = notes.gate;
    im->ocall_count = good ? notes.ocalls : 0;
    return good;
}

bool image_read(struct image *im, const uint8_t *data, size_t size, struct problems *p)
{
    const uint8_t *at = data + XMHF_IMAGE_MAGIC_SIZE;
    size_t left = size - XMHF_IMAGE_MAGIC_SIZE;

    memset(im, 0, sizeof(*im));
    if (!image_is(data, size)) {
        problem(p, PROBLEM_ERROR, 0, "this is no image");
        return false;
    }
    if (!read_lists(im, &at, &left)) {
        problem(p, PROBLEM_ERROR, 0, "the image is cut off, or has more sections, parameters or "
                "entries than there can be");
        return false;
    }
    if (!read_contents(im, &at, &left)) {
        problem(p, PROBLEM_ERROR, 0, "the image ends in the contents of its sections");
        return false;
    }
    im->measured = size - left;
    if (!read_notes(im, at, left)) {
        problem(p, PROBLEM_WARNING, 0, "the image has no notes, so its entries have no names");
    }
    return true;
}

void image_identity(const uint8_t *file, uint64_t measured, uint8_t identity[PAL_ID_SIZE])
{
    struct sha256 h;

    sha256_init(&h, sha256_blocks);
    sha256_update(&h, file, measured);
    sha256_final(&h, identity);
}

/* Append to a file; with `to` NULL only count. */
static void put(uint8_t *to, size_t *size, const void *from, size_t n)
{
    if (to && n) {
        memcpy(to + *size, from, n);
    }
    *size += n;
}

static void put_string(uint8_t *to, size_t *size, const char *s)
{
    put(to, size, s, strlen(s) + 1);
}

static void put_notes(const struct image *im, uint8_t *to, size_t *size, size_t notes_size)
{
    struct xmhf_image_notes notes = { .size = (uint32_t)notes_size, .ocalls = im->ocall_count,
                                      .gate = im->gate };

    memcpy(notes.magic, XMHF_NOTES_MAGIC, sizeof(notes.magic));
    put(to, size, &notes, sizeof(notes));
    put_string(to, size, im->name);
    for (uint32_t i = 0; i < im->head.entries; i++) {
        put_string(to, size, im->entry_names[i]);
    }
    for (uint32_t i = 0; i < im->ocall_count; i++) {
        put_string(to, size, im->ocalls[i]);
    }
}

/* Bytes of CODE that nobody filled are INT3, others 0. */
static void put_section(const struct image *im, uint32_t i, uint8_t *to, size_t *size)
{
    const size_t bytes = (size_t)im->sections[i].pages * IMAGE_PAGE;

    if (to) {
        memset(to + *size, im->sections[i].type == TV_SECTION_CODE ? 0xcc : 0, bytes);
        if (im->contents[i]) {
            memcpy(to + *size, im->contents[i], im->filled[i]);
        }
    }
    *size += bytes;
}

static size_t put_all(const struct image *im, uint8_t *to, size_t notes_size)
{
    const struct xmhf_image *h = &im->head;
    size_t size = 0, behind = 0;

    put(to, &size, XMHF_IMAGE_MAGIC, XMHF_IMAGE_MAGIC_SIZE);
    put(to, &size, h, sizeof(*h));
    put(to, &size, im->sections, h->sections * sizeof(im->sections[0]));
    put(to, &size, im->params, h->params * sizeof(im->params[0]));
    put(to, &size, im->entries, h->entries * sizeof(im->entries[0]));
    for (uint32_t i = 0; i < h->sections; i++) {
        if (image_has_contents(im->sections[i].type)) {
            put_section(im, i, to, &size);
        }
    }
    put_notes(im, to ? to + size : NULL, &behind, notes_size);
    return size + behind;
}

uint8_t *image_write(const struct image *im, size_t *size)
{
    size_t notes = 0;
    uint8_t *file;

    put_notes(im, NULL, &notes, 0);
    *size = put_all(im, NULL, notes);
    file = malloc(*size);
    if (file) {
        put_all(im, file, notes);
    }
    return file;
}
