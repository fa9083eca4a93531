/* SPDX-License-Identifier: MIT */
/* Hashes what a PAL is, in the encodings of include/xmhf/measurement.h and image.h; pure. */
#include "identity.h"
#include <util/string.h>

/* Flags and values that the hash and the interface share. */
_Static_assert(XMHF_MODULE_PIC == PAL_ID_FLAG_PIC, "hashed");
_Static_assert(XMHF_CDECL == (int)PAL_ID_CDECL && XMHF_SYSV == (int)PAL_ID_SYSV
    && XMHF_MICROSOFT == (int)PAL_ID_MICROSOFT && XMHF_CDECL16 == (int)PAL_ID_CDECL16
    && XMHF_PASCAL16 == (int)PAL_ID_PASCAL16, "hashed");
_Static_assert(XMHF_IN == (int)PAL_ID_IN && XMHF_OUT == (int)PAL_ID_OUT
    && XMHF_INOUT == (int)PAL_ID_INOUT, "hashed");

static void add_entries(struct sha256 *ctx, const struct tv_image *im)
{
    for (uint32_t i = 0; i < im->entry_count; i++) {
        const struct tv_entry *e = &im->entries[i];
        struct pal_id_entry enc = { e->va - im->lowest, e->first, e->params };
        sha256_update(ctx, &enc, sizeof(enc));
    }
}

static void add_sections(struct sha256 *ctx, const struct tv_image *im)
{
    for (uint32_t i = 0; i < im->section_count; i++) {
        const struct tv_section *s = &im->sections[i];
        struct pal_id_section enc = {
            .type = s->type,
            .rights = tv_is_code(s->type)       ? PAL_ID_READ | PAL_ID_EXEC
                      : tv_is_constant(s->type) ? PAL_ID_READ
                                                : PAL_ID_READ | PAL_ID_WRITE,
            .pages = s->pages,
            .offset = s->start - im->lowest,
        };
        sha256_update(ctx, &enc, sizeof(enc));
    }
}

static void add_params(struct sha256 *ctx, const struct tv_image *im)
{
    for (uint32_t i = 0; i < im->param_count; i++) {
        const struct tv_param *p = &im->params[i];
        struct pal_id_param enc = {
            .type = p->type,
            .direction = p->direction,
            .size = p->size,
        };
        sha256_update(ctx, &enc, sizeof(enc));
    }
}

/* --- of an image ------------------------------------------------------------------ */

static void add_image_section(struct sha256 *ctx, const struct tv_section *s)
{
    struct xmhf_image_section enc = { .type = s->type, .pages = s->pages, .address = s->start };

    sha256_update(ctx, &enc, sizeof(enc));
}

static void add_image_param(struct sha256 *ctx, const struct tv_param *p)
{
    struct xmhf_image_param enc = {
        .type = p->type, .direction = p->direction, .size = p->most,
        .counted_by = p->counted_by, .unit = p->unit,
    };

    sha256_update(ctx, &enc, sizeof(enc));
}

static void add_image_entry(struct sha256 *ctx, const struct tv_entry *e)
{
    struct xmhf_image_entry enc = {
        .address = e->va, .params = e->params, .result = e->result,
    };

    sha256_update(ctx, &enc, sizeof(enc));
}

static uint32_t items(const struct tv_image *im)
{
    return im->section_count + im->param_count + im->entry_count;
}

uint32_t tv_identity_parts(const struct tv_image *im)
{
    return 1 + (items(im) + TV_IDENTITY_LINES - 1) / TV_IDENTITY_LINES;
}

static void add_image_head(struct sha256 *ctx, const struct tv_image *im)
{
    struct xmhf_image enc = {
        .size = (uint32_t)XMHF_IMAGE_SIZE(im->section_count, im->param_count, im->entry_count),
        .version = XMHF_IMAGE_VERSION,
        .mode = im->mode,
        .convention = im->convention,
        .flags = im->flags,
        .stacks = im->stacks,
        .sections = im->section_count,
        .params = im->param_count,
        .entries = im->entry_count,
        .budget = im->budget,
    };

    sha256_update(ctx, XMHF_IMAGE_MAGIC, XMHF_IMAGE_MAGIC_SIZE);
    sha256_update(ctx, &enc, sizeof(enc));
}

void tv_identity_part(struct sha256 *ctx, sha256_blocks_fn *blocks, const struct tv_image *im,
                      uint32_t part)
{
    const uint32_t params = im->section_count, entries = params + im->param_count;

    if (part == 0) {
        sha256_init(ctx, blocks);
        add_image_head(ctx, im);
        return;
    }
    for (uint32_t i = (part - 1) * TV_IDENTITY_LINES; i < part * TV_IDENTITY_LINES
         && i < items(im); i++) {
        if (i < params) {
            add_image_section(ctx, &im->sections[i]);
        } else if (i < entries) {
            add_image_param(ctx, &im->params[i - params]);
        } else {
            add_image_entry(ctx, &im->entries[i - entries]);
        }
    }
}

/* --- of the others ---------------------------------------------------------------- */

void tv_identity_begin(struct sha256 *ctx, sha256_blocks_fn *blocks, const struct tv_image *im)
{
    struct pal_id_header header = {
        .mode = im->mode,
        .convention = im->convention,
        .flags = im->flags,
        .stacks = im->stacks,
        .entries = im->entry_count,
        .sections = im->section_count,
        .params = im->param_count,
        .base = im->flags & PAL_ID_FLAG_PIC ? 0 : im->lowest,
        .budget = im->budget,
    };

    memcpy(header.magic, PAL_ID_MAGIC, sizeof(header.magic));
    sha256_init(ctx, blocks);
    sha256_update(ctx, &header, sizeof(header));
    add_entries(ctx, im);
    add_sections(ctx, im);
    add_params(ctx, im);
}

void tv_identity_add(struct sha256 *ctx, const void *bytes, size_t len)
{
    sha256_update(ctx, bytes, len);
}

void tv_identity_end(struct sha256 *ctx, uint8_t id[PAL_ID_SIZE])
{
    sha256_final(ctx, id);
}
