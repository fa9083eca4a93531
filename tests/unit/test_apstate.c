/* SPDX-License-Identifier: MIT */
/* The INIT/SIPI machine, alone and with signals posted by other threads. */
#include "unit.h"

#include <pthread.h>

#include <cpu/apstate.h>

static void start_and_run(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector = 0xee;

    (void)state;
    ap_init(&ap, AP_WAIT_SIPI);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
    ap_post_sipi(&ap, 0x9a);
    assert_int_equal(ap_take(&ap, &vector), AP_START);
    assert_int_equal(vector, 0x9a);
    assert_int_equal(ap.state, AP_RUNNING);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
}

static void vectors_all(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector;

    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        ap_init(&ap, AP_WAIT_SIPI);
        ap_post_sipi(&ap, (uint8_t)i);
        assert_int_equal(ap_take(&ap, &vector), AP_START);
        assert_int_equal(vector, i);
    }
}

static void sipi_while_running_is_dropped(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector = 0xee;

    (void)state;
    ap_init(&ap, AP_RUNNING);
    ap_post_sipi(&ap, 0x10);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
    assert_int_equal(ap.state, AP_RUNNING);
    assert_int_equal(vector, 0xee);
    /* nothing of it is left for after the next INIT */
    ap_post_init(&ap);
    assert_int_equal(ap_take(&ap, &vector), AP_RESET);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
}

static void init_then_sipi(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector = 0xee;

    (void)state;
    ap_init(&ap, AP_RUNNING);
    ap_post_init(&ap);
    ap_post_sipi(&ap, 0x10);
    assert_int_equal(ap_take(&ap, &vector), AP_RESET);
    assert_int_equal(ap.state, AP_WAIT_SIPI);
    assert_int_equal(vector, 0xee);
    assert_int_equal(ap_take(&ap, &vector), AP_START);
    assert_int_equal(vector, 0x10);
}

static void init_cancels_earlier_sipi(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector;

    (void)state;
    ap_init(&ap, AP_WAIT_SIPI);
    ap_post_sipi(&ap, 0x10);
    ap_post_init(&ap);
    assert_int_equal(ap_take(&ap, &vector), AP_RESET);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
    ap_post_sipi(&ap, 0x0f); /* no bit of the cancelled vector stays */
    assert_int_equal(ap_take(&ap, &vector), AP_START);
    assert_int_equal(vector, 0x0f);
}

static void second_sipi_is_ignored(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector;

    (void)state;
    ap_init(&ap, AP_RUNNING);
    ap_post_init(&ap);
    ap_post_sipi(&ap, 0x12);
    ap_post_sipi(&ap, 0x21);
    assert_int_equal(ap_take(&ap, &vector), AP_RESET);
    assert_int_equal(ap_take(&ap, &vector), AP_START);
    assert_int_equal(vector, 0x12);
    assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
}

static void inits_while_waiting(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector;

    (void)state;
    ap_init(&ap, AP_RUNNING);
    for (unsigned i = 0; i < 100; i++) {
        ap_post_init(&ap);
        ap_post_init(&ap);
        assert_int_equal(ap_take(&ap, &vector), AP_RESET);
        assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
        assert_int_equal(ap.state, AP_WAIT_SIPI);
    }
}

/* Linux' INIT, de-assert (no INIT), SIPI, SIPI; any number of times. */
static void hundred_thousand_rounds(void **state)
{
    struct vcpu_ap ap;
    uint8_t vector;

    (void)state;
    ap_init(&ap, AP_RUNNING);
    for (unsigned i = 0; i < 100000; i++) {
        ap_post_init(&ap);
        assert_int_equal(ap_take(&ap, &vector), AP_RESET);
        ap_post_sipi(&ap, (uint8_t)i);
        assert_int_equal(ap_take(&ap, &vector), AP_START);
        assert_int_equal(vector, (uint8_t)i);
        ap_post_sipi(&ap, (uint8_t)(i + 1));
        assert_int_equal(ap_take(&ap, &vector), AP_NOTHING);
    }
}

/* --- threads -------------------------------------------------------------------- */

