/* SPDX-License-Identifier: MIT */
/* pal-lint: lists and checks images of PALs, and makes them of linked files. */
#include "code.h"
#include "image.h"
#include "lines.h"
#include "linked.h"
#include "list.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1u << 30) /* bytes of what is read */

static const char help[] =
    "usage: pal-lint [OPTION]... FILE\n"
    "\n"
    "Lists what an image of a PAL is, checks it as the hypervisor and pal-cc do, and prints its\n"
    "identity. FILE is an image (NAME.pal), or what it was made of, a linked ELF or PE file\n"
    "(NAME.pal.elf), which has names and lines.\n"
    "\n"
    "  --make OUT       make the image OUT of the linked FILE; nothing is listed\n"
    "  --name NAME      its name (default: the PAL that the sources name)\n"
    "  --header NAME    warn if that is another one\n"
    "  --stack BYTES    of each stack (default 16384)\n"
    "  --stacks N       how many, so as many calls at the same time (default 1, at most 30)\n"
    "  --budget TICKS   of the TSC that one call may run (default: no limit)\n"
    "  --debug          the process that registers it can read the image's memory\n"
    "  --identity       print the identity only\n"
    "  --names          print, a line each: \"image NAME\", \"measured BYTES\", \"mode BITS\",\n"
    "                   \"entry NAME\" and \"ocall NUMBER NAME\"; of an object: its records\n"
    "  --help           this text\n"
    "\n"
    "The identity is SHA-256 of the front of the image's file, all but the notes at its end. The\n"
    "list says how many bytes, N, these are:  head -c N FILE | sha256sum  prints the same.\n"
    "\n"
    "Exit status: 0 all is well, maybe with warnings; 1 the image was refused; 2 wrong usage, or\n"
    "FILE can't be read.\n";

enum { DO_LIST, DO_MAKE, DO_IDENTITY, DO_NAMES };

struct command {
    int action;
    const char *file, *out;
    struct image_options options;
};

/* --- files -------------------------------------------------------------------------- */

static uint8_t *read_file(const char *name, size_t *size)
{
    FILE *from = fopen(name, "rb");
    uint8_t *data = NULL;
    long end;

    if (from && fseek(from, 0, SEEK_END) == 0 && (end = ftell(from)) >= 0 && end <= FILE_MAX) {
        rewind(from);
        data = malloc((size_t)end + 1);
        *size = data ? fread(data, 1, (size_t)end, from) : 0;
    }
    if (from) {
        fclose(from);
    }
    return data;
}

static bool write_file(const char *name, const uint8_t *data, size_t size)
{
    FILE *to = fopen(name, "wb");
    bool good = to && fwrite(data, 1, size, to) == size;

    good = to && fclose(to) == 0 && good;
    if (!good) {
        fprintf(stderr, "pal-lint: %s: %s\n", name, strerror(errno));
    }
    return good;
}

/* --- answers ------------------------------------------------------------------------ */

/* Has the same been told of the same line? */
static bool told_before(const struct problems *p, char (*lines)[LINE_MAX_TEXT], size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(lines[k], lines[i]) == 0 && strcmp(p->list[k].text, p->list[i].text) == 0) {
            return true;
        }
    }
    return false;
}

/* `line`: of the source, or "". Notes belong to the list. */
static void tell_one(const struct problem *q, const char *line, const char *file)
{
    if (q->kind == PROBLEM_NOTE) {
        printf("%s%s%s\n", q->text, line[0] ? ", " : "", line);
    } else {
        fprintf(stderr, "%s: %s: %s\n", line[0] ? line : file,
                q->kind == PROBLEM_ERROR ? "error" : "warning", q->text);
    }
}

/* Print what was found, each with its source line where that is known. `linked`: the file that has
 * the lines, or NULL. */
