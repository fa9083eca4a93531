/* SPDX-License-Identifier: MIT */
/* The page pool: what is taken is zero and nobody else's; what runs out gives nothing. */
#include "unit.h"

#include "fake/machine.h"
#include <debug/log.h>
#include <mm/pool.h>
#include <xmhf/core_image.h>

#define PAGES 40
#define BASE  0x1f600000ULL

static uint8_t memory[PAGES][PAGE_SIZE] __attribute__((aligned(4096)));

/* The pool's addresses are CORE_VA and an offset; one that wraps is in this program. */
static void start(void)
{
    uint64_t first = (uintptr_t)memory - CORE_VA;

    memset(memory, 0, sizeof(memory));
    pool_init(BASE, first, first + sizeof(memory));
}

static bool in_pool(const void *p)
{
    return (uintptr_t)p >= (uintptr_t)memory && (uintptr_t)p < (uintptr_t)memory + sizeof(memory)
        && (uintptr_t)p % PAGE_SIZE == 0;
}

static bool zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static char said[200];
static jmp_buf refused;

void log_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
}

void launch_refuse(void) { longjmp(refused, 1); }

/* What a start needs and isn't there refuses the launch by name, and takes nothing. */
static void check_need(void)
{
    if (setjmp(refused) == 0) {
        (void)pool_boot_need(2);
        fail_msg("no refusal");
    }
    assert_non_null(strstr(said, "palmem="));
}

/* Taken and given back at random: returns how many are in `held` then. */
static size_t random_use(void *held[PAGES], const void *boot)
{
    uint64_t seed = 0x9001;
    void *many[PAGES];
    size_t n = 0;

    for (unsigned round = 0; round < 20000; round++) {
        size_t want = unit_below(&seed, 8);

        switch (unit_below(&seed, 4)) {
        case 0:
            if (pool_alloc_many(many, want)) {
                memcpy(held + n, many, want * sizeof(many[0]));
                n += want;
            } else {
                assert_true(want > PAGES - 4 - n); /* all or none */
            }
            break;
        case 1:
            held[n] = pool_alloc();
            assert_int_equal(!held[n], n == PAGES - 4);
            n += held[n] != NULL;
            break;
        default:
            if (n != 0) {
                size_t i = unit_below(&seed, n);
                if (zero(held[i], PAGE_SIZE)) {
                    pool_free(held[i]);
                } else {
                    pool_free_dirty(held[i]);
                }
                held[i] = held[--n];
            }
        }
        assert_int_equal(pool_free_count(), PAGES - 4 - n);
        for (size_t i = 0; i < n; i++) {
            assert_true(in_pool(held[i]) && (uintptr_t)held[i] < (uintptr_t)boot);
            /* Zero when it came; from then on it says whose it is, and nobody changes that. */
            uint64_t *word = held[i];
            if (word[1] == 0) {
                assert_true(zero(held[i], PAGE_SIZE));
                word[1] = (uintptr_t)word;
                word[511] = round;
            }
            assert_int_equal(word[1], (uintptr_t)word);
        }
    }
    return n;
}

/* The last page, the reserved one, what boot may still have, and the wipe. */
static void run_out(void *held[PAGES], size_t n)
{
    void *many[PAGES], *kept;

    while (n < PAGES - 4) {
        held[n++] = pool_alloc();
    }
    assert_null(pool_alloc());
    assert_false(pool_alloc_many(many, 1));
    assert_true(pool_alloc_many(many, 0));
    assert_null(pool_boot_pages(1));

    kept = pool_reserved_page();
    assert_true(in_pool(kept) && zero(kept, PAGE_SIZE));
    for (size_t i = 0; i < n; i++) {
        assert_ptr_not_equal(kept, held[i]);
    }
    assert_null(pool_reserved_page());
    assert_int_equal(pool_total(), PAGES - 4);

    pool_free_dirty(held[2]); /* there is no fresh one, but this */
    assert_null(pool_boot_pages(2));
    check_need();
    assert_ptr_equal(pool_boot_need(1), held[2]);
    assert_true(zero(held[2], PAGE_SIZE));
    assert_int_equal(pool_free_count(), 0);
    assert_int_equal(pool_total(), PAGES - 5);

    memset(held[0], 0x55, PAGE_SIZE);
    pool_free(held[1]);
    pool_wipe(); /* used or not, but for what boot took */
    assert_true(zero(memory[0], (PAGES - 4) * PAGE_SIZE));
}

/* In a fresh process: the free list outlives pool_init, which is called once. */
static void everything(void **state)
{
    void *held[PAGES], *boot;

    (void)state;
    start();
    assert_int_equal(pool_total(), PAGES);
    assert_int_equal(pool_free_count(), PAGES);

    pool_reserve(1); /* it isn't there for others */
    assert_int_equal(pool_total(), PAGES - 1);
    assert_int_equal(pool_free_count(), PAGES - 1);
    boot = pool_boot_pages(3); /* from the top, for ever */
    assert_ptr_equal(boot, memory[PAGES - 3]);
    assert_int_equal(pool_total(), PAGES - 4);
    assert_null(pool_boot_pages(PAGES - 3));
    assert_int_equal(pool_free_count(), PAGES - 4);

    run_out(held, random_use(held, boot));
}

static void addresses(void **state)
{
    (void)state;
    assert_int_equal(core_hpa((void *)(uintptr_t)(CORE_VA + 0x5000)).a, BASE + 0x5000);
    assert_ptr_equal(core_va(hpa(BASE + 0x5000)), (void *)(uintptr_t)(CORE_VA + 0x5000));
    assert_ptr_equal(core_va(core_hpa(memory)), memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
