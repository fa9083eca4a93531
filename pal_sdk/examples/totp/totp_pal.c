/* SPDX-License-Identifier: MIT */
/* The PAL of one-time passwords. It has one stack: one call at a time, so no locks. */
#include "totp_interface.h"

#include <bearssl.h>
#include <pal/rt.h>
#include <string.h>

enum { STEP = 30, SECRET_MIN = 16 };

struct key {
    uint32_t kind, hash, digits; /* kind 0: free */
    uint32_t size;
    bool to_show;                /* born inside, and not given out yet */
    uint64_t counter;            /* the next one, or the step of the last code */
    uint8_t secret[TOTP_SECRET];
};

static struct key keys[TOTP_KEYS];

/* Keys are numbered from 1. */
static struct key *find(uint32_t number)
{
    return number >= 1 && number <= TOTP_KEYS && keys[number - 1].kind != 0 ? &keys[number - 1]
                                                                            : NULL;
}

/* A free slot, if what the key is to be makes sense. */
static uint32_t begin(uint32_t kind, uint32_t hash, uint32_t digits, uint32_t *number)
{
    uint32_t i;

    if (kind != TOTP_BY_COUNTER && kind != TOTP_BY_TIME) {
        return TOTP_BAD_KIND;
    }
    if (hash < TOTP_SHA1 || hash > TOTP_SHA512) {
        return TOTP_BAD_HASH;
    }
    if (digits < 6 || digits > 8) {
        return TOTP_BAD_DIGITS;
    }
    for (i = 0; i < TOTP_KEYS && keys[i].kind != 0; i++) {
    }
    *number = i + 1;
    return i < TOTP_KEYS ? TOTP_OK : TOTP_FULL;
}

static void keep(uint32_t number, uint32_t kind, uint32_t hash, uint32_t digits, uint32_t size)
{
    struct key *k = &keys[number - 1];

    k->kind = kind;
    k->hash = hash;
    k->digits = digits;
    k->size = size;
    k->counter = 0;
}

uint32_t provision(uint32_t kind, uint32_t hash, uint32_t digits, const uint8_t *secret,
                   uint32_t size, uint32_t key[1])
{
    uint32_t number, error = begin(kind, hash, digits, &number);

    if (error != TOTP_OK) {
        return error;
    }
    if (size < SECRET_MIN || size > TOTP_SECRET) {
        return TOTP_BAD_SIZE;
    }
    memcpy(keys[number - 1].secret, secret, size);
    keep(number, kind, hash, digits, size);
    key[0] = number;
    return TOTP_OK;
}

uint32_t born(uint32_t kind, uint32_t hash, uint32_t digits, uint32_t key[1])
{
    uint32_t number, error = begin(kind, hash, digits, &number);

    if (error != TOTP_OK) {
        return error;
    }
    if (pal_random(keys[number - 1].secret, TOTP_BORN) != 0) {
        return TOTP_NO_ENTROPY;
    }
    keep(number, kind, hash, digits, TOTP_BORN);
    keys[number - 1].to_show = true;
    key[0] = number;
    return TOTP_OK;
}

uint32_t show(uint32_t key, uint8_t secret[TOTP_BORN])
{
    struct key *k = find(key);

    if (!k) {
        return TOTP_NO_KEY;
    }
    if (!k->to_show) {
        return TOTP_SHOWN;
    }
    k->to_show = false;
    memcpy(secret, k->secret, TOTP_BORN);
    return TOTP_OK;
}

/* RFC 4226, 5.3: 31 bits of the HMAC, from where its last nibble says, as digits. */
static uint32_t code_of(const struct key *k, uint64_t counter)
{
    static const br_hash_class *const hashes[] = {
        [TOTP_SHA1] = &br_sha1_vtable,
        [TOTP_SHA256] = &br_sha256_vtable,
        [TOTP_SHA512] = &br_sha512_vtable,
    };
    static const uint32_t powers[] = { 1000000, 10000000, 100000000 };
    br_hmac_key_context key;
    br_hmac_context hmac;
    uint8_t text[8], mac[64];
    const uint8_t *at;
    size_t size;
    uint32_t code;

    for (unsigned i = 0; i < 8; i++) {
        text[i] = (uint8_t)(counter >> (56 - 8 * i));
    }
    br_hmac_key_init(&key, hashes[k->hash], k->secret, k->size);
    br_hmac_init(&hmac, &key, 0);
    br_hmac_update(&hmac, text, sizeof(text));
    size = br_hmac_out(&hmac, mac);
    at = mac + (mac[size - 1] & 15);
    code = (uint32_t)(at[0] & 0x7f) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    pal_wipe(&key, sizeof(key));
    pal_wipe(&hmac, sizeof(hmac));
    pal_wipe(mac, sizeof(mac));
    return code % powers[k->digits - 6];
}

uint32_t next(uint32_t key, uint32_t code[1])
{
    struct key *k = find(key);

    if (!k) {
        return TOTP_NO_KEY;
    }
    if (k->kind != TOTP_BY_COUNTER) {
        return TOTP_BAD_KIND;
    }
    code[0] = code_of(k, k->counter++);
    return TOTP_OK;
}

uint32_t at(uint32_t key, uint64_t seconds, uint32_t code[1])
{
    struct key *k = find(key);

    if (!k) {
        return TOTP_NO_KEY;
    }
    if (k->kind != TOTP_BY_TIME) {
        return TOTP_BAD_KIND;
    }
    if (seconds / STEP < k->counter) {
        return TOTP_BACK;
    }
    k->counter = seconds / STEP;
    code[0] = code_of(k, k->counter);
    return TOTP_OK;
}

uint32_t forget(uint32_t key)
{
    struct key *k = find(key);

    if (!k) {
        return TOTP_NO_KEY;
    }
    pal_wipe(k, sizeof(*k));
    return TOTP_OK;
}
