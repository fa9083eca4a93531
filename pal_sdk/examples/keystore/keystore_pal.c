/* SPDX-License-Identifier: MIT */
/*
 * The keystore's PAL: a table of keys, and what may be done with them. A caller is judged hostile:
 * it may call any entry at any time, from any number of threads. No branch and no address depends
 * on a secret. What held one is wiped before an entry returns.
 *
 * A key's slot is written once, under the lock, and read under it into the call's own copy; the
 * arithmetic works on the copy without the lock.
 */
#include "keystore_interface.h"

#include <bearssl.h>
#include <pal/ed25519.h>
#include <pal/rt.h>
#include <string.h>

enum { SECRET_KEPT = 64 };      /* a longer HMAC key is its hash, by the definition of HMAC; and of
                                   Ed25519 the seed and the public key */
enum { SLOT_BITS = 8 };         /* of a handle; above are generations */
enum { LOCK_TRIES = 1 << 22 };  /* a thread that the OS stopped may hold the lock for long */
enum { STACK_WIPED = 6144 };    /* what the deepest call of BearSSL has below an entry's frame */

struct key {
    struct keystore_info info;  /* handle 0: free */
    uint32_t secret_size;
    uint8_t secret[SECRET_KEPT];
    uint8_t public_bytes[KEYSTORE_PUBLIC];
};

struct type {
    uint32_t uses, secret_min, secret_max, born, public_size;
};

static const struct type types[] = {
    [KEYSTORE_ED25519] = { KEYSTORE_SIGN, 32, 32, 32, 32 },
    [KEYSTORE_X25519] = { KEYSTORE_AGREE, 32, 32, 32, 32 },
    [KEYSTORE_P256] = { KEYSTORE_SIGN | KEYSTORE_AGREE, 32, 32, 32, 65 },
    [KEYSTORE_HMAC_SHA256] = { KEYSTORE_MAC | KEYSTORE_CHECK, 1, KEYSTORE_SECRET, 32, 0 },
    [KEYSTORE_AES_GCM] = { KEYSTORE_ENCRYPT | KEYSTORE_DECRYPT, 16, 32, 32, 0 },
};

static struct key keys[KEYSTORE_KEYS];
static uint32_t generation[KEYSTORE_KEYS];
static uint8_t locked;

/* --- the table ------------------------------------------------------------------------- */

static bool lock(void)
{
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (!__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE)) {
            return true;
        }
        __builtin_ia32_pause();
    }
    return false;
}

static void unlock(void)
{
    __atomic_clear(&locked, __ATOMIC_RELEASE);
}

/* What functions that have returned left below the caller's frame. */
static __attribute__((noinline)) void wipe_stack(void)
{
    uint8_t below[STACK_WIPED];

    pal_wipe(below, sizeof(below));
}

/* The end of each entry that had a copy of a key. */
static uint32_t done(struct key *k, uint32_t error)
{
    pal_wipe(k, sizeof(*k));
    wipe_stack();
    return error;
}

static const struct type *type_of(uint32_t type)
{
    return type >= KEYSTORE_ED25519 && type <= KEYSTORE_AES_GCM ? &types[type] : NULL;
}

/* The slot of a handle; the lock is held. */
static struct key *find(uint32_t handle)
{
    struct key *k = &keys[(handle & ((1u << SLOT_BITS) - 1)) % KEYSTORE_KEYS];

    return handle != 0 && k->info.handle == handle ? k : NULL;
}

/* Whether a key may be used so, once more; the lock is held. */
static uint32_t may(const struct key *k, uint32_t use)
{
    uint32_t limit = k->info.limit != 0 ? k->info.limit : UINT32_MAX;

    if ((types[k->info.type].uses & use) == 0) {
        return KEYSTORE_BAD_TYPE;
    }
    if ((k->info.uses & use) == 0) {
        return KEYSTORE_NOT_ALLOWED;
    }
    return k->info.used < limit ? KEYSTORE_OK : KEYSTORE_USED_UP;
}

/* A copy of a key that may be used so (0: only looked at). It counts as used from here on, for
 * what the caller learns from an error is an answer too. */
static uint32_t take(uint32_t handle, uint32_t use, struct key *copy)
{
    uint32_t error = KEYSTORE_NO_KEY;
    struct key *k;

    if (!lock()) {
        return KEYSTORE_BUSY;
    }
    k = find(handle);
    if (k) {
        error = use != 0 ? may(k, use) : KEYSTORE_OK;
    }
    if (error == KEYSTORE_OK) {
        k->info.used += use != 0;
        *copy = *k;
    }
    unlock();
    return error;
}

