/* SPDX-License-Identifier: MIT */
/* The list of what is wrong. */
#include "problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool known(const struct problems *p, const struct problem *wanted)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].address == wanted->address && strcmp(p->list[i].text, wanted->text) == 0) {
            return true;
        }
    }
    return false;
}

void problem(struct problems *p, enum problem_kind kind, uint64_t address, const char *format, ...)
{
    struct problem new = { .kind = kind, .address = address };
    va_list args;

    va_start(args, format);
    vsnprintf(new.text, sizeof(new.text), format, args);
    va_end(args);
    for (char *c = new.text; *c; c++) {
        *c = *c >= ' ' && *c < 0x7f ? *c : '?';
    }
    if (known(p, &new)) {
        return;
    }
    p->errors += kind == PROBLEM_ERROR;
    if (p->count < (kind == PROBLEM_NOTE ? PROBLEMS_MAX / 2 : PROBLEMS_MAX)) {
        p->list[p->count++] = new;
    } else {
        p->more++;
    }
}
