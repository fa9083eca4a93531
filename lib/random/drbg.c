/* SPDX-License-Identifier: MIT */
/* HMAC-DRBG: BearSSL's over lib/sha256. */
#include <random/drbg.h>
#include <util/string.h>

/* What BearSSL calls a hash: its HMAC keeps one of these in a br_hash_compat_context. */
struct hash { const br_hash_class *vtable; struct sha256 h; };
_Static_assert(sizeof(struct hash) <= sizeof(br_hash_compat_context), "BearSSL's room for a hash");

static sha256_blocks_fn *blocks = sha256_blocks;
static const br_hash_class hash_class;

void drbg_use(sha256_blocks_fn *fn)
{
    blocks = fn;
}

static void begin(const br_hash_class **ctx)
{
    struct hash *h = (struct hash *)ctx;

    h->vtable = &hash_class;
    sha256_init(&h->h, blocks);
}

static void update(const br_hash_class **ctx, const void *data, size_t len)
{
    sha256_update(&((struct hash *)ctx)->h, data, len);
}

static void out(const br_hash_class *const *ctx, void *dst)
{
    struct sha256 h = ((const struct hash *)ctx)->h; /* BearSSL may go on with it */

    sha256_final(&h, dst);
}

/* The state between blocks, and back: HMAC keeps the hash of its padded keys so. */
static uint64_t state_out(const br_hash_class *const *ctx, void *dst)
{
    const struct hash *h = (const struct hash *)ctx;

    memcpy(dst, h->h.state, sizeof(h->h.state));
    return h->h.length;
}

static void state_in(const br_hash_class **ctx, const void *state, uint64_t length)
{
    struct hash *h = (struct hash *)ctx;

    memcpy(h->h.state, state, sizeof(h->h.state));
    h->h.length = length;
}

static const br_hash_class hash_class = {
    .context_size = sizeof(struct hash),
    .desc = BR_HASHDESC_ID(br_sha256_ID) | BR_HASHDESC_OUT(SHA256_SIZE)
        | BR_HASHDESC_STATE(SHA256_SIZE) | BR_HASHDESC_LBLEN(6),
    .init = begin, .update = update, .out = out, .state = state_out, .set_state = state_in,
};

void drbg_init(struct drbg *d, const void *seed, size_t n)
{
    br_hmac_drbg_init(&d->state, &hash_class, seed, n);
}

void drbg_reseed(struct drbg *d, const void *seed, size_t n)
{
    br_hmac_drbg_update(&d->state, seed, n);
}

void drbg_generate(struct drbg *d, void *to, size_t n)
{
    br_hmac_drbg_generate(&d->state, to, n);
}
