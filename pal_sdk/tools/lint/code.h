/* SPDX-License-Identifier: MIT */
/* What an image's code does, as far as reading it tells: instructions that a PAL dies of, addresses
 * outside, and how much stack its calls need. */
#ifndef PAL_LINT_CODE_H
#define PAL_LINT_CODE_H

#include "image.h"

struct call {
    uint64_t target;
    uint64_t depth;       /* bytes of stack in use when it begins, its return address not counted */
};

enum { STACK_RECURSION = 1, STACK_VARIABLE = 2, STACK_INDIRECT = 4 };

struct function {
    uint64_t address, end;
    const char *name;     /* "" if nobody knows */
    uint64_t frame;       /* bytes that it uses at most, with its return address */
    uint64_t need;        /* ... with those that it calls */
    uint64_t deepest;     /* index of the function that it is deepest by; or COUNT: none */
    unsigned unknown;     /* STACK_*: what `need` doesn't know, here */
    unsigned unknown_below; /* ... here or in a function that it calls */
    uint64_t where;       /* an instruction of that kind */
    size_t first_call, calls;
    unsigned state;       /* of the search */
};

struct code {
    const struct image *im;
    const struct file *file;  /* that it was made of, or NULL */
    unsigned bits;
    const uint8_t *bytes;
    uint64_t start, size;
    struct function *functions; /* by address */
    size_t count;
    struct call *calls;
    size_t call_count, call_room;
    bool failed;          /* no memory */
};

/* Read the code of `im`; names of functions are `f`'s, which may be NULL. What a PAL can't do is
 * added to `p`. To be freed, whatever is returned; false: no memory. */
bool code_read(struct code *c, const struct image *im, const struct file *f, struct problems *p);
void code_free(struct code *c);

/* How much stack each entry needs, against what there is. With `all` also what isn't known is told
 * of calls through pointers, not only of recursion and frames of no fixed size. */
void code_stacks(struct code *c, struct problems *p, bool all);

/* The function at that address, or NULL. */
struct function *code_function(const struct code *c, uint64_t address);
/* The name of function `fn`, or where it is, in `room`. */
const char *code_name(const struct function *fn, char room[24]);
/* Bytes that the stack has before entry number `i` begins. */
uint64_t code_entry_bytes(const struct image *im, uint32_t i);
/* Bytes of each stack. */
uint64_t code_stack_bytes(const struct image *im);

/* For code_stacks. */
bool stack_search(struct code *c);

#endif
