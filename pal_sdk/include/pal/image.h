/* SPDX-License-Identifier: MIT */
/*
 * An image in a program: what the object exports that `pal-cc -o NAME_image.o NAME.pal` makes. It
 * defines NAME_image, and for each entry ENTRY its number, NAME_entry_ENTRY. C and C++.
 */
#ifndef PAL_IMAGE_H
#define PAL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAL_IDENTITY_SIZE 32u

struct pal_image {
    const char *name;
    const void *file;        /* the image file (xmhf/image.h), aligned to 16; NULL: native object */
    size_t size;             /* its bytes, with the notes */
    const uint8_t *identity; /* PAL_IDENTITY_SIZE bytes, as the hypervisor computes it */
    const void *native;      /* of a native object (pal-cc --native): its records, an array of
                                const struct pal_descriptor *, ended by NULL; else NULL */
};

/* Declares what the object of the image NAME exports. */
#define PAL_IMAGE(name) extern const struct pal_image name##_image

#ifdef __cplusplus
}
#endif

#endif
