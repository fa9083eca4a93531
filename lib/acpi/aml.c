/* SPDX-License-Identifier: MIT */
/* The walk over AML: prefix notation, so that opcodes can be read one by one without a tree. */
#include <acpi/aml.h>

#include <util/bytes.h>

#define BLOCKS_MAX 48 /* deeper nesting isn't understood */

/* ACPI 6.5, 20.3: the opcodes that carry more than further terms. */
enum {
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_ALIAS = 0x06, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b,
    OP_DWORD = 0x0c, OP_STRING = 0x0d, OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12, OP_VAR_PACKAGE = 0x13, OP_METHOD = 0x14, OP_EXTERNAL = 0x15,
    OP_DUAL_NAME = 0x2e, OP_MULTI_NAME = 0x2f, OP_EXT = 0x5b, OP_ROOT = 0x5c, OP_PARENT = 0x5e,
    OP_IF = 0xa0, OP_ELSE = 0xa1, OP_WHILE = 0xa2, OP_RETURN = 0xa4, OP_ONES = 0xff,
    /* behind OP_EXT */
    EXT_MUTEX = 0x01, EXT_EVENT = 0x02, EXT_ACQUIRE = 0x23, EXT_FATAL = 0x32, EXT_REGION = 0x80,
    EXT_FIELD = 0x81, EXT_DEVICE = 0x82, EXT_PROCESSOR = 0x83, EXT_POWER_RESOURCE = 0x84,
    EXT_THERMAL_ZONE = 0x85, EXT_INDEX_FIELD = 0x86, EXT_BANK_FIELD = 0x87, EXT_DATA_REGION = 0x88,
};

/* How many names the scope is below the root: from `min` to `max`. */
struct depth { int min, max; };

struct block { size_t end; struct depth depth; };

struct walk {
    const uint8_t *p;
    size_t at;                        /* the next byte */
    struct block block[BLOCKS_MAX];   /* nested, the innermost at `top` */
    unsigned top;
    aml_visitor visit;
    void *ctx;
};

struct name {
    bool root;
    int up, segs;
    const uint8_t *last;
};

static size_t block_end(const struct walk *w)
{
    return w->block[w->top].end;
}

static bool skip(struct walk *w, size_t n)
{
    if (n > block_end(w) - w->at) {
        return false;
    }
    w->at += n;
    return true;
}

static bool lead_name_char(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || c == '_';
}

/* 20.2.2. The characters behind the first of a name are taken as they are. */
static bool read_name(struct aml *a, struct name *n)
{
    size_t at = 0;

    *n = (struct name){ .segs = 1 };
    for (; at < a->len && (a->p[at] == OP_PARENT || (at == 0 && a->p[at] == OP_ROOT)); at++) {
        if (n->root) {
            break;
        }
        n->root = a->p[at] == OP_ROOT;
        n->up += a->p[at] == OP_PARENT;
    }
    uint8_t lead = at < a->len ? a->p[at] : 1;
    if (lead == OP_DUAL_NAME || lead == OP_MULTI_NAME || lead == 0) {
        n->segs = lead == 0 ? 0 : lead == OP_DUAL_NAME ? 2 : at + 1 < a->len ? a->p[at + 1] : 0;
        at += lead == OP_MULTI_NAME ? 2 : 1;
    } else if (!lead_name_char(lead)) {
        return false;
    }
    size_t bytes = 4 * (size_t)n->segs;
    if (at > a->len || bytes > a->len - at || (bytes && !lead_name_char(a->p[at + bytes - 4]))) {
        return false;
    }
    n->last = bytes ? a->p + at + bytes - 4 : NULL;
    *a = (struct aml){ a->p + at + bytes, a->len - at - bytes };
    return true;
}

static struct aml rest_of(const struct walk *w)
{
    return (struct aml){ w->p + w->at, block_end(w) - w->at };
}

static bool next_name(struct walk *w, struct name *n)
{
    struct aml a = rest_of(w);

    if (!read_name(&a, n)) {
        return false;
    }
    w->at = block_end(w) - a.len;
    return true;
}

/* 20.2.4: `a` becomes what is behind the length and ends where the package ends. */
static bool read_package_length(struct aml *a)
{
    unsigned more = a->len ? a->p[0] >> 6 : 0;
    size_t length = a->len ? (more ? a->p[0] & 0xfu : a->p[0] & 0x3fu) : 0;

    if (a->len < 1u + more) {
        return false;
    }
    for (unsigned i = 0; i < more; i++) {
        length |= (size_t)a->p[1 + i] << (4 + 8 * i);
    }
    if (length < 1u + more || length > a->len) {
        return false;
    }
    *a = (struct aml){ a->p + 1 + more, length - 1 - more };
    return true;
}

