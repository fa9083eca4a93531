/* SPDX-License-Identifier: MIT */
/* Ports that reset, sleep or move the A20 gate: what a write would do, and what is let through. */
#include "unit.h"
#include <policy/io_policy.h>
#include <string.h>

static struct acpi_info acpi;

static int setup(void **state)
{
    (void)state;
    memset(&acpi, 0, sizeof(acpi));
    acpi.pm1a_cnt = 0x604;
    acpi.pm1a_evt = 0x600;
    acpi.has_reset_reg = true;
    acpi.reset_space = 1;
    acpi.reset_addr = 0xb2;
    acpi.reset_value = 0x7e;
    acpi.sleep.a[3] = acpi.sleep.b[3] = 1u << 1;
    acpi.sleep.a[4] = acpi.sleep.b[4] = 1u << 2;
    acpi.sleep.a[5] = acpi.sleep.b[5] = 1u << 0;
    io_policy_init(&acpi);
    return 0;
}

static enum io_action out(uint16_t port, unsigned size, uint32_t value)
{
    return io_policy_write(port, size, &value);
}

static uint32_t filtered(uint16_t port, unsigned size, uint32_t value)
{
    (void)io_policy_write(port, size, &value);
    return value;
}

static void resets_are_seen(void **state)
{
    (void)state;
    assert_int_equal(out(0x64, 1, 0xfe), IO_RESET);
    assert_int_equal(out(0x64, 1, 0xf0), IO_RESET);
    assert_int_equal(out(0x64, 1, 0xff), IO_PASS);
    assert_int_equal(out(0x64, 1, 0xd4), IO_PASS);
    assert_int_equal(out(0x92, 1, 0x01), IO_RESET);
    assert_int_equal(out(0x91, 2, 0x0100), IO_RESET);
    assert_int_equal(out(0xcf9, 1, 0x06), IO_RESET);
    assert_int_equal(out(0xcf9, 1, 0x02), IO_PASS);
    assert_int_equal(out(0xcf8, 4, 0x80000400), IO_PASS);
    assert_int_equal(out(0xcf8, 2, 0x0600), IO_RESET);
    assert_int_equal(out(0xcf7, 4, 0x060000), IO_RESET);
    assert_int_equal(out(0xcf6, 4, 0x06000000), IO_RESET);
    assert_int_equal(out(0xb2, 1, 0x7e), IO_RESET);
    assert_int_equal(out(0xb2, 1, 0x7f), IO_PASS);
}

static void the_output_port_resets_too(void **state)
{
    (void)state;
    assert_int_equal(out(0x64, 1, 0xd1), IO_PASS);
    assert_int_equal(out(0x60, 1, 0xfe), IO_RESET);
    assert_int_equal(out(0x60, 1, 0xfe), IO_PASS); /* an ordinary data byte again */
    assert_int_equal(out(0x64, 1, 0xd1), IO_PASS);
    assert_int_equal(out(0x64, 1, 0x20), IO_PASS); /* another command doesn't take D1 back */
    assert_int_equal(out(0x64, 1, 0xff), IO_PASS);
    assert_int_equal(out(0x60, 1, 0xfe), IO_RESET);
    assert_int_equal(out(0x60, 1, 0xfe), IO_PASS);
}

static void the_a20_gate_stays_open(void **state)
{
    (void)state;
    assert_int_equal(filtered(0x92, 1, 0x00), 0x02);
    assert_int_equal(filtered(0x64, 1, 0xdd), 0xdf);
    assert_int_equal(filtered(0x64, 1, 0xd1), 0xd1);
    assert_int_equal(filtered(0x60, 1, 0xdd), 0xdf);
    assert_int_equal(filtered(0x60, 1, 0xdd), 0xdd);
    assert_int_equal(filtered(0x80, 4, 0x12345678), 0x12345678);
}

static void power_off_passes_and_suspend_does_not(void **state)
{
    (void)state;
    assert_int_equal(out(0x604, 2, 0x2000), IO_POWER_OFF);          /* S5, type 0 */
    assert_int_equal(out(0x604, 2, 0x2000 | 2 << 10), IO_POWER_OFF); /* S4 */
    assert_int_equal(out(0x604, 2, 0x2000 | 1 << 10), IO_SUSPEND);   /* S3 */
    assert_int_equal(out(0x604, 2, 0x2000 | 5 << 10), IO_SUSPEND);   /* listed nowhere */
    assert_int_equal(out(0x605, 1, 0x24), IO_SUSPEND);
    assert_int_equal(out(0x604, 2, 1 << 10), IO_PASS);               /* no SLP_EN */
}

