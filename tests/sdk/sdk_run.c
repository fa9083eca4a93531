/* SPDX-License-Identifier: MIT */
/*
 * Runs images of the mistakes: calls their entries with the arguments that it is told, prints how
 * each call ended, and looks for the pattern of their DATA (mistakes/leak.h) in everything that
 * came out: results, buffers, registers, all of this process' memory.
 *
 *     sdk_run KEY [--hold] IMAGE CALL... [-- IMAGE CALL...]...
 *
 * A call is one argument, "ENTRY ARGUMENT...": a number; iN: N bytes 0, 1, 2, ...; wN: N words 1,
 * 2, 3, ...; oN: room for N bytes. Lines, which tests/sdk/run.py reads:
 *     image FILE / open ERROR TEXT / call ERROR WORD=VALUE... / leak WHERE / kept N / found N M
 * `found N M`: N words of the pattern in the sections of the image, as native mode has them, M
 * anywhere else; what is somewhere else is a leak.
 */
#define _GNU_SOURCE
#include "memory.h"
#include "mistakes/leak.h"
#include "mistakes/ocall_interface.h"
#include <pal/host.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmhf/image.h>

#define ROOM 512u      /* bytes of a buffer */
#define GUARD 0xee     /* what is around it */
#define BUFFERS 8u

static uint32_t key;
static unsigned leaks;
static uint8_t buffers[BUFFERS][3 * ROOM];
static struct { const uint8_t *data; size_t size; bool out; } used[BUFFERS];
static unsigned buffers_used;
static const struct pal_image *current;
static struct pal_handle *current_pal;

static void leak(const char *where)
{
    leaks++;
    printf("leak %s\n", where);
}

/* How many words of the pattern are at any byte of this memory. */
static uint64_t count_pattern(const uint8_t *bytes, size_t size)
{
    uint64_t found = 0, word;

    for (size_t i = 0; i + sizeof(word) <= size; i++) {
        memcpy(&word, bytes + i, sizeof(word));
        found += leak_is(word, key) != 0;
    }
    return found;
}

/* --- the image file -------------------------------------------------------------------------- */

static const struct xmhf_image *image_head(const struct pal_image *image)
{
    return (const void *)((const uint8_t *)image->file + XMHF_IMAGE_MAGIC_SIZE);
}

static const struct xmhf_image_section *image_sections(const struct pal_image *image)
{
    return (const void *)(image_head(image) + 1);
}

static const uint8_t *image_notes(const struct pal_image *image)
{
    const struct xmhf_image *head = image_head(image);
    const struct xmhf_image_section *s = image_sections(image);
    const uint8_t *at = (const uint8_t *)head + head->size;

    for (uint32_t i = 0; i < head->sections; i++) {
        if (s[i].type == TV_SECTION_CODE || s[i].type == XMHF_SECTION_RODATA
            || s[i].type == TV_SECTION_DATA) {
            at += (size_t)s[i].pages * 4096;
        }
    }
    return at;
}

/* The number of the entry with this name, or the number of entries. */
static uint32_t image_entry(const struct pal_image *image, const char *name, size_t length)
{
    const char *at = (const char *)image_notes(image) + sizeof(struct xmhf_image_notes);
    uint32_t entries = image_head(image)->entries;

    at += strlen(at) + 1; /* the image's own name */
    for (uint32_t i = 0; i < entries; i++) {
        if (strlen(at) == length && memcmp(at, name, length) == 0) {
            return i;
        }
        at += strlen(at) + 1;
    }
    return entries;
}

static bool image_read(const char *path, struct pal_image *image)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size = -1;

    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0) {
        bytes = malloc((size_t)size);
        rewind(file);
    }
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        size = -1;
    }
    if (file) {
        fclose(file);
    }
    *image = (struct pal_image){ .name = "mistake", .file = bytes, .size = (size_t)size };
    return size > 0;
}

/* --- a call ---------------------------------------------------------------------------------- */

static uint8_t *new_buffer(size_t size, bool out)
{
    uint8_t *all = buffers[buffers_used % BUFFERS], *data = all + ROOM;

    memset(all, GUARD, sizeof(buffers[0]));
    used[buffers_used++ % BUFFERS].data = data;
    used[(buffers_used - 1) % BUFFERS].size = size;
    used[(buffers_used - 1) % BUFFERS].out = out;
    return data;
}

