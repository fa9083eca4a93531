/* SPDX-License-Identifier: MIT */
/*
 * X25519 (RFC 7748) in PALs, by BearSSL's code, in constant time. BearSSL's own interface tells
 * nothing of a point that gives zero.
 */
#ifndef PAL_X25519_H
#define PAL_X25519_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAL_X25519_SIZE 32u

/* The public key of a secret: 32 bytes of pal_random(). */
void pal_x25519_public(uint8_t public_key[PAL_X25519_SIZE], const uint8_t secret[PAL_X25519_SIZE]);
/* What both sides get. False, and zeros: the other's key is a point of small order, which gives
 * the same for all secrets. It is for a hash (HKDF), not to be used as it is. */
bool pal_x25519(uint8_t shared[PAL_X25519_SIZE], const uint8_t secret[PAL_X25519_SIZE],
                const uint8_t public_key[PAL_X25519_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
