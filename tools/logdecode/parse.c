/* SPDX-License-Identifier: MIT */
/* Crash records out of a hostile serial log; see the header. */
#include <logdecode/parse.h>
#include <string.h>

/* Where the lines of one CPU are in their record. */
struct stream {
    struct log_record *open;
    bool at_boot;       /* its next record is one that was found in memory */
};

struct parser {
    struct log_file *out;
    bool any;           /* one of our lines was seen */
    bool guest_started;
    struct stream stream[LOGDECODE_CPUS + 1]; /* [0]: lines before the guest's start */
};

/* --- scanning -------------------------------------------------------------------- */

static bool skip(const char **p, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*p, word, n) != 0) {
        return false;
    }
    *p += n;
    return true;
}

static int digit(char c, unsigned base)
{
    char lower = (char)(c | 0x20);
    int v = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;

    return v < (int)base ? v : -1;
}

static bool number(const char **p, unsigned base, uint64_t max, uint64_t *out)
{
    const char *s = *p;
    uint64_t v = 0;

    for (int d; (d = digit(*s, base)) >= 0; s++) {
        if (v > (max - (unsigned)d) / base) {
            return false;
        }
        v = v * base + (unsigned)d;
    }
    if (s == *p) {
        return false;
    }
    *p = s;
    *out = v;
    return true;
}

static bool hex(const char **p, uint64_t max, uint64_t *out)
{
    return skip(p, "0x") && number(p, 16, max, out);
}

static bool decimal(const char **p, unsigned max, unsigned *out)
{
    uint64_t v;

    if (!number(p, 10, max, &v)) {
        return false;
    }
    *out = (unsigned)v;
    return true;
}

/* "word" followed by a number in hexadecimal. */
static bool field(const char **p, const char *word, uint64_t *out)
{
    return skip(p, word) && hex(p, UINT64_MAX, out);
}

static void copy(char *to, size_t size, const char *from)
{
    size_t n = strnlen(from, size - 1);

    memcpy(to, from, n);
    to[n] = 0;
}

/* --- a record's lines -------------------------------------------------------------- */

static bool build_id(struct log_record *r, const char *p)
{
    unsigned n = 0;

    while (n < 2 * CRASH_BUILD_ID && digit(p[n], 16) >= 0) {
        n++;
    }
    if (n != 2 * CRASH_BUILD_ID || p[n] != ' ') {
        return false;
    }
    memcpy(r->build_id, p, n);
    p += n;
    r->has |= REC_BUILD;
    return skip(&p, " cpu ") && decimal(&p, LOGDECODE_CPUS - 1, &r->cpu) && !*p;
}

static bool registers(struct log_record *r, const char *p)
{
    bool all = hex(&p, UINT64_MAX, &r->rip) && field(&p, " rsp ", &r->rsp)
        && field(&p, " cr0 ", &r->cr0) && field(&p, " cr3 ", &r->cr3)
        && field(&p, " cr4 ", &r->cr4) && !*p;

    r->has |= all ? REC_REGS : 0;
    return all;
}

static bool stack_word(struct log_record *r, const char *p)
{
    struct log_word w = { .after_gap = r->skipped && r->words == CRASH_INNER };

    if (r->words == CRASH_STACK || !hex(&p, UINT64_MAX, &w.value) || !field(&p, " at ", &w.offset)
        || *p) {
        return false;
    }
    r->word[r->words++] = w;
    return true;
}

/* A word of at most `size` - 1 characters. */
static bool word(const char **p, char *to, size_t size)
{
    size_t n = strcspn(*p, " ");

    if (n == 0 || n >= size) {
        return false;
    }
    memcpy(to, *p, n);
    to[n] = 0;
    *p += n;
    return true;
}

static bool one_exit(const char **p, struct log_exit *e)
{
    return word(p, e->kind, sizeof(e->kind)) && field(p, " ", &e->raw);
}

static bool exit_line(struct log_record *r, const char *p)
{
    struct log_exit e = { .raw = 0 };

    if (r->exits == CRASH_EXITS || !one_exit(&p, &e) || *p) {
        return false;
    }
    r->exit[r->exits++] = e;
    return true;
}

static bool other_line(struct log_record *r, const char *p)
{
    struct log_other o = { .cpu = 0 };

    if (r->others == CRASH_OTHERS || !decimal(&p, LOGDECODE_CPUS - 1, &o.cpu) || !skip(&p, " ")
        || !word(&p, o.state, sizeof(o.state)) || !field(&p, " rip ", &o.rip)
        || !field(&p, " rsp ", &o.rsp)) {
        return false;
    }
    while (skip(&p, " exit ")) {
        if (o.exits == CRASH_OTHER_EXITS || !one_exit(&p, &o.exit[o.exits])) {
            return false;
        }
        o.exits++;
    }
    if (*p) {
        return false;
    }
    r->other[r->others++] = o;
    return true;
}

