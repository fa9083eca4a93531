/* SPDX-License-Identifier: MIT */
/* AES and ChaCha20-Poly1305 against published vectors, and what must be refused. */
#include "rt_test.h"
#include "vectors.h"

#include <bearssl.h>
#include <string.h>

static uint8_t key[RT_BYTES], text[RT_BYTES], aad[RT_BYTES], nonce[RT_BYTES], cipher[RT_BYTES],
    tag[16];

/* Key, text, additional data, nonce and cipher text of a row. */
struct row { size_t key, text, aad, nonce; };

static struct row read_row(const char *const *v)
{
    return (struct row){ rt_bytes(key, v[0]), rt_bytes(text, v[1]), rt_bytes(aad, v[2]),
                         rt_bytes(nonce, v[3]) };
}

#define ROWS(table, n) for (const char *const *v = table; v < table + sizeof(table) \
                            / sizeof(table[0]); v += n)

static void gcm_start(br_gcm_context *c, const struct row *r)
{
    br_gcm_reset(c, nonce, r->nonce);
    br_gcm_aad_inject(c, aad, r->aad);
    br_gcm_flip(c);
}

/* Is the tag's first part right for a row's cipher text? */
static uint32_t gcm_opens(br_gcm_context *c, const struct row *r, const char *const *v, size_t n)
{
    gcm_start(c, r);
    br_gcm_run(c, 0, cipher, rt_bytes(cipher, v[4]));
    return br_gcm_check_tag_trunc(c, tag, n);
}

static bool gcm_row(const char *const *v, const br_block_ctr_class *aes, br_ghash hash)
{
    br_aes_gen_ctr_keys k;
    br_gcm_context c;
    struct row r = read_row(v);

    aes->init(&k.vtable, key, r.key);
    br_gcm_init(&c, &k.vtable, hash);
    gcm_start(&c, &r);
    br_gcm_run(&c, 1, text, r.text / 2);
    br_gcm_run(&c, 1, text + r.text / 2, r.text - r.text / 2);
    br_gcm_get_tag(&c, tag);
    RT_CHECK(rt_same(text, r.text, v[4]) && rt_same(tag, 16, v[5]));
    gcm_start(&c, &r);
    br_gcm_run(&c, 0, text, r.text);
    RT_CHECK(br_gcm_check_tag(&c, tag) == 1 && rt_same(text, r.text, v[1]));
    tag[15] ^= 1;
    RT_CHECK(gcm_opens(&c, &r, v, 16) == 0);
    RT_CHECK(gcm_opens(&c, &r, v, 15) == 1); /* it looks at no more than what it was given */
    tag[11] ^= 0x80;
    RT_CHECK(gcm_opens(&c, &r, v, 12) == 0);
    tag[15] ^= 1;
    tag[11] ^= 0x80;
    RT_CHECK(gcm_opens(&c, &r, v, 16) == 1);
    aad[0] ^= 1;
    RT_CHECK(gcm_opens(&c, &r, v, 16) == (r.aad == 0));
    return true;
}

static bool gcm_all(const br_block_ctr_class *aes, br_ghash hash)
{
    ROWS(gcm_vectors, 6) {
        if (!gcm_row(v, aes, hash)) {
            return false;
        }
    }
    return true;
}

static bool gcm_64(void) { return gcm_all(&br_aes_ct64_ctr_vtable, br_ghash_ctmul64); }
static bool gcm_32(void) { return gcm_all(&br_aes_ct_ctr_vtable, br_ghash_ctmul32); }
static bool gcm_mul(void) { return gcm_all(&br_aes_ct64_ctr_vtable, br_ghash_ctmul); }

/* Where the CPU has AES-NI. */
static bool gcm_ni(void)
{
    const br_block_ctr_class *aes = br_aes_x86ni_ctr_get_vtable();
    br_ghash hash = br_ghash_pclmul_get();

    return !aes || !hash || gcm_all(aes, hash);
}

static bool cbc_all(const br_block_cbcenc_class *enc, const br_block_cbcdec_class *dec)
{
    ROWS(cbc_vectors, 4) {
        br_aes_gen_cbcenc_keys e;
        br_aes_gen_cbcdec_keys d;
        size_t n = rt_bytes(key, v[0]), length = rt_bytes(text, v[2]);

        enc->init(&e.vtable, key, n);
        rt_bytes(nonce, v[1]);
        enc->run(&e.vtable, nonce, text, length);
        RT_CHECK(rt_same(text, length, v[3]));
        dec->init(&d.vtable, key, n);
        rt_bytes(nonce, v[1]);
        dec->run(&d.vtable, nonce, text, length);
        RT_CHECK(rt_same(text, length, v[2]));
    }
    return true;
}

static bool cbc_64(void)
{
    return cbc_all(&br_aes_ct64_cbcenc_vtable, &br_aes_ct64_cbcdec_vtable);
}

static bool cbc_32(void) { return cbc_all(&br_aes_ct_cbcenc_vtable, &br_aes_ct_cbcdec_vtable); }

static bool chapol_all(br_poly1305_run poly, br_chacha20_run cha)
{
    ROWS(chapol_vectors, 6) {
        struct row r = read_row(v);

        poly(key, nonce, text, r.text, aad, r.aad, tag, cha, 1);
        RT_CHECK(rt_same(text, r.text, v[4]) && rt_same(tag, 16, v[5]));
        memset(tag, 0, sizeof(tag));
        poly(key, nonce, text, r.text, aad, r.aad, tag, cha, 0);
        RT_CHECK(rt_same(text, r.text, v[1]) && rt_same(tag, 16, v[5]));
        rt_bytes(text, v[4]);
        text[0] ^= 1;
        aad[0] ^= r.text == 0; /* some bit of what there is */
        poly(key, nonce, text, r.text, aad, r.aad, tag, cha, 0);
        RT_CHECK(r.text + r.aad == 0 || !rt_same(tag, 16, v[5]));
    }
    return true;
}

static bool chapol(void) { return chapol_all(br_poly1305_ctmul_run, br_chacha20_ct_run); }
static bool chapol_32(void) { return chapol_all(br_poly1305_ctmul32_run, br_chacha20_ct_run); }

/* Where the CPU has them. */
static bool chapol_fast(void)
{
    br_poly1305_run poly = br_poly1305_ctmulq_get();
    br_chacha20_run cha = br_chacha20_sse2_get();

    return chapol_all(poly ? poly : br_poly1305_ctmul_run, cha ? cha : br_chacha20_ct_run);
}

const struct rt_test rt_test_cipher[] = {
    RT_TEST(gcm_64), RT_TEST(gcm_32), RT_TEST(gcm_mul), RT_TEST(gcm_ni), RT_TEST(cbc_64),
    RT_TEST(cbc_32), RT_TEST(chapol), RT_TEST(chapol_32), RT_TEST(chapol_fast), RT_END,
};
