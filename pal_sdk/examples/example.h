/* SPDX-License-Identifier: MIT */
/* What programs of the examples share: a line for each check; calls that must come to their end. */
#ifndef PAL_EXAMPLE_H
#define PAL_EXAMPLE_H

#include <pal/host.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned checks, failures;

static inline void check(bool good, const char *what)
{
    checks++;
    failures += !good;
    printf("%s %s\n", good ? "ok   " : "WRONG", what);
}

/* The last line; the program's status. */
static inline int checked(void)
{
    printf("%u checks, %u wrong\n", checks, failures);
    return failures != 0;
}

/* The result of a call that came to its end; else the program ends. */
static inline uint32_t done(struct pal_status s, uint32_t result)
{
    char text[PAL_TEXT];

    if (s.error != PAL_OK) {
        puts(pal_status_text(&s, text, sizeof(text)));
        exit(1);
    }
    return result;
}

/* What a stub of an entry with a result of 32 bits returned. */
#define result_of(stub, pal, ...) \
    ({ uint32_t result_ = 0; struct pal_status s_ = stub(pal, &result_, ##__VA_ARGS__); \
       done(s_, result_); })

#endif