static bool trap(struct log_record *r, const char *p)
{
    bool all = decimal(&p, 255, &r->vector) && field(&p, " error ", &r->error) && !*p;

    r->has |= all ? REC_TRAP : 0;
    return all;
}

static bool one_number(struct log_record *r, const char *p, uint64_t max, uint64_t *to,
                       unsigned what)
{
    bool all = hex(&p, max, to) && !*p;

    r->has |= all ? what : 0;
    return all;
}

static bool text(struct log_record *r, const char *p)
{
    copy(r->text, sizeof(r->text), p);
    r->has |= REC_TEXT;
    return true;
}

static bool record_line(struct log_record *r, const char *p)
{
    uint64_t v = 0;
    bool good = true;

    if (skip(&p, "text ")) {
        return text(r, p);
    } else if (skip(&p, "virt ")) {
        copy(r->virt, sizeof(r->virt), p);
    } else if (skip(&p, "trap vector ")) {
        good = trap(r, p);
    } else if (skip(&p, "msr ")) {
        good = one_number(r, p, UINT32_MAX, &v, REC_MSR);
        r->msr = (uint32_t)v;
    } else if (skip(&p, "fault ")) {
        good = one_number(r, p, UINT64_MAX, &r->fault, REC_FAULT);
    } else if (skip(&p, "rip ")) {
        good = registers(r, p);
    } else if (skip(&p, "skipped ")) {
        good = decimal(&p, 1000000, &r->skipped) && !*p;
    } else if (skip(&p, "stack ")) {
        good = stack_word(r, p);
    } else if (skip(&p, "exit ")) {
        good = exit_line(r, p);
    } else if (skip(&p, "other ")) {
        good = other_line(r, p);
    } else {
        good = false;
    }
    return good;
}

static uint32_t add_to_sum(uint32_t sum, const char *p)
{
    for (; *p; p++) {
        sum = (sum ^ (uint8_t)*p) * CRASH_SUM_PRIME;
    }
    return sum;
}

