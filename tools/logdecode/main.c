/* SPDX-License-Identifier: MIT */
/* logdecode: what a serial log's crash records mean, with call stacks. See
 * tools/man/logdecode.1. */
#define _GNU_SOURCE /* memmem */
#include <logdecode/image.h>
#include <logdecode/parse.h>
#include <logdecode/stack.h>
#include <logdecode/words.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX (64u << 20) /* bytes that are read */

/* Exit status: 0 a record was decoded, 1 there is none, 2 trouble. */
enum { FOUND, NONE, TROUBLE };

static const char usage[] =
    "usage: logdecode [--images DIR] [LOG]\n"
    "Find the hypervisor's crash records in a serial log (default: standard input), and say what\n"
    "happened: the exception, the call stack with source lines, the last exits.\n"
    "\n"
    "  --images DIR  folder with xmhf-core.elf, of this build or of several\n"
    "                (default: $XMHF_BUILD, or the current folder)\n"
    "  --help        this text\n"
    "\n"
    "Ends with 0 if there was a crash record, 1 if there was none, 2 if something went wrong or\n"
    "the file is no log of this hypervisor.\n";

static const char *const certainty_words[] = { "maybe ", "likely", "sure  " };

static const char *mark(bool guest_could)
{
    return guest_could ? "  [a guest could have written this]" : "";
}

/* --- one record --------------------------------------------------------------------- */

static void print_source(const struct source_frame *f, const char *lead)
{
    char name[128];

    if (f->inlined) {
        snprintf(name, sizeof(name), "%s (inlined)", f->name);
    } else {
        snprintf(name, sizeof(name), "%s+0x%llx", f->name, (unsigned long long)f->offset);
    }
    if (f->line) {
        printf("%s %-40s %s:%d\n", lead, name, f->file, f->line);
    } else {
        printf("%s %s\n", lead, name);
    }
}

static void print_frame(const struct image *img, const struct stack_frame *f, unsigned number)
{
    struct source_frame source[IMAGE_INLINED_MAX];
    unsigned n = image_frames(img, f->lookup, source, IMAGE_INLINED_MAX);
    char lead[48];

    snprintf(lead, sizeof(lead), "  #%-2u %s", number, certainty_words[f->certainty]);
    if (n == 0) {
        printf("%s 0x%llx, not in this image\n", lead, (unsigned long long)f->pc);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        print_source(&source[i], i ? "            " : lead);
    }
}

/* Frames that are the same as the one before are counted, not printed. */
static void print_stack(const struct image *img, const struct log_record *r)
{
    struct stack_frame f[STACK_FRAMES_MAX];
    unsigned n = stack_walk(img, r, f);

    printf("  call stack, innermost first:\n");
    for (unsigned i = 0; i < n;) {
        unsigned again = 1;

        if (f[i].after_gap) {
            printf("      ... %u words of the stack are not in the record\n", r->skipped);
        }
        print_frame(img, &f[i], i);
        while (i + again < n && f[i + again].pc == f[i].pc && !f[i + again].after_gap) {
            again++;
        }
        if (again > 1) {
            printf("      ... the same %u times more\n", again - 1);
        }
        i += again;
    }
}

static void print_insn(const struct image *img, const struct log_record *r)
{
    uint8_t b[8];
    size_t n = (r->has & REC_TRAP) ? image_bytes(img, r->rip, b, sizeof(b)) : 0;

    if (n) {
        printf("  instruction at 0x%llx:", (unsigned long long)r->rip);
        for (size_t i = 0; i < n; i++) {
            printf(" %02x", b[i]);
        }
        printf(n >= 2 && b[0] == 0x0f && b[1] == 0x32 ? " (RDMSR)\n"
               : n >= 2 && b[0] == 0x0f && b[1] == 0x30 ? " (WRMSR)\n" : " ...\n");
    }
}

static void print_bare(const struct log_record *r)
{
    printf("  addresses (nothing to look them up in):\n");
    if (r->has & REC_REGS) {
        printf("    rip   0x%llx\n", (unsigned long long)r->rip);
    }
    for (unsigned i = 0; i < r->words; i++) {
        printf("    stack 0x%llx\n", (unsigned long long)r->word[i].value);
    }
}

