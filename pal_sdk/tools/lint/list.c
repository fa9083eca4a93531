/* SPDX-License-Identifier: MIT */
/* What an image is, for people. */
#include "list.h"

#include <stdio.h>

static void list_head(FILE *to, const struct image *im)
{
    static const char *const conventions[] = { "?", "cdecl", "System V", "Microsoft" };
    const struct xmhf_image *h = &im->head;

    fprintf(to, "image %s: %u bits, convention %s, %u stack%s, budget ", im->name, h->mode,
            conventions[h->convention <= XMHF_MICROSOFT ? h->convention : 0], h->stacks,
            h->stacks == 1 ? "" : "s");
    if (h->budget) {
        fprintf(to, "%llu ticks", (unsigned long long)h->budget);
    } else {
        fprintf(to, "unlimited");
    }
    fprintf(to, "%s\n", h->flags & XMHF_IMAGE_DEBUG ? ", debug: its process can read it" : "");
}

static void list_sections(FILE *to, const struct image *im)
{
    unsigned long long pages = 0;

    for (uint32_t i = 0; i < im->head.sections; i++) {
        const struct xmhf_image_section *s = &im->sections[i];

        fprintf(to, "section %2u  %-6s 0x%08llx  %u page%s\n", i, image_section_type(s->type),
                (unsigned long long)s->address, s->pages, s->pages == 1 ? "" : "s");
        pages += s->pages;
    }
    fprintf(to, "%llu pages in all\n", pages);
}

static void list_param(FILE *to, const struct xmhf_image_param *q, uint32_t i)
{
    static const char *const directions[] = { "?", "in", "out", "in-out" };
    const char *direction = directions[q->direction <= XMHF_INOUT ? q->direction : 0];

    if (q->type == TV_PARAM_INTEGER) {
        fprintf(to, "    parameter %2u  integer\n", i);
    } else if (q->type == XMHF_PARAM_OCALL) {
        fprintf(to, "    parameter %2u  ocalls, up to %u bytes\n", i, q->size);
    } else if (q->type != TV_PARAM_POINTER) {
        fprintf(to, "    parameter %2u  ?\n", i);
    } else if (q->counted_by) {
        fprintf(to, "    parameter %2u  pointer, %s, at most %u bytes, %u for each of parameter "
                "%u\n", i, direction, q->size, q->unit, q->counted_by - 1);
    } else {
        fprintf(to, "    parameter %2u  pointer, %s, %u bytes\n", i, direction, q->size);
    }
}

static void list_entries(FILE *to, const struct image *im)
{
    uint32_t first = 0;

    for (uint32_t e = 0; e < im->head.entries; e++) {
        fprintf(to, "entry %2u  %s at 0x%llx\n", e, im->entry_names[e],
                (unsigned long long)im->entries[e].address);
        for (uint32_t i = 0; i < im->entries[e].params && first < im->head.params; i++) {
            list_param(to, &im->params[first++], i);
        }
    }
    for (uint32_t i = 0; i < im->ocall_count; i++) {
        if (im->ocalls[i][0]) {
            fprintf(to, "ocall %2u  %s\n", i, im->ocalls[i]);
        }
    }
    if (im->gate) {
        fprintf(to, "gate at 0x%llx\n", (unsigned long long)im->gate);
    }
}

void list_image(FILE *to, const struct image *im)
{
    list_head(to, im);
    list_sections(to, im);
    list_entries(to, im);
}

void list_identity(FILE *to, const uint8_t identity[PAL_ID_SIZE])
{
    for (unsigned i = 0; i < PAL_ID_SIZE; i++) {
        fprintf(to, "%02x", identity[i]);
    }
}
