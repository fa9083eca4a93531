/* SPDX-License-Identifier: MIT */
/* The text screen: 16-bit cells, a character in the low byte and its colours in the high one. */
#include <util/picture.h>
#include <util/screen.h>

#define WHITE_ON_BLACK 0x0f00u

static volatile uint16_t *text;
static unsigned columns, rows;
static unsigned at_column, at_row;

void screen_init(const struct boot_screen *s, volatile void *cells)
{
    text = s->kind == BOOT_SCREEN_TEXT ? cells : NULL;
    columns = s->columns;
    rows = s->rows;
}

static void clear_row(unsigned row)
{
    for (unsigned i = 0; i < columns; i++) {
        text[row * columns + i] = WHITE_ON_BLACK | ' ';
    }
}

/* To the row that is written next, which is empty then. */
static void next_row(void)
{
    at_column = 0;
    if (at_row < rows) {
        return;
    }
    for (unsigned i = 0; i < (rows - 1) * columns; i++) {
        text[i] = text[i + columns];
    }
    at_row = rows - 1;
}

static void put(char c)
{
    if (at_column == columns) {
        at_row++;
        at_column = 0;
    }
    if (at_column == 0) {
        next_row();
        clear_row(at_row);
    }
    text[at_row * columns + at_column++] = (uint16_t)(WHITE_ON_BLACK | (uint8_t)c);
}

void screen_write(const char *s, size_t n)
{
    picture_write(s, n);
    for (size_t i = 0; text && i < n; i++) {
        if (s[i] == '\n') {
            at_row++;
            at_column = 0;
        } else if (s[i] >= ' ') {
            put(s[i]);
        }
    }
}
