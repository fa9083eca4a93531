/* SPDX-License-Identifier: MIT */
/*
 * The keystore for programs: plain functions over the PAL's typed calls. A program has one or
 * several keystores; each is a PAL of its own, and its keys end with it. Any thread may call; as
 * many calls as the image has stacks run at once, others wait.
 *
 *     struct ks *k;
 *     uint32_t key;
 *     if (ks_open(&k) != KEYSTORE_OK) fail(ks_failure());
 *     ks_create(k, KEYSTORE_ED25519, KEYSTORE_SIGN, 0, &key);
 *     ks_sign(k, key, message, size, signature);
 *     ks_close(k);
 *
 * Each function returns an enum keystore_error, or KS_CALL_FAILED if the PAL could not be called
 * or died: then ks_failure() is the sentence. ks_error_text() has one for each of them.
 */
#ifndef KEYSTORE_CLIENT_H
#define KEYSTORE_CLIENT_H

#include "keystore_interface.h"

#include <stddef.h>
#include <stdint.h>

#define KS_CALL_FAILED 255u

#define KS_DER_SIGNATURE 72u  /* bytes of an ECDSA signature in DER, at most */
#define KS_DER_PUBLIC    91u  /* bytes of a SubjectPublicKeyInfo, at most */

struct ks;

uint32_t ks_open(struct ks **out);
/* No thread may be in a call. NULL is nothing. */
void ks_close(struct ks *k);

/* Sizes and meanings: keystore_interface.h. A size beyond its maximum is KEYSTORE_BAD_SIZE. */
uint32_t ks_create(struct ks *k, uint32_t type, uint32_t uses, uint32_t limit, uint32_t *handle);
/* The caller wipes its copy of the secret. */
uint32_t ks_import(struct ks *k, uint32_t type, uint32_t uses, uint32_t limit,
                   const uint8_t *secret, size_t size, uint32_t *handle);
uint32_t ks_destroy(struct ks *k, uint32_t handle);
uint32_t ks_list(struct ks *k, struct keystore_list *keys);
uint32_t ks_about(struct ks *k, uint32_t handle, struct keystore_info *info);
uint32_t ks_public(struct ks *k, uint32_t handle, struct keystore_public *key);
uint32_t ks_sign(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                 uint8_t signature[64]);
uint32_t ks_sign_digest(struct ks *k, uint32_t handle, const uint8_t digest[32],
                        uint8_t signature[64]);
uint32_t ks_verify(struct ks *k, uint32_t type, const uint8_t *public_key, size_t public_size,
                   const uint8_t *message, size_t size, const uint8_t signature[64]);
uint32_t ks_agree(struct ks *k, uint32_t handle, const uint8_t *peer, size_t size,
                  uint8_t shared[32]);
uint32_t ks_mac(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                uint8_t code[32]);
uint32_t ks_mac_check(struct ks *k, uint32_t handle, const uint8_t *message, size_t size,
                      const uint8_t code[32]);
uint32_t ks_encrypt(struct ks *k, uint32_t handle, const uint8_t *associated,
                    size_t associated_size, uint8_t *data, size_t size, uint8_t nonce[12],
                    uint8_t tag[16]);
uint32_t ks_decrypt(struct ks *k, uint32_t handle, const uint8_t *associated,
                    size_t associated_size, uint8_t *data, size_t size, const uint8_t nonce[12],
                    const uint8_t tag[16]);

const char *ks_error_text(uint32_t error);
/* Why the last call of this thread was KS_CALL_FAILED; a sentence that stays until the next. */
const char *ks_failure(void);

/* Forms that other software reads; no call of the PAL. Bytes written. */
size_t ks_der_signature(const uint8_t signature[64], uint8_t der[KS_DER_SIGNATURE]);
size_t ks_der_public(const struct keystore_public *key, uint8_t der[KS_DER_PUBLIC]);

#endif
