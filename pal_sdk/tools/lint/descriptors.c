/* SPDX-License-Identifier: MIT */
/* Records of pal/descriptor.h in a linked file or an object. */
#include "image.h"

#include <string.h>

/* Is what is at `at` a record? Its names end within. */
static bool good(const struct pal_descriptor *d)
{
    return d->kind >= PAL_DESCRIPTOR_ENTRY && d->kind <= PAL_DESCRIPTOR_OPTION
        && memchr(d->name, 0, sizeof(d->name)) && d->name[0]
        && memchr(d->pal, 0, sizeof(d->pal));
}

static bool only_zeros(const uint8_t *at, uint64_t n)
{
    while (n > 0 && *at == 0) {
        at++;
        n--;
    }
    return n == 0;
}

bool descriptors_each(const struct file *f, struct problems *p,
                      void (*take)(void *context, const struct pal_descriptor *d), void *context)
{
    const struct section *s = file_section(f, PAL_DESCRIPTOR_SECTION);
    const uint64_t step = 8;
    uint64_t at = 0;

    while (s && at < s->filled) {
        const uint64_t left = s->filled - at;
        struct pal_descriptor d;

        if (only_zeros(s->bytes + at, left < step ? left : step)) {
            at += step;
            continue;
        }
        if (left < sizeof(d)) {
            problem(p, PROBLEM_ERROR, 0, "the last record of " PAL_DESCRIPTOR_SECTION
                    " is cut off");
            return false;
        }
        memcpy(&d, s->bytes + at, sizeof(d));
        if (d.magic != PAL_DESCRIPTOR_MAGIC || !good(&d)) {
            problem(p, PROBLEM_ERROR, 0, PAL_DESCRIPTOR_SECTION " has something that is no record, "
                    "at byte %llu: the macros of pal/interface.h write them",
                    (unsigned long long)at);
            return false;
        }
        take(context, &d);
        at += sizeof(d);
    }
    return true;
}