static void print_exits(const struct log_record *r)
{
    char text[240];

    for (unsigned i = 0, again; i < r->exits; i += again) {
        const struct log_exit *e = &r->exit[i];

        again = 1;
        while (i + again < r->exits && strcmp(r->exit[i + again].kind, e->kind) == 0
               && r->exit[i + again].raw == e->raw) {
            again++;
        }
        words_exit(r, e, text, sizeof(text));
        printf("%s    %s", i ? "" : "  last exits, newest first:\n", text);
        printf(again > 1 ? ", %u times\n" : "\n", again);
    }
}

static void print_place(const struct image *img, uint64_t rip)
{
    struct source_frame source[IMAGE_INLINED_MAX];
    unsigned n = image_frames(img, rip, source, IMAGE_INLINED_MAX);

    for (unsigned i = 0; i < n; i++) {
        print_source(&source[i], "    in");
    }
}

/* The others: where each was in the core, by its last NMI there, and its last exits. */
static void print_others(const struct image *img, const struct log_record *r)
{
    char text[240];

    for (unsigned i = 0; i < r->others; i++) {
        const struct log_other *o = &r->other[i];

        printf("  CPU %u: %s", o->cpu,
               strcmp(o->state, "silent") == 0 ? "didn't answer" : o->state);
        printf(o->rip ? ", last NMI in the core at rip 0x%llx rsp 0x%llx\n" : "\n",
               (unsigned long long)o->rip, (unsigned long long)o->rsp);
        if (img && o->rip) {
            print_place(img, o->rip);
        }
        for (unsigned e = 0; e < o->exits; e++) {
            words_exit(r, &o->exit[e], text, sizeof(text));
            printf("    %s %s\n", e ? "before it" : "last exit", text);
        }
    }
}

static void print_state(const struct log_record *r)
{
    if (!(r->has & REC_END)) {
        printf("  DAMAGED: its end is missing\n");
    } else if (!r->intact) {
        printf("  DAMAGED: its sum is wrong: characters or lines are lost or changed\n");
    }
    if (r->damaged) {
        printf("  DAMAGED: %u lines make no sense\n", r->damaged);
    }
}

static void print_registers(const struct log_record *r)
{
    if (r->has & REC_REGS) {
        printf("  rip 0x%llx rsp 0x%llx cr0 0x%llx cr3 0x%llx cr4 0x%llx\n",
               (unsigned long long)r->rip, (unsigned long long)r->rsp, (unsigned long long)r->cr0,
               (unsigned long long)r->cr3, (unsigned long long)r->cr4);
    }
}

/* The image of the record's build, with a word on it. */
static struct image *find_image(const struct log_record *r, const char *dir)
{
    unsigned seen = 0;
    struct image *img;

    if (!(r->has & REC_BUILD)) {
        printf("  no build id came through\n");
        return NULL;
    }
    img = image_find(dir, r->build_id, &seen);
    if (img) {
        printf("  build %s: %s\n", r->build_id, image_name(img));
    } else {
        printf("  build %s: none of the %u images (*.elf) in %s is of it; see --images\n",
               r->build_id, seen, dir);
    }
    return img;
}

static void print_record(const struct log_record *r, unsigned number, const char *dir)
{
    uint8_t insn[8];
    char text[400];
    size_t n = 0;

    printf("\nrecord %u, line %u: CPU %u, printed %s%s\n", number, r->line, r->cpu,
           r->at_boot ? "by the boot after it, from memory that a guest can write"
                      : "as it happened", mark(r->guest_could));
    if (r->same_as) {
        printf("  says the same as record %u\n", r->same_as);
        return;
    }
    print_state(r);
    struct image *img = find_image(r, dir);
    if (img) {
        n = image_bytes(img, r->rip, insn, sizeof(insn));
    }
    if (r->has & REC_TEXT) {
        printf("  said: %s\n", r->text);
    }
    words_exception(r, insn, n, text, sizeof(text));
    printf("  %s\n", text);
    print_registers(r);
    if (img && (r->has & REC_REGS)) {
        print_insn(img, r);
        print_stack(img, r);
    } else {
        print_bare(r);
    }
    print_exits(r);
    print_others(img, r);
    image_close(img);
}

/* --- what is no log of ours ------------------------------------------------------------ */

static bool has(const char *data, size_t size, const char *words)
{
    return memmem(data, size, words, strlen(words)) != NULL;
}