static void tell(const struct problems *p, const char *file, const char *linked)
{
    static char lines[PROBLEMS_MAX][LINE_MAX_TEXT];
    uint64_t addresses[PROBLEMS_MAX];

    for (size_t i = 0; i < p->count; i++) {
        addresses[i] = p->list[i].address;
    }
    if (linked && p->count > 0) {
        lines_of(linked, addresses, p->count, lines);
    }
    for (size_t i = 0; i < p->count; i++) {
        if (!told_before(p, lines, i)) {
            tell_one(&p->list[i], lines[i], file);
        }
    }
    fflush(stdout);
    if (p->more > 0) {
        fprintf(stderr, "%s: and %zu more\n", file, p->more);
    }
}

static void list_names(const struct image *im)
{
    printf("image %s\nmeasured %llu\nmode %u\n", im->name, (unsigned long long)im->measured,
           im->head.mode);
    for (uint32_t i = 0; i < im->head.entries; i++) {
        printf("entry %s\n", im->entry_names[i]);
    }
    for (uint32_t i = 0; i < im->ocall_count; i++) {
        if (im->ocalls[i][0]) {
            printf("ocall %u %s\n", i, im->ocalls[i]);
        }
    }
}

/* `data`: the image's file, of which image_read or image_write knows. */
static void answer(const struct command *c, const struct image *im, const uint8_t *data)
{
    uint8_t identity[PAL_ID_SIZE];

    if (c->action == DO_NAMES) {
        list_names(im);
        return;
    }
    image_identity(data, im->measured, identity);
    if (c->action == DO_LIST) {
        list_image(stdout, im);
        printf("measured: the first %llu bytes of the image's file\nidentity ",
               (unsigned long long)im->measured);
    }
    if (c->action != DO_MAKE) {
        list_identity(stdout, identity);
        printf("\n");
    }
}

/* --- the two kinds of files ----------------------------------------------------------- */

/* What the code does, and the stack it needs; `f` may be NULL. */
static void check_code(const struct command *c, const struct image *im, const struct file *f,
                       struct problems *p)
{
    struct code code;

    if (code_read(&code, im, f, p)) {
        code_stacks(&code, p, c->action == DO_LIST);
    } else {
        problem(p, PROBLEM_ERROR, 0, "there is too little memory to read the code");
    }
    code_free(&code);
}

/* Is `f` what the image was made of? */
static bool made_of(const struct image *im, const struct file *f)
{
    const struct section *text = file_section(f, ".text");

    for (uint32_t i = 0; text && text->bytes && i < im->head.sections; i++) {
        if (im->sections[i].type == TV_SECTION_CODE && im->contents[i]) {
            return text->address == im->sections[i].address && text->filled <= im->filled[i]
                && memcmp(text->bytes, im->contents[i], text->filled) == 0;
        }
    }
    return false;
}

/* Check an image with the names of the file beside it, if there is one that is its own. */
static void check_named(const struct command *c, const struct image *im, struct problems *p)
{
    char name[4096];
    size_t size = 0;
    struct file f;
    uint8_t *data;
    bool good;

    snprintf(name, sizeof(name), "%s.elf", c->file);
    data = read_file(name, &size);
    good = data && !file_read(&f, data, size);
    if (good && made_of(im, &f)) {
        check_code(c, im, &f, p);
        fflush(stdout);
        tell(p, c->file, name);
    } else {
        check_code(c, im, NULL, p);
        fflush(stdout);
        tell(p, c->file, NULL);
    }
    if (good) {
        file_free(&f);
    }
    free(data);
}

static int lint_image(const struct command *c, const uint8_t *data, size_t size)
{
    static struct problems p;
    static struct image im;

    if (c->action == DO_MAKE) {
        fprintf(stderr, "pal-lint: %s is an image already\n", c->file);
        return 2;
    }
    if (!image_read(&im, data, size, &p)) {
        tell(&p, c->file, NULL);
        return 1;
    }
    answer(c, &im, data);
    if (c->action == DO_LIST) {
        image_check(&im, &p);
        check_named(c, &im, &p);
    }
    return p.errors ? 1 : 0;
}