/* Put a finished key into a free slot. */
static uint32_t add(struct key *k, uint32_t *handle)
{
    uint32_t i;

    if (!lock()) {
        return KEYSTORE_BUSY;
    }
    for (i = 0; i < KEYSTORE_KEYS && keys[i].info.handle != 0; i++) {
    }
    if (i < KEYSTORE_KEYS) {
        generation[i]++;
        k->info.handle = generation[i] << SLOT_BITS | i;
        keys[i] = *k;
        *handle = k->info.handle;
    }
    unlock();
    return i < KEYSTORE_KEYS ? KEYSTORE_OK : KEYSTORE_FULL;
}

/* --- keys ------------------------------------------------------------------------------ */

/* Whether a scalar of P-256 is 1 to n - 1, in constant time. */
static bool scalar_good(const uint8_t *scalar)
{
    static const uint8_t order[32] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    };
    uint32_t borrow = 0, any = 0;

    for (int i = 31; i >= 0; i--) {
        borrow = ((uint32_t)scalar[i] - order[i] - borrow) >> 31;
        any |= scalar[i];
    }
    return borrow & ((any + 0xff) >> 8);
}

/* The public key of the secret; false if that is none. */
static bool finish_key(struct key *k)
{
    uint8_t seed[PAL_ED25519_SEED];

    switch (k->info.type) {
    case KEYSTORE_ED25519:
        memcpy(seed, k->secret, sizeof(seed));
        pal_ed25519_keypair(k->public_bytes, k->secret, seed);
        pal_wipe(seed, sizeof(seed));
        return true;
    case KEYSTORE_X25519:
        return br_ec_c25519_m31.mulgen(k->public_bytes, k->secret, 32, BR_EC_curve25519) == 32;
    case KEYSTORE_P256:
        return scalar_good(k->secret)
               && br_ec_p256_m31.mulgen(k->public_bytes, k->secret, 32, BR_EC_secp256r1) == 65;
    case KEYSTORE_AES_GCM:
        return k->secret_size % 8 == 0;
    default:
        return true;
    }
}

/* A key without a secret yet: type and policy are looked at. */
static uint32_t begin_key(struct key *k, uint32_t type, uint32_t uses, uint32_t limit)
{
    const struct type *t = type_of(type);

    memset(k, 0, sizeof(*k));
    if (!t) {
        return KEYSTORE_BAD_TYPE;
    }
    if (uses == 0 || (uses & ~t->uses) != 0) {
        return KEYSTORE_BAD_POLICY;
    }
    k->info.type = type;
    k->info.uses = uses;
    k->info.limit = limit;
    return KEYSTORE_OK;
}

uint32_t create(uint32_t type, uint32_t uses, uint32_t limit, uint32_t handle[1])
{
    struct key k;
    uint32_t error = begin_key(&k, type, uses, limit);

    if (error != KEYSTORE_OK) {
        return error;
    }
    k.secret_size = types[type].born;
    do { /* again once in 2^32 keys of P-256 */
        if (pal_random(k.secret, k.secret_size) != 0) {
            return done(&k, KEYSTORE_NO_ENTROPY);
        }
    } while (!finish_key(&k));
    return done(&k, add(&k, handle));
}

/* The bytes of an HMAC key that is longer than a block are its hash. */
static void keep_secret(struct key *k, const uint8_t *secret, uint32_t size)
{
    br_sha256_context hash;

    if (size <= SECRET_KEPT) {
        memcpy(k->secret, secret, size);
        k->secret_size = size;
        return;
    }
    br_sha256_init(&hash);
    br_sha256_update(&hash, secret, size);
    br_sha256_out(&hash, k->secret);
    k->secret_size = 32;
    pal_wipe(&hash, sizeof(hash));
}

uint32_t import(uint32_t type, uint32_t uses, uint32_t limit, const uint8_t *secret, uint32_t size,
                uint32_t handle[1])
{
    struct key k;
    uint32_t error = begin_key(&k, type, uses, limit);

    if (error != KEYSTORE_OK) {
        return error;
    }
    if (size < types[type].secret_min || size > types[type].secret_max) {
        return KEYSTORE_BAD_SIZE;
    }
    k.info.imported = 1;
    keep_secret(&k, secret, size);
    return done(&k, finish_key(&k) ? add(&k, handle) : KEYSTORE_BAD_KEY);
}

uint32_t destroy(uint32_t handle)
{
    struct key *k;

    if (!lock()) {
        return KEYSTORE_BUSY;
    }
    k = find(handle);
    if (k) {
        pal_wipe(k, sizeof(*k));
    }
    unlock();
    return k ? KEYSTORE_OK : KEYSTORE_NO_KEY;
}

