/* SPDX-License-Identifier: MIT */
/* ICR decoding and targets: all shorthands and destination modes, both APIC modes. */
#include "unit.h"

#include <guest/icr.h>

#define FLAT    0xffffffffu
#define CLUSTER 0x0fffffffu

static void decode_fields(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x100000; i += 0x11) { /* bits 19:0, most combinations */
        struct icr x = icr_decode_xapic(i, 0xa5ffffff);
        struct icr y = icr_decode_x2apic(0x12345678ULL << 32 | i);

        assert_int_equal(x.vector, i % 256);
        assert_int_equal(x.delivery, i / 256 % 8);
        assert_int_equal(x.logical, i / 2048 % 2);
        assert_int_equal(x.shorthand, i / 0x40000 % 4);
        assert_int_equal(x.dest, 0xa5);
        assert_int_equal(x.deassert, i / 256 % 8 == 5 && i / 0x4000 % 4 == 2);
        assert_int_equal(y.dest, 0x12345678);
        assert_int_equal(y.vector, x.vector);
        assert_int_equal(y.delivery, x.delivery);
        assert_int_equal(y.logical, x.logical);
        assert_int_equal(y.shorthand, x.shorthand);
        assert_int_equal(y.deassert, x.deassert);
    }
}

/* What Linux, SeaBIOS and OVMF write to start CPUs. */
static void decode_known_values(void **state)
{
    struct icr icr;

    (void)state;
    icr = icr_decode_xapic(0x0000c500, 0x01000000); /* Linux: INIT, level, assert */
    assert_int_equal(icr.delivery, ICR_INIT);
    assert_false(icr.deassert);
    assert_int_equal(icr.dest, 1);
    icr = icr_decode_xapic(0x00008500, 0x01000000); /* Linux: INIT, level, de-assert */
    assert_true(icr.deassert);
    icr = icr_decode_xapic(0x00000600 | 0x99, 0x01000000); /* Linux: SIPI */
    assert_int_equal(icr.delivery, ICR_SIPI);
    assert_int_equal(icr.vector, 0x99);
    icr = icr_decode_xapic(0x000c4500, 0); /* SeaBIOS, OVMF: INIT to all others */
    assert_int_equal(icr.delivery, ICR_INIT);
    assert_int_equal(icr.shorthand, ICR_OTHERS);
    assert_false(icr.deassert);
    icr = icr_decode_xapic(0x00000500, 0x02000000); /* INIT, edge, level bit clear: an INIT */
    assert_false(icr.deassert);
    icr = icr_decode_xapic(0x000c4610, 0); /* SeaBIOS: SIPI to all others */
    assert_int_equal(icr.delivery, ICR_SIPI);
    assert_int_equal(icr.vector, 0x10);
    icr = icr_decode_xapic(0x00004400, 0x03000000);
    assert_int_equal(icr.delivery, ICR_NMI);
}

static struct icr_target target(uint32_t id, uint32_t ldr, uint32_t dfr)
{
    return (struct icr_target){ .apic_id = id, .ldr = ldr, .dfr = dfr };
}

static void shorthands_ignore_destination(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) { /* bit 0: logical, bit 1: x2apic */
        for (uint32_t id = 0; id < 8; id++) {
            for (uint32_t dest = 0; dest < 8; dest++) {
                struct icr_target t = target(id, 1u << (24 + id), FLAT);
                struct icr icr = { .logical = mode & 1, .dest = dest };
                bool x2 = (mode & 2) != 0;

                icr.shorthand = ICR_SELF;
                assert_int_equal(icr_matches(&icr, 3, &t, x2), id == 3);
                icr.shorthand = ICR_ALL;
                assert_true(icr_matches(&icr, 3, &t, x2));
                icr.shorthand = ICR_OTHERS;
                assert_int_equal(icr_matches(&icr, 3, &t, x2), id != 3);
            }
        }
    }
}

static void physical_xapic(void **state)
{
    (void)state;
    for (uint32_t dest = 0; dest < 256; dest++) {
        for (uint32_t id = 0; id < 256; id++) {
            struct icr_target t = target(id, 0xff000000, FLAT);
            struct icr icr = icr_decode_xapic(0x4500, dest << 24);

            assert_int_equal(icr_matches(&icr, 0, &t, false), dest == id || dest == 0xff);
        }
    }
}

static void physical_x2apic(void **state)
{
    static const uint32_t ids[] = { 0, 1, 0xff, 0x100, 0x1ff, 0xffff, 0x80000000, 0xfffffffe };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct icr_target t = target(ids[i], 0, 0);
        struct icr all = icr_decode_x2apic(0xffffffff00004500);

        assert_true(icr_matches(&all, 0, &t, true));
        for (size_t j = 0; j < ARRAY_SIZE(ids); j++) {
            struct icr icr = icr_decode_x2apic((uint64_t)ids[j] << 32 | 0x4500);
            assert_int_equal(icr_matches(&icr, 0, &t, true), i == j);
        }
    }
}

static void logical_flat(void **state)
{
    (void)state;
    for (uint32_t dest = 0; dest < 256; dest++) {
        for (uint32_t ldr = 0; ldr < 256; ldr++) {
            struct icr_target t = target(7, ldr << 24 | 0x00ffffff, FLAT);
            struct icr icr = icr_decode_xapic(0x4d00, dest << 24);

            assert_int_equal(icr_matches(&icr, 0, &t, false),
                             dest == 0xff || (dest & ldr) != 0);
        }
    }
}

static void logical_cluster(void **state)
{
    struct icr icr = icr_decode_xapic(0x4d00, 0x23000000); /* cluster 2, CPUs 0 and 1 */
    struct icr all = icr_decode_xapic(0x4d00, 0xff000000);
    struct icr_target t;

    (void)state;
    for (uint32_t ldr = 0; ldr < 256; ldr++) {
        t = target(7, ldr << 24, CLUSTER);
        assert_int_equal(icr_matches(&icr, 0, &t, false), ldr == 0x21 || ldr == 0x22
                         || ldr == 0x23 || ldr == 0x25 || ldr == 0x26 || ldr == 0x27
                         || ldr == 0x29 || ldr == 0x2a || ldr == 0x2b || ldr == 0x2d
                         || ldr == 0x2e || ldr == 0x2f);
        assert_true(icr_matches(&all, 0, &t, false));
    }
}

static void logical_x2apic(void **state)
{
    struct icr icr = icr_decode_x2apic(0x0001000500004d00); /* cluster 1, CPUs 0 and 2 */
    struct icr all = icr_decode_x2apic(0xffffffff00004d00);
    struct icr not_all = icr_decode_x2apic(0x000000ff00004500);
    struct icr_target t;

    (void)state;
    for (uint32_t id = 0; id < 64; id++) {
        /* SDM vol. 3, 11.12.10.2: LDR = id[19:4] << 16 | 1 << id[3:0] */
        t = target(id, (id >> 4) << 16 | 1u << (id & 15), 0);
        assert_int_equal(icr_matches(&icr, 0, &t, true), id == 16 || id == 18);
        assert_true(icr_matches(&all, 0, &t, true));
        assert_false(icr_matches(&not_all, 0, &t, true)); /* 0xff is a plain id here */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_fields),
        cmocka_unit_test(decode_known_values),
        cmocka_unit_test(shorthands_ignore_destination),
        cmocka_unit_test(physical_xapic),
        cmocka_unit_test(physical_x2apic),
        cmocka_unit_test(logical_flat),
        cmocka_unit_test(logical_cluster),
        cmocka_unit_test(logical_x2apic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
