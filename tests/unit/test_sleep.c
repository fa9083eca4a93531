/* SPDX-License-Identifier: MIT */
/* What SLP_TYP means, from real and made AML: every form of a state's definition, and none trusted
 * that isn't understood. */
#include "unit.h"

#include <acpi/sleep.h>

#define TABLES_MAX 2
#define HEADER 36

static uint8_t *bytes[TABLES_MAX];
static size_t lengths[TABLES_MAX];

static void load(unsigned i, const char *name)
{
    char path[512], file[128];

    free(bytes[i]);
    bytes[i] = NULL;
    lengths[i] = 0;
    if (!name) {
        return;
    }
    snprintf(file, sizeof(file), "tests/vectors/acpi/%s.aml", name);
    FILE *f = fopen(unit_source(path, sizeof(path), file), "rb");
    assert_non_null(f);
    bytes[i] = malloc(1 << 16);
    lengths[i] = fread(bytes[i], 1, 1 << 16, f);
    assert_true(lengths[i] > HEADER);
    fclose(f);
}

/* The loaded tables, each in a block of just its size: the sanitizer sees reads behind it. */
static struct acpi_sleep search(void)
{
    struct sleep_search s;

    sleep_begin(&s);
    do {
        for (unsigned i = 0; i < TABLES_MAX; i++) {
            if (bytes[i]) {
                size_t n = lengths[i] - HEADER;
                uint8_t *copy = malloc(n + (n == 0));
                memcpy(copy, bytes[i] + HEADER, n);
                sleep_table(&s, (struct aml){ copy, n });
                free(copy);
            }
        }
    } while (sleep_again(&s));
    return s.result;
}

/* The same of bytes written here. */
static struct acpi_sleep of_bytes(const void *aml, size_t n)
{
    load(0, NULL);
    load(1, NULL);
    bytes[0] = calloc(1, HEADER + n);
    memcpy(bytes[0] + HEADER, aml, n);
    lengths[0] = HEADER + n;
    return search();
}

