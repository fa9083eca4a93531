/* SPDX-License-Identifier: MIT */
/* Reads an image file, which may be damaged; pure. */
#ifndef PAL_IMAGE_FILE_H
#define PAL_IMAGE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xmhf/image.h>

/* What helps, in a sentence's end. */
#define PAL_FILE_COPY  "; it is not as pal-cc wrote it: embed the file again"
#define PAL_FILE_BUILD "; build it again (pal-lint FILE tells more)"
/* Why a file is no image of this program, and what to do. X(name, sentence). */
#define PAL_FILE_ERRORS(X) \
    X(OK,         "it is good") \
    X(SHORT,      "the file is shorter than its own lists say" PAL_FILE_COPY) \
    X(MAGIC,      "the file does not begin as an image does; embed what pal-cc -o X.pal writes") \
    X(VERSION,    "the file was made by another version of pal-cc, whose encoding differs; build " \
                  "it with the pal-cc of this library") \
    X(COUNTS,     "it says more sections, parameters or entries than an image can have, or none" \
                  PAL_FILE_BUILD) \
    X(SIZE,       "its lists have another size than it says" PAL_FILE_COPY) \
    X(MODE_64,    "its code has 64 bits and this program has 32, which only the hypervisor can " \
                  "run; without it build the image with -m32") \
    X(MODE_32,    "its code has 32 bits and this program has 64; build the image with -m64") \
    X(MODE,       "its mode is none that is known" PAL_FILE_BUILD) \
    X(CONVENTION, "its calling convention is unknown, or none of its mode" PAL_FILE_BUILD) \
    X(RESERVED,   "a reserved field is not 0, or a flag is unknown" PAL_FILE_BUILD) \
    X(SECTION,    "a section is of an unknown type, misaligned, empty or too large, or has an " \
                  "address of the caller's" PAL_FILE_BUILD) \
    X(ORDER,      "its sections do not ascend with a free page between them" PAL_FILE_BUILD) \
    X(STACKS,     "its STACK and PARAM sections do not fit the number of stacks" PAL_FILE_BUILD) \
    X(CONTENTS,   "the contents of its sections are cut off" PAL_FILE_COPY) \
    X(ENTRY,      "an entry lies outside of CODE, or its parameters are not in the list" \
                  PAL_FILE_BUILD) \
    X(PARAM,      "a parameter has an unknown type or direction, a count that is none, or is " \
                  "too large" PAL_FILE_BUILD) \
    X(NOTES,      "its notes are damaged" PAL_FILE_COPY) \
    X(NATIVE,     "it holds ordinary code, by pal-cc --native, which only -lpal-native runs; " \
                  "link with that, or embed an image") \
    X(NATIVE_EMPTY, "its ordinary code has no entry, or too many; give pal-cc --native the " \
                  "--interface that declares them") \
    X(INTERFACE,  "the program was compiled with another interface than the image; compile both " \
                  "with the same header") \
    X(HANDLE,     "the call is one of another PAL's; give it a handle of that one")

enum pal_file_error {
#define X(name, sentence) PAL_FILE_##name,
    PAL_FILE_ERRORS(X)
#undef X
};

/* An image, copied out of its file but for the contents, which stay there. */
struct pal_file {
    struct xmhf_image head;
    struct xmhf_image_section section[XMHF_IMAGE_SECTIONS];
    struct xmhf_image_param param[XMHF_IMAGE_PARAMS];
    struct xmhf_image_entry entry[XMHF_IMAGE_ENTRIES];
    uint32_t first_param[XMHF_IMAGE_ENTRIES];
    int8_t ocall_param[XMHF_IMAGE_ENTRIES]; /* by entry: number of its OCALL parameter, or -1 */
    const uint8_t *contents;      /* of all sections that have some, in order */
    uint32_t content_pages;
    const char *names;            /* strings of the notes, or NULL without notes */
    size_t names_size;
    uint32_t ocalls;              /* functions that the PAL may call */
    uint64_t gate;                /* notes.gate */
};

/* What `size` bytes at `file` say. On an error *f has no meaning. The PAL has this program's width;
 * or 64 bits, where the program has 32 (pal_file_is_foreign). */
enum pal_file_error pal_file_read(const void *file, size_t size, struct pal_file *f);
/* Is its code of another width than this program's? */
static inline bool pal_file_is_foreign(const struct pal_file *f)
{
    return f->head.mode != 8 * sizeof(void *);
}
/* Has a section of this type contents? */
bool pal_file_has_contents(uint32_t type);
/* The name of entry or ocall number `i`, or NULL: there are no notes, or not so many. */
const char *pal_file_entry_name(const struct pal_file *f, uint32_t i);
const char *pal_file_ocall_name(const struct pal_file *f, uint32_t i);
/* Fill ocall_param in: pal_file_read does. */
void pal_file_find_ocalls(struct pal_file *f);

#endif
