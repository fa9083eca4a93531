/* SPDX-License-Identifier: MIT */
/* A PAL's identity: SHA-256 over the encoding of include/xmhf/measurement.h, or of an image over
 * that of include/xmhf/image.h. */
#ifndef TV_IDENTITY_H
#define TV_IDENTITY_H

#include "image.h"
#include <sha256/sha256.h>
#include <xmhf/measurement.h>

/* Begin: everything but the contents. `blocks` hashes this and what is added. */
void tv_identity_begin(struct sha256 *ctx, sha256_blocks_fn *blocks, const struct tv_image *im);
/* The same for an image, by parts of at most TV_IDENTITY_PART bytes: part number 0, 1, ... up to
 * tv_identity_parts() - 1. */
#define TV_IDENTITY_LINES 16u  /* list items of a part */
#define TV_IDENTITY_PART  (TV_IDENTITY_LINES * sizeof(struct xmhf_image_section))
_Static_assert(TV_IDENTITY_PART >= XMHF_IMAGE_MAGIC_SIZE + sizeof(struct xmhf_image), "part 0");
uint32_t tv_identity_parts(const struct tv_image *im);
void tv_identity_part(struct sha256 *ctx, sha256_blocks_fn *blocks, const struct tv_image *im,
                      uint32_t part);
/* Some bytes of the contents, in order. */
void tv_identity_add(struct sha256 *ctx, const void *bytes, size_t len);
/* The result; `ctx` keeps bytes of the PAL and must be wiped by the caller. */
void tv_identity_end(struct sha256 *ctx, uint8_t id[PAL_ID_SIZE]);

#endif
