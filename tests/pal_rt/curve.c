/* SPDX-License-Identifier: MIT */
/* X25519, Ed25519 and P-256 against published vectors, and what must be refused. */
#include "rt_test.h"
#include "vectors.h"

#include <bearssl.h>
#include <pal/ed25519.h>
#include <pal/rt.h>
#include <pal/x25519.h>
#include <string.h>

static uint8_t a[RT_BYTES], b[RT_BYTES], out[RT_BYTES], message[RT_BYTES];

#define ROWS(table, n) for (const char *const *v = table; v < table + sizeof(table) \
                            / sizeof(table[0]); v += n)

static bool x25519(void)
{
    ROWS(x25519_vectors, 3) {
        rt_bytes(a, v[0]);
        rt_bytes(b, v[1]);
        RT_CHECK(pal_x25519(out, a, b) && rt_same(out, 32, v[2]));
    }
    rt_bytes(a, x25519_vectors[6]);
    pal_x25519_public(out, a);
    RT_CHECK(rt_same(out, 32, x25519_vectors[8]));
    return true;
}

/* RFC 7748, 5.2: 1,000 times what came out is the scalar, and the scalar the point. */
static bool x25519_again(void)
{
    uint8_t k[32] = { 9 }, u[32] = { 9 };

    for (unsigned i = 0; i < 1000; i++) {
        RT_CHECK(pal_x25519(out, k, u));
        memcpy(u, k, 32);
        memcpy(k, out, 32);
    }
    RT_CHECK(rt_same(k, 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    return true;
}

static bool x25519_small_order(void)
{
    static const uint8_t zero[32];

    memset(a, 0x77, 32);
    ROWS(x25519_low_order, 1) {
        rt_bytes(b, v[0]);
        memset(out, 1, 32);
        RT_CHECK(!pal_x25519(out, a, b) && memcmp(out, zero, 32) == 0);
    }
    return true;
}

static bool ed25519(void)
{
    ROWS(ed25519_vectors, 4) {
        uint8_t secret[64], public_key[32];
        size_t n = rt_bytes(message, v[2]);

        rt_bytes(a, v[0]);
        pal_ed25519_keypair(public_key, secret, a);
        RT_CHECK(rt_same(public_key, 32, v[1]) && rt_same(secret, 32, v[0])
            && memcmp(secret + 32, public_key, 32) == 0);
        pal_ed25519_sign(out, n != 0 ? message : NULL, n, secret);
        RT_CHECK(rt_same(out, 64, v[3]));
        RT_CHECK(pal_ed25519_verify(out, n != 0 ? message : NULL, n, public_key));
        for (unsigned bit = 0; bit < 512; bit += 37) {
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
            RT_CHECK(!pal_ed25519_verify(out, message, n, public_key));
            out[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    return true;
}

static bool ed25519_strict(void)
{
    ROWS(ed25519_bad, 4) {
        rt_bytes(a, v[1]);
        rt_bytes(out, v[3]);
        if (pal_ed25519_verify(out, message, rt_bytes(message, v[2]), a)) {
            return rt_fail("accepted: %s", v[0]);
        }
    }
    return true;
}

static const br_hash_class *hash_named(const char *name)
{
    return strcmp(name, "sha1") == 0 ? &br_sha1_vtable
        : strcmp(name, "sha224") == 0 ? &br_sha224_vtable
        : strcmp(name, "sha256") == 0 ? &br_sha256_vtable
        : strcmp(name, "sha384") == 0 ? &br_sha384_vtable : &br_sha512_vtable;
}

static size_t hash_hex(const br_hash_class *h, uint8_t *digest, const char *hex)
{
    br_hash_compat_context c;

    h->init(&c.vtable);
    h->update(&c.vtable, message, rt_bytes(message, hex));
    h->out(&c.vtable, digest);
    return h->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;
}

static bool ecdsa_all(const br_ec_impl *ec)
{
    uint8_t digest[64], public_key[65], secret[32];
    br_ec_private_key sk = { BR_EC_secp256r1, secret, 32 };
    br_ec_public_key pk;

    rt_bytes(secret, P256_SECRET);
    RT_CHECK(br_ec_compute_pub(ec, &pk, public_key, &sk) == 65);
    RT_CHECK(rt_same(public_key, 65, P256_PUBLIC));
    ROWS(ecdsa_vectors, 4) {
        const br_hash_class *h = hash_named(v[0]);
        size_t n = hash_hex(h, digest, v[1]);

        RT_CHECK(br_ecdsa_i31_sign_raw(ec, h, digest, &sk, out) == 64);
        RT_CHECK(rt_same(out, 64, v[2]));
        RT_CHECK(br_ecdsa_i31_vrfy_raw(ec, digest, n, &pk, out, 64) == 1);
        size_t length = br_ecdsa_i31_sign_asn1(ec, h, digest, &sk, out);
        RT_CHECK(rt_same(out, length, v[3]));
        RT_CHECK(br_ecdsa_i31_vrfy_asn1(ec, digest, n, &pk, out, length) == 1);
        digest[0] ^= 1;
        RT_CHECK(br_ecdsa_i31_vrfy_asn1(ec, digest, n, &pk, out, length) == 0);
    }
    return true;
}

static bool ecdsa(void) { return ecdsa_all(&br_ec_p256_m31); }
static bool ecdsa_any_prime(void) { return ecdsa_all(&br_ec_prime_i31); }

static bool ecdsa_strict(void)
{
    uint8_t digest[64], secret[32], public_key[65];
    br_ec_private_key sk = { BR_EC_secp256r1, secret, 32 };
    br_ec_public_key good;

    rt_bytes(secret, P256_SECRET);
    br_ec_compute_pub(&br_ec_p256_m31, &good, public_key, &sk);
    hash_hex(&br_sha256_vtable, digest, "73616d706c65");
    RT_CHECK(br_ecdsa_i31_sign_raw(&br_ec_p256_m31, &br_sha256_vtable, digest, &sk, out) == 64);
    RT_CHECK(br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, 32, &good, out, 64) == 1);
    ROWS(ecdsa_bad, 3) {
        br_ec_public_key pk = { BR_EC_secp256r1, a, rt_bytes(a, v[1]) };
        size_t n = rt_bytes(out, v[2]);

        if (br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, 32, &pk, out, n) != 0) {
            return rt_fail("accepted: %s", v[0]);
        }
    }
    return true;
}

static bool ecdh(void)
{
    size_t n = rt_bytes(a, ecdh_vectors[0]), size;

    size = rt_bytes(b, ecdh_vectors[1]);
    RT_CHECK(br_ec_p256_m31.mul(b, size, a, n, BR_EC_secp256r1) == 1);
    size_t at = br_ec_p256_m31.xoff(BR_EC_secp256r1, &n);
    RT_CHECK(n == 32 && rt_same(b + at, n, ecdh_vectors[2]));
    rt_bytes(b, ecdh_vectors[1]);
    b[64] ^= 1;
    RT_CHECK(br_ec_p256_m31.mul(b, size, a, 32, BR_EC_secp256r1) == 0);
    return true;
}

/* A key pair that the hypervisor's numbers make. */
static bool new_key(void)
{
    uint8_t digest[32] = { 1 }, secret[BR_EC_KBUF_PRIV_MAX_SIZE],
        public_key[BR_EC_KBUF_PUB_MAX_SIZE];
    br_hmac_drbg_context c;
    br_ec_private_key sk;
    br_ec_public_key pk;

    br_hmac_drbg_init(&c, &br_sha256_vtable, NULL, 0);
    RT_CHECK(br_prng_seeder_system(NULL)(&c.vtable) == 1);
    RT_CHECK(br_ec_keygen(&c.vtable, &br_ec_p256_m31, &sk, secret, BR_EC_secp256r1) == 32);
    RT_CHECK(br_ec_compute_pub(&br_ec_p256_m31, &pk, public_key, &sk) == 65);
    RT_CHECK(br_ecdsa_i31_sign_raw(&br_ec_p256_m31, &br_sha256_vtable, digest, &sk, out) == 64);
    RT_CHECK(br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, 32, &pk, out, 64) == 1);
    return true;
}

const struct rt_test rt_test_curve[] = {
    RT_TEST(x25519), RT_TEST(x25519_again), RT_TEST(x25519_small_order), RT_TEST(ed25519),
    RT_TEST(ed25519_strict), RT_TEST(ecdsa), RT_TEST(ecdsa_any_prime), RT_TEST(ecdsa_strict),
    RT_TEST(ecdh), RT_TEST(new_key), RT_END,
};
