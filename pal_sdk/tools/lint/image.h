/* SPDX-License-Identifier: MIT */
/* An image (xmhf/image.h): read from a file of its own, or made from a linked file; checked as the
 * hypervisor checks it; and its identity. */
#ifndef PAL_LINT_IMAGE_H
#define PAL_LINT_IMAGE_H

#include "file.h"
#include "problems.h"

#include <pal/descriptor.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>

#define IMAGE_PAGE       4096u
#define IMAGE_STACK_GAP  16u          /* pages that stay unmapped on both sides of a stack */

struct image {
    struct xmhf_image head;
    struct xmhf_image_section sections[XMHF_IMAGE_SECTIONS];
    struct xmhf_image_param params[XMHF_IMAGE_PARAMS];
    struct xmhf_image_entry entries[XMHF_IMAGE_ENTRIES];
    const uint8_t *contents[XMHF_IMAGE_SECTIONS];  /* NULL: zeros */
    uint64_t filled[XMHF_IMAGE_SECTIONS];          /* bytes that `contents` has; then zeros */
    char name[PAL_DESCRIPTOR_NAME];
    char entry_names[XMHF_IMAGE_ENTRIES][PAL_DESCRIPTOR_NAME];
    char ocalls[PAL_DESCRIPTOR_OCALLS][PAL_DESCRIPTOR_NAME];
    uint32_t ocall_count;                          /* 1 + the highest number */
    uint64_t gate;
    uint64_t measured;                             /* bytes of the file that are measured */
};

/* What the command line says; 0 or NULL: what the sources say, or else the default. */
struct image_options {
    const char *name;
    const char *otherwise; /* name, if nothing else says one */
    const char *header;    /* the name that the interface's header is of; only for a warning */
    uint64_t stack;   /* bytes of one */
    uint64_t stacks;
    uint64_t budget;
    bool debug;
};

#define IMAGE_STACK_DEFAULT 16384u

/* Read an image file of `size` bytes; it must stay. What is wrong is added to `p`; false: nothing
 * of it can be used. */
bool image_read(struct image *im, const uint8_t *data, size_t size, struct problems *p);
bool image_is(const uint8_t *data, size_t size);

/* Make an image of the linked file; `f` must stay. */
void image_make(struct image *im, const struct file *f, const struct image_options *o,
                struct problems *p);

/* What the hypervisor would refuse. */
void image_check(const struct image *im, struct problems *p);

/* The bytes of the image's file. `*size`; to be freed; NULL: no memory. */
uint8_t *image_write(const struct image *im, size_t *size);

/* The identity of a file that image_write made or image_read read: of its first `measured`
 * bytes. */
void image_identity(const uint8_t *file, uint64_t measured, uint8_t identity[PAL_ID_SIZE]);

/* CODE, RODATA, ..., or "?". */
const char *image_section_type(uint32_t type);
bool image_has_contents(uint32_t type);
/* Bytes of one entry's POINTERs in a PARAM section. */
uint64_t image_param_bytes(const struct xmhf_image_param *params, uint32_t n);

/* The records of a linked file or an object, in `.pal.entries`. Calls `take` with a copy of each
 * and its place in the section; false: what is there can't be read. */
bool descriptors_each(const struct file *f, struct problems *p,
                      void (*take)(void *context, const struct pal_descriptor *d), void *context);

#endif
