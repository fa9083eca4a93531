/* SPDX-License-Identifier: MIT */
/*
 * The sleep states' SLP_TYP values: the packages \_S1_ to \_S5_ in all definition blocks (ACPI 6.5,
 * 7.4.2). Not an interpreter: what may be a state's definition counts as one of several.
 */
#ifndef XMHF_ACPI_SLEEP_H
#define XMHF_ACPI_SLEEP_H

#include <acpi/aml.h>

#define SLEEP_WANTS 24

struct acpi_sleep {
    uint8_t a[6], b[6]; /* bit t of [n]: SLP_TYP t of PM1a (PM1b) may mean Sn. Of S4 and S5 only
                           where it is certain that they mean nothing else by their definition */
    uint8_t known;      /* bit n: some definition of Sn gave a type for PM1a */
    uint8_t unclear;    /* bit n: a definition of Sn isn't understood, or may be one */
};

enum sleep_what { WANT_PACKAGE, WANT_A, WANT_B, WANT_BOTH };

/* What the packages refer to, to be looked for in the next round over all tables. */
struct sleep_want {
    uint8_t seg[4];
    uint8_t state;
    enum sleep_what what;
    bool found;
};

struct sleep_search {
    struct acpi_sleep result;
    struct sleep_want want[SLEEP_WANTS];
    unsigned want_count, first, last; /* this round looks for [first, last) */
    unsigned seen;                    /* definitions, all states */
    unsigned round;
};

/*
 * To find them: sleep_begin; then sleep_table for each table (AML without the header), all of
 * them again as long as sleep_again says so; then `result` is complete.
 */
void sleep_begin(struct sleep_search *s);
void sleep_table(struct sleep_search *s, struct aml table);
bool sleep_again(struct sleep_search *s);

#endif