static pal_word argument(const char *word)
{
    size_t n = strtoul(word + 1, NULL, 0);
    uint8_t *data;

    if (word[0] != 'i' && word[0] != 'w' && word[0] != 'o') {
        return (pal_word)strtoull(word, NULL, 0);
    }
    data = new_buffer(word[0] == 'w' ? 4 * n : n, word[0] == 'o');
    for (size_t i = 0; i < n && word[0] == 'i'; i++) {
        data[i] = (uint8_t)i;
    }
    for (uint32_t i = 0; i < n && word[0] == 'w'; i++) {
        memcpy(data + 4 * i, &(uint32_t){ i + 1 }, 4);
    }
    if (word[0] == 'o') {
        memset(data, 0x99, n);
    }
    return (pal_word)(uintptr_t)data;
}

/* What the call may not have changed, and what it may not have brought. */
static void check_buffers(void)
{
    for (unsigned i = 0; i < buffers_used; i++) {
        const uint8_t *data = used[i].data;

        if (count_pattern(buffers[i], sizeof(buffers[i])) != 0) {
            leak("buffer");
        }
        for (size_t j = 0; j < ROOM; j++) {
            if (buffers[i][j] != GUARD || data[used[i].size + j] != GUARD) {
                leak("a byte beside a buffer has changed");
                break;
            }
        }
        for (size_t j = 0; j < used[i].size && !used[i].out; j++) {
            /* An "in" buffer is as it was: bytes that count, or words. */
            if (data[j] != (uint8_t)j && data[j] != (j % 4 ? 0 : j / 4 + 1)) {
                leak("a buffer that only goes in has changed");
                break;
            }
        }
    }
}

static void print_buffers(void)
{
    for (unsigned i = 0; i < buffers_used; i++) {
        if (used[i].out) {
            printf(" out=");
            for (size_t j = 0; j < used[i].size; j++) {
                printf("%02x", used[i].data[j]);
            }
        }
    }
}

static const char *section_name(const struct pal_image *image, unsigned number)
{
    if (number >= image_head(image)->sections) {
        return "none";
    }
    switch (image_sections(image)[number].type) {
    case TV_SECTION_CODE: return "CODE";
    case TV_SECTION_DATA: return "DATA";
    case TV_SECTION_PARAM: return "PARAM";
    case TV_SECTION_STACK: return "STACK";
    case XMHF_SECTION_RODATA: return "RODATA";
    case XMHF_SECTION_BSS: return "BSS";
    default: return "?";
    }
}

static void print_status(const struct pal_image *image, const struct pal_status *status)
{
    char text[400];

    if (status->error == PAL_DIED) {
        printf(" death=%u vector=%u section=%s offset=%#x address=%#llx", status->death,
               status->vector, section_name(image, status->section), status->offset,
               (unsigned long long)status->address);
    }
    printf(" text=%s", pal_status_text(status, text, sizeof(text)));
    if (count_pattern((const uint8_t *)text, sizeof(text)) != 0) {
        leak("the sentence");
    }
}

static void check_registers(void)
{
    struct registers registers;

    registers_keep(&registers);
    /* In native mode nobody clears them. */
    if (!pal_is_native() && count_pattern((const uint8_t *)&registers, sizeof(registers)) != 0) {
        leak("register");
    }
}

static enum pal_error call_entry(struct pal_handle *pal, const struct pal_image *image,
                                 const char *call)
{
    char words[256];
    pal_word args[XMHF_IMAGE_ENTRY_PARAMS + 1], result = 0x1e5017;
    unsigned n = 0;
    struct pal_status status;

    buffers_used = 0;
    snprintf(words, sizeof(words), "%s", call);
    char *name = strtok(words, " ");
    for (char *word; (word = strtok(NULL, " ")) && n <= XMHF_IMAGE_ENTRY_PARAMS; n++) {
        args[n] = argument(word);
    }
    status = pal_call_entry(pal, image_entry(image, name, strlen(name)), &result, args, n);
    check_registers();
    if (count_pattern((const uint8_t *)&status, sizeof(status)) != 0) {
        leak("status");
    }
    printf("call %d result=%#llx", (int)status.error, (unsigned long long)result);
    print_buffers();
    if (status.error != PAL_OK) {
        print_status(image, &status);
    }
    printf("\n");
    fflush(stdout);
    check_buffers();
    return status.error;
}