/* A block of a length follows: go into it. */
static bool enter(struct walk *w)
{
    struct aml a = rest_of(w);

    if (w->top + 1 == BLOCKS_MAX || !read_package_length(&a)) {
        return false;
    }
    w->at = (size_t)(a.p - w->p);
    w->block[w->top + 1] = (struct block){ w->at + a.len, w->block[w->top].depth };
    w->top++;
    return true;
}

static bool enter_and_skip(struct walk *w)
{
    return enter(w) && skip(w, block_end(w) - w->at);
}

/* The scope that a name is looked up in, before its own parts. */
static struct depth base_of(struct depth d, const struct name *n)
{
    return n->root ? (struct depth){ 0, 0 } : (struct depth){ d.min - n->up, d.max - n->up };
}

static void tell(struct walk *w, enum aml_kind kind, const struct name *n, struct depth d,
                 struct aml rest)
{
    struct depth base = base_of(d, n);
    struct aml_name name = { .seg = n->last };

    base.min += n->segs - 1;
    base.max += n->segs - 1;
    name.at_root = base.min == 0 && base.max == 0;
    name.maybe_root = base.min <= 0 && base.max >= 0;
    if (n->last) {
        w->visit(w->ctx, kind, &name, rest);
    }
}

/* Scope, Device and their kin: a length, a name, and so many bytes before the terms. `search`: a
 * single name is looked up in the scopes above too (5.3). */
static bool enter_scope(struct walk *w, size_t bytes, bool search)
{
    struct name n;

    if (!enter(w) || !next_name(w, &n)) {
        return false;
    }
    struct depth *d = &w->block[w->top].depth;
    *d = base_of(*d, &n);
    d->min += n.segs;
    d->max += n.segs;
    if (search && !n.root && n.up == 0 && n.segs == 1 && d->min > 1) {
        d->min = 1;
    }
    return skip(w, bytes);
}

static bool method(struct walk *w)
{
    struct depth outside = w->block[w->top].depth;
    struct name n;

    if (!enter(w) || !next_name(w, &n) || !skip(w, 1)) {
        return false;
    }
    struct depth base = base_of(outside, &n);
    w->block[w->top].depth = (struct depth){ base.min + n.segs, base.max + n.segs };
    tell(w, AML_METHOD, &n, outside, rest_of(w));
    return true;
}

/* Name: its data are terms as any other and are walked too. */
static bool name(struct walk *w)
{
    struct name n;

    if (!next_name(w, &n)) {
        return false;
    }
    tell(w, AML_NAME, &n, w->block[w->top].depth, rest_of(w));
    return true;
}

static bool alias(struct walk *w)
{
    struct aml source = rest_of(w);
    struct name n;

    if (!next_name(w, &n) || !next_name(w, &n)) {
        return false;
    }
    tell(w, AML_ALIAS, &n, w->block[w->top].depth, source);
    return true;
}

static bool return_op(struct walk *w)
{
    const struct aml_name none = { .seg = NULL };

    w->visit(w->ctx, AML_RETURN, &none, rest_of(w));
    return true;
}

static bool string(struct walk *w)
{
    while (w->at < block_end(w)) {
        if (w->p[w->at++] == 0) {
            return true;
        }
    }
    return false;
}

/* A name and so many bytes. */
static bool name_and(struct walk *w, size_t bytes)
{
    struct name n;

    return next_name(w, &n) && skip(w, bytes);
}

/* Acquire: a mutex by name or from a local or argument, and a word. */
static bool acquire(struct walk *w)
{
    uint8_t op = w->at < block_end(w) ? w->p[w->at] : 0;

    return op >= 0x60 && op <= 0x6e ? skip(w, 3) : name_and(w, 2);
}

static bool extended(struct walk *w)
{
    uint8_t op = w->at < block_end(w) ? w->p[w->at] : 0xff;

    if (!skip(w, 1)) {
        return false;
    }
    switch (op) {
    case EXT_MUTEX: case EXT_REGION: return name_and(w, 1);
    case EXT_EVENT: case EXT_DATA_REGION: return name_and(w, 0);
    case EXT_ACQUIRE: return acquire(w);
    case EXT_FATAL: return skip(w, 5);
    case EXT_FIELD: case EXT_INDEX_FIELD: case EXT_BANK_FIELD: return enter_and_skip(w);
    case EXT_DEVICE: case EXT_THERMAL_ZONE: return enter_scope(w, 0, false);
    case EXT_PROCESSOR: return enter_scope(w, 6, false);
    case EXT_POWER_RESOURCE: return enter_scope(w, 3, false);
    default: /* CondRefOf, CreateField, LoadTable to Unload, Revision, Debug, Timer */
        return op == 0x12 || op == 0x13 || (op >= 0x1f && op <= 0x2a) || (op >= 0x30 && op <= 0x33);
    }
}

