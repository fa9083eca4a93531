/* SPDX-License-Identifier: MIT */
/* Parsing the hypervisor's command line: words `name` or `name=value`. */
#include <facts/options.h>

#include <util/string.h>

#define WORD_MAX       64

bool options_number(const char *s, unsigned base, unsigned min, unsigned max, unsigned *out)
{
    uint64_t v = 0;

    if (*s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        char lower = (char)(*s | 0x20);
        unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0')
                       : lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : 16;

        if (digit >= base) {
            return false;
        }
        v = v * base + digit;
        if (v > max) {
            return false;
        }
    }
    if (v < min) {
        return false;
    }
    *out = (unsigned)v;
    return true;
}

static bool set_palmem(struct options *o, const char *value)
{
    unsigned n;

    if (!options_number(value, 10, 1, PALMEM_MAX_MIB, &n)) {
        return false;
    }
    o->palmem = MIB(n);
    return true;
}

static bool set_cpus(struct options *o, const char *value)
{
    unsigned n;

    if (!options_number(value, 10, 1, CPUS_MAX, &n)) {
        return false;
    }
    o->cpus = n;
    return true;
}

static bool set_com(struct options *o, const char *value)
{
    unsigned n = 0;

    if (strncmp(value, "0x", 2) == 0) {
        value += 2;
    }
    if (strcmp(value, "off") != 0 && !options_number(value, 16, 1, 0xfff8, &n)) {
        return false;
    }
    o->com = (uint16_t)n;
    return true;
}

static bool set_quiet(struct options *o, const char *value)
{
    (void)value;
    o->quiet = true;
    return true;
}

static bool set_testpanic(struct options *o, const char *value)
{
    (void)value;
    o->testpanic = true;
    return true;
}

static bool set_measure(struct options *o, const char *value)
{
    (void)value;
    o->measure = true;
    return true;
}

static bool set_trap_icr(struct options *o, const char *value)
{
    (void)value;
    o->trap_icr = true;
    return true;
}

/* How each option is set; which values it has, OPTIONS says. */
static const struct {
    const char *name;
    bool (*set)(struct options *o, const char *value);
} setters[] = {
    { "palmem", set_palmem },
    { "cpus", set_cpus },
    { "com", set_com },
    { "quiet", set_quiet },
    { "trap-icr", set_trap_icr },
    { "testpanic", set_testpanic },
    { "measure", set_measure },
};

#define X(name, argument, values, help) { name, values },
static const struct { const char *name, *values; } known[] = { OPTIONS(X) };
#undef X

_Static_assert(ARRAY_SIZE(setters) == ARRAY_SIZE(known), "each option needs a setter");

/* The element of `more` with that name, or NULL. */
static const struct option_more *find_more(const struct option_more *more, const char *name)
{
    while (more && more->name && strcmp(more->name, name) != 0) {
        more++;
    }
    return more && more->name ? more : NULL;
}

/* Which values an option has: "" none, NULL there is no such option. */
static const char *values_of(const char *name, const struct option_more *more)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].values;
        }
    }
    return more ? more->values : NULL;
}

static bool set(struct options *o, const struct option_more *more, const char *name,
                const char *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(setters); i++) {
        if (strcmp(name, setters[i].name) == 0) {
            return setters[i].set(o, value);
        }
    }
    return more->set(value); /* values_of has found it */
}

/* `word` is "name" or "name=value"; the '=' is overwritten. NULL, or why it is not understood. */
static const char *set_word(struct options *o, const struct option_more *more, char *word,
                            const char **values)
{
    char *value = word;
    bool has_value;

    while (*value != '\0' && *value != '=') {
        value++;
    }
    has_value = *value == '=';
    if (has_value) {
        *value++ = '\0';
    }
    more = find_more(more, word);
    *values = values_of(word, more);
    if (!*values) {
        *values = "";
        return "there is no such option";
    }
    if (has_value != (**values != '\0')) {
        return has_value ? "it takes no value" : "it needs a value: ";
    }
    return set(o, more, word, value) ? NULL : "its values: ";
}

static void add_bad(struct options_bad *bad, const char *word, size_t len, const char *why,
                    const char *values)
{
    char *dst;

    if (bad->count == OPTIONS_BAD_MAX) {
        return;
    }
    bad->why[bad->count] = why;
    bad->values[bad->count] = values;
    dst = bad->word[bad->count++];
    if (len >= sizeof(bad->word[0])) {
        len = sizeof(bad->word[0]) - 1;
    }
    memcpy(dst, word, len);
    dst[len] = '\0';
}

void options_parse(const char *cmdline, const struct option_more *more, struct options *out,
                   struct options_bad *bad)
{
    const char *p = cmdline;

    *out = (struct options){ .com = 0x3f8 };
    bad->count = 0;
    while (*p != '\0') {
        const char *why = "it is too long", *values = "";
        char word[WORD_MAX];
        size_t len = 0;

        while (p[len] != '\0' && p[len] != ' ') {
            len++;
        }
        if (len != 0 && len < sizeof(word)) {
            memcpy(word, p, len);
            word[len] = '\0';
            why = set_word(out, more, word, &values);
        }
        if (len != 0 && why) {
            add_bad(bad, p, len, why, values);
        }
        p += len;
        while (*p == ' ') {
            p++;
        }
    }
}