/* --- all memory ------------------------------------------------------------------------------ */

struct search {
    const struct pal_image *image;
    uint64_t inside, outside;
};

/* One piece of this process' memory. */
static void search_piece(void *with, uint64_t address, const uint8_t *bytes, size_t size)
{
    struct search *s = with;
    const struct xmhf_image_section *section = image_sections(s->image);
    uint64_t found = count_pattern(bytes, size);
    bool inside = false;

    for (uint32_t i = 0; i < image_head(s->image)->sections; i++) {
        inside |= address >= section[i].address
            && address < section[i].address + (uint64_t)section[i].pages * 4096;
    }
    *(inside ? &s->inside : &s->outside) += found;
}

static void search_memory(const struct pal_image *image)
{
    struct search s = { .image = image };

    memory_pieces(search_piece, &s);
    if (s.outside != 0 || (s.inside != 0 && !pal_is_native())) {
        leak("memory of the process");
    }
    printf("found %llu %llu\n", (unsigned long long)s.inside, (unsigned long long)s.outside);
}

/* What a PAL asks for: each byte of the question and one; the last one is how a call of the PAL
 * from here ended. */
uint32_t mistake_ocall_ask(uint32_t n, const uint8_t question[16], uint8_t answer[16])
{
    struct pal_status status = pal_call_entry(current_pal, 0, NULL, (pal_word[]){ key }, 1);

    for (unsigned i = 0; i < 15; i++) {
        answer[i] = (uint8_t)(question[i] + 1);
    }
    answer[15] = (uint8_t)status.error;
    search_memory(current);
    return n + 100;
}

/* --- one image ------------------------------------------------------------------------------- */

static void count_words(struct pal_handle *pal, const struct pal_image *image, const char *entry)
{
    pal_word result = 0;
    struct pal_status status = pal_call_entry(pal, image_entry(image, entry, strlen(entry)),
                                              &result, (pal_word[]){ key }, 1);

    check_registers();
    if (status.error == PAL_OK) {
        printf("kept %llu\n", (unsigned long long)result);
    } else {
        printf("kept -%d", (int)status.error);
        print_status(image, &status);
        printf("\n");
    }
    fflush(stdout);
}

/* Wait for a line, so that somebody else can search memory meanwhile. */
static void hold(void)
{
    printf("ready\n");
    fflush(stdout);
    (void)!getchar();
}

static void run_image(const char *path, int calls, char **call, bool held)
{
    struct pal_image image;
    struct pal_handle *pal = NULL;
    struct pal_status status;
    bool alive = true;

    printf("image %s\n", path);
    fflush(stdout);
    if (!image_read(path, &image)) {
        printf("open -1 can't be read\n");
        return;
    }
    status = pal_open(&image, &pal);
    current = &image;
    current_pal = pal;
    printf("open %d", (int)status.error);
    if (status.error != PAL_OK) {
        print_status(&image, &status);
    }
    printf("\n");
    if (status.error == PAL_OK) {
        count_words(pal, &image, "pattern_fill");
        for (int i = 0; i < calls && alive; i++) {
            alive = call_entry(pal, &image, call[i]) != PAL_DIED;
        }
        if (alive && !pal_is_native()) { /* there the program would save what it finds in them */
            count_words(pal, &image, "pattern_spread");
        }
        if (alive) {
            count_words(pal, &image, "pattern_kept");
        }
        if (held) {
            hold();
        }
        search_memory(&image);
        pal_close(pal);
        printf("closed\n");
        search_memory(&image);
    }
    free((void *)(uintptr_t)image.file);
}

int main(int argc, char **argv)
{
    bool held = argc > 2 && strcmp(argv[2], "--hold") == 0;
    int at = held ? 3 : 2;

    if (argc <= at) {
        fprintf(stderr, "usage: sdk_run KEY [--hold] IMAGE CALL... [-- IMAGE CALL...]...\n");
        return 2;
    }
    key = (uint32_t)strtoul(argv[1], NULL, 0);
    while (at < argc) {
        int end = at;

        while (end < argc && strcmp(argv[end], "--") != 0) {
            end++;
        }
        run_image(argv[at], end - at - 1, argv + at + 1, held);
        at = end + 1;
    }
    printf("end\n");
    return leaks != 0;
}
