/* SPDX-License-Identifier: MIT */
/* The client library of the keystore: calls, their errors, and DER forms. */
#include "keystore_client.h"

#include <pal/host.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

PAL_IMAGE(keystore);

enum { TRIES = 8 }; /* of a call that found the table's lock held, each of them long */

struct ks {
    struct pal_handle *pal;
};

static _Thread_local char failure[512];

/* The result of a call that came to its end, or KS_CALL_FAILED. */
static uint32_t outcome(struct pal_status status, uint32_t result)
{
    if (status.error == PAL_OK) {
        return result;
    }
    pal_status_text(&status, failure, sizeof(failure));
    return KS_CALL_FAILED;
}

/* CALL(k, entry, arguments...): a typed call, again if the PAL was busy. */
#define CALL(k, entry, ...) \
    ({ \
        uint32_t result_ = 0, answer_; \
        int tries_ = 0; \
        do { \
            struct pal_status status_ = keystore_##entry((k)->pal, &result_, __VA_ARGS__); \
            answer_ = outcome(status_, result_); \
        } while (answer_ == KEYSTORE_BUSY && ++tries_ < TRIES); \
        answer_; \
    })

/* A pointer to bytes as one to an array, which typed calls want. */
#define BYTES(p, n) ((uint8_t (*)[n])(p))
#define CONST_BYTES(p, n) ((const uint8_t (*)[n])(p))

uint32_t ks_open(struct ks **out)
{
    struct ks *k = calloc(1, sizeof(*k));
    uint32_t error;

    *out = NULL;
    if (!k) {
        strcpy(failure, "no memory");
        return KS_CALL_FAILED;
    }
    error = outcome(pal_open(&keystore_image, &k->pal), KEYSTORE_OK);
    if (error != KEYSTORE_OK) {
        free(k);
        return error;
    }
    *out = k;
    return KEYSTORE_OK;
}

void ks_close(struct ks *k)
{
    if (k) {
        pal_close(k->pal);
        free(k);
    }
}

uint32_t ks_create(struct ks *k, uint32_t type, uint32_t uses, uint32_t limit, uint32_t *handle)
{
    return CALL(k, create, type, uses, limit, (uint32_t (*)[1])handle);
}

uint32_t ks_import(struct ks *k, uint32_t type, uint32_t uses, uint32_t limit,
                   const uint8_t *secret, size_t size, uint32_t *handle)
{
    if (size > KEYSTORE_SECRET) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, import, type, uses, limit, secret, (uint32_t)size, (uint32_t (*)[1])handle);
}

uint32_t ks_destroy(struct ks *k, uint32_t handle)
{
    return CALL(k, destroy, handle);
}

uint32_t ks_list(struct ks *k, struct keystore_list *keys)
{
    return CALL(k, list, keys);
}

uint32_t ks_about(struct ks *k, uint32_t handle, struct keystore_info *info)
{
    return CALL(k, about, handle, info);
}

uint32_t ks_public(struct ks *k, uint32_t handle, struct keystore_public *key)
{
    return CALL(k, public_key, handle, key);
}

uint32_t ks_sign(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                 uint8_t signature[64])
{
    if (size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, sign, handle, message, (uint32_t)size, BYTES(signature, 64));
}

uint32_t ks_sign_digest(struct ks *k, uint32_t handle, const uint8_t digest[32],
                        uint8_t signature[64])
{
    return CALL(k, sign_digest, handle, CONST_BYTES(digest, 32), BYTES(signature, 64));
}

uint32_t ks_verify(struct ks *k, uint32_t type, const uint8_t *public_key, size_t public_size,
                   const uint8_t *message, size_t size, const uint8_t signature[64])
{
    if (public_size > KEYSTORE_PUBLIC || size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, verify, type, public_key, (uint32_t)public_size, message, (uint32_t)size,
                CONST_BYTES(signature, 64));
}

uint32_t ks_agree(struct ks *k, uint32_t handle, const uint8_t *peer, size_t size,
                  uint8_t shared[32])
{
    if (size > KEYSTORE_PUBLIC) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, agree, handle, peer, (uint32_t)size, BYTES(shared, 32));
}

uint32_t ks_mac(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                uint8_t code[32])
{
    if (size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, mac, handle, message, (uint32_t)size, BYTES(code, 32));
}

