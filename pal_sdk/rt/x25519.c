/* SPDX-License-Identifier: MIT */
/* X25519 for PALs by BearSSL. */
#include <pal/rt.h>
#include <pal/x25519.h>

#include <bearssl.h>
#include <string.h>

bool pal_x25519(uint8_t shared[PAL_X25519_SIZE], const uint8_t secret[PAL_X25519_SIZE],
                const uint8_t public_key[PAL_X25519_SIZE])
{
    static const uint8_t zero[PAL_X25519_SIZE];
    uint8_t point[PAL_X25519_SIZE];

    memcpy(point, public_key, sizeof(point));
    br_ec_c25519_m31.mul(point, sizeof(point), secret, PAL_X25519_SIZE, BR_EC_curve25519);
    memcpy(shared, point, sizeof(point));
    pal_wipe(point, sizeof(point));
    return !pal_equal_ct(shared, zero, sizeof(zero));
}

void pal_x25519_public(uint8_t public_key[PAL_X25519_SIZE], const uint8_t secret[PAL_X25519_SIZE])
{
    static const uint8_t base[PAL_X25519_SIZE] = { 9 };

    (void)pal_x25519(public_key, secret, base);
}
