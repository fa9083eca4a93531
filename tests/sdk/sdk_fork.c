/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Another process, a child, a process with a recycled CR3 can't
 * call it", for images: a child has neither the handle nor the memory with the stubs, whether its
 * parent lives or not.   sdk_fork IMAGE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pal/host.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 40u   /* of each orphan */
#define OWNERS   10u
#define RANGES   32u
#define WORDS    4096u /* what entry 0 says (mistakes/pattern.c) */

static struct pal_image image;
static struct { uintptr_t from, to; } range[RANGES]; /* what children don't have */
static unsigned ranges, count, failed;
static sigjmp_buf caught;

static bool ok(bool good, const char *what)
{
    printf("%s %u - %s\n", good ? "ok" : "not ok", ++count, what);
    fflush(stdout);
    failed += !good;
    return good;
}

static void on_fault(int number)
{
    siglongjmp(caught, number);
}

static void read_image(const char *path)
{
    static uint8_t bytes[1 << 20] __attribute__((aligned(16)));
    FILE *file = fopen(path, "rb");

    image = (struct pal_image){ .name = "fork", .file = bytes };
    image.size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
    if (file) {
        fclose(file);
    }
}

static struct pal_handle *open_pal(void)
{
    struct pal_handle *pal = NULL;
    char text[PAL_TEXT];
    struct pal_status status = pal_open(&image, &pal);

    if (status.error != PAL_OK) {
        printf("# %s\n", pal_status_text(&status, text, sizeof(text)));
    }
    return pal;
}

static enum pal_error use(struct pal_handle *pal)
{
    pal_word words = 0;
    struct pal_status status = pal_call_entry(pal, 0, &words, (pal_word[]){ 1 }, 1);

    return status.error == PAL_OK && words != WORDS ? PAL_BAD_ARGUMENT : status.error;
}

/* The mappings of this process that fork doesn't copy. */
static void find_ranges(void)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    unsigned long from = 0, to = 0, first, last;

    ranges = 0;
    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2) {
            from = first;
            to = last;
        } else if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dc") && ranges < RANGES) {
            range[ranges].from = from;
            range[ranges++].to = to;
        }
    }
    if (maps) {
        fclose(maps);
    }
}

/* Does this page answer to a call? */
static bool answers_at(uintptr_t at)
{
    return sigsetjmp(caught, 1) == 0 && ((pal_word (*)(pal_word))at)(1) == WORDS;
}

/* How many of those pages answer, in a process that has no right to an answer. */
static unsigned served(void)
{
    unsigned answers = 0;

    for (unsigned i = 0; i < ranges; i++) {
        for (uintptr_t at = range[i].from; at < range[i].to; at += 4096) {
            answers += answers_at(at);
        }
    }
    return answers;
}

static bool gone(void)
{
    for (unsigned i = 0; i < ranges; i++) {
        if (msync((void *)range[i].from, 4096, MS_ASYNC) == 0 || errno != ENOMEM) {
            return false;
        }
    }
    return true;
}

static void on_faults(void)
{
    for (int number = 1; number < 32; number++) {
        if (number == SIGSEGV || number == SIGILL || number == SIGBUS || number == SIGTRAP) {
            signal(number, on_fault);
        }
    }
}

/* What a child, or a child's child, must meet: 0 if all is well. */
static int stranger(struct pal_handle *pal, unsigned generations)
{
    struct pal_status status = { .error = use(pal) };
    char text[PAL_TEXT];
    int bad = 0, low = 0;

    bad |= status.error != PAL_FORKED;
    bad |= strlen(pal_status_text(&status, text, sizeof(text))) < 20 ? 2 : 0;
    bad |= !gone() ? 4 : 0;
    on_faults();
    bad |= served() != 0 ? 8 : 0;
    if (generations != 0) {
        pid_t child = fork();
        if (child == 0) {
            _exit(stranger(pal, generations - 1));
        }
        waitpid(child, &low, 0);
        bad |= low != 0 ? 16 : 0;
        struct pal_handle *own = open_pal();
        bad |= !own || use(own) != PAL_OK ? 32 : 0;
        bad |= own && pal_close(own).error != PAL_OK ? 64 : 0;
    }
    return bad;
}

/* An owner that leaves an orphan behind, whose children may get its page table's place. */
static void owner(int answers)
{
    int gone_pipe[2];
    struct pal_handle *pal = open_pal();

    if (!pal || use(pal) != PAL_OK || pipe(gone_pipe) != 0) {
        _exit(1);
    }
    find_ranges();
    if (fork() != 0) {
        _exit(0); /* without unregistering */
    }
    close(gone_pipe[1]);
    char c;
    (void)!read(gone_pipe[0], &c, 1);
    usleep(20000); /* its memory goes a little later than its files */
    on_faults();
    for (unsigned i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            unsigned char answer = served() != 0 || use(pal) != PAL_FORKED;
            _exit(write(answers, &answer, 1) != 1);
        }
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

static void test_recycled(void)
{
    unsigned answered = 0, bad = 0;
    unsigned char answer;
    int answers[2];

    if (pipe(answers) != 0) {
        return;
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        pid_t child = fork();
        if (child == 0) {
            close(answers[0]);
            owner(answers[1]);
        }
        waitpid(child, NULL, 0);
    }
    close(answers[1]);
    while (read(answers[0], &answer, 1) == 1) {
        answered++;
        bad += answer;
    }
    printf("# %u children of orphans tried\n", answered);
    ok(answered == OWNERS * CHILDREN && bad == 0, "no child of a dead owner's child is served");
}

int main(int argc, char **argv)
{
    int status = -1;

    if (argc != 2) {
        fprintf(stderr, "usage: sdk_fork IMAGE\n");
        return 2;
    }
    read_image(argv[1]);
    struct pal_handle *pal = open_pal();
    if (!ok(pal && use(pal) == PAL_OK, "the parent's PAL works")) {
        printf("1..%u\n", count);
        return 1;
    }
    find_ranges();
    ok(ranges != 0, "some of its memory isn't copied by fork");
    pid_t child = fork();
    if (child == 0) {
        _exit(stranger(pal, 1));
    }
    waitpid(child, &status, 0);
    if (status != 0) {
        printf("# the child ended with %#x\n", status);
    }
    ok(status == 0, "child and grandchild: PAL_FORKED, no memory of it, a PAL of their own works");
    ok(use(pal) == PAL_OK, "the parent's still works");
    ok(pal_close(pal).error == PAL_OK, "and is closed");
    test_recycled();
    printf("1..%u\n", count);
    return failed != 0;
}
