/* SPDX-License-Identifier: MIT */
/*
 * The keystore tried out through its client library: published vectors of each algorithm, inputs at
 * the edges, policies, handles, and threads that use it at once.
 */
#include "keystore_client.h"
#include "keystore_vectors.h"
#include "../example.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static struct ks *ks;

/* As check(), and an error that isn't the one expected is told. */
static void expect(uint32_t error, uint32_t wanted, const char *what)
{
    check(error == wanted, what);
    if (error != wanted) {
        printf("      (%s)\n", ks_error_text(error));
    }
}

/* Bytes of a hexadecimal text. */
static size_t hex(const char *text, uint8_t *out)
{
    size_t size = strlen(text) / 2;

    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;

        sscanf(text + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return size;
}

/* Whether these bytes are that hexadecimal text. */
static bool is(const uint8_t *bytes, const char *text)
{
    uint8_t wanted[256];

    return memcmp(bytes, wanted, hex(text, wanted)) == 0;
}

static uint32_t import(uint32_t type, uint32_t uses, const char *secret)
{
    uint8_t bytes[KEYSTORE_SECRET];
    uint32_t handle = 0, error;

    error = ks_import(ks, type, uses, 0, bytes, hex(secret, bytes), &handle);
    if (error != KEYSTORE_OK) {
        printf("WRONG import: %s\n", ks_error_text(error));
        failures++;
    }
    return handle;
}

/* --- published vectors --- */

static void sign_vectors(uint32_t type, const struct sign_vector *v, size_t count)
{
    uint8_t message[256], signature[64], public_bytes[KEYSTORE_PUBLIC];
    struct keystore_public key;

    for (; count-- > 0; v++) {
        uint32_t handle = import(type, KEYSTORE_SIGN, v->secret);
        size_t size = hex(v->message, message), public_size = hex(v->public_key, public_bytes);

        check(ks_public(ks, handle, &key) == KEYSTORE_OK && key.size == public_size
              && is(key.bytes, v->public_key)
              && ks_sign(ks, handle, message, size, signature) == KEYSTORE_OK
              && is(signature, v->signature)
              && ks_verify(ks, type, public_bytes, public_size, message, size, signature)
                 == KEYSTORE_OK, v->name);
        message[size] = 0;
        check(ks_verify(ks, type, public_bytes, public_size, message, size + 1, signature)
              == KEYSTORE_REFUSED, "  not with a byte more");
        signature[20] ^= 4;
        check(ks_verify(ks, type, public_bytes, public_size, message, size, signature)
              == KEYSTORE_REFUSED, "  not with a bit of the signature changed");
        ks_destroy(ks, handle);
    }
}

static void agree_vectors(uint32_t type, const struct agree_vector *v, size_t count)
{
    uint8_t peer[KEYSTORE_PUBLIC], shared[32];
    struct keystore_public key;

    for (; count-- > 0; v++) {
        uint32_t handle = import(type, KEYSTORE_AGREE, v->secret);
        size_t size = hex(v->peer, peer);

        check(ks_public(ks, handle, &key) == KEYSTORE_OK && is(key.bytes, v->public_key)
              && ks_agree(ks, handle, peer, size, shared) == KEYSTORE_OK && is(shared, v->shared),
              v->name);
        ks_destroy(ks, handle);
    }
}

static void mac_vectors(void)
{
    uint8_t message[256], code[32];

    for (size_t i = 0; i < LENGTH(hmac_vectors); i++) {
        const struct mac_vector *v = &hmac_vectors[i];
        uint32_t handle = import(KEYSTORE_HMAC_SHA256, KEYSTORE_MAC | KEYSTORE_CHECK, v->secret);
        size_t size = hex(v->message, message);

        check(ks_mac(ks, handle, message, size, code) == KEYSTORE_OK && is(code, v->code)
              && ks_mac_check(ks, handle, message, size, code) == KEYSTORE_OK, v->name);
        code[31] ^= 0x80;
        check(ks_mac_check(ks, handle, message, size, code) == KEYSTORE_REFUSED,
              "  not with a bit of the code changed");
        ks_destroy(ks, handle);
    }
}

static void gcm_vectors_decrypted(void)
{
    uint8_t associated[64], data[256], cipher[256], nonce[12], tag[16];

    for (size_t i = 0; i < LENGTH(gcm_vectors); i++) {
        const struct gcm_vector *v = &gcm_vectors[i];
        uint32_t handle = import(KEYSTORE_AES_GCM, KEYSTORE_DECRYPT, v->secret);
        size_t associated_size = hex(v->associated, associated), size = hex(v->cipher, cipher);

        hex(v->nonce, nonce);
        hex(v->tag, tag);
        memcpy(data, cipher, size);
        check(ks_decrypt(ks, handle, associated, associated_size, data, size, nonce, tag)
              == KEYSTORE_OK && is(data, v->plain), v->name);
        memcpy(data, cipher, size);
        tag[0] ^= 1;
        check(ks_decrypt(ks, handle, associated, associated_size, data, size, nonce, tag)
              == KEYSTORE_REFUSED && (size == 0 || (data[0] == 0 && data[size - 1] == 0)),
              "  not with a bit of the tag changed, and nothing comes out");
        ks_destroy(ks, handle);
    }
}

/* --- inputs at the edges --- */

static const char p256_order[] =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
static const char p256_order_less_1[] =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
static const char p256_order_plus_1[] =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552";
static const char p256_base_x[] =
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
static const char one[] = "0000000000000000000000000000000000000000000000000000000000000001";
static const char ones[] = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

static uint32_t import_error(uint32_t type, uint32_t uses, const char *secret)
{
    uint8_t bytes[KEYSTORE_SECRET + 1];
    uint32_t handle = 0, error;

    error = ks_import(ks, type, uses, 0, bytes, hex(secret, bytes), &handle);
    if (error == KEYSTORE_OK) {
        ks_destroy(ks, handle);
    }
    return error;
}

static void p256_scalars(void)
{
    struct keystore_public key;
    uint32_t handle = import(KEYSTORE_P256, KEYSTORE_SIGN, one);

    check(ks_public(ks, handle, &key) == KEYSTORE_OK && key.bytes[0] == 4
          && is(key.bytes + 1, p256_base_x), "P-256: the key 1 has the base point");
    ks_destroy(ks, handle);
    handle = import(KEYSTORE_P256, KEYSTORE_SIGN, p256_order_less_1);
    check(ks_public(ks, handle, &key) == KEYSTORE_OK && is(key.bytes + 1, p256_base_x),
          "P-256: the key n - 1 has its negative");
    ks_destroy(ks, handle);
    expect(import_error(KEYSTORE_P256, KEYSTORE_SIGN, zeros), KEYSTORE_BAD_KEY,
           "P-256: 0 is no key");
    expect(import_error(KEYSTORE_P256, KEYSTORE_SIGN, p256_order), KEYSTORE_BAD_KEY,
           "P-256: n is no key");
    expect(import_error(KEYSTORE_P256, KEYSTORE_SIGN, p256_order_plus_1), KEYSTORE_BAD_KEY,
           "P-256: n + 1 is no key");
    expect(import_error(KEYSTORE_P256, KEYSTORE_SIGN, ones), KEYSTORE_BAD_KEY,
           "P-256: 2^256 - 1 is no key");
}

static void p256_signatures(void)
{
    const struct sign_vector *v = &p256_vectors[0];
    static const struct { const char *name, *r, *s; } bad[] = {
        { "P-256: r = 0 is refused", zeros, one }, { "P-256: s = 0 is refused", one, zeros },
        { "P-256: r = n is refused", p256_order, one },
        { "P-256: s = n is refused", one, p256_order },
        { "P-256: r = s = 0 is refused", zeros, zeros },
        { "P-256: r = s = 2^256 - 1 is refused", ones, ones },
    };
    uint8_t public_bytes[65], message[16], signature[64], digest[32];
    size_t size = hex(v->message, message);
    uint32_t handle = import(KEYSTORE_P256, KEYSTORE_SIGN, v->secret);

    hex(v->public_key, public_bytes);
    for (size_t i = 0; i < LENGTH(bad); i++) {
        hex(bad[i].r, signature);
        hex(bad[i].s, signature + 32);
        expect(ks_verify(ks, KEYSTORE_P256, public_bytes, 65, message, size, signature),
               KEYSTORE_REFUSED, bad[i].name);
    }
    hex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf", digest);
    check(ks_sign_digest(ks, handle, digest, signature) == KEYSTORE_OK
          && is(signature, v->signature), "P-256: a digest made outside has the same signature");
    public_bytes[64] ^= 1;
    hex(v->signature, signature);
    expect(ks_verify(ks, KEYSTORE_P256, public_bytes, 65, message, size, signature),
           KEYSTORE_REFUSED, "P-256: a public key that is not on the curve verifies nothing");
    ks_destroy(ks, handle);
}

static void p256_peers(void)
{
    uint32_t handle = import(KEYSTORE_P256, KEYSTORE_AGREE, ecdh_vectors[0].secret);
    uint8_t peer[65], shared[32];

    hex(ecdh_vectors[0].peer, peer);
    peer[64] ^= 1;
    expect(ks_agree(ks, handle, peer, 65, shared), KEYSTORE_BAD_PEER,
           "ECDH: a point that is not on the curve is refused");
    memset(peer, 0, sizeof(peer));
    expect(ks_agree(ks, handle, peer, 65, shared), KEYSTORE_BAD_PEER, "ECDH: so are zeros");
    peer[0] = 4;
    expect(ks_agree(ks, handle, peer, 65, shared), KEYSTORE_BAD_PEER, "ECDH: so is (0, 0)");
    memset(peer + 1, 0xff, 64);
    expect(ks_agree(ks, handle, peer, 65, shared), KEYSTORE_BAD_PEER,
           "ECDH: so are coordinates that are no residues");
    hex(ecdh_vectors[0].peer, peer);
    peer[0] = 2;
    expect(ks_agree(ks, handle, peer, 33, shared), KEYSTORE_BAD_SIZE,
           "ECDH: a compressed point is refused");
    expect(ks_agree(ks, handle, peer, 0, shared), KEYSTORE_BAD_SIZE, "ECDH: so is none");
    ks_destroy(ks, handle);
}

static void ed25519_edges(void)
{
    /* The order of the group, little-endian; s + L is the same number, and another encoding. */
    static const uint8_t order[32] = {
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, [31] = 0x10,
    };
    const struct sign_vector *v = &ed25519_vectors[1];
    uint8_t public_bytes[32], message[1], signature[64];
    unsigned carry = 0;

    hex(v->public_key, public_bytes);
    hex(v->message, message);
    hex(v->signature, signature);
    for (unsigned i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    expect(ks_verify(ks, KEYSTORE_ED25519, public_bytes, 32, message, 1, signature),
           KEYSTORE_REFUSED, "Ed25519: s + L is refused");
    memset(signature, 0, sizeof(signature));
    memset(public_bytes, 0, sizeof(public_bytes));
    signature[0] = public_bytes[0] = 1; /* the neutral element signs everything, if it may */
    expect(ks_verify(ks, KEYSTORE_ED25519, public_bytes, 32, message, 1, signature),
           KEYSTORE_REFUSED, "Ed25519: a public key of small order verifies nothing");
    memset(public_bytes, 0xff, sizeof(public_bytes));
    expect(ks_verify(ks, KEYSTORE_ED25519, public_bytes, 32, message, 1, signature),
           KEYSTORE_REFUSED, "Ed25519: nor does one that is no point");
    expect(ks_verify(ks, KEYSTORE_ED25519, public_bytes, 31, message, 1, signature),
           KEYSTORE_BAD_SIZE, "Ed25519: a public key has 32 bytes");
}

static void x25519_edges(void)
{
    uint32_t handle = import(KEYSTORE_X25519, KEYSTORE_AGREE, x25519_vectors[2].secret);
    /* RFC 7748, 6.1: zeros come of these, and both sides must look. */
    static const char *const small[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t peer[32], shared[32];
    unsigned refused = 0;

    for (size_t i = 0; i < LENGTH(small); i++) {
        hex(small[i], peer);
        refused += ks_agree(ks, handle, peer, 32, shared) == KEYSTORE_BAD_PEER;
    }
    check(refused == LENGTH(small), "X25519: points of small order are refused");
    hex(x25519_vectors[2].peer, peer);
    peer[31] |= 0x80;
    check(ks_agree(ks, handle, peer, 32, shared) == KEYSTORE_OK
          && is(shared, x25519_vectors[2].shared), "X25519: the highest bit doesn't count");
    expect(ks_agree(ks, handle, peer, 31, shared), KEYSTORE_BAD_SIZE,
           "X25519: a public key has 32 bytes");
    ks_destroy(ks, handle);
}

static void sizes(void)
{
    static uint8_t data[KEYSTORE_MESSAGE + 1];
    uint8_t code[32], nonce[12], tag[16], again[12];
    uint32_t mac = 0, aes = 0;

    ks_create(ks, KEYSTORE_HMAC_SHA256, KEYSTORE_MAC | KEYSTORE_CHECK, 0, &mac);
    ks_create(ks, KEYSTORE_AES_GCM, KEYSTORE_ENCRYPT | KEYSTORE_DECRYPT, 0, &aes);
    check(ks_mac(ks, mac, data, KEYSTORE_MESSAGE, code) == KEYSTORE_OK
          && ks_mac_check(ks, mac, data, KEYSTORE_MESSAGE, code) == KEYSTORE_OK,
          "a message of 8192 bytes");
    expect(ks_mac(ks, mac, data, KEYSTORE_MESSAGE + 1, code), KEYSTORE_BAD_SIZE,
           "one of 8193 is refused");
    check(ks_encrypt(ks, aes, data, KEYSTORE_ASSOCIATED, data, KEYSTORE_MESSAGE, nonce, tag)
          == KEYSTORE_OK && data[0] + data[1] + data[2] + data[3] + data[4] + data[5] != 0,
          "8192 bytes are encrypted");
    ks_encrypt(ks, aes, NULL, 0, code, sizeof(code), again, tag);
    check(memcmp(nonce, again, sizeof(nonce)) != 0, "another nonce each time");
    expect(ks_encrypt(ks, aes, data, KEYSTORE_ASSOCIATED + 1, data, 1, nonce, tag),
           KEYSTORE_BAD_SIZE, "1025 bytes of associated data are refused");
    ks_destroy(ks, mac);
    ks_destroy(ks, aes);
}

static void encrypted_and_back(void)
{
    uint8_t data[100], associated[5] = "name", nonce[12], tag[16];
    uint32_t key = 0;
    unsigned wrong = 0;

    ks_create(ks, KEYSTORE_AES_GCM, KEYSTORE_ENCRYPT | KEYSTORE_DECRYPT, 0, &key);
    for (unsigned size = 0; size <= sizeof(data); size++) {
        memset(data, (int)size, sizeof(data));
        wrong += ks_encrypt(ks, key, associated, 5, data, size, nonce, tag) != KEYSTORE_OK;
        wrong += ks_decrypt(ks, key, associated, 5, data, size, nonce, tag) != KEYSTORE_OK;
        for (unsigned i = 0; i < sizeof(data); i++) {
            wrong += data[i] != size;
        }
    }
    check(wrong == 0, "0 to 100 bytes are encrypted and come back");
    ks_encrypt(ks, key, associated, 5, data, sizeof(data), nonce, tag);
    associated[0] ^= 1;
    expect(ks_decrypt(ks, key, associated, 5, data, sizeof(data), nonce, tag), KEYSTORE_REFUSED,
           "not with other associated data");
    ks_destroy(ks, key);
}

/* --- policies and handles --- */

static void policies(void)
{
    uint8_t bytes[64] = { 0 }, digest[32] = { 0 };
    struct keystore_info info;
    struct keystore_public key;
    uint32_t k = 0;

    expect(ks_create(ks, 0, KEYSTORE_SIGN, 0, &k), KEYSTORE_BAD_TYPE, "there is no type 0");
    expect(ks_create(ks, 6, KEYSTORE_SIGN, 0, &k), KEYSTORE_BAD_TYPE, "there is no type 6");
    expect(ks_create(ks, KEYSTORE_ED25519, 0, 0, &k), KEYSTORE_BAD_POLICY, "a key has a use");
    expect(ks_create(ks, KEYSTORE_ED25519, KEYSTORE_SIGN | KEYSTORE_AGREE, 0, &k),
           KEYSTORE_BAD_POLICY, "Ed25519 can't agree");
    expect(ks_create(ks, KEYSTORE_ED25519, 1u << 31, 0, &k), KEYSTORE_BAD_POLICY,
           "there is no use 2^31");
    ks_create(ks, KEYSTORE_P256, KEYSTORE_SIGN, 3, &k);
    expect(ks_agree(ks, k, bytes, 64, digest), KEYSTORE_NOT_ALLOWED,
           "a key that may sign may not agree");
    expect(ks_mac(ks, k, bytes, 1, digest), KEYSTORE_BAD_TYPE, "P-256 makes no codes");
    for (unsigned i = 0; i < 3; i++) {
        expect(ks_sign(ks, k, bytes, i, bytes), KEYSTORE_OK, "it signs three times");
    }
    expect(ks_sign(ks, k, bytes, 1, bytes), KEYSTORE_USED_UP, "and not a fourth time");
    expect(ks_sign_digest(ks, k, digest, bytes), KEYSTORE_USED_UP, "in no way");
    check(ks_about(ks, k, &info) == KEYSTORE_OK && info.used == 3 && info.limit == 3
          && info.uses == KEYSTORE_SIGN && info.type == KEYSTORE_P256 && info.imported == 0,
          "the keystore tells so, and that it was born inside");
    expect(ks_public(ks, k, &key), KEYSTORE_OK, "its public key can still be had");
    ks_destroy(ks, k);
    k = import(KEYSTORE_HMAC_SHA256, KEYSTORE_CHECK, ones);
    expect(ks_mac(ks, k, bytes, 1, digest), KEYSTORE_NOT_ALLOWED,
           "a key that may check codes may not make them");
    expect(ks_public(ks, k, &key), KEYSTORE_BAD_TYPE, "and has no public key");
    check(ks_about(ks, k, &info) == KEYSTORE_OK && info.imported == 1,
          "the keystore tells that it came from outside");
    ks_destroy(ks, k);
}

static void handles(void)
{
    struct keystore_list keys;
    struct keystore_info info;
    uint32_t handle[KEYSTORE_KEYS + 1], again = 0, wrong = 0;

    expect(ks_about(ks, 0, &info), KEYSTORE_NO_KEY, "0 is no handle");
    expect(ks_about(ks, UINT32_MAX, &info), KEYSTORE_NO_KEY, "2^32 - 1 is none");
    check(ks_list(ks, &keys) == KEYSTORE_OK && keys.count == 0, "the keystore is empty");
    for (unsigned i = 0; i < KEYSTORE_KEYS; i++) {
        wrong += ks_create(ks, KEYSTORE_HMAC_SHA256, KEYSTORE_MAC, 0, &handle[i]) != KEYSTORE_OK;
    }
    check(wrong == 0, "32 keys fit");
    expect(ks_create(ks, KEYSTORE_HMAC_SHA256, KEYSTORE_MAC, 0, &again), KEYSTORE_FULL,
           "a 33rd doesn't");
    check(ks_list(ks, &keys) == KEYSTORE_OK && keys.count == KEYSTORE_KEYS
          && keys.key[31].handle == handle[31], "all of them are listed");
    ks_destroy(ks, handle[7]);
    expect(ks_destroy(ks, handle[7]), KEYSTORE_NO_KEY, "a key is destroyed once");
    ks_create(ks, KEYSTORE_HMAC_SHA256, KEYSTORE_MAC, 0, &again);
    check(again != handle[7] && ks_about(ks, handle[7], &info) == KEYSTORE_NO_KEY
          && ks_about(ks, again, &info) == KEYSTORE_OK,
          "its place is taken by another, its handle is none any more");
    handle[7] = again;
    for (unsigned i = 0; i < KEYSTORE_KEYS; i++) {
        wrong += ks_destroy(ks, handle[i]) != KEYSTORE_OK;
    }
    check(wrong == 0 && ks_list(ks, &keys) == KEYSTORE_OK && keys.count == 0,
          "the keystore is empty again");
}

/* Keys that nobody outside has ever seen agree, and sign what can be verified. */
static void born_inside(void)
{
    static const struct { uint32_t type; const char *name; } types[] = {
        { KEYSTORE_X25519, "X25519: two keys born inside agree" },
        { KEYSTORE_P256, "ECDH: two keys born inside agree" },
    };
    struct keystore_public a_public, b_public;
    uint8_t ab[32] = { 0 }, ba[32] = { 1 }, signature[64];
    uint32_t a = 0, b = 0;

    for (unsigned i = 0; i < LENGTH(types); i++) {
        ks_create(ks, types[i].type, KEYSTORE_AGREE, 0, &a);
        ks_create(ks, types[i].type, KEYSTORE_AGREE, 0, &b);
        ks_public(ks, a, &a_public);
        ks_public(ks, b, &b_public);
        ks_agree(ks, a, b_public.bytes, b_public.size, ab);
        ks_agree(ks, b, a_public.bytes, a_public.size, ba);
        check(memcmp(ab, ba, 32) == 0 && memcmp(&a_public, &b_public, sizeof(a_public)) != 0,
              types[i].name);
        ks_destroy(ks, a);
        ks_destroy(ks, b);
    }
    for (uint32_t type = KEYSTORE_ED25519; type <= KEYSTORE_P256; type += 2) {
        ks_create(ks, type, KEYSTORE_SIGN, 0, &a);
        ks_public(ks, a, &a_public);
        ks_sign(ks, a, ab, sizeof(ab), signature);
        expect(ks_verify(ks, type, a_public.bytes, a_public.size, ab, sizeof(ab), signature),
               KEYSTORE_OK, type == KEYSTORE_P256 ? "ECDSA: a key born inside signs"
                                                  : "Ed25519: a key born inside signs");
        ks_destroy(ks, a);
    }
}

/* --- threads --- */

enum { THREADS = 6, SIGNATURES = 12 };

struct job {
    pthread_t thread;
    uint32_t handle, wrong;
};

/* Sign with a key that all share, and make and destroy keys beside it. */
static void *work(void *arg)
{
    struct job *j = arg;
    uint8_t message[1], signature[64];
    uint32_t own;

    hex(ed25519_vectors[1].message, message);
    for (unsigned i = 0; i < SIGNATURES; i++) {
        own = 0;
        j->wrong += ks_sign(ks, j->handle, message, 1, signature) != KEYSTORE_OK
                    || !is(signature, ed25519_vectors[1].signature);
        j->wrong += ks_create(ks, KEYSTORE_AES_GCM, KEYSTORE_ENCRYPT, 0, &own) != KEYSTORE_OK;
        j->wrong += ks_destroy(ks, own) != KEYSTORE_OK;
    }
    return NULL;
}

static void threads(void)
{
    struct job jobs[THREADS];
    struct keystore_info info;
    uint32_t wrong = 0, started = 0;
    uint32_t handle = import(KEYSTORE_ED25519, KEYSTORE_SIGN, ed25519_vectors[1].secret);

    for (; started < THREADS; started++) {
        jobs[started] = (struct job){ .handle = handle };
        if (pthread_create(&jobs[started].thread, NULL, work, &jobs[started]) != 0) {
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(jobs[i].thread, NULL);
        wrong += jobs[i].wrong;
    }
    check(started == THREADS && wrong == 0, "6 threads at once, each signature is right");
    check(ks_about(ks, handle, &info) == KEYSTORE_OK && info.used == THREADS * SIGNATURES,
          "and each is counted");
    ks_destroy(ks, handle);
}

/* --- forms --- */

static void der_forms(void)
{
    struct keystore_public key;
    uint8_t signature[64], der[KS_DER_PUBLIC];
    uint32_t handle = import(KEYSTORE_ED25519, KEYSTORE_SIGN, ed25519_vectors[0].secret);
    size_t size;

    hex(p256_vectors[0].signature, signature);
    size = ks_der_signature(signature, der);
    check(size == 72 && is(der, "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea8"
                                "4eaf3716022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4"
                                "ab2f843acda8"), "DER: a signature with two high bits");
    memset(signature, 0, sizeof(signature));
    signature[31] = 1;
    signature[62] = 0x80;
    size = ks_der_signature(signature, der);
    check(size == 10 && is(der, "300802010102030080"
                                "00"), "DER: small numbers are short");
    ks_public(ks, handle, &key);
    size = ks_der_public(&key, der);
    check(size == 44 && is(der, "302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3da"
                                "a62325af021a68f707511a"), "DER: a public key of Ed25519");
    ks_destroy(ks, handle);
}

/* --- for the leak test --- */

/* Have a key whose bytes come masked, so that nothing but the PAL holds them, until a line comes.
 * What the key still makes of a message then shows that it was there. */
static int hold(const char *masked)
{
    uint8_t secret[64] = { 0 }, code[32];
    uint32_t handle = 0, error;
    size_t size = strlen(masked) / 2 <= 64 ? hex(masked, secret) : 0;

    for (size_t i = 0; i < size; i++) {
        secret[i] ^= 0x5a;
    }
    error = ks_import(ks, KEYSTORE_HMAC_SHA256, KEYSTORE_MAC, 0, secret, size, &handle);
    for (volatile uint8_t *p = secret; p < secret + sizeof(secret); p++) {
        *p = 0;
    }
    puts(error == KEYSTORE_OK ? "ready" : ks_error_text(error));
    fflush(stdout);
    getchar();
    error = ks_mac(ks, handle, (const uint8_t *)"message", 7, code);
    printf("%s ", ks_error_text(error));
    for (unsigned i = 0; i < 32; i++) {
        printf("%02x", code[i]);
    }
    putchar('\n');
    ks_close(ks);
    return error != KEYSTORE_OK;
}

int main(int argc, char **argv)
{
    if (ks_open(&ks) != KEYSTORE_OK) {
        puts(ks_failure());
        return 1;
    }
    if (argc == 3 && strcmp(argv[1], "--hold") == 0) {
        return hold(argv[2]);
    }
    sign_vectors(KEYSTORE_ED25519, ed25519_vectors, LENGTH(ed25519_vectors));
    sign_vectors(KEYSTORE_P256, p256_vectors, LENGTH(p256_vectors));
    agree_vectors(KEYSTORE_X25519, x25519_vectors, LENGTH(x25519_vectors));
    agree_vectors(KEYSTORE_P256, ecdh_vectors, LENGTH(ecdh_vectors));
    mac_vectors();
    gcm_vectors_decrypted();
    p256_scalars();
    p256_signatures();
    p256_peers();
    ed25519_edges();
    x25519_edges();
    sizes();
    encrypted_and_back();
    policies();
    born_inside();
    threads();
    der_forms();
    handles();
    ks_close(ks);
    return checked();
}
