/* SPDX-License-Identifier: MIT */
/*
 * One-time passwords from keys in a PAL. Without arguments: the published vectors and the rules.
 * totp SECONDS: the code of that time, for a key that is read from standard input in base 32.
 */
#include "totp_interface.h"
#include "../example.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

PAL_IMAGE(totp);

static struct pal_handle *pal;

/* call(ENTRY, ARGUMENTS...): what the entry returned. */
#define call(entry, ...) result_of(totp_##entry, pal, ##__VA_ARGS__)

static uint32_t provision(uint32_t kind, uint32_t hash, uint32_t digits, const void *secret,
                          size_t size, uint32_t *error)
{
    uint32_t key[1] = { 0 };

    *error = call(provision, kind, hash, digits, (const uint8_t *)secret, (uint32_t)size, &key);
    return key[0];
}

/* --- RFC 4226, appendix D, and RFC 6238, appendix B ------------------------------------ */

static const char rfc_secret[] = "1234567890123456789012345678901234567890123456789012345678901234";

static void hotp_vectors(void)
{
    static const uint32_t codes[] = { 755224, 287082, 359152, 969429, 338314,
                                      254676, 287922, 162583, 399871, 520489 };
    char text[80];
    uint32_t error, key, code[1];

    key = provision(TOTP_BY_COUNTER, TOTP_SHA1, 6, rfc_secret, 20, &error);
    for (unsigned i = 0; i < 10; i++) {
        error = call(next, key, &code);
        snprintf(text, sizeof(text), "HOTP, count %u: %06" PRIu32, i, code[0]);
        check(error == TOTP_OK && code[0] == codes[i], text);
    }
    check(call(forget, key) == TOTP_OK && call(next, key, &code) == TOTP_NO_KEY,
          "a key that was forgotten gives no code");
}

static void totp_vectors(void)
{
    static const uint64_t times[] = { 59, 1111111109, 1111111111, 1234567890, 2000000000,
                                      20000000000 };
    static const struct {
        const char *name;
        uint32_t hash, bytes, codes[6];
    } rows[] = {
        { "SHA-1", TOTP_SHA1, 20,
          { 94287082, 7081804, 14050471, 89005924, 69279037, 65353130 } },
        { "SHA-256", TOTP_SHA256, 32,
          { 46119246, 68084774, 67062674, 91819424, 90698825, 77737706 } },
        { "SHA-512", TOTP_SHA512, 64,
          { 90693936, 25091201, 99943326, 93441116, 38618901, 47863826 } },
    };
    char text[80];
    uint32_t error, key, code[1];

    for (unsigned i = 0; i < 3; i++) {
        key = provision(TOTP_BY_TIME, rows[i].hash, 8, rfc_secret, rows[i].bytes, &error);
        for (unsigned j = 0; j < 6; j++) {
            error = call(at, key, times[j], &code);
            snprintf(text, sizeof(text), "TOTP, %s, %" PRIu64 " s: %08" PRIu32, rows[i].name,
                     times[j], code[0]);
            check(error == TOTP_OK && code[0] == rows[i].codes[j], text);
        }
        check(call(at, key, times[4], &code) == TOTP_BACK, "an earlier time gets no code");
        call(forget, key);
    }
}

/* --- rules ----------------------------------------------------------------------------- */

static void born_rules(void)
{
    uint32_t key[1], again, error, code[1], other[1];
    uint8_t secret[TOTP_BORN], second[TOTP_BORN];

    check(call(born, TOTP_BY_COUNTER, TOTP_SHA1, 8, &key) == TOTP_OK, "a key is born inside");
    check(call(show, key[0], &secret) == TOTP_OK, "it is shown once, for the service");
    check(call(show, key[0], &second) == TOTP_SHOWN, "and never again");
    again = provision(TOTP_BY_COUNTER, TOTP_SHA1, 8, secret, sizeof(secret), &error);
    call(next, key[0], &code);
    call(next, again, &other);
    check(error == TOTP_OK && code[0] == other[0], "the service computes the same code from it");
    call(forget, key[0]);
    call(forget, again);
}

