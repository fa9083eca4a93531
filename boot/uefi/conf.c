/* SPDX-License-Identifier: MIT */
/* The options of xmhf.efi: words of a boot entry or of xmhf.conf. */
#include <boot/uefi/conf.h>

#include <util/bytes.h>
#include <util/string.h>

struct reader {
    const char *at, *end;
    struct conf *conf;
    bool secure;
    bool half; /* what was read last may be less than was written */
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_line_end(char c) { return c == '\n' || c == '\r'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

static bool ends_in_efi(const char *s, size_t len)
{
    static const char dot_efi[] = ".efi";
    bool efi = len >= 4;

    for (size_t i = 0; efi && i < 4; i++) {
        efi = lower(s[len - 4 + i]) == dot_efi[i];
    }
    return efi;
}

static void damage(struct reader *r, const char *why)
{
    if (!r->conf->damaged) {
        r->conf->damaged = why;
    }
}

/*
 * What Secure Boot leaves to whoever can write the file: the owner's keys vouch for programs, not
 * for it. A value stands behind '='; NULL: any.
 */
static const struct { const char *name; bool valued; const char *values[5]; } harmless[] = {
    { "palmem", true, { 0 } },     /* how much memory there is for PALs */
    { "palbudget", true, { 0 } },  /* how long they run */
    { "com", true, { "off", "3f8", "2f8", "3e8", "2e8" } }, /* the log: where UARTs are */
    { "quiet", false, { 0 } },     /* errors are still told */
    { "trap-icr", false, { 0 } },  /* another way to see the same IPIs */
};

static const char not_with_secure_boot[] = "not with Secure Boot, it may weaken the protection";

static bool starts_with(const char *s, size_t len, const char *prefix)
{
    return len >= strlen(prefix) && strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_word(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && strncmp(s, word, len) == 0;
}

static bool is_harmless(const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        size_t name = strlen(harmless[i].name);

        if (!starts_with(word, len, harmless[i].name) || (len > name && word[name] != '=')) {
            continue;
        }
        if (!harmless[i].values[0]) {
            return true;
        }
        for (size_t v = 0; v < ARRAY_SIZE(harmless[i].values) && len > name; v++) {
            if (is_word(word + name + 1, len - name - 1, harmless[i].values[v])) {
                return true;
            }
        }
    }
    return false;
}

/* Is that a whole option, if the text ends behind it? A number that has lost digits counts as one,
 * which of these options does no harm. */
static bool is_whole(const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
        size_t name = strlen(harmless[i].name);

        if (starts_with(word, len, harmless[i].name)) {
            return is_harmless(word, len) && (harmless[i].valued ? len > name + 1 : len == name);
        }
    }
    return is_word(word, len, "required");
}

static void refuse(struct conf *conf, const char *word, size_t len)
{
    unsigned i = conf->refused_count;

    if (i == CONF_REFUSED_MAX) {
        return;
    }
    if (len >= sizeof(conf->refused[i].word)) {
        len = sizeof(conf->refused[i].word) - 1;
    }
    memcpy(conf->refused[i].word, word, len);
    conf->refused[i].word[len] = '\0';
    conf->refused[i].why = not_with_secure_boot;
    conf->refused_count++;
}

static void pass_on(struct reader *r, const char *word, size_t len)
{
    size_t used = strlen(r->conf->cmdline);

    if (r->secure && !is_harmless(word, len)) {
        refuse(r->conf, word, len);
        return;
    }
    if (used + 1 + len >= sizeof(r->conf->cmdline)) {
        damage(r, "there are too many options");
        return;
    }
    if (used != 0) {
        r->conf->cmdline[used++] = ' ';
    }
    memcpy(r->conf->cmdline + used, word, len);
    r->conf->cmdline[used + len] = '\0';
}

static size_t rest_of_line(const struct reader *r)
{
    const char *p = r->at;

    while (p < r->end && !is_line_end(*p)) {
        p++;
    }
    return (size_t)(p - r->at);
}

/* The value at r->at, in quotes or up to a blank, into `out`; goes behind it. */
static void take_path(struct reader *r, char *out, size_t max)
{
    size_t line = rest_of_line(r), len = 0;
    bool quoted = line != 0 && *r->at == '"';

    if (quoted) {
        r->at++;
        line--;
    }
    while (len < line && (quoted ? r->at[len] != '"' : !is_blank(r->at[len]))) {
        len++;
    }
    if (quoted && len == line) {
        damage(r, "a quotation mark isn't closed");
    } else if (len == 0) {
        damage(r, "next= needs a path");
    } else if (len >= max) {
        damage(r, "the path behind next= is too long");
    } else {
        memcpy(out, r->at, len);
        out[len] = '\0';
    }
    r->half = !quoted && !ends_in_efi(r->at, len);
    r->at += len + (quoted && len < line ? 1 : 0);
}

static void take_args(struct reader *r)
{
    size_t len = rest_of_line(r);

    if (len >= sizeof(r->conf->args)) {
        damage(r, "what is behind args= is too long");
    } else {
        memcpy(r->conf->args, r->at, len);
        r->conf->args[len] = '\0';
        r->conf->has_args = true;
    }
    r->at += len;
}

static void take_word(struct reader *r)
{
    size_t line = rest_of_line(r), len = 0;

    while (len < line && !is_blank(r->at[len])) {
        len++;
    }
    r->half = !is_whole(r->at, len);
    if (starts_with(r->at, len, "next=")) {
        r->at += 5;
        take_path(r, r->conf->next, sizeof(r->conf->next));
    } else if (starts_with(r->at, len, "args=")) {
        r->at += 5;
        r->half = false; /* anybody's words */
        take_args(r);
    } else {
        if (is_word(r->at, len, "required")) {
            r->conf->required = true;
        } else {
            pass_on(r, r->at, len);
        }
        r->at += len;
    }
}

/* What no text editor leaves. Letters beyond ASCII may stand in comments and values. */
static const char *line_damage(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f) {
            return "there is a control character in it";
        }
    }
    return NULL;
}

