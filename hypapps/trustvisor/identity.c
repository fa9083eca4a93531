/* SPDX-License-Identifier: MIT */
/* Hashes what a PAL is, in the encoding of include/xmhf/measurement.h; pure. */
#include "identity.h"
#include <util/string.h>

/* Flags and values that the hash and the interface share. */
_Static_assert(XMHF_MODULE_PIC == PAL_ID_FLAG_PIC, "hashed");
_Static_assert(XMHF_CDECL == (int)PAL_ID_CDECL && XMHF_SYSV == (int)PAL_ID_SYSV
    && XMHF_MICROSOFT == (int)PAL_ID_MICROSOFT, "hashed");
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