uint32_t list(struct keystore_list *out)
{
    out->count = 0;
    if (!lock()) {
        return KEYSTORE_BUSY;
    }
    for (uint32_t i = 0; i < KEYSTORE_KEYS; i++) {
        if (keys[i].info.handle != 0) {
            out->key[out->count++] = keys[i].info;
        }
    }
    unlock();
    return KEYSTORE_OK;
}

uint32_t about(uint32_t handle, struct keystore_info *info)
{
    struct key k;
    uint32_t error = take(handle, 0, &k);

    if (error == KEYSTORE_OK) {
        *info = k.info;
    }
    return done(&k, error);
}

uint32_t public_key(uint32_t handle, struct keystore_public *key)
{
    struct key k;
    uint32_t error = take(handle, 0, &k);

    if (error == KEYSTORE_OK && types[k.info.type].public_size == 0) {
        error = KEYSTORE_BAD_TYPE;
    }
    if (error == KEYSTORE_OK) {
        key->type = k.info.type;
        key->size = types[k.info.type].public_size;
        memcpy(key->bytes, k.public_bytes, key->size);
    }
    return done(&k, error);
}

/* --- signatures ------------------------------------------------------------------------ */

static void sha256(uint8_t digest[32], const uint8_t *message, uint32_t size)
{
    br_sha256_context hash;

    br_sha256_init(&hash);
    br_sha256_update(&hash, message, size);
    br_sha256_out(&hash, digest);
}

static uint32_t ecdsa(struct key *k, const uint8_t *digest, uint8_t *signature)
{
    br_ec_private_key secret = { BR_EC_secp256r1, k->secret, 32 };

    return br_ecdsa_i31_sign_raw(&br_ec_p256_m31, &br_sha256_vtable, digest, &secret, signature)
           == 64 ? KEYSTORE_OK : KEYSTORE_BAD_KEY;
}

uint32_t sign(uint32_t handle, const uint8_t *message, uint32_t size, uint8_t signature[64])
{
    struct key k;
    uint8_t digest[32];
    uint32_t error = take(handle, KEYSTORE_SIGN, &k);

    if (error != KEYSTORE_OK) {
        return error;
    }
    if (k.info.type == KEYSTORE_ED25519) {
        pal_ed25519_sign(signature, message, size, k.secret);
    } else {
        sha256(digest, message, size);
        error = ecdsa(&k, digest, signature);
    }
    return done(&k, error);
}

uint32_t sign_digest(uint32_t handle, const uint8_t digest[32], uint8_t signature[64])
{
    struct key k;
    uint32_t error = take(handle, 0, &k);

    if (error == KEYSTORE_OK && k.info.type != KEYSTORE_P256) {
        error = KEYSTORE_BAD_TYPE; /* and not counted */
    }
    if (error == KEYSTORE_OK) {
        error = take(handle, KEYSTORE_SIGN, &k);
    }
    if (error == KEYSTORE_OK) {
        error = ecdsa(&k, digest, signature);
    }
    return done(&k, error);
}

uint32_t verify(uint32_t type, const uint8_t *public_bytes, uint32_t public_size,
                const uint8_t *message, uint32_t size, const uint8_t signature[64])
{
    br_ec_public_key key = { BR_EC_secp256r1, (unsigned char *)public_bytes, public_size };
    uint8_t digest[32];

    if (type != KEYSTORE_ED25519 && type != KEYSTORE_P256) {
        return KEYSTORE_BAD_TYPE;
    }
    if (public_size != types[type].public_size) {
        return KEYSTORE_BAD_SIZE;
    }
    if (type == KEYSTORE_ED25519) {
        return pal_ed25519_verify(signature, message, size, public_bytes) ? KEYSTORE_OK
                                                                         : KEYSTORE_REFUSED;
    }
    sha256(digest, message, size);
    return br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, sizeof(digest), &key, signature, 64) == 1
           ? KEYSTORE_OK : KEYSTORE_REFUSED;
}

/* --- agreement ------------------------------------------------------------------------- */

static uint32_t x25519(const struct key *k, const uint8_t *peer, uint8_t *shared)
{
    uint32_t any = 0;

    memcpy(shared, peer, 32);
    br_ec_c25519_m31.mul(shared, 32, k->secret, 32, BR_EC_curve25519);
    for (unsigned i = 0; i < 32; i++) {
        any |= shared[i];
    }
    return any != 0 ? KEYSTORE_OK : KEYSTORE_BAD_PEER; /* a point of small order */
}

