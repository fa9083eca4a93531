/* SPDX-License-Identifier: MIT */
/* A PAL's identity: SHA-256 over the encoding of include/xmhf/measurement.h. */
#ifndef TV_IDENTITY_H
#define TV_IDENTITY_H

#include "image.h"
#include <sha256/sha256.h>
#include <xmhf/measurement.h>

/* Begin: everything but the contents. `blocks` hashes this and what is added. */
void tv_identity_begin(struct sha256 *ctx, sha256_blocks_fn *blocks, const struct tv_image *im);
/* Some bytes of the contents, in order. */
void tv_identity_add(struct sha256 *ctx, const void *bytes, size_t len);
/* The result; `ctx` keeps bytes of the PAL and must be wiped by the caller. */
void tv_identity_end(struct sha256 *ctx, uint8_t id[PAL_ID_SIZE]);

#endif