/* The boot after a panic prints what the panic printed. */
static unsigned find_same(const struct log_file *f, const struct log_record *r)
{
    for (unsigned i = 0; i < f->records; i++) {
        const struct log_record *o = &f->record[i];

        if (o != r && o->intact && r->intact && o->sum == r->sum && o->rip == r->rip
            && o->rsp == r->rsp && strcmp(o->build_id, r->build_id) == 0
            && strcmp(o->text, r->text) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static void end_record(struct parser *s, struct stream *st, const char *p)
{
    struct log_record *r = st->open;
    uint64_t sum;

    if (hex(&p, UINT32_MAX, &sum) && !*p) {
        r->has |= REC_END;
        r->intact = sum == r->sum && !r->damaged;
        r->same_as = find_same(s->out, r);
    } else {
        r->damaged++;
    }
    st->open = NULL;
}

static struct log_record *new_record(struct parser *s, struct stream *st, bool guest_could)
{
    struct log_file *f = s->out;

    st->open = NULL;
    if (f->records == LOGDECODE_RECORDS) {
        f->records_lost++;
        return NULL;
    }
    struct log_record *r = &f->record[f->records++];
    *r = (struct log_record){ .line = f->lines, .at_boot = st->at_boot,
                              .guest_could = guest_could, .sum = CRASH_SUM_START };
    st->at_boot = false;
    st->open = r;
    return r;
}

/* `p`: behind "crash: ". */
static void crash_line(struct parser *s, struct stream *st, const char *p, bool guest_could)
{
    const char *at = p;
    struct log_record *r = st->open;

    if (skip(&at, "the last boot ended in a panic")) {
        st->at_boot = true;
        st->open = NULL;
        return;
    }
    bool first = skip(&at, "build-id ");
    if (first || !r) {
        /* A record without its beginning is still worth showing, but not its end alone. */
        r = first || strncmp(p, "end ", 4) != 0 ? new_record(s, st, guest_could) : NULL;
    }
    if (!r) {
        return;
    }
    if (!first && skip(&at, "end ")) {
        end_record(s, st, at);
        return;
    }
    r->sum = add_to_sum(r->sum, p);
    if (first ? !build_id(r, at) : !record_line(r, at)) {
        r->damaged++;
    }
}

/* --- other lines ------------------------------------------------------------------- */

static void note(struct parser *s, const char *p, bool guest_could)
{
    static const char *const telling[] = {
        "PANIC:", "cannot start", "launch refused", "can't be used", "should exist and doesn't",
        "VMXON failed", "the CPU refuses", "is unknown", "VM entry",
    };
    struct log_file *f = s->out;
    bool tell = false;

    for (size_t i = 0; i < ARRAY_SIZE(telling); i++) {
        tell = tell || strstr(p, telling[i]);
    }
    if (!tell) {
        return;
    }
    if (f->notes == LOGDECODE_NOTES) {
        f->notes_lost++;
        return;
    }
    struct log_note *n = &f->note[f->notes++];
    n->line = f->lines;
    n->guest_could = guest_could;
    copy(n->text, sizeof(n->text), p);
}

/* "[xmhf] " or "[xmhf cpuN guest] " at `p`: where the text begins, or NULL. `stream`: whose. */
static const char *prefix(const char *p, unsigned *stream)
{
    unsigned cpu;

    *stream = 0;
    if (!skip(&p, "[xmhf")) {
        return NULL;
    }
    if (skip(&p, "] ")) {
        return p;
    }
    if (!skip(&p, " cpu") || !decimal(&p, LOGDECODE_CPUS - 1, &cpu) || !skip(&p, " guest] ")) {
        return NULL;
    }
    *stream = cpu + 1;
    return p;
}

/* Is this the guest's start, or behind it? Lines can be lost, so the first sign counts; and a
 * log that doesn't begin with the hypervisor's first words may begin anywhere. */
static bool sign_of_guest(const struct parser *s, unsigned stream, const char *p)
{
    static const char *const first[] = { "XMHF hypervisor with ", "cannot start: " };
    static const char *const later[] = { "guest: ", "starting the guest" };

    for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
        if (strncmp(p, later[i], strlen(later[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
        if (stream == 0 && (s->any || strncmp(p, first[i], strlen(first[i])) == 0)) {
            return false;
        }
    }
    return true;
}

static void our_line(struct parser *s, unsigned stream, const char *p)
{
    if (!s->guest_started && sign_of_guest(s, stream, p)) {
        s->guest_started = true;
        s->out->guest_start = s->out->lines;
    }
    s->any = true;
    if (skip(&p, "crash: ")) {
        crash_line(s, &s->stream[stream], p, s->guest_started);
    } else {
        note(s, p, s->guest_started);
    }
}

/* One line, which may hold a piece of the guest's and several of ours. */
static void whole_line(struct parser *s, char *line)
{
    const char *text = NULL;
    unsigned stream = 0;

    for (char *p = line; *p; p++) {
        unsigned next;
        const char *begin = *p == '[' ? prefix(p, &next) : NULL;

        if (begin) {
            *p = 0; /* the end of what came before */
            if (text) {
                our_line(s, stream, text);
            }
            text = begin;
            stream = next;
            p += begin - p - 1;
        }
    }
    if (text) {
        our_line(s, stream, text);
    }
}

/* Behind the terminal escape at data[at] (ECMA-48, 5.4): CSI, strings, or a few characters. */
static size_t skip_escape(const char *data, size_t at, size_t size)
{
    if (++at >= size || data[at] == '\n') {
        return at;
    }
    char kind = data[at++];
    if (kind == '[') {
        while (at < size && data[at] >= 0x20 && data[at] < 0x40) {
            at++;
        }
        return at < size && data[at] >= 0x40 && data[at] < 0x7f ? at + 1 : at;
    }
    if (kind == ']' || kind == 'P' || kind == '^' || kind == '_' || kind == 'X') {
        while (at < size && data[at] != '\a' && data[at] != '\n' && data[at] != 0x1b) {
            at++;
        }
        return at < size && data[at] == '\a' ? at + 1 : at;
    }
    while (kind >= 0x20 && kind < 0x30 && at < size && data[at] != '\n') {
        kind = data[at++];
    }
    return at;
}

void log_parse(const char *data, size_t size, struct log_file *out)
{
    struct parser s = { .out = out };
    char line[LOGDECODE_LINE + 1];
    size_t n = 0;

    memset(out, 0, sizeof(*out));
    for (size_t at = 0; at < size;) {
        char c = data[at];

        if (c == 0x1b) {
            at = skip_escape(data, at, size);
            continue;
        }
        at++;
        if (c == '\n') {
            out->lines++;
            line[n] = 0;
            whole_line(&s, line);
            n = 0;
        } else if (n < LOGDECODE_LINE && c != '\r' && c != 0 && c != '\b') {
            line[n++] = c >= 0x20 && c < 0x7f ? c : '.';
        }
    }
    if (n) {
        out->lines++;
        line[n] = 0;
        whole_line(&s, line);
    }
}
