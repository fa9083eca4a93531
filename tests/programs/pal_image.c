/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "No register of a PAL is seen by the OS at an interrupt, at
 * return or at death", for images; and shows that the hypervisor computes the identity that
 * pal-lint prints.
 *
 * Registers an image by include/xmhf/image.h alone, without the SDK's library, and calls its first
 * three entries, those of tests/sdk/mistakes/pattern_interface.h, which leave words of a pattern in
 * memory and in registers. None may come out.   pal_image KEY FILE IDENTITY
 */
#define _GNU_SOURCE
#include "tap.h"
#include "regs.h"
#include "../sdk/mistakes/leak.h"
#include <sys/mman.h>
#include <xmhf/image.h>

struct regs_seen {
    pal_word gpr[16], flags, segments[6], xcr0;
    uint8_t gap[SEEN_XSTATE - 24 * W];
    uint8_t xstate[XSTATE_ROOM];
} __attribute__((aligned(PAGE)));

void regs_call(void);
struct regs_seen regs_before, regs_after;
uint8_t regs_image[PAGE] __attribute__((aligned(64)));
int regs_have_xsave; /* 0: FXSAVE, so x87 and SSE are looked at */
pal_word regs_args[4];
const void *regs_entry;
pal_word regs_sp;

static uint32_t key;
static uint8_t file[1 << 20];
static struct xmhf_image *head = (void *)(file + XMHF_IMAGE_MAGIC_SIZE);
static uint8_t *stubs;
static void *memory[XMHF_IMAGE_SECTIONS];

static bool holds_pattern(const void *at, size_t size)
{
    const uint8_t *bytes = at;
    uint64_t word;

    for (size_t i = 0; i + sizeof(word) <= size; i++) {
        memcpy(&word, bytes + i, sizeof(word));
        if (leak_is(word, key)) {
            return true;
        }
    }
    return false;
}

static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        puts("Bail out! no memory");
        exit(99);
    }
    return p;
}

static struct xmhf_image_section *section_of(uint32_t i)
{
    return (struct xmhf_image_section *)(head + 1) + i;
}

static void read_image(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (!f || fread(file, 1, sizeof(file), f) < sizeof(*head)) {
        printf("Bail out! can't read %s\n", path);
        exit(99);
    }
    fclose(f);
}

/* Where the caller's bytes are, as the hypervisor is told. */
static void lay_out(void)
{
    const uint8_t *contents = (const uint8_t *)head + head->size;

    for (uint32_t i = 0; i < head->sections; i++) {
        struct xmhf_image_section *s = section_of(i);
        size_t size = (size_t)s->pages * PAGE;

        if (s->type != TV_SECTION_CODE && s->type != XMHF_SECTION_RODATA
            && s->type != TV_SECTION_DATA) {
            continue;
        }
        memory[i] = pages(size);
        memcpy(memory[i], contents, size);
        contents += size;
        s->source = (uintptr_t)memory[i];
    }
    stubs = pages(PAGE);
    head->stubs = (uintptr_t)stubs;
}

/* One call with the key. Its result. */
static pal_word call(uint32_t entry)
{
    memset(regs_image, 0x3c, sizeof(regs_image));
    memset(regs_image + 24, 0, 8);
    memcpy(regs_image, &(uint16_t){ 0x37f }, 2);
    memcpy(regs_image + 24, &(uint32_t){ 0x1f80 }, 4);
    regs_args[0] = key;
    regs_entry = (const void *)(uintptr_t)XMHF_IMAGE_STUB((uintptr_t)stubs, entry);
    memset(&regs_after, 0, sizeof(regs_after));
    regs_call();
    return regs_after.gpr[0];
}

static void look(const char *when)
{
    bool there = false;

    for (uint32_t i = 0; i < head->sections; i++) {
        there |= memory[i] && holds_pattern(memory[i], (size_t)section_of(i)->pages * PAGE);
    }
    ok(!there, "no word of the pattern is in the sections' places %s", when);
    ok(!holds_pattern(&regs_after, sizeof(regs_after)), "nor in a register %s", when);
    ok(!holds_pattern(stubs, PAGE), "nor in the page of stubs %s", when);
}

static void check_identity(const char *wanted)
{
    struct xmhf_pal_stats stats;
    char text[2 * sizeof(stats.identity) + 1];

    memset(&stats, 0, sizeof(stats));
    tap_no_error(pal_hypercall(XMHF_HC_PAL_STATS, (uintptr_t)&stats, 0, sizeof(stats),
                               (uintptr_t)stubs), "statistics");
    for (unsigned i = 0; i < sizeof(stats.identity); i++) {
        snprintf(text + 2 * i, 3, "%02x", stats.identity[i]);
    }
    ok(strcmp(text, wanted) == 0, "the hypervisor's identity is %s", text);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: pal_image KEY FILE IDENTITY\n");
        return 2;
    }
    tap_need_hypervisor();
    key = (uint32_t)strtoul(argv[1], NULL, 0);
    read_image(argv[2]);
    lay_out();
    if (!tap_no_error(pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)head, 0, 0,
                                    (uintptr_t)stubs), "registration")) {
        return tap_end();
    }
    check_identity(argv[3]);
    ok(call(0) == LEAK_WORDS, "the PAL filled its DATA with the pattern");
    look("after that");
    ok(call(1) == LEAK_WORDS, "the PAL finds it there");
    look("then");
    ok(call(2) == LEAK_WORDS, "the PAL fills registers with it");
    look("after that, too");
    tap_no_error(pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0, 0, 0), "the end");
    look("when it is unregistered");
    return tap_end();
}