static const char given[] = "a key of the service's";

static uint32_t give(uint32_t kind, uint32_t hash, uint32_t digits, uint32_t *error)
{
    return provision(kind, hash, digits, given, strlen(given), error);
}

static void provision_rules(void)
{
    uint32_t error, key, code[1];
    uint8_t secret[TOTP_BORN];

    key = give(TOTP_BY_TIME, TOTP_SHA1, 6, &error);
    check(call(show, key, &secret) == TOTP_SHOWN, "a key that was given is never shown");
    check(call(next, key, &code) == TOTP_BAD_KIND, "a key for times gives no codes by count");
    call(forget, key);
    provision(TOTP_BY_TIME, TOTP_SHA1, 6, "too short", 9, &error);
    check(error == TOTP_BAD_SIZE, "a key of 9 bytes is refused");
    give(TOTP_BY_TIME, TOTP_SHA1, 9, &error);
    check(error == TOTP_BAD_DIGITS, "9 digits are refused");
    give(TOTP_BY_TIME, 4, 6, &error);
    check(error == TOTP_BAD_HASH, "an unknown hash is refused");
    give(3, TOTP_SHA1, 6, &error);
    check(error == TOTP_BAD_KIND, "an unknown kind is refused");
    check(call(next, 0, &code) == TOTP_NO_KEY && call(next, 17, &code) == TOTP_NO_KEY
          && call(next, UINT32_MAX, &code) == TOTP_NO_KEY, "keys that aren't there give no codes");
    for (unsigned i = 0; i < TOTP_KEYS; i++) {
        give(TOTP_BY_TIME, TOTP_SHA1, 6, &error);
    }
    check(error == TOTP_OK, "16 keys fit");
    give(TOTP_BY_TIME, TOTP_SHA1, 6, &error);
    check(error == TOTP_FULL, "a 17th doesn't");
}

/* --- a code ---------------------------------------------------------------------------- */

/* Base 32 of RFC 4648; spaces and padding are passed over. Bytes, or 0 if it is none. */
static uint32_t base32(const char *text, uint8_t *out, uint32_t room)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0, size = 0;
    unsigned have = 0;

    for (; *text; text++) {
        const char *at = strchr(letters, *text >= 'a' && *text <= 'z' ? *text - 32 : *text);

        if (strchr(" =\r\n", *text)) {
            continue;
        }
        if (!at || size >= room) {
            return 0;
        }
        bits = bits << 5 | (uint32_t)(at - letters);
        have += 5;
        if (have >= 8) {
            have -= 8;
            out[size++] = (uint8_t)(bits >> have);
        }
    }
    return size;
}

static int print_code(const char *seconds)
{
    char line[256];
    uint8_t secret[TOTP_SECRET];
    uint32_t key[1], code[1], size, error;

    if (!fgets(line, sizeof(line), stdin)) {
        puts("the key, in base 32, is expected on standard input");
        return 1;
    }
    size = base32(line, secret, sizeof(secret));
    error = call(provision, TOTP_BY_TIME, TOTP_SHA1, 6, secret, size, &key);
    memset(line, 0, sizeof(line));
    memset(secret, 0, sizeof(secret));
    if (error == TOTP_OK) {
        error = call(at, key[0], strtoull(seconds, NULL, 10), &code);
    }
    if (error != TOTP_OK) {
        printf("refused: error %" PRIu32 "\n", error);
        return 1;
    }
    printf("%06" PRIu32 "\n", code[0]);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;

    done(pal_open(&totp_image, &pal), 0);
    if (argc > 1) {
        status = print_code(argv[1]);
    } else {
        hotp_vectors();
        totp_vectors();
        born_rules();
        provision_rules();
        status = checked();
    }
    pal_close(pal);
    return status;
}
