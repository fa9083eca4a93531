/* SPDX-License-Identifier: MIT */
/* Ed25519 for PALs, and what libsodium's files want of the rest of libsodium. */
#include "rt_internal.h"

#include <pal/ed25519.h>
#include <pal/rt.h>

#include <crypto_sign_ed25519.h>
#include <utils.h>

void pal_ed25519_keypair(uint8_t public_key[PAL_ED25519_PUBLIC],
                         uint8_t secret[PAL_ED25519_SECRET], const uint8_t seed[PAL_ED25519_SEED])
{
    crypto_sign_ed25519_seed_keypair(public_key, secret, seed);
}

void pal_ed25519_sign(uint8_t signature[PAL_ED25519_SIGNATURE], const void *message, size_t n,
                      const uint8_t secret[PAL_ED25519_SECRET])
{
    crypto_sign_ed25519_detached(signature, NULL, message, n, secret);
}

bool pal_ed25519_verify(const uint8_t signature[PAL_ED25519_SIGNATURE], const void *message,
                        size_t n, const uint8_t public_key[PAL_ED25519_PUBLIC])
{
    return crypto_sign_ed25519_verify_detached(signature, message, n, public_key) == 0;
}

void sodium_memzero(void *const p, const size_t n) { pal_wipe(p, n); }

int sodium_memcmp(const void *const a, const void *const b, size_t n)
{
    return pal_equal_ct(a, b, n) ? 0 : -1;
}

int sodium_is_zero(const unsigned char *p, const size_t n)
{
    unsigned all = 0;

    for (size_t i = 0; i < n; i++) {
        all |= p[i];
        __asm__ volatile("" : "+r"(all));
    }
    return (int)((all - 1) >> 31);
}

void randombytes_buf(void *const buf, const size_t n);
void randombytes_buf(void *const buf, const size_t n)
{
    if (pal_random(buf, n) != 0) {
        pal_rt_no_entropy();
    }
}
