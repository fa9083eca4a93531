/* SPDX-License-Identifier: MIT */
/* Finding the SLP_TYP values of the sleep states: what their definitions may give. */
#include <acpi/sleep.h>

#include <util/string.h>

#define ROUNDS_MAX 4  /* a method that returns a name of a package of names takes three */
#define SEEN_MAX   64 /* definitions: a table that has more is made to keep us busy */
#define TYPES      7u /* SLP_TYP has three bits (4.8.3.2.1) */

/* A state whose definition is looked at, in an aml_visitor's context. */
struct method {
    struct sleep_search *s;
    unsigned state;
    bool returned;
};

static void unclear(struct sleep_search *s, unsigned state)
{
    s->result.unclear = (uint8_t)(s->result.unclear | 1u << state);
}

/* SLP_TYP `value` may mean Sn. The OS writes only its low three bits, so these count for S1 to S3;
 * as a power-off only a value without other bits counts. */
static void add(struct sleep_search *s, unsigned state, bool b, uint64_t value)
{
    uint8_t *set = b ? s->result.b : s->result.a;

    if (value > TYPES) {
        unclear(s, state);
    }
    if (value <= TYPES || state < 4) {
        set[state] = (uint8_t)(set[state] | 1u << (value & TYPES));
        s->result.known = (uint8_t)(s->result.known | (b ? 0u : 1u << state));
    }
}

static void add_value(struct sleep_search *s, unsigned state, enum sleep_what what, uint64_t value)
{
    if (what == WANT_BOTH) { /* ACPI 1.0 machines: one integer, a byte for each */
        add(s, state, false, value & 0xff);
        add(s, state, true, value >> 8 & 0xff);
    } else {
        add(s, state, what == WANT_B, value);
    }
}

static void want(struct sleep_search *s, unsigned state, enum sleep_what what, const uint8_t *seg)
{
    if (!seg || s->want_count == SLEEP_WANTS) {
        unclear(s, state);
        return;
    }
    struct sleep_want *w = &s->want[s->want_count++];
    *w = (struct sleep_want){ .state = (uint8_t)state, .what = what };
    memcpy(w->seg, seg, sizeof(w->seg));
}

/* One element of a package: a constant, or the name of one. */
static bool element(struct sleep_search *s, unsigned state, enum sleep_what what, struct aml *a)
{
    const uint8_t *seg;
    uint64_t value;

    if (aml_integer(a, &value)) {
        add_value(s, state, what, value);
        return true;
    }
    if (aml_name_string(a, &seg)) {
        want(s, state, what, seg);
        return true;
    }
    return false;
}

/* What stands for a state's package: the package, or the name of one. */
static void package(struct sleep_search *s, unsigned state, struct aml a)
{
    const uint8_t *seg;
    size_t count;

    if (++s->seen > SEEN_MAX) {
        unclear(s, state);
    } else if (aml_package(&a, &count)) {
        bool ok = count == 1 ? element(s, state, WANT_BOTH, &a)
            : count >= 2 && element(s, state, WANT_A, &a) && element(s, state, WANT_B, &a);
        if (!ok) {
            unclear(s, state);
        }
    } else if (aml_name_string(&a, &seg)) {
        want(s, state, WANT_PACKAGE, seg);
    } else {
        unclear(s, state);
    }
}

static void visit_return(void *ctx, enum aml_kind kind, const struct aml_name *name,
                         struct aml rest)
{
    struct method *m = ctx;

    (void)name;
    if (kind == AML_RETURN) {
        m->returned = true;
        package(m->s, m->state, rest);
    }
}

static void method(struct sleep_search *s, unsigned state, struct aml body)
{
    struct method m = { s, state, false };

    if (++s->seen > SEEN_MAX) {
        unclear(s, state);
        return;
    }
    aml_walk(body, visit_return, &m);
    if (!m.returned) {
        unclear(s, state);
    }
}

static void definition(struct sleep_search *s, unsigned state, enum aml_kind kind, struct aml rest)
{
    if (kind == AML_METHOD) {
        method(s, state, rest);
    } else {
        package(s, state, rest); /* of an alias it is the other name */
    }
}

static unsigned state_of(const uint8_t *seg)
{
    return seg[0] == '_' && seg[1] == 'S' && seg[2] >= '1' && seg[2] <= '5' && seg[3] == '_'
        ? seg[2] - '0' : 0;
}

/* The first round: the states. What may be a definition, but isn't certain to be one, never counts
 * as a power-off. */
static void visit_state(void *ctx, enum aml_kind kind, const struct aml_name *name, struct aml rest)
{
    struct sleep_search *s = ctx;
    unsigned state = kind == AML_RETURN ? 0 : state_of(name->seg);

    if (!state || !name->maybe_root) {
        return;
    }
    if (!name->at_root) {
        unclear(s, state);
    }
    if (name->at_root || state < 4) {
        definition(s, state, kind, rest);
    }
}

/* The other rounds: what the states' definitions named, in whatever scope. */
static void visit_want(void *ctx, enum aml_kind kind, const struct aml_name *name, struct aml rest)
{
    struct sleep_search *s = ctx;

    for (unsigned i = s->first; kind != AML_RETURN && i < s->last; i++) {
        struct sleep_want *w = &s->want[i];

        if (memcmp(w->seg, name->seg, sizeof(w->seg)) != 0) {
            continue;
        }
        w->found = true;
        if (w->what == WANT_PACKAGE) {
            definition(s, w->state, kind, rest);
        } else if (kind != AML_NAME || !element(s, w->state, w->what, &rest)) {
            unclear(s, w->state);
        }
    }
}

void sleep_begin(struct sleep_search *s)
{
    memset(s, 0, sizeof(*s));
}

void sleep_table(struct sleep_search *s, struct aml table)
{
    aml_walk(table, s->round == 0 ? visit_state : visit_want, s);
}

bool sleep_again(struct sleep_search *s)
{
    for (unsigned i = s->first; i < s->last; i++) {
        if (!s->want[i].found) {
            unclear(s, s->want[i].state);
        }
    }
    s->first = s->last;
    s->last = s->want_count;
    s->round++;
    if (s->first != s->last && s->round == ROUNDS_MAX) {
        for (unsigned i = s->first; i < s->last; i++) {
            unclear(s, s->want[i].state);
        }
        return false;
    }
    return s->first != s->last;
}