#define BYTES(...) \
    of_bytes((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define S(n) '_', 'S', n, '_'

static void check(struct acpi_sleep got, const uint8_t a[6], unsigned known, unsigned unclear)
{
    for (unsigned n = 1; n <= 5; n++) {
        if (got.a[n] != a[n]) {
            fail_msg("S%u: types 0x%x, not 0x%x", n, got.a[n], a[n]);
        }
    }
    assert_int_equal(got.known, known);
    assert_int_equal(got.unclear, unclear);
}

#define T(t) (uint8_t)(1u << (t))
#define STATES(...) (const uint8_t[6]){ __VA_ARGS__ }

static void the_tables_of_machines(void **state)
{
    (void)state;
    load(0, "qemu-pc-dsdt");
    load(1, NULL);
    check(search(), STATES(0, 0, 0, T(1), T(2), T(0)), 1u << 3 | 1u << 4 | 1u << 5, 0);
    load(0, "qemu-q35-dsdt");
    check(search(), STATES(0, 0, 0, T(1), T(2), T(0)), 1u << 3 | 1u << 4 | 1u << 5, 0);
    load(0, "bochs-dsdt");
    load(1, "bochs-ssdt");
    check(search(), STATES(0, 0, 0, T(1), T(0), T(0)), 1u << 3 | 1u << 4 | 1u << 5, 0);
}

static void names_count_where_they_are(void **state)
{
    (void)state;
    load(0, "scopes");
    load(1, NULL);
    check(search(), STATES(0, 0, 0, T(5), T(6), T(7)), 1u << 3 | 1u << 4 | 1u << 5, 0);
}

static void every_form_of_an_element(void **state)
{
    (void)state;
    load(0, "forms");
    load(1, NULL);
    struct acpi_sleep s = search();
    /* 203h and 105h aren't proper types; a sleep's counts by its low bits all the same. */
    check(s, STATES(0, T(1), T(3), T(5), T(6), T(7)), 0x3e, 1u << 2 | 1u << 3);
    const uint8_t b[6] = { 0, T(1), T(0), T(5), T(4), T(6) };
    assert_memory_equal(s.b, b, sizeof(b));
}

static void every_choice_counts(void **state)
{
    (void)state;
    load(0, "choices");
    load(1, NULL);
    check(search(), STATES(0, T(1), T(2), T(3), T(4), T(5) | T(7)), 0x3e, 0);
}

static void what_is_not_understood_is_unclear(void **state)
{
    (void)state;
    load(0, "unknown");
    load(1, NULL);
    check(search(), STATES(0, 0, 0, 0, 0, 0), 0, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5);
}

static void other_tables_define_too(void **state)
{
    (void)state;
    load(0, "qemu-pc-dsdt");
    load(1, "ssdt");
    check(search(), STATES(0, 0, 0, T(1) | T(5), T(2), T(0) | T(7)), 0x38, 0);
    load(0, NULL);
    check(search(), STATES(0, 0, 0, T(5), 0, T(7)), 0x28, 0);
}

/* A byte that is no opcode: definitions behind it count as sleep only, if not by full path. */
static void behind_what_is_not_understood(void **state)
{
    (void)state;
    struct acpi_sleep s = BYTES(0xfe, 0x08, S('3'), 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00,
                                0x08, S('5'), 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00);
    check(s, STATES(0, 0, 0, T(5), 0, 0), 1u << 3, 1u << 3 | 1u << 5);
    s = BYTES(0xfe, 0x08, '\\', S('5'), 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00);
    check(s, STATES(0, 0, 0, 0, 0, T(7)), 1u << 5, 0);
    s = BYTES(0xfe, 0x14, 0x0f, S('3'), 0x00, 0xa4, 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00);
    check(s, STATES(0, 0, 0, 0, 0, 0), 0, 0); /* its length leaves the table: no definition */
    s = BYTES(0xfe, 0x14, 0x0d, S('3'), 0x00, 0xa4, 0x12, 0x05, 0x02, 0x0a, 0x05, 0x00);
    check(s, STATES(0, 0, 0, T(5), 0, 0), 1u << 3, 1u << 3);
}

/* Only the block that isn't understood is lost. */
static void the_rest_is_still_understood(void **state)
{
    (void)state;
    struct acpi_sleep s = BYTES(0x10, 0x07, '_', 'S', 'B', '_', 0xfe, 0xfe,
                                0x08, S('5'), 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00);
    check(s, STATES(0, 0, 0, 0, 0, T(7)), 1u << 5, 0);
}

static void a_long_table_is_read_to_its_end(void **state)
{
    static const uint8_t last[] = { 0x08, S('5'), 0x12, 0x05, 0x02, 0x0a, 0x07, 0x00 };
    const size_t n = 3 << 20;
    uint8_t *aml = calloc(1, n + sizeof(last));
    const size_t length = n - 5; /* Name(BIG_, Buffer(...) { 0 ... }) */

    (void)state;
    memcpy(aml, "\x08" "BIG_" "\x11", 6);
    aml[6] = (uint8_t)(0xc0 | ((length - 1) & 0xf));
    aml[7] = (uint8_t)((length - 1) >> 4);
    aml[8] = (uint8_t)((length - 1) >> 12);
    aml[9] = (uint8_t)((length - 1) >> 20);
    memcpy(aml + n, last, sizeof(last));
    check(of_bytes(aml, n + sizeof(last)), STATES(0, 0, 0, 0, 0, T(7)), 1u << 5, 0);
    free(aml);
}

/* Cut anywhere, or with any byte changed: nothing is read behind the end, and it ends. */
static void damage_is_survived(void **state)
{
    static const char *const names[] = { "choices", "forms", "scopes", "bochs-dsdt" };
    uint64_t random = 4711;

    (void)state;
    load(1, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        load(0, names[i]);
        size_t full = lengths[0];
        for (lengths[0] = HEADER; lengths[0] < full; lengths[0] += full > 1000 ? 7 : 1) {
            (void)search();
        }
        for (unsigned k = 0; k < 2000; k++) {
            uint8_t *at = bytes[0] + HEADER + unit_below(&random, full - HEADER), old = *at;
            *at = (uint8_t)unit_random(&random);
            (void)search();
            *at = old;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_of_machines),
        cmocka_unit_test(names_count_where_they_are),
        cmocka_unit_test(every_form_of_an_element),
        cmocka_unit_test(every_choice_counts),
        cmocka_unit_test(what_is_not_understood_is_unclear),
        cmocka_unit_test(other_tables_define_too),
        cmocka_unit_test(behind_what_is_not_understood),
        cmocka_unit_test(the_rest_is_still_understood),
        cmocka_unit_test(a_long_table_is_read_to_its_end),
        cmocka_unit_test(damage_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