static void a_refused_suspend_looks_like_a_wake_up(void **state)
{
    (void)state;
    assert_int_equal(io_policy_read(0x600, 2, 0x0001), 0x0001);
    io_policy_suspend_refused();
    assert_int_equal(io_policy_read(0x600, 2, 0x0001), 0x8001);
    assert_int_equal(io_policy_read(0x601, 1, 0x00), 0x80);
    assert_int_equal(io_policy_read(0x600, 1, 0x00), 0x00);
    assert_int_equal(out(0x600, 2, 0x8000), IO_PASS); /* the OS clears WAK_STS */
    assert_int_equal(io_policy_read(0x600, 2, 0x0001), 0x0001);
}

static void these_are_the_ports(void **state)
{
    uint16_t ports[IO_POLICY_PORTS];
    const uint16_t want[] = { 0x60, 0x64, 0x92, 0xcf9, 0x604, 0x605, 0x600, 0x601, 0xb2 };
    size_t n = io_policy_ports(ports);

    (void)state;
    assert_int_equal(n, ARRAY_SIZE(want)); /* no PM1b here */
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_int_equal(ports[i], want[i]);
    }
}

static enum io_action type(unsigned t)
{
    return out(0x604, 2, 0x2000 | t << 10);
}

/* A type that is a sleep's too, by another definition or another choice of firmware. */
static void a_type_with_two_meanings_is_a_sleep(void **state)
{
    (void)state;
    acpi.sleep.a[1] = 1u << 0;
    acpi.sleep.a[5] = 1u << 0 | 1u << 7;
    io_policy_init(&acpi);
    assert_int_equal(type(0), IO_SUSPEND);
    assert_int_equal(type(7), IO_POWER_OFF);
}

/* Without a known S5 no type passes, unless the machine can't wake up without us. */
static void an_unknown_power_off_waits_for_the_waking_vector(void **state)
{
    (void)state;
    acpi.sleep.a[5] = 0;
    io_policy_init(&acpi);
    for (unsigned t = 0; t < 8; t++) {
        assert_int_equal(type(t), t == 2 ? IO_POWER_OFF : IO_SUSPEND);
    }
    io_policy_no_wake();
    for (unsigned t = 0; t < 8; t++) {
        assert_int_equal(type(t), t == 1 ? IO_SUSPEND : IO_POWER_OFF);
    }
}

static void a_known_power_off_stays_the_only_one(void **state)
{
    (void)state;
    io_policy_no_wake();
    assert_int_equal(type(5), IO_SUSPEND);
    assert_int_equal(type(0), IO_POWER_OFF);
}

static void each_block_has_its_types(void **state)
{
    (void)state;
    acpi.pm1b_cnt = 0x704;
    acpi.sleep.b[5] = 1u << 6;
    io_policy_init(&acpi);
    assert_int_equal(out(0x704, 2, 0x2000 | 6 << 10), IO_POWER_OFF);
    assert_int_equal(out(0x704, 2, 0x2000), IO_SUSPEND);
    assert_int_equal(type(6), IO_SUSPEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(resets_are_seen, setup),
        cmocka_unit_test_setup(the_output_port_resets_too, setup),
        cmocka_unit_test_setup(the_a20_gate_stays_open, setup),
        cmocka_unit_test_setup(power_off_passes_and_suspend_does_not, setup),
        cmocka_unit_test_setup(a_refused_suspend_looks_like_a_wake_up, setup),
        cmocka_unit_test_setup(these_are_the_ports, setup),
        cmocka_unit_test_setup(a_type_with_two_meanings_is_a_sleep, setup),
        cmocka_unit_test_setup(an_unknown_power_off_waits_for_the_waking_vector, setup),
        cmocka_unit_test_setup(a_known_power_off_stays_the_only_one, setup),
        cmocka_unit_test_setup(each_block_has_its_types, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
