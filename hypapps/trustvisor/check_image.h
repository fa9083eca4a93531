/* SPDX-License-Identifier: MIT */
/* Checks the structure of a registration of an image; pure. */
#ifndef TV_CHECK_IMAGE_H
#define TV_CHECK_IMAGE_H

#include "image.h"

/* A descriptor as it was read. */
struct tv_descriptor {
    struct xmhf_image image;
    struct xmhf_image_section sections[XMHF_IMAGE_SECTIONS];
    struct xmhf_image_entry entries[XMHF_IMAGE_ENTRIES];
    const struct xmhf_image_param *params; /* may lie in the memory of tv_image.params */
};

/* Do we know what follows size and version? */
static inline bool tv_known_image(const struct xmhf_image *d)
{
    return d->size >= sizeof(*d) && d->version == XMHF_IMAGE_VERSION;
}

/* Check what comes before the lists; with TV_OK they fit struct tv_descriptor. `stubs`: their page
 * as the register has it. */
enum tv_error tv_check_image_head(const struct xmhf_image *d, uint64_t stubs, bool is_64);
/* As tv_check, for what tv_check_image_head has found good, with lists as in struct
 * tv_image_lists and XMHF_IMAGE_PARAMS parameters. */
enum tv_error tv_check_image(const struct tv_descriptor *d, bool is_64, struct tv_image *im);

#endif
