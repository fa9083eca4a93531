/* SPDX-License-Identifier: MIT */
/* lib/util/picture.c: letters of three depths and sizes, lines, and pictures that can't be. */
#include "unit.h"

#include <util/picture.h>

#include <stdlib.h>

#define WIDTH  700
#define HEIGHT 220

static struct boot_framebuffer shape;
static uint8_t *memory; /* as long as the picture is */

static void say(const char *s) { picture_write(s, strlen(s)); }

/* A picture of so many bits, filled with what the loader left. */
static void begin(unsigned width, unsigned depth)
{
    shape = (struct boot_framebuffer){
        .base = 0x80000000, .pitch = width * depth / 8 + 8, .width = (uint16_t)width,
        .height = HEIGHT, .depth = (uint8_t)depth,
        .red = { 16, 8 }, .green = { 8, 8 }, .blue = { 0, 8 },
    };
    if (depth == 16) {
        shape.red.at = 11;
        shape.red.bits = shape.blue.bits = 5;
        shape.green.at = 5;
        shape.green.bits = 6;
    }
    free(memory);
    memory = malloc(picture_bytes(&shape));
    assert_non_null(memory);
    memset(memory, 0x55, picture_bytes(&shape));
    picture_init(&shape, memory);
}

static uint32_t pixel(unsigned x, unsigned y)
{
    uint32_t v = 0;

    memcpy(&v, memory + y * shape.pitch + x * shape.depth / 8, shape.depth / 8);
    return v;
}

/* The dots of a cell's rows as text, a line each; fails if a dot isn't one colour all over. */
static void look(unsigned column, unsigned row, unsigned scale, char out[9 * 7 + 1])
{
    const uint32_t white = shape.depth == 16 ? 0xffff : 0xffffff;

    for (unsigned y = 0; y < 9; y++) {
        for (unsigned x = 0; x < 6; x++) {
            unsigned px = (column * 6 + x) * scale, py = (row * 9 + y) * scale;
            uint32_t v = pixel(px, py);

            assert_true(v == white || v == 0);
            for (unsigned i = 0; i < scale * scale; i++) {
                assert_int_equal(pixel(px + i % scale, py + i / scale), v);
            }
            *out++ = v ? '#' : '.';
        }
        *out++ = '\n';
    }
    *out = '\0';
}

static void letters(void **state)
{
    static const char n[] = "#...#.\n#...#.\n##..#.\n#.#.#.\n#..##.\n#...#.\n#...#.\n......\n"
                            "......\n";
    static const char q[] = ".###..\n#...#.\n....#.\n...#..\n..#...\n......\n..#...\n......\n"
                            "......\n";
    static const unsigned depths[] = { 16, 24, 32 }, widths[] = { 640, 1280, 1999, 3840 };
    char seen[9 * 7 + 1];

    (void)state;
    for (unsigned d = 0; d < 3; d++) {
        for (unsigned w = 0; w < 4; w++) {
            const unsigned scale = widths[w] / 640;

            begin(widths[w], depths[d]);
            say("\r\n xN\x7f\xe9"); /* a fresh line for each picture */
            unsigned row = 0;
            while (pixel(0, row * 9 * scale) != 0) { /* the others are the loader's still */
                row++;
                assert_true(row * 9 * scale < HEIGHT);
            }
            look(2, row, scale, seen);
            assert_string_equal(seen, n);
            look(3, row, scale, seen);
            assert_string_equal(seen, q);
            say("\n");
        }
    }
}

/* Each character is another one's shape no more than its own. */
static void no_two_are_alike(void **state)
{
    static char seen[96][9 * 7 + 1];
    char all[97];

    (void)state;
    begin(WIDTH, 32);
    for (unsigned i = 0; i < 95; i++) {
        all[i] = (char)(' ' + i);
    }
    all[95] = '\0';
    say("\n");
    say(all);
    unsigned row = 0;
    while (pixel(0, row * 9) == 0x55555555) {
        row++;
    }
    for (unsigned i = 0; i < 95; i++) {
        look(i, row, 1, seen[i]);
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(seen[i], seen[k]) == 0) {
                fail_msg("%c is drawn as %c", (int)(' ' + i), (int)(' ' + k));
            }
        }
    }
}

/* More lines than there is room for, long ones too: never beyond the picture, which ends with the
 * allocation. */
static void many_lines(void **state)
{
    char line[400];

    (void)state;
    for (unsigned width = 320; width < 1400; width += 77) {
        begin(width, 32);
        for (unsigned i = 0; i < 60; i++) {
            memset(line, 'x', sizeof(line));
            line[i * 6] = '\0';
            say(line);
            say("\n");
        }
        for (unsigned y = 0; y < HEIGHT; y++) { /* nor in what is behind each line's pixels */
            assert_int_equal(memory[y * shape.pitch + width * 4], 0x55);
        }
    }
}

static void what_cannot_be_drawn_into(void **state)
{
    (void)state;
    begin(WIDTH, 32);
    const struct boot_framebuffer good = shape;
    assert_int_equal(picture_bytes(&good), (WIDTH * 4 + 8) * HEIGHT);
#define BAD(what) do { shape = good; what; assert_int_equal(picture_bytes(&shape), 0); \
                       picture_init(&shape, memory); say("no\n"); } while (0)
    memset(memory, 0x55, picture_bytes(&good));
    BAD(shape.base = 0);
    BAD(shape.depth = 0);
    BAD(shape.depth = 8);
    BAD(shape.depth = 15);
    BAD(shape.depth = 64);
    BAD(shape.pitch = WIDTH * 4 - 1);
    BAD(shape.pitch = 0xffffffff);
    BAD(shape.width = 319);
    BAD(shape.height = 199);
    BAD(shape.base = UINT64_MAX - 1000);
    BAD(shape.red.at = 25);
    BAD(shape.green.at = 255);
    BAD(shape.blue.bits = 0);
    BAD(shape.blue.bits = 33);
#undef BAD
    picture_init(&good, NULL);
    say("no\n");
    for (uint64_t i = 0; i < picture_bytes(&good); i++) {
        assert_int_equal(memory[i], 0x55);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters),
        cmocka_unit_test(no_two_are_alike),
        cmocka_unit_test(many_lines),
        cmocka_unit_test(what_cannot_be_drawn_into),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
