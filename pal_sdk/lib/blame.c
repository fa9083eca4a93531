/* SPDX-License-Identifier: MIT */
/* Which argument of a call is wrong, and how. */
#include "blame.h"
#include <string.h>

static bool is_text(const struct pal_blamed *b, unsigned i, unsigned name)
{
    const unsigned by = b->param[i].counted_by;

    return b->names && by == i + 2u && strcmp(b->names[name], b->names[name + 1]) == 0;
}

static bool too_many(struct pal_status *s, const struct pal_blamed *b, unsigned i, unsigned name)
{
    const struct xmhf_image_param *q = &b->param[i];

    if (q->counted_by == 0 || b->args[q->counted_by - 1] <= q->size / q->unit) {
        return false;
    }
    s->error = PAL_BAD_COUNT;
    s->detail = is_text(b, i, name) ? PAL_ARGUMENT_TEXT : PAL_ARGUMENT_COUNT;
    s->allowed = q->size / q->unit - (s->detail == PAL_ARGUMENT_TEXT); /* without its end */
    s->value = b->args[q->counted_by - 1];
    return true;
}

static bool no_memory(struct pal_status *s, const struct pal_blamed *b, unsigned i)
{
    const struct xmhf_image_param *q = &b->param[i];
    const uint64_t bytes = q->counted_by == 0 ? q->size
                           : (uint64_t)b->args[q->counted_by - 1] * q->unit;

    if (s->address == 0 ? b->args[i] != 0 || bytes == 0
        : s->address < b->args[i] || s->address - b->args[i] >= bytes) {
        return false;
    }
    s->error = PAL_BAD_ARGUMENT;
    s->detail = q->direction & XMHF_OUT ? PAL_ARGUMENT_WRITE : PAL_ARGUMENT_READ;
    s->value = bytes;
    return true;
}

static bool to_blame(struct pal_status *s, const struct pal_blamed *b, unsigned i, unsigned name)
{
    return b->param[i].type == TV_PARAM_POINTER
        && ((s->error != PAL_BAD_ARGUMENT && too_many(s, b, i, name))
            || (s->error != PAL_BAD_COUNT && no_memory(s, b, i)));
}

void pal_blame(struct pal_status *s, const struct pal_blamed *b)
{
    unsigned name = 0, number = 0;

    for (unsigned i = 0; i < b->n; i++) {
        if (b->param[i].type == XMHF_PARAM_OCALL) {
            continue;
        }
        /* A parameter of two words has its name twice. */
        number += !b->names || name == 0 || strcmp(b->names[name], b->names[name - 1]) != 0;
        if (to_blame(s, b, i, name)) {
            s->number = number;
            s->parameter = b->names ? b->names[name] : NULL;
            return;
        }
        name++;
    }
}
