/* SPDX-License-Identifier: MIT */
/* A PAL's identity: SHA-256 over the encoding of include/xmhf/measurement.h. */
#ifndef TV_IDENTITY_H
#define TV_IDENTITY_H

#include "image.h"
#include <bearssl_hash.h>
#include <xmhf/measurement.h>

/* Begin: everything but the contents. */
void tv_identity_begin(br_sha256_context *ctx, const struct tv_image *im);
/* Some bytes of the contents, in order. */
void tv_identity_add(br_sha256_context *ctx, const void *bytes, size_t len);
/* The result; `ctx` keeps bytes of the PAL and must be wiped by the caller. */
void tv_identity_end(const br_sha256_context *ctx, uint8_t id[PAL_ID_SIZE]);

#endif