/* What a file is by its first bytes, and what to do; NULL: nothing known. */
static const char *kind_of(const char *data, size_t size)
{
    static const struct { const char *magic; const char *what; } kinds[] = {
        { "\177ELF", "an ELF file; the folder of images is named by --images" },
        { "\037\213", "gzip data: unpack it first, zcat FILE | logdecode" },
        { "\3757zXZ", "xz data: unpack it first, xzcat FILE | logdecode" },
        { "PK\3\4", "a zip archive: unpack it first" },
        { "# CPU: ", "a record of tools/probe: that is for  probe --check" },
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (size >= strlen(kinds[i].magic)
            && memcmp(data, kinds[i].magic, strlen(kinds[i].magic)) == 0) {
            return kinds[i].what;
        }
    }
    return size ? NULL : "empty: did the machine write to this serial port?";
}

/* The same for one without a line of the hypervisor. */
static const char *what_else(const char *data, size_t size)
{
    size_t odd = 0, head = size < 4096 ? size : 4096;

    if (has(data, size, "XMHCRASH")) {
        return "memory with a crash record in it; boot again, and the boot prints it "
               "on the serial port";
    }
    for (size_t i = 0; i < head; i++) {
        odd += data[i] == 0 || ((unsigned char)data[i] < 32 && !strchr("\t\n\r\f\033", data[i]));
    }
    if (odd > head / 10) {
        return "no text";
    }
    return has(data, size, "Linux version ") || has(data, size, "[    0.0000")
               ? "a Linux kernel's log without the hypervisor: was it a bare machine, or "
                   "another serial port?"
               : "some other text";
}

/* A line of the hypervisor is one with "[xmhf" in it, wherever it begins. */
static bool is_ours(const char *data, size_t size, const char *path)
{
    const char *what = kind_of(data, size);

    if (!what && has(data, size, "[xmhf")) {
        return true;
    }
    fprintf(stderr,
            "logdecode: %s is no serial log of this hypervisor, whose lines begin with "
            "[xmhf; it is %s\n",
            path ? path : "standard input", what ? what : what_else(data, size));
    return false;
}

/* --- the log ------------------------------------------------------------------------ */

static int print_all(const struct log_file *f, const char *dir)
{
    if (f->guest_start) {
        printf("%u lines; a guest could have written anything from line %u on\n", f->lines,
               f->guest_start);
    } else {
        printf("%u lines, none of them after the start of a guest\n", f->lines);
    }
    for (unsigned i = 0; i < f->notes; i++) {
        printf("line %u: %s%s\n", f->note[i].line, f->note[i].text, mark(f->note[i].guest_could));
    }
    for (unsigned i = 0; i < f->records; i++) {
        print_record(&f->record[i], i + 1, dir);
    }
    if (f->records_lost || f->notes_lost) {
        printf("\nleft out: %u more records, %u more lines\n", f->records_lost, f->notes_lost);
    }
    if (!f->records) {
        printf("no crash record: the hypervisor didn't crash, or the log ends before "
               "it could say so\n");
    }
    return f->records ? FOUND : NONE;
}

/* All of a file, up to LOG_MAX bytes. */
static char *read_log(FILE *file, size_t *size)
{
    size_t room = 1 << 16;
    char *data = malloc(room);

    *size = 0;
    while (data && *size < LOG_MAX) {
        size_t n = fread(data + *size, 1, room - *size, file);
        *size += n;
        if (n == 0) {
            break;
        }
        if (*size == room) {
            char *more = realloc(data, room *= 2);
            if (!more) {
                free(data);
            }
            data = more;
        }
    }
    return data;
}

static int decode(const char *path, const char *dir)
{
    static struct log_file parsed;
    FILE *file = path ? fopen(path, "rb") : stdin;
    size_t size = 0;
    char *data = file ? read_log(file, &size) : NULL;
    int status = TROUBLE;

    if (!data || ferror(file)) {
        fprintf(stderr, "logdecode: can't read %s: %s\n", path ? path : "standard input",
                strerror(errno));
    } else {
        if (size >= LOG_MAX) {
            fprintf(stderr, "logdecode: only the first %u MiB are looked at\n", LOG_MAX >> 20);
        }
        if (is_ours(data, size, path)) {
            log_parse(data, size, &parsed);
            status = print_all(&parsed, dir);
        }
    }
    free(data);
    if (file && path) {
        fclose(file);
    }
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "images", required_argument, NULL, 'i' }, { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    const char *dir = getenv("XMHF_BUILD");

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c != 'i') {
            fputs("try logdecode --help\n", stderr);
            return TROUBLE;
        }
        dir = optarg;
    }
    if (argc - optind > 1) {
        fputs(usage, stderr);
        return TROUBLE;
    }
    return decode(optind < argc ? argv[optind] : NULL, dir ? dir : ".");
}
