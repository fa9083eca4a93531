/* SPDX-License-Identifier: MIT */
/* What is wrong with an image, or might be: sentences, each with its place. */
#ifndef PAL_LINT_PROBLEMS_H
#define PAL_LINT_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBLEM_TEXT 400u /* bytes of a sentence that are kept, with the zero at its end */
#define PROBLEMS_MAX 200u /* that are kept; notes only as long as half of it is free */

enum problem_kind { PROBLEM_ERROR, PROBLEM_WARNING, PROBLEM_NOTE };

struct problem {
    enum problem_kind kind;
    uint64_t address;     /* of the instruction or function; 0: the sentence has no place */
    char text[PROBLEM_TEXT];
};

struct problems {
    struct problem list[PROBLEMS_MAX];
    size_t count;
    size_t errors, more;  /* errors of all; problems that weren't kept */
};

/* Add one; the same at the same place is added once. What isn't printable becomes '?'. */
__attribute__((format(printf, 4, 5)))
void problem(struct problems *p, enum problem_kind kind, uint64_t address, const char *format, ...);

#endif