#define SENDERS 3
#define ROUNDS  20000

static struct vcpu_ap shared;
static atomic_uint senders_left;

/* Each sender posts only SIPIs with vectors 0x40, 0x41, ... of its own, and INITs. */
static void *sender(void *arg)
{
    uint64_t seed = (uintptr_t)arg + 1;

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (unit_below(&seed, 3) == 0) {
            ap_post_init(&shared);
        } else {
            ap_post_sipi(&shared, (uint8_t)(0x40 + (uintptr_t)arg));
        }
    }
    atomic_fetch_sub(&senders_left, 1);
    return NULL;
}

/* Whatever others post: a start only from wait-for-SIPI, only with a posted vector, never
 * a mix of two; and when all is quiet one more INIT and SIPI work. */
static void posted_by_threads(void **state)
{
    pthread_t thread[SENDERS];
    enum ap_state before = AP_RUNNING;
    unsigned resets = 0, starts = 0;
    uint8_t vector = 0;
    bool last = false;

    (void)state;
    ap_init(&shared, AP_RUNNING);
    atomic_store(&senders_left, SENDERS);
    for (uintptr_t i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, sender, (void *)i), 0);
    }
    while (!last || atomic_load(&shared.pending) != 0) {
        last = atomic_load(&senders_left) == 0;
        switch (ap_take(&shared, &vector)) {
        case AP_START:
            assert_int_equal(before, AP_WAIT_SIPI);
            assert_in_range(vector, 0x40, 0x40 + SENDERS - 1);
            starts++;
            break;
        case AP_RESET:
            resets++;
            break;
        case AP_NOTHING:
            assert_int_equal(shared.state, before);
            break;
        }
        before = shared.state;
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_true(resets > 0 && starts <= resets); /* the first INIT always shows */
    ap_post_init(&shared);
    ap_post_sipi(&shared, 0x77);
    assert_int_equal(ap_take(&shared, &vector), AP_RESET);
    assert_int_equal(ap_take(&shared, &vector), AP_START);
    assert_int_equal(vector, 0x77);
    print_message("# %u INITs, %u starts taken of %u signals\n", resets, starts,
                  SENDERS * ROUNDS);
}

/* An INIT is never lost: a partner posts INIT and waits for the reset, then a SIPI and
 * waits for the start, while others post stray SIPIs. */
static atomic_uint resets_seen, starts_seen;
static atomic_bool done;

static void *partner(void *arg)
{
    (void)arg;
    for (unsigned i = 1; i <= 2000; i++) {
        ap_post_init(&shared);
        while (atomic_load(&resets_seen) < i) { }
        ap_post_sipi(&shared, 0x50);
        while (atomic_load(&starts_seen) < i) { }
    }
    atomic_store(&done, true);
    return NULL;
}

static void *stray(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        ap_post_sipi(&shared, 0x51);
    }
    return NULL;
}

static void no_init_is_lost(void **state)
{
    pthread_t a, b;
    uint8_t vector;

    (void)state;
    ap_init(&shared, AP_RUNNING);
    assert_int_equal(pthread_create(&a, NULL, partner, NULL), 0);
    assert_int_equal(pthread_create(&b, NULL, stray, NULL), 0);
    while (!atomic_load(&done)) {
        switch (ap_take(&shared, &vector)) {
        case AP_RESET:
            atomic_fetch_add(&resets_seen, 1);
            break;
        case AP_START:
            atomic_fetch_add(&starts_seen, 1);
            break;
        case AP_NOTHING:
            break;
        }
    }
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_int_equal(resets_seen, 2000);
    assert_int_equal(starts_seen, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_and_run),
        cmocka_unit_test(vectors_all),
        cmocka_unit_test(sipi_while_running_is_dropped),
        cmocka_unit_test(init_then_sipi),
        cmocka_unit_test(init_cancels_earlier_sipi),
        cmocka_unit_test(second_sipi_is_ignored),
        cmocka_unit_test(inits_while_waiting),
        cmocka_unit_test(hundred_thousand_rounds),
        cmocka_unit_test(posted_by_threads),
        cmocka_unit_test(no_init_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
