/* SPDX-License-Identifier: MIT */
/* Hashes, MACs, key derivation and generators against published vectors. */
#include "rt_test.h"
#include "vectors.h"

#include <bearssl.h>
#include <pal/rt.h>
#include <string.h>

#define ROWS(table, n) for (const char *const *v = table; v < table + sizeof(table) \
                            / sizeof(table[0]); v += n)

static const br_hash_class *hash_named(const char *name)
{
    static const br_hash_class *const all[] = { &br_sha1_vtable, &br_sha224_vtable,
        &br_sha256_vtable, &br_sha384_vtable, &br_sha512_vtable };
    static const char *const names[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };
    size_t i = 0;

    while (strcmp(name, names[i]) != 0) {
        i++;
    }
    return all[i];
}

static size_t digest_size(const br_hash_class *h)
{
    return h->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
}

static uint8_t data[RT_BYTES], key[RT_BYTES], out[RT_BYTES], more[RT_BYTES];

static void hash_million(br_hash_compat_context *c)
{
    memset(data, 'a', 1000);
    for (unsigned i = 0; i < 1000; i++) {
        c->vtable->update(&c->vtable, data, 1000);
    }
}

static bool hashes(void)
{
    ROWS(hash_vectors, 3) {
        br_hash_compat_context c;
        const br_hash_class *h = hash_named(v[0]);

        h->init(&c.vtable);
        if (strcmp(v[1], "million") == 0) {
            hash_million(&c);
        } else {
            size_t n = rt_bytes(data, v[1]);
            h->update(&c.vtable, data, n / 3); /* in two parts */
            h->update(&c.vtable, data + n / 3, n - n / 3);
        }
        h->out(&c.vtable, out);
        if (!rt_same(out, digest_size(h), v[2])) {
            return rt_fail("%s of %s", v[0], v[1]);
        }
    }
    return true;
}

static bool macs(void)
{
    ROWS(hmac_vectors, 4) {
        br_hmac_key_context k;
        br_hmac_context c;

        br_hmac_key_init(&k, hash_named(v[0]), key, rt_bytes(key, v[1]));
        br_hmac_init(&c, &k, 0);
        br_hmac_update(&c, data, rt_bytes(data, v[2]));
        size_t n = br_hmac_out(&c, out);
        if (!rt_same(out, n, v[3])) {
            return rt_fail("HMAC %s of %s", v[0], v[2]);
        }
    }
    return true;
}

static bool macs_cut(void)
{
    br_hmac_key_context k;
    br_hmac_context c;

    br_hmac_key_init(&k, &br_sha256_vtable, "Jefe", 4);
    br_hmac_init(&c, &k, 16);
    br_hmac_update(&c, "what do ya want for nothing?", 28);
    memset(out, 0x55, sizeof(out));
    RT_CHECK(br_hmac_out(&c, out) == 16);
    RT_CHECK(rt_same(out, 17, "5bdcc146bf60754e6a042426089575c755"));
    return true;
}

static bool key_derivation(void)
{
    ROWS(hkdf_vectors, 5) {
        br_hkdf_context c;
        size_t n = rt_bytes(more, v[4]);

        if (strcmp(v[2], "none") == 0) {
            br_hkdf_init(&c, hash_named(v[0]), BR_HKDF_NO_SALT, 0);
        } else {
            br_hkdf_init(&c, hash_named(v[0]), data, rt_bytes(data, v[2]));
        }
        br_hkdf_inject(&c, key, rt_bytes(key, v[1]));
        br_hkdf_flip(&c);
        RT_CHECK(br_hkdf_produce(&c, data, rt_bytes(data, v[3]), out, n) == n);
        if (!rt_same(out, n, v[4])) {
            return rt_fail("HKDF %s to %s", v[0], v[4]);
        }
    }
    return true;
}

static bool generator(void)
{
    br_hmac_drbg_context c;

    br_hmac_drbg_init(&c, &br_sha256_vtable, data, rt_bytes(data, drbg_vectors[0]));
    br_hmac_drbg_generate(&c, out, 128);
    br_hmac_drbg_generate(&c, out, 128);
    RT_CHECK(rt_same(out, 128, drbg_vectors[1]));
    return true;
}

/* Begun by the hypervisor's numbers: not twice the same, and not at all without them. */
static bool generator_seeded(void)
{
    br_hmac_drbg_context a, b;
    const char *name;
    br_prng_seeder seed = br_prng_seeder_system(&name);

    br_hmac_drbg_init(&a, &br_sha256_vtable, NULL, 0);
    br_hmac_drbg_init(&b, &br_sha256_vtable, NULL, 0);
    RT_CHECK(seed(&a.vtable) == 1 && seed(&b.vtable) == 1 && strcmp(name, "pal_random") == 0);
    br_hmac_drbg_generate(&a, out, 32);
    br_hmac_drbg_generate(&b, data, 32);
    RT_CHECK(memcmp(out, data, 32) != 0);
    rt_test_error = 99;
    int seeded = seed(&a.vtable);
    rt_test_error = 0;
    RT_CHECK(seeded == !RT_TEST_GATE);
    return true;
}

const struct rt_test rt_test_hash[] = {
    RT_TEST(hashes), RT_TEST(macs), RT_TEST(macs_cut), RT_TEST(key_derivation),
    RT_TEST(generator), RT_TEST(generator_seeded), RT_END,
};
