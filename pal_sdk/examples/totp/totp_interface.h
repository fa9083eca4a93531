/* SPDX-License-Identifier: MIT */
/*
 * One-time passwords: HOTP (RFC 4226) and TOTP (RFC 6238). The keys are in the PAL; a program gets
 * codes. Each entry returns an enum totp_error.
 */
#ifndef TOTP_INTERFACE_H
#define TOTP_INTERFACE_H

#include <pal/interface.h>

#define TOTP_KEYS   16u
#define TOTP_SECRET 64u   /* bytes of a key, at most */
#define TOTP_BORN   32u   /* bytes of a key that is born inside */

enum totp_error {
    TOTP_OK,
    TOTP_FULL,         /* there are TOTP_KEYS already */
    TOTP_NO_KEY,
    TOTP_BAD_KIND,     /* the key is for the other kind of codes, or there is no such kind */
    TOTP_BAD_HASH,
    TOTP_BAD_SIZE,     /* of a key: 16 to TOTP_SECRET bytes */
    TOTP_BAD_DIGITS,   /* 6 to 8 */
    TOTP_BACK,         /* the time is before that of the last code */
    TOTP_SHOWN,        /* the key was shown already, or came from outside */
    TOTP_NO_ENTROPY,
};

enum totp_kind { TOTP_BY_COUNTER = 1, TOTP_BY_TIME };
enum totp_hash { TOTP_SHA1 = 1, TOTP_SHA256, TOTP_SHA512 };

/* A key that a service has given. */
PAL_ENTRY(totp, uint32_t, provision, PAL_VALUE(uint32_t, kind), PAL_VALUE(uint32_t, hash),
          PAL_VALUE(uint32_t, digits), PAL_IN(uint8_t, secret, size, TOTP_SECRET),
          PAL_VALUE(uint32_t, size), PAL_OUT_ARRAY(uint32_t, key, 1))
/* A key born inside. The service must get it too: `show` gives it out, once. */
PAL_ENTRY(totp, uint32_t, born, PAL_VALUE(uint32_t, kind), PAL_VALUE(uint32_t, hash),
          PAL_VALUE(uint32_t, digits), PAL_OUT_ARRAY(uint32_t, key, 1))
PAL_ENTRY(totp, uint32_t, show, PAL_VALUE(uint32_t, key),
          PAL_OUT_ARRAY(uint8_t, secret, TOTP_BORN))
/* HOTP: the next code. The counter is inside and goes up. */
PAL_ENTRY(totp, uint32_t, next, PAL_VALUE(uint32_t, key), PAL_OUT_ARRAY(uint32_t, code, 1))
/* TOTP: the code of a time, in seconds since 1970, by steps of 30. Time doesn't go back. */
PAL_ENTRY(totp, uint32_t, at, PAL_VALUE(uint32_t, key), PAL_VALUE(uint64_t, seconds),
          PAL_OUT_ARRAY(uint32_t, code, 1))
PAL_ENTRY(totp, uint32_t, forget, PAL_VALUE(uint32_t, key))

#endif