static uint32_t ecdh(const struct key *k, const uint8_t *peer, uint8_t *shared)
{
    uint8_t point[65];
    uint32_t good;

    memcpy(point, peer, sizeof(point));
    good = br_ec_p256_m31.mul(point, sizeof(point), k->secret, 32, BR_EC_secp256r1);
    if (good) {
        memcpy(shared, point + 1, 32);
    }
    pal_wipe(point, sizeof(point));
    return good ? KEYSTORE_OK : KEYSTORE_BAD_PEER;
}

uint32_t agree(uint32_t handle, const uint8_t *peer, uint32_t size, uint8_t shared[32])
{
    struct key k;
    uint32_t error = take(handle, KEYSTORE_AGREE, &k);

    if (error != KEYSTORE_OK) {
        return error;
    }
    if (size != types[k.info.type].public_size) {
        error = KEYSTORE_BAD_SIZE;
    } else {
        error = k.info.type == KEYSTORE_X25519 ? x25519(&k, peer, shared) : ecdh(&k, peer, shared);
    }
    return done(&k, error);
}

/* --- codes ----------------------------------------------------------------------------- */

static void hmac(const struct key *k, const uint8_t *message, uint32_t size, uint8_t code[32])
{
    br_hmac_key_context key;
    br_hmac_context context;

    br_hmac_key_init(&key, &br_sha256_vtable, k->secret, k->secret_size);
    br_hmac_init(&context, &key, 0);
    br_hmac_update(&context, message, size);
    br_hmac_out(&context, code);
    pal_wipe(&key, sizeof(key));
    pal_wipe(&context, sizeof(context));
}

uint32_t mac(uint32_t handle, const uint8_t *message, uint32_t size, uint8_t code[32])
{
    struct key k;
    uint32_t error = take(handle, KEYSTORE_MAC, &k);

    if (error != KEYSTORE_OK) {
        return error;
    }
    hmac(&k, message, size, code);
    return done(&k, KEYSTORE_OK);
}

uint32_t mac_check(uint32_t handle, const uint8_t *message, uint32_t size, const uint8_t code[32])
{
    struct key k;
    uint8_t right[32];
    uint32_t error = take(handle, KEYSTORE_CHECK, &k);

    if (error != KEYSTORE_OK) {
        return error;
    }
    hmac(&k, message, size, right);
    error = pal_equal_ct(right, code, sizeof(right)) ? KEYSTORE_OK : KEYSTORE_REFUSED;
    pal_wipe(right, sizeof(right));
    return done(&k, error);
}

/* --- encryption ------------------------------------------------------------------------ */

struct gcm { /* BearSSL's constant-time AES; 64-bit words */
    br_aes_ct64_ctr_keys aes;
    br_gcm_context context;
};

/* Encrypt or decrypt in place, and compute the tag. */
static void gcm(const struct key *k, bool encrypt, const uint8_t *nonce, const uint8_t *associated,
                uint32_t associated_size, uint8_t *data, uint32_t size, uint8_t tag[16])
{
    struct gcm g;

    br_aes_ct64_ctr_init(&g.aes, k->secret, k->secret_size);
    br_gcm_init(&g.context, &g.aes.vtable, br_ghash_ctmul64);
    br_gcm_reset(&g.context, nonce, 12);
    br_gcm_aad_inject(&g.context, associated, associated_size);
    br_gcm_flip(&g.context);
    br_gcm_run(&g.context, encrypt, data, size);
    br_gcm_get_tag(&g.context, tag);
    pal_wipe(&g, sizeof(g));
}

uint32_t encrypt(uint32_t handle, const uint8_t *associated, uint32_t associated_size,
                 uint8_t *data, uint32_t size, uint8_t nonce[12], uint8_t tag[16])
{
    struct key k;
    uint32_t error = take(handle, KEYSTORE_ENCRYPT, &k);

    if (error == KEYSTORE_OK && pal_random(nonce, 12) != 0) {
        error = KEYSTORE_NO_ENTROPY;
    }
    if (error == KEYSTORE_OK) {
        gcm(&k, true, nonce, associated, associated_size, data, size, tag);
    }
    return done(&k, error);
}

uint32_t decrypt(uint32_t handle, const uint8_t *associated, uint32_t associated_size,
                 uint8_t *data, uint32_t size, const uint8_t nonce[12], const uint8_t tag[16])
{
    struct key k;
    uint8_t right[16];
    uint32_t error = take(handle, KEYSTORE_DECRYPT, &k);

    if (error == KEYSTORE_OK) {
        gcm(&k, false, nonce, associated, associated_size, data, size, right);
        error = pal_equal_ct(right, tag, sizeof(right)) ? KEYSTORE_OK : KEYSTORE_REFUSED;
    }
    if (error == KEYSTORE_REFUSED) {
        pal_wipe(data, size); /* what a forgery decrypts to would tell of the keystream */
    }
    return done(&k, error);
}
