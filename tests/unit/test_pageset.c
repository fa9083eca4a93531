/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor/pageset.c: pages are found again, and quickly, whichever they are. */
#include "unit.h"

#include "hypapps/trustvisor/pageset.h"
#include <hypapp/hypapp.h>

#define MANY    16384u  /* pages of a PAL of 64 MiB */
#define RUN_MAX 150u    /* entries that a search may have to pass; half of the table is empty */

static uint64_t seed = 0x9a9e;
static size_t live;     /* pages taken from the pool */

void *pool_alloc(void)
{
    live++;
    return calloc(1, PAGE_SIZE);
}

bool pool_alloc_many(void **pages, size_t n)
{
    while (n-- > 0) {
        pages[n] = pool_alloc();
    }
    return true;
}

void pool_free_dirty(void *page)
{
    live--;
    free(page);
}

bool random_bytes(void *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(unit_random(&seed) >> 24);
    }
    return true;
}

static struct tv_pageset *new_set(uint32_t n)
{
    static struct tv_pageset set;

    memset(&set, 0, sizeof(set));
    assert_true(pageset_init(&set, n));
    return &set;
}

static void put_new(struct tv_pageset *s, uint64_t page, uint32_t number)
{
    assert_int_equal(pageset_number(*pageset_put(s, gpa(page << PAGE_SHIFT), number)), number);
}

static void give_back(struct tv_pageset *s)
{
    uint32_t budget = 1000;

    assert_true(pageset_free(s, &budget));
    assert_int_equal(live, 0);
}

/* The most entries side by side. */
static uint32_t longest_run(const struct tv_pageset *s)
{
    uint32_t run = 0, longest = 0;

    for (uint32_t i = 0; i <= s->mask; i++) {
        run = s->part[i / 512][i % 512] == 0 ? 0 : run + 1;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void found_again(void **state)
{
    static const uint32_t sizes[] = { 1, PAGESET_SMALL / 2, PAGESET_SMALL / 2 + 1, 1000 };

    (void)state;
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        struct tv_pageset *s = new_set(sizes[k]);
        for (uint32_t i = 0; i < sizes[k]; i++) {
            put_new(s, 7 * i, i);
        }
        for (uint32_t i = 0; i < sizes[k]; i++) {
            uint64_t *e = pageset_put(s, gpa((uint64_t)7 * i << PAGE_SHIFT), 5000);
            assert_int_equal(pageset_number(*e), i);
            pageset_renumber(e, 5000 + i);
        }
        assert_int_equal(pageset_number(*pageset_put(s, gpa(0), 1)), 5000);
        give_back(s);
    }
}

static void given_back_by_the_budget(void **state)
{
    struct tv_pageset *s = new_set(MANY);
    const size_t all = live;
    uint32_t budget = 3;

    (void)state;
    assert_false(pageset_free(s, &budget));
    assert_int_equal(budget, 0);
    assert_int_equal(live, all - 3);
    give_back(s);
}

/* An OS chooses the frames behind a section: were the hash known to it, then all to the same
 * place. */
static void chosen_pages(void **state)
{
    struct tv_pageset *s = new_set(MANY);
    uint32_t put = 0;

    (void)state;
    for (uint64_t page = 0; put < MANY; page++) {
        if ((uint32_t)((page << 24) * 0x9e3779b97f4a7c15ULL >> 40 & s->mask) < MANY / 64) {
            put_new(s, page, put++);
        }
    }
    assert_in_range(longest_run(s), 1, RUN_MAX);
    give_back(s);
}

/* What an OS gives that has much free memory, with every random number. */
static void pages_in_a_row(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        struct tv_pageset *s = new_set(MANY / 4);
        const uint64_t first = unit_random(&seed) >> 44, step = 1 + round % 3;
        for (uint32_t i = 0; i < MANY / 4; i++) {
            put_new(s, first + i * step, i);
        }
        assert_in_range(longest_run(s), 1, RUN_MAX);
        give_back(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_again), cmocka_unit_test(given_back_by_the_budget),
        cmocka_unit_test(chosen_pages), cmocka_unit_test(pages_in_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