/* Opcodes that only terms follow: locals and arguments, operators, statements. 02h to 05h are the
 * operators of Match (20.2.5.4). */
static bool plain(uint8_t op)
{
    return op <= 0x05 || (op >= 0x60 && op <= 0x6e) || (op >= 0x70 && op <= 0x99)
        || (op >= 0x9c && op <= 0x9f) || op == 0xa3 || op == 0xa5 || op == 0xcc || op == OP_ONES;
}

static bool term(struct walk *w)
{
    uint8_t op = w->p[w->at];

    if (lead_name_char(op) || op == OP_ROOT || op == OP_PARENT || op == OP_DUAL_NAME
        || op == OP_MULTI_NAME) {
        return name_and(w, 0);
    }
    w->at++;
    switch (op) {
    case OP_ALIAS: return alias(w);
    case OP_NAME: return name(w);
    case OP_BYTE: return skip(w, 1);
    case OP_WORD: return skip(w, 2);
    case OP_DWORD: return skip(w, 4);
    case OP_QWORD: return skip(w, 8);
    case OP_STRING: return string(w);
    case OP_SCOPE: return enter_scope(w, 0, true);
    case OP_BUFFER: return enter_and_skip(w);
    case OP_PACKAGE: return enter(w) && skip(w, 1);
    case OP_METHOD: return method(w);
    case OP_EXTERNAL: return name_and(w, 2);
    case OP_EXT: return extended(w);
    case OP_RETURN: return return_op(w);
    case OP_VAR_PACKAGE: case OP_IF: case OP_ELSE: case OP_WHILE: return enter(w);
    default: return plain(op);
    }
}

/* The byte at w->at wasn't understood: look for definitions at each byte up to the block's end. */
static void search(struct walk *w)
{
    static const struct depth anywhere = { -64, 64 };
    size_t end = block_end(w);

    for (size_t at = w->at; at + 5 < end; at++) {
        struct aml a = { w->p + at + 1, end - at - 1 };
        enum aml_kind kind = w->p[at] == OP_METHOD ? AML_METHOD : AML_NAME;
        struct name n;

        if ((w->p[at] == OP_NAME || (kind == AML_METHOD && read_package_length(&a)))
            && read_name(&a, &n) && !(n.root && n.segs != 1)) {
            size_t flags = kind == AML_METHOD && a.len ? 1 : 0;
            tell(w, kind, &n, anywhere, (struct aml){ a.p + flags, a.len - flags });
        }
    }
    w->at = end;
}

void aml_walk(struct aml table, aml_visitor visit, void *ctx)
{
    struct walk w = { .p = table.p, .visit = visit, .ctx = ctx,
                      .block = { { table.len, { 0, 0 } } } };

    for (;;) {
        size_t before = w.at;

        if (w.at >= block_end(&w)) {
            if (w.top == 0) {
                return;
            }
            w.top--;
        } else if (!term(&w)) {
            w.at = before < block_end(&w) ? before : w.at;
            search(&w);
        }
    }
}

bool aml_integer(struct aml *a, uint64_t *value)
{
    uint8_t op = a->len ? a->p[0] : OP_NAME;
    size_t bytes = op == OP_BYTE ? 1 : op == OP_WORD ? 2 : op == OP_DWORD ? 4
                 : op == OP_QWORD ? 8 : 0;

    if ((bytes == 0 && op != OP_ZERO && op != OP_ONE && op != OP_ONES) || bytes + 1 > a->len) {
        return false;
    }
    *value = op == OP_ONES ? ~0ULL : op;
    for (size_t i = 0; i < bytes; i++) {
        *value = (i ? *value : 0) | (uint64_t)a->p[1 + i] << (8 * i);
    }
    *a = (struct aml){ a->p + 1 + bytes, a->len - 1 - bytes };
    return true;
}

bool aml_package(struct aml *a, size_t *count)
{
    uint8_t op = a->len ? a->p[0] : OP_ZERO;
    struct aml in = { a->p + 1, a->len ? a->len - 1 : 0 };
    uint64_t n;

    if ((op != OP_PACKAGE && op != OP_VAR_PACKAGE) || !read_package_length(&in) || in.len == 0) {
        return false;
    }
    if (op == OP_PACKAGE) {
        n = in.p[0];
        in = (struct aml){ in.p + 1, in.len - 1 };
    } else if (!aml_integer(&in, &n)) {
        return false;
    }
    *count = (size_t)n;
    *a = in;
    return true;
}

bool aml_name_string(struct aml *a, const uint8_t **seg)
{
    struct name n;

    if (!read_name(a, &n)) {
        return false;
    }
    *seg = n.last;
    return true;
}
