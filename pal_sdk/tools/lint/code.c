/* SPDX-License-Identifier: MIT */
/* Reading an image's code, function by function, in one sweep each. */
#include "code.h"
#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_DEPTH (-1)

/* --- which functions there are ---------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
    const struct function *f = a, *g = b;
    const bool named = f->name[0], other = g->name[0];

    return f->address < g->address ? -1 : f->address > g->address ? 1
         : named != other ? other - named : strcmp(f->name, g->name);
}

static void add_function(struct code *c, uint64_t address, const char *name, size_t room)
{
    if (c->count < room && address >= c->start && address - c->start < c->size) {
        c->functions[c->count++] = (struct function){ .address = address, .name = name };
    }
}

/* Sort, keep one of each address, and let each end where the next one begins. */
static void order_functions(struct code *c)
{
    size_t kept = 0;

    qsort(c->functions, c->count, sizeof(c->functions[0]), by_address);
    for (size_t i = 0; i < c->count; i++) {
        if (kept == 0 || c->functions[i].address != c->functions[kept - 1].address) {
            c->functions[kept++] = c->functions[i];
        }
    }
    c->count = kept;
    for (size_t i = 0; i < kept; i++) {
        c->functions[i].end = i + 1 < kept ? c->functions[i + 1].address : c->start + c->size;
    }
}

/* Does a call only ask where it is? The next instruction pops what it pushed. */
static bool asks_where(const struct code *c, const struct instruction *i, uint64_t at)
{
    const uint64_t next = at + i->length - c->start;

    return i->flow == FLOW_CALL && i->target == at + i->length && next < c->size
        && (c->bytes[next] >> 3 == 0x0b
            || (c->bits == 64 && c->bytes[next] >> 4 == 4 && c->size - next > 1
                && c->bytes[next + 1] >> 3 == 0x0b));
}

/* Targets of calls in all code; counted only, if there are no functions yet. */
static size_t call_targets(struct code *c, size_t room)
{
    struct instruction i;
    size_t n = 0;

    for (uint64_t at = 0; at < c->size; at += i.length ? i.length : 1) {
        decode(c->bytes + at, c->size - at, c->bits, c->start + at, &i);
        if (i.length && i.flow == FLOW_CALL && !asks_where(c, &i, c->start + at)) {
            n++;
            if (c->functions) {
                add_function(c, i.target, "", room);
            }
        }
    }
    return n;
}

static bool is_function(const struct symbol *s)
{
    return s->kind == SYMBOL_FUNCTION
        || (s->kind == SYMBOL_OTHER && s->global && !s->undefined && s->name[0] != '.');
}

/* Functions are where symbols, entries and calls say. */
static bool find_functions(struct code *c, const struct file *f)
{
    const size_t symbols = f ? f->symbol_count : 0;
    const size_t room = 1 + symbols + XMHF_IMAGE_ENTRIES + call_targets(c, 0);

    c->functions = calloc(room, sizeof(*c->functions));
    if (!c->functions) {
        return false;
    }
    add_function(c, c->start, "", room);
    for (size_t i = 0; i < symbols; i++) {
        if (is_function(&f->symbols[i])) {
            add_function(c, f->symbols[i].address, f->symbols[i].name, room);
        }
    }
    for (uint32_t i = 0; i < c->im->head.entries; i++) {
        add_function(c, c->im->entries[i].address, symbols ? "" : c->im->entry_names[i], room);
    }
    call_targets(c, room);
    order_functions(c);
    return true;
}

