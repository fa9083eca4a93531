/* SPDX-License-Identifier: MIT */
/* The parts of the random generator against published values: HMAC-DRBG, ChaCha20, and when health
 * tests fail. */
#include "unit.h"

#include <bearssl.h>
#include <random/drbg.h>
#include <random/fast.h>
#include <random/health.h>

static void from_hex(uint8_t *to, const char *hex)
{
    for (; *hex; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        *to++ = (uint8_t)byte;
    }
}

/* NIST CAVP, HMAC_DRBG.rsp without prediction resistance, SHA-256, 256 + 128 bits, no
 * personalization, no additional input, COUNT = 0: the second of two draws of 1024 bits. */
static void drbg_is_as_published(void **state)
{
    uint8_t seed[48], want[128], got[128];
    struct drbg d;

    (void)state;
    from_hex(seed, "ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488"
                   "659ba96c601dc69fc902940805ec0ca8");
    from_hex(want, "e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89"
                   "d54fbb978a15b5c443c9ec21036d2460b6f73ebad0dc2aba6e624abf07745bc1"
                   "07694bb7547bb0995f70de25d6b29e2d3011bb19d27676c07162c8b5ccde0668"
                   "961df86803482cb37ed6d5c0bb8d50cf1f50d476aa0458bdaba806f48be9dcb8");
    drbg_init(&d, seed, sizeof(seed));
    drbg_generate(&d, got, sizeof(got));
    drbg_generate(&d, got, sizeof(got));
    assert_memory_equal(got, want, sizeof(want));
}

/* With reseeding, and inputs of all lengths: as BearSSL's own SHA-256 under it. */
static void drbg_is_as_bearssls(void **state)
{
    uint8_t seed[300], want[100], got[100];
    br_hmac_drbg_context theirs;
    uint64_t random = 7;
    struct drbg d;

    (void)state;
    for (unsigned i = 0; i < sizeof(seed); i++) {
        seed[i] = (uint8_t)unit_random(&random);
    }
    br_hmac_drbg_init(&theirs, &br_sha256_vtable, seed, 55);
    drbg_init(&d, seed, 55);
    for (unsigned n = 1; n <= sizeof(seed); n++) {
        br_hmac_drbg_update(&theirs, seed, n);
        drbg_reseed(&d, seed, n);
        br_hmac_drbg_generate(&theirs, want, 1 + n % sizeof(want));
        drbg_generate(&d, got, 1 + n % sizeof(got));
        assert_memory_equal(got, want, 1 + n % sizeof(want));
    }
}

/* RFC 8439, A.1, test vectors 1 and 2: key and nonce zero, blocks 0 and 1. */
static const char stream[] =
    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";

/* The bytes are the stream's behind the next key. */
static void fast_is_chacha20(void **state)
{
    static const uint8_t zeros[FAST_KEY];
    struct fast_random f = { .keyed = false };
    uint8_t want[128], got[96];

    (void)state;
    from_hex(want, stream);
    assert_false(fast_bytes(&f, got, 1));
    fast_key(&f, zeros);
    assert_true(fast_bytes(&f, got, 1));
    assert_true(fast_bytes(&f, got + 1, 95));
    assert_memory_equal(got, want + FAST_KEY, sizeof(got));
    assert_memory_equal(f.key, want, FAST_KEY);
}

/* The second refill has the key that the first one made, and nothing handed out is still there. */
static void fast_erases(void **state)
{
    static const uint8_t nonce[12];
    uint8_t key[FAST_KEY] = { 1, 2, 3 }, want[FAST_KEY + FAST_BUFFER] = { 0 }, got[FAST_BUFFER];
    struct fast_random f = { .keyed = false };

    (void)state;
    fast_key(&f, key);
    for (unsigned k = 1; k <= 3; k++) {
        memset(want, 0, sizeof(want));
        br_chacha20_ct_run(key, nonce, 0, want, sizeof(want));
        memcpy(key, want, sizeof(key));
        assert_true(fast_bytes(&f, got, sizeof(got)));
        assert_memory_equal(got, want + FAST_KEY, sizeof(got));
        assert_int_equal(f.refills, k);
        for (unsigned i = 0; i < FAST_BUFFER; i++) {
            assert_int_equal(f.bytes[i], 0);
        }
    }
    /* a new key changes what comes, whatever it is, and throws away what was made before */
    assert_true(fast_bytes(&f, got, 1));
    fast_key(&f, key);
    assert_int_equal(f.left, 0);
    assert_int_equal(f.refills, 0);
    for (unsigned i = 0; i < FAST_BUFFER; i++) {
        assert_int_equal(f.bytes[i], 0);
    }
}

static void asking_for_more_than_a_buffer(void **state)
{
    struct fast_random a = { .keyed = false }, b = a;
    static const uint8_t key[FAST_KEY] = { 9 };
    uint8_t one[1000], two[1000];

    (void)state;
    fast_key(&a, key);
    fast_key(&b, key);
    assert_true(fast_bytes(&a, one, sizeof(one)));
    for (size_t at = 0, n = 1; at < sizeof(two); at += n, n = n % 97 + 1) {
        n = n < sizeof(two) - at ? n : sizeof(two) - at;
        assert_true(fast_bytes(&b, two + at, n));
    }
    assert_memory_equal(one, two, sizeof(one));
}

/* At exactly so many in a row; a different one begins anew; and it stays failed. */
static void repetitions_fail(void **state)
{
    struct health h = { .repetitions = 3, .proportion = HEALTH_WINDOW };

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_true(health_sample(&h, 5));
        assert_true(health_sample(&h, 5));
        assert_true(health_sample(&h, 6));
    }
    assert_true(health_sample(&h, 7));
    assert_true(health_sample(&h, 7));
    assert_false(health_sample(&h, 7));
    assert_false(health_sample(&h, 8));
}

/* Zeros are samples like others, from the first one on. */
static void zeros_fail_too(void **state)
{
    struct health h = { .repetitions = 2, .proportion = HEALTH_WINDOW };

    (void)state;
    assert_true(health_sample(&h, 0));
    assert_false(health_sample(&h, 0));
}

/* Never twice in a row, but the first of a window comes again. */
static unsigned samples_until_failure(unsigned proportion)
{
    struct health h = { .repetitions = 2, .proportion = proportion };
    unsigned n = 0;

    while (n < 4 * HEALTH_WINDOW && health_sample(&h, n % 10 == 0 ? 1 : 1000 + n)) {
        n++;
    }
    return n;
}

static void proportion_fails(void **state)
{
    (void)state;
    assert_int_equal(samples_until_failure(5), 40); /* 0, 10, 20, 30, 40 */
    assert_int_equal(samples_until_failure(52), 510);
    /* 52 is all that a window can have: the next one begins with something else */
    assert_int_equal(samples_until_failure(53), 4 * HEALTH_WINDOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drbg_is_as_published),
        cmocka_unit_test(drbg_is_as_bearssls),
        cmocka_unit_test(fast_is_chacha20),
        cmocka_unit_test(fast_erases),
        cmocka_unit_test(asking_for_more_than_a_buffer),
        cmocka_unit_test(repetitions_fail),
        cmocka_unit_test(zeros_fail_too),
        cmocka_unit_test(proportion_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
