/* SPDX-License-Identifier: MIT */
/*
 * A keystore: what a program may ask the PAL that holds its keys. Each entry returns an enum
 * keystore_error. An error changes no key but for the count of its uses, which an attempt adds to
 * once the policy has allowed it.
 */
#ifndef KEYSTORE_INTERFACE_H
#define KEYSTORE_INTERFACE_H

#include <pal/interface.h>

#define KEYSTORE_KEYS       32u    /* at the same time */
#define KEYSTORE_MESSAGE    8192u  /* bytes of one message, plaintext or ciphertext, at most */
#define KEYSTORE_ASSOCIATED 1024u  /* bytes of associated data, at most */
#define KEYSTORE_SECRET     256u   /* bytes of a key that is imported, at most */
#define KEYSTORE_PUBLIC     65u    /* bytes of a public key, at most */

enum keystore_error {
    KEYSTORE_OK,
    KEYSTORE_NO_KEY,       /* no such handle, or not any more */
    KEYSTORE_FULL,         /* there are KEYSTORE_KEYS already */
    KEYSTORE_BAD_TYPE,     /* no such type, or this key's type can't do it */
    KEYSTORE_BAD_POLICY,   /* uses that the type doesn't have, or none */
    KEYSTORE_BAD_KEY,      /* the bytes are no secret of that type */
    KEYSTORE_BAD_PEER,     /* the bytes are no public key that can be agreed with */
    KEYSTORE_BAD_SIZE,
    KEYSTORE_NOT_ALLOWED,  /* by the key's policy */
    KEYSTORE_USED_UP,      /* so often that the policy allows no more */
    KEYSTORE_REFUSED,      /* a signature, code or tag that is not right */
    KEYSTORE_NO_ENTROPY,
    KEYSTORE_BUSY,         /* another thread was stopped at a bad moment: try again */
};

enum keystore_type {       /* secret's bytes; public key's bytes */
    KEYSTORE_ED25519 = 1,  /* 32, the seed of RFC 8032; 32 */
    KEYSTORE_X25519,       /* 32; 32 */
    KEYSTORE_P256,         /* 32, big-endian, 1 to n - 1; 65, uncompressed (04 X Y) */
    KEYSTORE_HMAC_SHA256,  /* 1 to KEYSTORE_SECRET, 32 if born inside; none */
    KEYSTORE_AES_GCM,      /* 16, 24 or 32, 32 if born inside; none */
};

enum keystore_use {        /* bits of a policy */
    KEYSTORE_SIGN    = 1,  /* Ed25519, P-256 */
    KEYSTORE_AGREE   = 2,  /* X25519, P-256 */
    KEYSTORE_MAC     = 4,  /* HMAC: make codes */
    KEYSTORE_CHECK   = 8,  /* HMAC: check codes */
    KEYSTORE_ENCRYPT = 16, /* AES-GCM */
    KEYSTORE_DECRYPT = 32, /* AES-GCM */
};

/* What is known of a key. The policy, `uses` and `limit`, is given at its birth and stays. There
 * is no use "export": no entry gives a secret out. */
PAL_STRUCT(keystore_info,
    PAL_FIELD(uint32_t, handle)
    PAL_FIELD(uint32_t, type)      /* enum keystore_type */
    PAL_FIELD(uint32_t, uses)      /* enum keystore_use, bits */
    PAL_FIELD(uint32_t, limit)     /* how often it may be used in all; 0: 2^32 - 1 times */
    PAL_FIELD(uint32_t, used)
    PAL_FIELD(uint32_t, imported)) /* 1: the bytes came from outside. 0: born inside */

PAL_STRUCT(keystore_public,
    PAL_FIELD(uint32_t, type)
    PAL_FIELD(uint32_t, size)
    PAL_FIELD(uint8_t, bytes[KEYSTORE_PUBLIC])
    PAL_FIELD(uint8_t, zeros[3]))

PAL_STRUCT(keystore_list,
    PAL_FIELD(uint32_t, count)
    PAL_FIELD(keystore_info, key[KEYSTORE_KEYS]))

/* A new key, born inside. */
PAL_ENTRY(keystore, uint32_t, create, PAL_VALUE(uint32_t, type), PAL_VALUE(uint32_t, uses),
          PAL_VALUE(uint32_t, limit), PAL_OUT_ARRAY(uint32_t, handle, 1))
