/* SPDX-License-Identifier: MIT */
/*
 * Ed25519 (RFC 8032, the pure variant) in PALs, by libsodium's portable code. Signing takes the
 * same time for all keys and messages of one length; verifying doesn't, and needn't: all of it is
 * public.
 */
#ifndef PAL_ED25519_H
#define PAL_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAL_ED25519_SEED      32u
#define PAL_ED25519_PUBLIC    32u
#define PAL_ED25519_SECRET    64u /* the seed and, behind it, the public key */
#define PAL_ED25519_SIGNATURE 64u

/* The key pair of a seed: RFC 8032's private key, 32 bytes of pal_random(). */
void pal_ed25519_keypair(uint8_t public_key[PAL_ED25519_PUBLIC],
                         uint8_t secret[PAL_ED25519_SECRET], const uint8_t seed[PAL_ED25519_SEED]);

/* `message` may be NULL if it has no bytes. The secret's two halves must belong together: with
 * another public key behind the seed a signature gives the key away. */
void pal_ed25519_sign(uint8_t signature[PAL_ED25519_SIGNATURE], const void *message, size_t n,
                      const uint8_t secret[PAL_ED25519_SECRET]);

/* Strictly: false, too, for a public key or an R that isn't in its one encoding or of small order,
 * and for an s that isn't below the group's order. */
bool pal_ed25519_verify(const uint8_t signature[PAL_ED25519_SIGNATURE], const void *message,
                        size_t n, const uint8_t public_key[PAL_ED25519_PUBLIC]);

#ifdef __cplusplus
}
#endif

#endif
