/* SPDX-License-Identifier: MIT */
/* The table of memory and ports with handlers: what it takes, what it finds, which ports exit. */
#include "unit.h"

#include <policy/regions.h>

#define RW (ACCESS_READ | ACCESS_WRITE)

static void one(struct vcpu *v, const struct exit *e) { (void)v, (void)e; }
static void two(struct vcpu *v, const struct exit *e) { (void)v, (void)e; }

static int add(enum region_space space, uint64_t base, uint64_t size, unsigned access,
               void (*handle)(struct vcpu *, const struct exit *))
{
    const struct region r = { base, size, access, handle };

    return region_add(space, &r);
}

static void memory_is_whole_pages_of_one_handler(void **state)
{
    (void)state;
    assert_int_equal(add(REGION_MEMORY, 0xfee00000, 0x100000, ACCESS_WRITE, one), 0);
    /* it is there */
    assert_int_equal(add(REGION_MEMORY, 0xfee00000, 0x100000, ACCESS_WRITE, one), 0);
    assert_int_equal(add(REGION_MEMORY, 0xfee00000, 0x100000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0xfee00000, 0x100000, RW, one), -1);
    assert_int_equal(add(REGION_MEMORY, 0xfeefffff, 2, ACCESS_WRITE, one), -1);
    assert_int_equal(add(REGION_MEMORY, 0xfeeff000, 0x2000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0xfedff000, 0x2000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1000, 0x800, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1800, 0x1000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1000, 0, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1000, 0x1000, 0, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1000, 0x1000, ACCESS_WRITE, NULL), -1);
    assert_int_equal(add(REGION_MEMORY, 1ULL << 52, 0x1000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0 - 0x1000ULL, 0x2000, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0x1000, 0 - 0x1000ULL, ACCESS_WRITE, two), -1);
    assert_int_equal(add(REGION_MEMORY, 0xfef00000, 0x1000, RW, two), 0);
}

static const struct region *memory(uint64_t at, unsigned access)
{
    return region_find(REGION_MEMORY, at, 1, access);
}

static void a_row_has_its_accesses_only(void **state)
{
    (void)state;
    assert_null(memory(0xfedfffff, ACCESS_WRITE));
    assert_ptr_equal(memory(0xfee00000, ACCESS_WRITE)->handle, one);
    assert_ptr_equal(memory(0xfeefffff, ACCESS_WRITE | ACCESS_READ)->handle, one);
    assert_null(memory(0xfee00000, ACCESS_READ));
    assert_null(memory(0xfee00000, ACCESS_EXEC));
    assert_ptr_equal(memory(0xfef00fff, ACCESS_READ)->handle, two);
    assert_null(memory(0xfef01000, ACCESS_READ));
    assert_null(memory(~0ULL, ACCESS_READ));
}

static void ports_exit_and_wide_accesses_reach_them(void **state)
{
    static uint8_t bitmap[8192];
    unsigned bits = 0;

    (void)state;
    assert_int_equal(add(REGION_PORTS, 0xcf9, 1, RW, one), 0);
    assert_int_equal(add(REGION_PORTS, 0xcf9, 1, RW, one), 0);
    assert_int_equal(add(REGION_PORTS, 0xcf8, 1, ACCESS_WRITE, two), 0);
    assert_int_equal(add(REGION_PORTS, 0xffff, 1, RW, two), 0);
    assert_int_equal(add(REGION_PORTS, 0xffff, 2, RW, two), -1);
    assert_int_equal(add(REGION_PORTS, 0x10000, 1, RW, two), -1);
    assert_null(region_find(REGION_PORTS, 0xcf5, 2, RW));
    assert_ptr_equal(region_find(REGION_PORTS, 0xcf7, 4, ACCESS_READ)->handle, one);
    assert_ptr_equal(region_find(REGION_PORTS, 0xcf7, 4, ACCESS_WRITE)->handle, two);
    assert_ptr_equal(region_find(REGION_PORTS, 0xfffd, 4, ACCESS_WRITE)->handle, two);
    regions_fill_ports(bitmap);
    for (size_t i = 0; i < sizeof(bitmap); i++) {
        bits += (unsigned)__builtin_popcount(bitmap[i]);
    }
    assert_int_equal(bits, 3);
    assert_int_equal(bitmap[0xcf8 / 8], 3);
    assert_int_equal(bitmap[8191], 0x80);
}

static void there_is_an_end(void **state)
{
    unsigned n = 0;

    (void)state;
    while (add(REGION_PORTS, 0x100 + n, 1, RW, two) == 0) {
        n++;
    }
    assert_int_equal(n, REGION_MAX - 3);
    assert_int_equal(add(REGION_PORTS, 0x100, 1, RW, two), 0); /* nothing is added */
    assert_int_equal(add(REGION_MEMORY, 0x2000, 0x1000, RW, two), 0);
    regions_close();
    assert_int_equal(add(REGION_MEMORY, 0x4000, 0x1000, RW, two), -1);
    assert_null(memory(0x4000, RW));
    assert_non_null(memory(0x2000, RW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_whole_pages_of_one_handler),
        cmocka_unit_test(a_row_has_its_accesses_only),
        cmocka_unit_test(ports_exit_and_wide_accesses_reach_them),
        cmocka_unit_test(there_is_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