/* A key from outside. It goes in this once: nothing replaces a key or adds to its policy. */
PAL_ENTRY(keystore, uint32_t, import, PAL_VALUE(uint32_t, type), PAL_VALUE(uint32_t, uses),
          PAL_VALUE(uint32_t, limit), PAL_IN(uint8_t, secret, size, KEYSTORE_SECRET),
          PAL_VALUE(uint32_t, size), PAL_OUT_ARRAY(uint32_t, handle, 1))
/* Its secret is wiped, its handle never comes back. */
PAL_ENTRY(keystore, uint32_t, destroy, PAL_VALUE(uint32_t, handle))
PAL_ENTRY(keystore, uint32_t, list, PAL_OUT_STRUCT(keystore_list, keys))
PAL_ENTRY(keystore, uint32_t, about, PAL_VALUE(uint32_t, handle),
          PAL_OUT_STRUCT(keystore_info, info))
PAL_ENTRY(keystore, uint32_t, public_key, PAL_VALUE(uint32_t, handle),
          PAL_OUT_STRUCT(keystore_public, key))

/* Ed25519 (RFC 8032) of the message, or ECDSA with SHA-256 of it: 64 bytes, for P-256 r and s
 * big-endian. Nonces are those of RFC 6979: the same message has the same signature. */
PAL_ENTRY(keystore, uint32_t, sign, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, message, size, KEYSTORE_MESSAGE), PAL_VALUE(uint32_t, size),
          PAL_OUT_ARRAY(uint8_t, signature, 64))
/* ECDSA of what was hashed outside (longer messages). Not Ed25519. */
PAL_ENTRY(keystore, uint32_t, sign_digest, PAL_VALUE(uint32_t, handle),
          PAL_IN_ARRAY(uint8_t, digest, 32), PAL_OUT_ARRAY(uint8_t, signature, 64))
/* No key of ours is needed: KEYSTORE_OK or KEYSTORE_REFUSED. */
PAL_ENTRY(keystore, uint32_t, verify, PAL_VALUE(uint32_t, type),
          PAL_IN(uint8_t, public_bytes, public_size, KEYSTORE_PUBLIC),
          PAL_VALUE(uint32_t, public_size), PAL_IN(uint8_t, message, size, KEYSTORE_MESSAGE),
          PAL_VALUE(uint32_t, size), PAL_IN_ARRAY(uint8_t, signature, 64))
/* X25519 (RFC 7748) or ECDH: the shared X coordinate, which a program must hash before use. */
PAL_ENTRY(keystore, uint32_t, agree, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, peer, size, KEYSTORE_PUBLIC), PAL_VALUE(uint32_t, size),
          PAL_OUT_ARRAY(uint8_t, shared, 32))
PAL_ENTRY(keystore, uint32_t, mac, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, message, size, KEYSTORE_MESSAGE), PAL_VALUE(uint32_t, size),
          PAL_OUT_ARRAY(uint8_t, code, 32))
PAL_ENTRY(keystore, uint32_t, mac_check, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, message, size, KEYSTORE_MESSAGE), PAL_VALUE(uint32_t, size),
          PAL_IN_ARRAY(uint8_t, code, 32))
/* AES-GCM in place. The nonce is drawn inside, so that no caller can have one used twice. */
PAL_ENTRY(keystore, uint32_t, encrypt, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, associated, associated_size, KEYSTORE_ASSOCIATED),
          PAL_VALUE(uint32_t, associated_size), PAL_INOUT(uint8_t, data, size, KEYSTORE_MESSAGE),
          PAL_VALUE(uint32_t, size), PAL_OUT_ARRAY(uint8_t, nonce, 12),
          PAL_OUT_ARRAY(uint8_t, tag, 16))
/* KEYSTORE_REFUSED: the tag is wrong, and the data is zeros. */
PAL_ENTRY(keystore, uint32_t, decrypt, PAL_VALUE(uint32_t, handle),
          PAL_IN(uint8_t, associated, associated_size, KEYSTORE_ASSOCIATED),
          PAL_VALUE(uint32_t, associated_size), PAL_INOUT(uint8_t, data, size, KEYSTORE_MESSAGE),
          PAL_VALUE(uint32_t, size), PAL_IN_ARRAY(uint8_t, nonce, 12),
          PAL_IN_ARRAY(uint8_t, tag, 16))

#endif