struct function *code_function(const struct code *c, uint64_t address)
{
    size_t low = 0, high = c->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (c->functions[middle].address == address) {
            return &c->functions[middle];
        }
        if (c->functions[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const char *code_name(const struct function *fn, char room[24])
{
    snprintf(room, 24, "0x%llx", (unsigned long long)fn->address);
    return fn->name[0] ? fn->name : room;
}

/* --- what instructions may not do ------------------------------------------------------- */

static bool inside(const struct code *c, uint64_t address)
{
    for (uint32_t i = 0; i < c->im->head.sections; i++) {
        const struct xmhf_image_section *s = &c->im->sections[i];

        if (address >= s->address && address - s->address < (uint64_t)s->pages * IMAGE_PAGE) {
            return true;
        }
    }
    return false;
}

/* Where a pointer would be NULL compilers put an access and an UD2: that is meant. */
static bool dies_next(const struct code *c, const struct instruction *i, uint64_t at)
{
    const uint64_t next = at - c->start + i->length;

    return i->address < IMAGE_PAGE && c->size - next >= 2 && c->bytes[next] == 0x0f
        && c->bytes[next + 1] == 0x0b;
}

static void check_memory(const struct code *c, const struct function *fn,
                         const struct instruction *i, uint64_t at, struct problems *p)
{
    char room[24];
    const char *name = code_name(fn, room);
    const uint64_t canary = c->bits == 64 ? 0x28 : 0x14;
    const struct section *s = c->file && i->fixed ? file_section_at(c->file, i->address) : NULL;

    if (i->reads_tls && i->fixed && i->address == canary) {
        problem(p, PROBLEM_ERROR, at, "%s: the stack protector's guard is in thread-local storage, "
                "which a PAL hasn't got; compile with pal-cc, or with "
                "-mstack-protector-guard=global", name);
    } else if (i->reads_tls) {
        problem(p, PROBLEM_ERROR, at, "%s: thread-local storage (FS or GS), which a PAL hasn't "
                "got; use a plain variable", name);
    } else if (i->fixed && !inside(c, i->address) && s) {
        problem(p, PROBLEM_ERROR, at, "%s: uses section %s, which isn't in the image", name,
                s->name);
    } else if (i->fixed && !inside(c, i->address) && !dies_next(c, i, at)) {
        problem(p, i->address < IMAGE_PAGE ? PROBLEM_WARNING : PROBLEM_ERROR, at,
                "%s: uses memory at 0x%llx, outside the image", name,
                (unsigned long long)i->address);
    }
}

static void check_target(const struct code *c, const struct function *fn,
                         const struct instruction *i, uint64_t at, struct problems *p)
{
    char room[24];

    if (i->flow != FLOW_CALL && i->flow != FLOW_JUMP && i->flow != FLOW_JUMP_IF) {
        return;
    }
    if (i->target >= c->start && i->target - c->start < c->size) {
        return;
    }
    if (i->target == 0) {
        problem(p, PROBLEM_ERROR, at, "%s: calls a weak function that is defined nowhere",
                code_name(fn, room));
    } else {
        problem(p, PROBLEM_ERROR, at, "%s: goes to 0x%llx, outside the image's code",
                code_name(fn, room), (unsigned long long)i->target);
    }
}

static void check(const struct code *c, const struct function *fn, const struct instruction *i,
                  uint64_t at, struct problems *p)
{
    char room[24];
    const char *name = code_name(fn, room);

    if (i->system_call) {
        problem(p, PROBLEM_ERROR, at, "%s: a system call (%s); a PAL can't ask the system for "
                "anything; let the program do it, by an ocall (PAL_OCALL)", name, i->forbidden);
    } else if (i->forbidden) {
        problem(p, PROBLEM_ERROR, at, "%s: the instruction %s, of which a PAL dies", name,
                i->forbidden);
    }
    if (i->hypercall && c->im->gate && strncmp(name, "pal_rt_gate", 11) != 0
        && !(at >= c->im->gate && at - c->im->gate < 16)) {
        problem(p, PROBLEM_WARNING, at, "%s: a hypercall of its own, which native mode can't "
                "replace; use pal_rt_hypercall (pal/rt.h)", name);
    }
    check_memory(c, fn, i, at, p);
    check_target(c, fn, i, at, p);
}

/* --- the stack pointer ------------------------------------------------------------------ */

/* The sweep of one function. */
struct sweep {
    struct function *fn;
    int64_t depth, frame;  /* bytes in use; at what depth the frame pointer points */
    int64_t probe;         /* depth that a loop of probes will reach, or 0 */
    int64_t constant;      /* the last one that went to a register */
    uint64_t straight;     /* from here on `depth` is exact, but for what it was here */
    int64_t copies[16];    /* depth at which a register points into the stack, or 0 */
    int64_t popped[16];    /* the same, of what was popped on the way to an end */
    int32_t *depths;       /* of each byte that a branch before it goes to, or that was swept */
};

static void unknown(struct function *fn, unsigned kind, uint64_t at)
{
    if (!(fn->unknown & kind)) {
        fn->where = at;
    }
    fn->unknown |= kind;
}

/* Copies of the stack pointer, as long as nothing changes them. */
static void follow_copies(struct sweep *s, const struct instruction *i)
{
    for (unsigned r = 0; i->changed >> r; r++) {
        if (i->changed >> r & 1 && s->copies[r] > 0) {
            s->popped[r] = i->stack == STACK_ADD ? s->copies[r] : 0;
            s->copies[r] = 0;
        }
    }
    if (i->stack == STACK_COPY) {
        s->copies[i->other] = s->depth - i->bytes;
    }
}

/* Who comes here by a branch has not popped what the end before did. */
static void unpop(struct sweep *s)
{
    for (unsigned r = 0; r < 16; r++) {
        s->copies[r] = s->popped[r] > 0 ? s->popped[r] : s->copies[r];
    }
}

/* Bytes that rounding down takes at most: from the lowest bit that is kept. A mask that clears
 * high bits is no alignment, but one as large as it can be. */
static int64_t aligned(int64_t mask)
{
    return mask < 0 ? mask & -mask : INT32_MAX;
}

static void stack_step(struct code *c, struct sweep *s, const struct instruction *i, uint64_t at)
{
    const int64_t word = c->bits / 8;

    switch (i->stack) {
    case STACK_SAME: break;
    case STACK_ADD: s->depth += i->bytes; break;
    case STACK_FRAME: s->frame = s->depth; break;
    case STACK_TO_FRAME: s->depth = s->frame - i->bytes; break;
    case STACK_LEAVE: s->depth = s->frame - word; break;
    case STACK_ALIGN: s->depth += aligned(i->bytes); break;
    case STACK_RESTORE: s->depth = word; break;
    case STACK_PROBE_COPY:
        s->probe = s->copies[i->other] > 0 ? s->copies[i->other] + i->bytes : s->probe;
        break;
    case STACK_COPY: break;
    case STACK_SET:
        if (s->copies[i->other] > 0) {
            s->depth = s->copies[i->other];
        } else {
            unknown(s->fn, STACK_VARIABLE, at);
        }
        break;
    case STACK_PROBE: s->probe = s->depth + i->bytes; break;
    case STACK_SUB_REGISTER:
        if (s->constant > 0) {
            s->depth += s->constant;
        } else {
            unknown(s->fn, STACK_VARIABLE, at);
        }
        s->constant = 0;
        break;
    }
    if (i->constant) {
        s->constant = i->value <= INT32_MAX ? (int64_t)i->value : 0;
    }
    s->depth = s->depth < word ? word : s->depth;
    follow_copies(s, i);
    if ((uint64_t)s->depth > s->fn->frame) {
        s->fn->frame = (uint64_t)s->depth;
    }
}

static void add_call(struct code *c, struct function *fn, uint64_t target, uint64_t depth)
{
    if (c->call_count == c->call_room) {
        const size_t room = c->call_room ? 2 * c->call_room : 256;
        struct call *calls = realloc(c->calls, room * sizeof(*calls));

        if (!calls) {
            c->failed = true;
            return;
        }
        c->calls = calls;
        c->call_room = room;
    }
    c->calls[c->call_count++] = (struct call){ target, depth };
    fn->calls++;
}

/* A branch back. A loop that takes more stack in each round goes as far as a copy says that was
 * made for that; without one nobody knows. */
static void loop(struct sweep *s, const struct instruction *i, uint64_t at)
{
    const int32_t begun = s->depths[i->target - s->fn->address];

    if (s->probe) {
        s->depth = s->probe > s->depth ? s->probe : s->depth;
        s->probe = 0;
    } else if (i->target >= s->straight && begun != UNKNOWN_DEPTH && s->depth > begun) {
        unknown(s->fn, STACK_VARIABLE, at);
    }
}

/* Where a branch goes to is as deep as it is; a jump to another function's beginning is a call
 * that doesn't come back here. */
static void branch(struct code *c, struct sweep *s, const struct instruction *i, uint64_t at)
{
    const int64_t word = c->bits / 8;

    if (i->target > at && i->target < s->fn->end) {
        int32_t *depth = &s->depths[i->target - s->fn->address];

        if (s->depth > *depth) {
            *depth = s->depth < INT32_MAX ? (int32_t)s->depth : INT32_MAX;
        }
    } else if (i->target <= at && i->target >= s->fn->address) {
        loop(s, i, at);
    } else if (code_function(c, i->target)) {
        add_call(c, s->fn, i->target, (uint64_t)(s->depth - word));
    }
}

static void flow_step(struct code *c, struct sweep *s, const struct instruction *i, uint64_t at)
{
    const int64_t word = c->bits / 8;

    switch (i->flow) {
    case FLOW_CALL:
        if (asks_where(c, i, at)) {
            s->depth += word;
        } else {
            add_call(c, s->fn, i->target, (uint64_t)s->depth);
            s->straight = at + i->length;
        }
        break;
    case FLOW_CALL_ANY:
        unknown(s->fn, STACK_INDIRECT, at);
        break;
    case FLOW_JUMP:
    case FLOW_JUMP_IF:
        branch(c, s, i, at);
        break;
    default:
        break;
    }
}

static bool is_branch(enum flow flow)
{
    return flow == FLOW_JUMP || flow == FLOW_JUMP_IF || flow == FLOW_JUMP_ANY;
}

static bool goes_on(enum flow flow)
{
    return flow != FLOW_JUMP && flow != FLOW_JUMP_ANY && flow != FLOW_END;
}

/* Behind an end the depth is that of who branched here. If nobody did so far, it is a loop's body
 * that is entered at its end, or a case of a table: then the deepest of all branches before. */
static void sweep(struct code *c, struct function *fn, int32_t *depths, struct problems *p)
{
    const int64_t word = c->bits / 8;
    struct sweep s = { .fn = fn, .depth = word, .frame = word, .depths = depths };
    int64_t deepest = word; /* of the branches */
    bool on = true;
    struct instruction i;

    fn->first_call = c->call_count;
    fn->frame = (uint64_t)word;
    memset(depths, 0xff, (fn->end - fn->address) * sizeof(depths[0]));
    for (uint64_t at = fn->address; at < fn->end; at += i.length) {
        const int32_t known = depths[at - fn->address];

        if (!on || known > s.depth) {
            s.depth = known != UNKNOWN_DEPTH ? known : deepest;
            s.straight = at;
        }
        if (!on) {
            unpop(&s);
        }
        depths[at - fn->address] = s.depth < INT32_MAX ? (int32_t)s.depth : INT32_MAX;
        decode(c->bytes + (at - c->start), fn->end - at, c->bits, at, &i);
        if (i.length == 0) {
            return;
        }
        check(c, fn, &i, at, p);
        stack_step(c, &s, &i, at);
        flow_step(c, &s, &i, at);
        deepest = is_branch(i.flow) && s.depth > deepest ? s.depth : deepest;
        on = goes_on(i.flow);
    }
}

/* --- all of it -------------------------------------------------------------------------- */

bool code_read(struct code *c, const struct image *im, const struct file *f, struct problems *p)
{
    int32_t *depths;

    *c = (struct code){ .im = im, .file = f, .bits = im->head.mode == 32 ? 32 : 64 };
    for (uint32_t i = 0; i < im->head.sections; i++) {
        if (im->sections[i].type == TV_SECTION_CODE && im->contents[i] && !c->bytes) {
            c->bytes = im->contents[i];
            c->start = im->sections[i].address;
            c->size = im->filled[i];
        }
    }
    if (!c->bytes || c->size == 0) {
        return true;
    }
    depths = calloc(c->size, sizeof(*depths));
    if (!depths || !find_functions(c, f)) {
        free(depths);
        return false;
    }
    for (size_t i = 0; i < c->count; i++) {
        sweep(c, &c->functions[i], depths, p);
    }
    free(depths);
    return !c->failed && stack_search(c);
}

void code_free(struct code *c)
{
    free(c->functions);
    free(c->calls);
    *c = (struct code){ 0 };
}
