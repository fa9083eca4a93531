/* SPDX-License-Identifier: MIT */
/*
 * The recorded machines of a folder of tests/vectors, in the order of their names:
 *     struct vectors files = vectors_of("vmx");
 *     while (vectors_next(&files)) { files.path and files.name are one's }
 */
#ifndef XMHF_TESTS_VECTORS_H
#define XMHF_TESTS_VECTORS_H

#include "unit.h"
#include <glob.h>
#include <stdbool.h>

struct vectors {
    glob_t found;
    size_t next;
    const char *path, *name;
};

/* All of them, one at least. */
static inline struct vectors vectors_of(const char *folder)
{
    struct vectors v = { .next = 0 };
    char pattern[4096], part[64];

    snprintf(part, sizeof(part), "tests/vectors/%s/*.txt", folder);
    assert_int_equal(glob(unit_source(pattern, sizeof(pattern), part), 0, NULL, &v.found), 0);
    return v;
}

/* The next one, or false, and then there are none any more. */
static inline bool vectors_next(struct vectors *v)
{
    if (v->next == v->found.gl_pathc) {
        globfree(&v->found);
        return false;
    }
    v->path = v->found.gl_pathv[v->next++];
    v->name = strrchr(v->path, '/') + 1;
    return true;
}

#endif