static void take_line(struct reader *r)
{
    const char *line_end = r->at + rest_of_line(r);
    const char *bad = line_damage(r->at, rest_of_line(r));

    if (bad) {
        damage(r, bad);
        r->at = line_end;
    }
    while (r->at < line_end) {
        if (is_blank(*r->at)) {
            r->half = false;
            r->at++;
        } else if (*r->at == '#') {
            r->half = false;
            r->at = line_end;
        } else {
            take_word(r);
        }
    }
}

/* True: the text ends in what may be half an option. */
static bool parse(const char *text, size_t size, bool secure, struct conf *conf)
{
    struct reader r = { text, text + size, conf, secure, false };
    unsigned line = 1;

    memset(conf, 0, sizeof(*conf));
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        r.at += 3; /* an editor's mark of UTF-8 */
    }
    while (r.at < r.end) {
        take_line(&r);
        if (conf->damaged && conf->line == 0) {
            conf->line = line;
        }
        if (r.at < r.end) {
            r.half = false;
            line += *r.at++ == '\n';
        }
    }
    return r.half;
}

void conf_parse(const char *text, size_t size, bool secure, struct conf *conf)
{
    (void)parse(text, size, secure, conf);
}

void conf_parse_file(const char *text, size_t size, bool secure, struct conf *conf)
{
    bool utf16 = size >= 2
        && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0), half;

    half = parse(text, utf16 ? 0 : size, secure, conf);
    if (utf16) {
        conf->damaged = "it is UTF-16, write it as UTF-8";
    } else if (!conf->damaged && half) {
        conf->damaged = "its last line has no end, and its last word may be cut off; end the line "
                        "if it isn't";
    }
}

/* Bytes of the first word of `s` if it is a program's name: with a path, or .efi at its end, or
 * `surely`. */
static size_t own_name(const char *s, size_t size, bool surely)
{
    bool quoted = size != 0 && *s == '"', path = false;
    size_t len = quoted ? 1 : 0;

    while (len < size && (quoted ? s[len] != '"' : !is_blank(s[len]))) {
        if (s[len] == '=' && !surely) {
            return 0;
        }
        path |= s[len] == '\\' || s[len] == ':';
        len++;
    }
    return surely || path || ends_in_efi(s, len) ? len + (quoted && len < size ? 1 : 0) : 0;
}

size_t conf_from_load_options(const void *options, size_t size, bool shell, char *out,
                              size_t max)
{
    const uint8_t *p = options;
    size_t n = 0, skip;

    for (size_t i = 0; i + 2 <= size && le16(p + i) != 0; i += 2) {
        uint16_t c = le16(p + i);

        if (c >= 0x7f || (c < ' ' && c != '\t')) {
            return 0;
        }
        if (n == max) {
            return max + 1;
        }
        out[n++] = (char)c;
    }
    skip = own_name(out, n, shell);
    while (skip < n && is_blank(out[skip])) {
        skip++;
    }
    memmove(out, out + skip, n - skip);
    return n - skip;
}

/* The letter at *s, which goes behind it: one to three bytes (Unicode 15, table 3-7). */
static uint16_t take_letter(const char **s)
{
    const uint8_t *p = (const uint8_t *)*s;
    unsigned more = p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0, c;

    (*s)++;
    if (p[0] < 0x80) {
        return p[0];
    }
    c = p[0] & (more == 2 ? 0x0fu : 0x1fu);
    for (unsigned i = 1; i <= more; i++, (*s)++) {
        if ((p[i] & 0xc0) != 0x80) {
            return '?';
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    return p[0] >= 0xf0 || c < (more == 2 ? 0x800u : 0x80u) ? '?' : (uint16_t)c;
}

size_t conf_utf16(const char *s, uint16_t *out, size_t max)
{
    size_t n = 0;

    while (*s != '\0' && n + 1 < max) {
        out[n++] = take_letter(&s);
    }
    out[n] = 0;
    return n;
}
