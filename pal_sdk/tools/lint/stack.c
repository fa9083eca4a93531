/* SPDX-License-Identifier: MIT */
/* How much stack entries need: the deepest way through the calls. */
#include "code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_SEEN, OPEN, DONE };

/* A function whose calls are being looked at, and the next of them. */
struct step {
    size_t function, call;
};

static void finish(struct code *c, struct function *fn)
{
    fn->state = DONE;
    fn->need = fn->frame;
    fn->deepest = c->count;
    fn->unknown_below |= fn->unknown;
    for (size_t i = 0; i < fn->calls; i++) {
        const struct call *call = &c->calls[fn->first_call + i];
        const struct function *callee = code_function(c, call->target);

        if (!callee || callee->state != DONE) {
            continue;
        }
        fn->unknown_below |= callee->unknown_below;
        if (call->depth + callee->need > fn->need) {
            fn->need = call->depth + callee->need;
            fn->deepest = (uint64_t)(callee - c->functions);
        }
    }
}

/* Look at what `steps[n - 1]` calls next; the new number of steps. */
static size_t go_on(struct code *c, struct step *steps, size_t n)
{
    struct step *s = &steps[n - 1];
    struct function *fn = &c->functions[s->function];

    while (s->call < fn->calls) {
        struct function *callee = code_function(c, c->calls[fn->first_call + s->call++].target);

        if (callee && callee->state == OPEN) {
            callee->unknown |= STACK_RECURSION;
        } else if (callee && callee->state == NOT_SEEN) {
            callee->state = OPEN;
            steps[n] = (struct step){ (size_t)(callee - c->functions), 0 };
            return n + 1;
        }
    }
    finish(c, fn);
    return n - 1;
}

bool stack_search(struct code *c)
{
    struct step *steps = calloc(c->count + 1, sizeof(*steps));

    if (!steps) {
        return false;
    }
    for (size_t i = 0; i < c->count; i++) {
        size_t n = 0;

        if (c->functions[i].state == NOT_SEEN) {
            c->functions[i].state = OPEN;
            steps[n++] = (struct step){ i, 0 };
        }
        while (n > 0) {
            n = go_on(c, steps, n);
        }
    }
    free(steps);
    return true;
}

uint64_t code_stack_bytes(const struct image *im)
{
    for (uint32_t i = 0; i < im->head.sections; i++) {
        if (im->sections[i].type == TV_SECTION_STACK) {
            return (uint64_t)im->sections[i].pages * IMAGE_PAGE;
        }
    }
    return 0;
}

uint64_t code_entry_bytes(const struct image *im, uint32_t i)
{
    const uint64_t word = im->head.mode / 8, n = im->entries[i].params;
    const uint64_t registers = im->head.convention == XMHF_SYSV ? 6
                             : im->head.convention == XMHF_MICROSOFT ? 4 : 0;
    const uint64_t words = im->head.convention == XMHF_MICROSOFT ? n > 4 ? n : 4
                         : n > registers ? n - registers : 0;

    return words * word + 16; /* 16: the ABI's alignment */
}

/* The way that is deepest, from `fn` on: "add 48 > sum 5016". Long ones are cut. */
static void way(const struct code *c, const struct function *fn, char *to, size_t size)
{
    size_t at = 0;

    to[0] = 0;
    for (unsigned i = 0; i < 12 && at < size; i++) {
        char room[24];

        at += (size_t)snprintf(to + at, size - at, "%s%s %llu", i ? " > " : "",
                               code_name(fn, room), (unsigned long long)fn->frame);
        if (fn->deepest >= c->count) {
            return;
        }
        fn = &c->functions[fn->deepest];
    }
    if (at < size) {
        snprintf(to + at, size - at, " > ...");
    }
}

static void check_entry(struct code *c, uint32_t i, struct problems *p, bool all)
{
    const struct function *fn = code_function(c, c->im->entries[i].address);
    const uint64_t stack = code_stack_bytes(c->im);
    char text[256];
    uint64_t need;

    if (!fn) {
        return;
    }
    need = fn->need + code_entry_bytes(c->im, i);
    way(c, fn, text, sizeof(text));
    if (need > stack) {
        problem(p, PROBLEM_ERROR, fn->address, "%s: needs %llu bytes of stack, and a stack has "
                "%llu (%s); use less, or give --stack %llu", c->im->entry_names[i],
                (unsigned long long)need, (unsigned long long)stack, text,
                (unsigned long long)((need + IMAGE_PAGE - 1) / IMAGE_PAGE * IMAGE_PAGE));
    } else if (all) {
        problem(p, PROBLEM_NOTE, fn->address, "stack of %s: %s%llu of %llu bytes (%s)",
                c->im->entry_names[i], fn->unknown_below ? "at least " : "",
                (unsigned long long)need, (unsigned long long)stack, text);
    }
}

/* Is `fn` reached from an entry? Marked by the search below. */
static void mark(struct code *c, size_t *queue)
{
    size_t n = 0;

    for (uint32_t i = 0; i < c->im->head.entries; i++) {
        struct function *fn = code_function(c, c->im->entries[i].address);

        if (fn && fn->state != OPEN) {
            fn->state = OPEN;
            queue[n++] = (size_t)(fn - c->functions);
        }
    }
    while (n > 0) {
        const struct function *fn = &c->functions[queue[--n]];

        for (size_t i = 0; i < fn->calls; i++) {
            struct function *callee = code_function(c, c->calls[fn->first_call + i].target);

            if (callee && callee->state != OPEN) {
                callee->state = OPEN;
                queue[n++] = (size_t)(callee - c->functions);
            }
        }
    }
}

static void check_function(const struct code *c, const struct function *fn, struct problems *p,
                           bool all)
{
    const uint64_t stack = code_stack_bytes(c->im);
    char room[24];
    const char *name = code_name(fn, room);

    if (fn->frame > stack) {
        problem(p, PROBLEM_ERROR, fn->address, "%s: a frame of %llu bytes, and a stack has %llu; "
                "give --stack, or keep large things in static memory", name,
                (unsigned long long)fn->frame, (unsigned long long)stack);
    }
    if (fn->unknown & STACK_VARIABLE) {
        problem(p, PROBLEM_WARNING, fn->where, "%s: a frame whose size isn't fixed (alloca, an "
                "array of variable length): its stack isn't checked", name);
    }
    if (fn->unknown & STACK_RECURSION) {
        problem(p, PROBLEM_WARNING, fn->address, "%s: recursion: how much stack it needs isn't "
                "checked", name);
    }
    if ((fn->unknown & STACK_INDIRECT) && all) {
        problem(p, PROBLEM_NOTE, fn->where, "stack of %s: what it calls through a pointer isn't "
                "counted", name);
    }
}

void code_stacks(struct code *c, struct problems *p, bool all)
{
    size_t *queue = calloc(c->count + 1, sizeof(*queue));

    if (!queue) {
        return;
    }
    mark(c, queue);
    free(queue);
    for (size_t i = 0; i < c->count; i++) {
        if (c->functions[i].state == OPEN || c->functions[i].frame > code_stack_bytes(c->im)) {
            check_function(c, &c->functions[i], p, all);
        }
    }
    for (uint32_t i = 0; i < c->im->head.entries; i++) {
        check_entry(c, i, p, all);
    }
}