uint32_t ks_mac_check(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                      const uint8_t code[32])
{
    if (size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, mac_check, handle, message, (uint32_t)size, CONST_BYTES(code, 32));
}

uint32_t ks_encrypt(struct ks *k, uint32_t handle, const uint8_t *associated,
                    size_t associated_size, uint8_t *data, size_t size, uint8_t nonce[12],
                    uint8_t tag[16])
{
    if (associated_size > KEYSTORE_ASSOCIATED || size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, encrypt, handle, associated, (uint32_t)associated_size, data, (uint32_t)size,
                BYTES(nonce, 12), BYTES(tag, 16));
}

uint32_t ks_decrypt(struct ks *k, uint32_t handle, const uint8_t *associated,
                    size_t associated_size, uint8_t *data, size_t size, const uint8_t nonce[12],
                    const uint8_t tag[16])
{
    if (associated_size > KEYSTORE_ASSOCIATED || size > KEYSTORE_MESSAGE) {
        return KEYSTORE_BAD_SIZE;
    }
    return CALL(k, decrypt, handle, associated, (uint32_t)associated_size, data, (uint32_t)size,
                CONST_BYTES(nonce, 12), CONST_BYTES(tag, 16));
}

const char *ks_error_text(uint32_t error)
{
    static const char *const texts[] = {
        [KEYSTORE_OK] = "done",
        [KEYSTORE_NO_KEY] = "there is no such key, or not any more",
        [KEYSTORE_FULL] = "the keystore is full: destroy a key first",
        [KEYSTORE_BAD_TYPE] = "there is no such type of key, or this type can't do that",
        [KEYSTORE_BAD_POLICY] = "the policy allows nothing, or what that type can't do",
        [KEYSTORE_BAD_KEY] = "the bytes are no secret key of that type",
        [KEYSTORE_BAD_PEER] = "the bytes are no public key that can be agreed with",
        [KEYSTORE_BAD_SIZE] = "a size is wrong",
        [KEYSTORE_NOT_ALLOWED] = "the key's policy doesn't allow that",
        [KEYSTORE_USED_UP] = "the key was used as often as its policy allows",
        [KEYSTORE_REFUSED] = "the signature, code or tag is wrong",
        [KEYSTORE_NO_ENTROPY] = "the hypervisor has no entropy",
        [KEYSTORE_BUSY] = "another thread was stopped inside the keystore: try again",
    };

    if (error == KS_CALL_FAILED) {
        return failure;
    }
    return error < sizeof(texts) / sizeof(texts[0]) ? texts[error] : "no error of the keystore";
}

const char *ks_failure(void)
{
    return failure;
}

/* --- DER ------------------------------------------------------------------------------- */

/* One INTEGER of 32 bytes, big-endian and not negative. Bytes written. */
static size_t der_integer(const uint8_t *value, uint8_t *der)
{
    size_t skip = 0, extra;

    while (skip < 31 && value[skip] == 0) {
        skip++;
    }
    extra = value[skip] >> 7;
    der[0] = 0x02;
    der[1] = (uint8_t)(32 - skip + extra);
    der[2] = 0;
    memcpy(der + 2 + extra, value + skip, 32 - skip);
    return 2 + extra + 32 - skip;
}

size_t ks_der_signature(const uint8_t signature[64], uint8_t der[KS_DER_SIGNATURE])
{
    size_t size = der_integer(signature, der + 2);

    size += der_integer(signature + 32, der + 2 + size);
    der[0] = 0x30;
    der[1] = (uint8_t)size;
    return size + 2;
}

size_t ks_der_public(const struct keystore_public *key, uint8_t der[KS_DER_PUBLIC])
{
    static const uint8_t p256[26] = {
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    };
    uint8_t edwards[12] = {
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65,
        key->type == KEYSTORE_ED25519 ? 0x70 : 0x6e, 0x03, 0x21, 0x00,
    };
    bool is_p256 = key->type == KEYSTORE_P256;
    size_t head = is_p256 ? sizeof(p256) : sizeof(edwards), size = is_p256 ? 65 : 32;

    memcpy(der, is_p256 ? p256 : edwards, head);
    memcpy(der + head, key->bytes, size);
    return head + size;
}
