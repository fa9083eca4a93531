/* SPDX-License-Identifier: MIT */
/*
 * A call stack out of candidates. The record has every word of the stack that is an address in
 * the core's code, and where it was. Call frame information tells exactly where a return
 * address lies as long as frames have a fixed size (optimised code). Elsewhere, the next word
 * that follows a call of the function that we are in is taken.
 */
#include <logdecode/stack.h>

/* The walk's place. */
struct walk {
    const struct image *img;
    const struct log_record *r;
    unsigned next;       /* the first word that is not behind us */
    uint64_t sp;         /* offset from the record's RSP of the current frame's RSP */
    enum certainty certainty;
};

static bool find_word(const struct walk *w, uint64_t offset, unsigned *index)
{
    for (unsigned i = w->next; i < w->r->words; i++) {
        if (w->r->word[i].offset == offset) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool by_frame_size(struct walk *w, uint64_t lookup, unsigned *index)
{
    uint64_t offset, target;

    return image_return_slot(w->img, lookup, &offset) && find_word(w, w->sp + offset, index)
        && image_after_call(w->img, w->r->word[*index].value, &target);
}

/* `exact`: only calls of the function at `lookup`; else any. */
static bool by_call(struct walk *w, uint64_t lookup, bool exact, unsigned *index)
{
    uint64_t target, function = image_function(w->img, lookup);

    for (unsigned i = w->next; i < w->r->words; i++) {
        if (image_after_call(w->img, w->r->word[i].value, &target)
            && (!exact || (target && target == function))) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* The word that returns from the function at `lookup`. */
static bool step(struct walk *w, uint64_t lookup, unsigned *index)
{
    enum certainty best = MAYBE;
    bool found = true;

    if (by_frame_size(w, lookup, index)) {
        best = SURE;
    } else if (by_call(w, lookup, true, index)) {
        best = LIKELY;
    } else {
        found = by_call(w, lookup, false, index);
    }
    w->certainty = w->certainty < best ? w->certainty : best;
    return found;
}

static bool crosses_gap(const struct walk *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        if (w->r->word[i].after_gap) {
            return true;
        }
    }
    return false;
}

unsigned stack_walk(const struct image *img, const struct log_record *r, struct stack_frame *out)
{
    struct walk w = { .img = img, .r = r, .certainty = SURE };
    unsigned n = 0, index;

    /* Without an exception RIP is a return address: the instruction is the one before. */
    out[n++] = (struct stack_frame){ .pc = r->rip, .lookup = r->rip - !(r->has & REC_TRAP),
                                     .certainty = SURE };
    while (n < STACK_FRAMES_MAX && step(&w, out[n - 1].lookup, &index)) {
        uint64_t pc = r->word[index].value;

        out[n++] = (struct stack_frame){ .pc = pc, .lookup = pc - 1, .certainty = w.certainty,
                                         .after_gap = crosses_gap(&w, w.next, index) };
        w.sp = r->word[index].offset + 8;
        w.next = index + 1;
    }
    return n;
}
