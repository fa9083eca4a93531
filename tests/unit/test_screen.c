/* SPDX-License-Identifier: MIT */
/* The text screen: lines, long ones, more than there is room for, and no screen. */
#include "unit.h"

#include <util/screen.h>

#define COLUMNS 80
#define ROWS    25

static uint16_t cells[(ROWS + 1) * COLUMNS]; /* one row behind the screen, never touched */

static const struct boot_screen vga = { 0xb8000, BOOT_SCREEN_TEXT, COLUMNS, ROWS };

static void say(const char *s) { screen_write(s, strlen(s)); }

/* What row `n` shows, without the blanks at its end. */
static const char *row(unsigned n)
{
    static char line[COLUMNS + 1];
    size_t end = 0;

    for (size_t i = 0; i < COLUMNS; i++) {
        line[i] = (char)cells[n * COLUMNS + i];
        end = line[i] != ' ' ? i + 1 : end;
    }
    line[end] = '\0';
    return line;
}

static void lines(void **state)
{
    (void)state;
    memset(cells, 0x55, sizeof(cells)); /* what the loader left */
    screen_init(&vga, cells);
    say("[xmhf] option not understood: frob\r\n");
    say("[xmhf] cannot start: ");
    say("something\r\n");
    assert_string_equal(row(0), "[xmhf] option not understood: frob");
    assert_string_equal(row(1), "[xmhf] cannot start: something");
    assert_int_equal(cells[2 * COLUMNS], 0x5555);
    assert_int_equal(cells[0], 0x0f00 | '[');
    screen_init(&vga, cells); /* mapped elsewhere: goes on */
    say("[xmhf] launch refused\r\n");
    assert_string_equal(row(2), "[xmhf] launch refused");
    assert_string_equal(row(0), "[xmhf] option not understood: frob");
}

static void a_long_line_and_many(void **state)
{
    char line[2 * COLUMNS + 12];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 2] = '\n';
    line[sizeof(line) - 1] = '\0';
    say(line);
    assert_string_equal(row(5), "xxxxxxxxxx");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(line, sizeof(line), "line %u\n", i);
        say(line);
    }
    assert_string_equal(row(0), "line 15");
    assert_string_equal(row(ROWS - 1), "line 39");
    memset(line, 'y', COLUMNS);
    line[COLUMNS] = '\0';
    say(line); /* exactly a row: no empty one follows */
    say("\nz\n");
    assert_string_equal(row(ROWS - 1), "z");
    assert_int_equal(strlen(row(ROWS - 2)), COLUMNS);
    assert_int_equal(cells[ROWS * COLUMNS], 0x5555);
}

static void none(void **state)
{
    const struct boot_screen graphics = { 0xb8000, BOOT_SCREEN_NONE, COLUMNS, ROWS };

    (void)state;
    screen_init(&graphics, cells);
    say("never\n");
    screen_init(&vga, NULL);
    say("never\n");
    assert_string_equal(row(ROWS - 1), "z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(a_long_line_and_many),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