/* Write the image, or list it. */
static int make(const struct command *c, const struct image *im, struct problems *p)
{
    size_t size = 0;
    uint8_t *data = p->errors ? NULL : image_write(im, &size);
    static struct image again;
    int status = 1;

    if (data && image_read(&again, data, size, p)) {
        status = c->action == DO_MAKE && !write_file(c->out, data, size) ? 2 : 0;
        answer(c, &again, data);
    }
    free(data);
    fflush(stdout);
    tell(p, c->file, c->file);
    return status;
}

static int lint_linked(const struct command *c, const uint8_t *data, size_t size)
{
    static struct problems p;
    static struct image im;
    struct file f;
    const char *wrong = file_read(&f, data, size);
    int status;

    if (wrong) {
        fprintf(stderr, "pal-lint: %s %s\n", c->file, wrong);
        return 2;
    }
    image_make(&im, &f, &c->options, &p);
    if (f.object) {
        if (c->action == DO_NAMES) {
            list_names(&im);
            status = 0;
        } else {
            fprintf(stderr, "pal-lint: %s isn't linked: use pal-cc\n", c->file);
            status = 2;
        }
    } else {
        image_check(&im, &p);
        linked_check(&f, &p);
        check_code(c, &im, &f, &p);
        status = make(c, &im, &p);
    }
    file_free(&f);
    return status;
}

/* --- the command line ---------------------------------------------------------------- */

static bool number(const char *text, uint64_t *to)
{
    char *end;

    errno = 0;
    *to = strtoull(text, &end, 0);
    if (errno || *end || end == text || *text == '-') {
        fprintf(stderr, "pal-lint: %s is no number\n", text);
        return false;
    }
    return true;
}

/* NAME of DIR/NAME.SUFFIX. */
static const char *stem(const char *path, char *to, size_t size)
{
    const char *name = strrchr(path, '/');

    snprintf(to, size, "%s", name ? name + 1 : path);
    to[strcspn(to, ".")] = 0;
    return to;
}

static const struct option long_options[] = {
    { "make", required_argument, NULL, 'm' },   { "name", required_argument, NULL, 'n' },
    { "header", required_argument, NULL, 'H' },
    { "stack", required_argument, NULL, 's' },  { "stacks", required_argument, NULL, 'S' },
    { "budget", required_argument, NULL, 'b' }, { "debug", no_argument, NULL, 'd' },
    { "identity", no_argument, NULL, 'i' },     { "names", no_argument, NULL, 'N' },
    { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
};

/* 0: go on; else the exit status plus 1. */
static int take_option(struct command *c, int option)
{
    switch (option) {
    case 'm': c->action = DO_MAKE; c->out = optarg; return 0;
    case 'n': c->options.name = optarg; return 0;
    case 'H': c->options.header = optarg; return 0;
    case 's': return number(optarg, &c->options.stack) ? 0 : 3;
    case 'S': return number(optarg, &c->options.stacks) ? 0 : 3;
    case 'b': return number(optarg, &c->options.budget) ? 0 : 3;
    case 'd': c->options.debug = true; return 0;
    case 'i': c->action = DO_IDENTITY; return 0;
    case 'N': c->action = DO_NAMES; return 0;
    case 'h': fputs(help, stdout); return 1;
    default: return 3;
    }
}

static int run(struct command *c)
{
    char name[PAL_DESCRIPTOR_NAME];
    size_t size = 0;
    uint8_t *data = read_file(c->file, &size);
    int status;

    if (!data) {
        fprintf(stderr, "pal-lint: %s: can't be read: %s\n", c->file,
                errno ? strerror(errno) : "it is too large");
        return 2;
    }
    c->options.otherwise = stem(c->out ? c->out : c->file, name, sizeof(name));
    status = image_is(data, size) ? lint_image(c, data, size) : lint_linked(c, data, size);
    free(data);
    return status;
}

int main(int argc, char **argv)
{
    struct command c = { .action = DO_LIST };
    int option, end = 0;

    while (end == 0 && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        end = take_option(&c, option);
    }
    if (end != 0) {
        return end - 1;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "usage: pal-lint [OPTION]... FILE; pal-lint --help tells more\n");
        return 2;
    }
    c.file = argv[optind];
    return run(&c);
}
