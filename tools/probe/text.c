/* SPDX-License-Identifier: MIT */
/* The text of a machine's record, strictly: what isn't a line of tests/vectors/README.md's is an
 * error, never a guess. */
#include <probe/vector.h>

#include <string.h>

#define WORDS_MAX 9
#define ADDRESS_LAST (BIT(52) - 1) /* SDM vol. 3, 4.1.4: no physical address is wider */

struct word { const char *at; size_t size; };
struct numbers { unsigned count; uint64_t n[WORDS_MAX]; };

/* Take up what a line says. NULL, or what is wrong with it. */
typedef const char *take_fn(struct vector *v, const struct numbers *n);

static const char twice[] = "this was said before";
static const char full[] = "one machine doesn't have so many of these";

static struct cpuid_regs regs(const uint64_t *n)
{
    return (struct cpuid_regs){ (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2], (uint32_t)n[3] };
}

static const char *take_cpuid(struct vector *v, const struct numbers *n)
{
    struct cpuid_regs r = regs(&n->n[2]);

    if (vector_find_cpuid(v, (uint32_t)n->n[0], (uint32_t)n->n[1])) {
        return twice;
    }
    return vector_add_cpuid(v, (uint32_t)n->n[0], (uint32_t)n->n[1], &r) ? NULL : full;
}

static const char *take_msr(struct vector *v, const struct numbers *n)
{
    bool absent = n->count == 1;

    if (vector_find_msr(v, (uint32_t)n->n[0])) {
        return twice;
    }
    return vector_add_msr(v, (uint32_t)n->n[0], absent, absent ? 0 : n->n[1]) ? NULL : full;
}

static const char *take_range(struct vector *v, const struct numbers *n)
{
    (void)v;
    return n->n[0] > n->n[1] ? "its end lies below its start" : NULL;
}

static const char *take_e820(struct vector *v, const struct numbers *n)
{
    const char *why = take_range(v, n);

    if (why) {
        return why;
    }
    return vector_add_mem(v, n->n[0], n->n[1], (uint32_t)n->n[2]) ? NULL : full;
}

static const char *take_nothing(struct vector *v, const struct numbers *n)
{
    (void)v;
    (void)n;
    return NULL;
}

/*
 * The lines. %w: 32 bits, hexadecimal; %q: 64 bits; %a: a physical address; %l: one below 1 MiB;
 * %d: 32 bits, decimal; %m: a memory type of the MTRRs; %s: an ACPI table's name.
 */
static const struct { const char *form; take_fn *take; } lines[] = {
    { "cpuid %w %w %w %w %w %w", take_cpuid },
    { "msr %w %q", take_msr },
    { "absent %w", take_msr },
    { "absent %w derived", take_msr },
    { "e820 %a %a %d", take_e820 },
    { "mtrr default %m", take_nothing },
    { "mtrr deftype %q", take_nothing },
    { "mtrr fixed %l %l %m", take_range },
    { "mtrr var %d %a %a %m", take_nothing },
    { "mtrr var %d disabled", take_nothing },
    { "mtrr range %a %a %m", take_range },
    { "mtrr uc-start %a", take_nothing },
    { "acpi %s %q %w", take_nothing }, /* Linux prints its own addresses for some tables */
};

static bool is_text(struct word w, const char *text)
{
    return strlen(text) == w.size && memcmp(w.at, text, w.size) == 0;
}

/* -1: no digit */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Nothing but digits, no more of them than the largest number may need, and no 0x. */
static bool is_number(struct word w, unsigned base, unsigned digits, uint64_t last, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < w.size; i++) {
        int d = digit(w.at[i]);

        if (d < 0 || (unsigned)d >= base || i == digits) {
            return false;
        }
        *value = *value * base + (unsigned)d; /* at most 16 digits: no overflow */
    }
    return w.size != 0 && *value <= last;
}

static bool is_memory_type(struct word w)
{
    static const char *const types[] = { "uncachable", "write-combining", "write-through",
                                         "write-protect", "write-back", "reserved" };

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (is_text(w, types[i])) {
            return true;
        }
    }
    return false;
}

/* ACPI 6.5, 5.2.6: four characters; and UEFI's, MSFT's and others' punctuation. */
static bool is_table_name(struct word w)
{
    for (size_t i = 0; i < w.size; i++) {
        if (w.at[i] <= ' ' || w.at[i] > '~') {
            return false;
        }
    }
    return w.size == 4;
}

static bool is_field(struct word w, char kind, struct numbers *n)
{
    uint64_t *to = &n->n[n->count];

    switch (kind) {
    case 'w': n->count++; return is_number(w, 16, 8, UINT32_MAX, to);
    case 'q': n->count++; return is_number(w, 16, 16, UINT64_MAX, to);
    case 'a': n->count++; return is_number(w, 16, 16, ADDRESS_LAST, to);
    case 'l': n->count++; return is_number(w, 16, 5, MIB(1) - 1, to);
    case 'd': n->count++; return is_number(w, 10, 10, UINT32_MAX, to);
    case 'm': return is_memory_type(w);
    default: return is_table_name(w);
    }
}

/* The next word of a line, which `line` then no longer has; empty at its end. */
static struct word next_word(struct word *line)
{
    struct word w;

    while (line->size && (*line->at == ' ' || *line->at == '\t')) {
        line->at++;
        line->size--;
    }
    w = (struct word){ line->at, 0 };
    while (line->size && *line->at != ' ' && *line->at != '\t') {
        line->at++;
        line->size--;
        w.size++;
    }
    return w;
}

/* Does the line have the words of `form`, and no others? */
static bool fits(struct word line, const char *form, struct numbers *n)
{
    struct word f = { form, strlen(form) };

    n->count = 0;
    for (;;) {
        struct word want = next_word(&f), is = next_word(&line);

        if (want.size == 0 || is.size == 0) {
            return want.size == is.size;
        }
        if (want.at[0] == '%' ? !is_field(is, want.at[1], n)
            : want.size != is.size || memcmp(want.at, is.at, is.size) != 0) {
            return false;
        }
    }
}

/* "# boot: EFI ..." is the one comment that says something of the machine. */
static void take_comment(struct vector *v, struct word line)
{
    if (is_text(next_word(&line), "#") && is_text(next_word(&line), "boot:")) {
        struct word how = next_word(&line);
        v->efi = is_text(how, "EFI") || is_text(how, "UEFI");
    }
}

static const char *parse_line(struct vector *v, struct word line)
{
    struct word rest = line, first = next_word(&rest);
    struct numbers n;

    if (first.size == 0) {
        return NULL;
    }
    if (first.at[0] == '#') {
        take_comment(v, line);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        if (fits(line, lines[i].form, &n)) {
            return lines[i].take(v, &n);
        }
    }
    return "tests/vectors/README.md tells their form; numbers have no 0x";
}

unsigned vector_parse(struct vector *v, const char *text, size_t size, const char **why)
{
    unsigned number = 0;

    *why = NULL;
    vector_clear(v);
    for (size_t at = 0; at < size && !*why; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - text) - at : size - at;
        struct word line = { text + at, n && text[at + n - 1] == '\r' ? n - 1 : n };

        *why = parse_line(v, line);
        at += n + 1;
    }
    return *why ? number : 0;
}
