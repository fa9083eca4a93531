/* SPDX-License-Identifier: MIT */
/*
 * The descriptor of an image, from a hostile process: whatever is accepted makes sense in 64-bit
 * arithmetic. The input is a byte for the caller's mode, then 10-byte edits of a good descriptor,
 * whose size is set right unless it was edited.
 */
#include "hypapps/trustvisor/check_image.h"
#include <stdlib.h>
#include <string.h>

#define CHECK(cond) do { if (!(cond)) { abort(); } } while (0)
#define BASE   0x10000000ULL
#define SOURCE 0x40000000ULL
#define STUBS  0x30000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tv_descriptor d;
static struct xmhf_image_param params[XMHF_IMAGE_PARAMS];
static struct tv_image_lists lists;
static struct tv_param out[XMHF_IMAGE_PARAMS];
static struct tv_image im = {
    .sections = lists.sections, .params = out, .entries = lists.entries,
};

/* CODE, DATA and BSS, then STACK and PARAM in turn; entries with all kinds of parameters. */
static void good_descriptor(bool is_64)
{
    static const uint32_t type[] = { TV_SECTION_CODE, TV_SECTION_DATA, XMHF_SECTION_BSS };

    memset(&d, 0, sizeof(d));
    d.image = (struct xmhf_image){
        .version = XMHF_IMAGE_VERSION, .mode = is_64 ? 64 : 32,
        .convention = is_64 ? XMHF_SYSV : XMHF_CDECL, .stacks = 2, .sections = 7, .params = 8,
        .entries = 2, .stubs = STUBS,
    };
    for (uint32_t i = 0; i < XMHF_IMAGE_SECTIONS; i++) {
        d.sections[i] = (struct xmhf_image_section){
            i < 3 ? type[i] : i % 2 ? TV_SECTION_STACK : TV_SECTION_PARAM, 1,
            BASE + 2 * i * PAGE_SIZE, i < 2 ? SOURCE + i * PAGE_SIZE : 0,
        };
    }
    for (uint32_t i = 0; i < XMHF_IMAGE_PARAMS; i++) {
        static const struct xmhf_image_param good[4] = {
            { TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 }, { TV_PARAM_POINTER, XMHF_OUT, 80, 1, 4 },
            { TV_PARAM_POINTER, XMHF_INOUT, 7, 0, 0 }, { XMHF_PARAM_OCALL, XMHF_INOUT, 64, 0, 0 },
        };
        params[i] = good[i % 4];
    }
    for (uint32_t i = 0; i < XMHF_IMAGE_ENTRIES; i++) {
        d.entries[i] = (struct xmhf_image_entry){ BASE + i, 4, 0 };
    }
    d.params = params;
}

/* Two, four or eight bytes anywhere, any value or a small one. */
static void edit(const uint8_t *at)
{
    const size_t before = offsetof(struct tv_descriptor, params), all = before + sizeof(params);
    uint8_t value[8];
    uint16_t where;
    uint64_t v;

    memcpy(&where, at, 2);
    memcpy(&v, at + 2, 8);
    v = where & 0x8000 ? v : v % 80;
    memcpy(value, &v, 8);
    for (size_t i = 0; i < (where & 0x4000 ? 8u : where & 0x2000 ? 2u : 4u); i++) {
        size_t byte = (where & 0x1fff) % (all / 2) * 2 + i;
        if (byte < before) {
            ((uint8_t *)&d)[byte] = value[i];
        } else if (byte < all) {
            ((uint8_t *)params)[byte - before] = value[i];
        }
    }
}

static bool has_source(uint32_t type)
{
    return type == TV_SECTION_CODE || type == TV_SECTION_DATA || type == XMHF_SECTION_RODATA;
}

static void expect_sane_sections(uint64_t end)
{
    uint64_t pages = 0, next = PAGE_SIZE;
    uint32_t sources = 1;

    CHECK(im.section_count == d.image.sections && im.section_count >= 1
          && im.section_count <= XMHF_IMAGE_SECTIONS);
    for (uint32_t i = 0; i < im.section_count; i++) {
        const struct tv_section *s = &im.sections[i];
        CHECK(s->start == d.sections[i].address && s->pages == d.sections[i].pages && s->pages > 0);
        CHECK(s->start % PAGE_SIZE == 0 && s->start >= next && s->start < end
              && tv_section_end(s) <= end);
        CHECK(s->first == pages && s->fresh == !has_source(s->type));
        CHECK(s->fresh ? s->source == 0
                       : s->source % PAGE_SIZE == 0 && s->source != 0 && tv_source_end(s) <= end);
        pages += s->pages;
        sources += !s->fresh;
        next = tv_section_end(s) + PAGE_SIZE;
    }
    CHECK(pages == im.pages && pages <= TV_PAGES_MAX && sources == im.sources);
    for (uint32_t i = 1; i < im.sources; i++) { /* the page of stubs is among them */
        CHECK(tv_source_end(&im.sections[im.order[i - 1]]) <= im.sections[im.order[i]].source);
    }
    CHECK(im.entry == STUBS && im.sections[im.section_count].source == STUBS);
}

/* The data of each call fits its PARAM section, and no two of it share a byte. */
static void expect_sane_params(const struct tv_entry *e)
{
    uint64_t end = 0;
    unsigned ocalls = 0;

    for (uint32_t i = e->first; i < (uint32_t)e->first + e->params; i++) {
        const struct tv_param *p = &im.params[i];
        ocalls += p->type == XMHF_PARAM_OCALL;
        CHECK(p->type == TV_PARAM_POINTER || p->bytes == 0);
        CHECK(p->direction >= XMHF_IN && p->direction <= XMHF_INOUT && p->offset >= end
              && p->offset % 16 == 0);
        if (p->counted_by != 0) {
            CHECK(p->counted_by <= e->params && p->unit != 0 && p->bytes % p->unit == 0);
            CHECK(im.params[e->first + p->counted_by - 1].type == TV_PARAM_INTEGER);
            CHECK(p->type == TV_PARAM_POINTER && im.has_counts);
        }
        end = p->offset + (uint64_t)p->bytes;
        CHECK(p->bytes == 0 || im.has_data);
        for (uint32_t k = 0; k < im.stacks && p->type == TV_PARAM_POINTER; k++) {
            const struct tv_section *area = tv_section_nth(&im, TV_SECTION_PARAM, k);
            CHECK(area && end <= area->pages * PAGE_SIZE && e->area <= area->pages * PAGE_SIZE);
        }
    }
    CHECK(ocalls <= 1 && end <= e->area && e->area <= TV_AREA_MAX);
}

static void expect_sane_entries(void)
{
    uint32_t params_of_all = 0;

    CHECK(im.entry_count == d.image.entries && im.stacks >= 1 && im.stacks <= XMHF_IMAGE_STACKS);
    for (uint32_t k = 0; k < im.stacks; k++) {
        CHECK(tv_section_nth(&im, TV_SECTION_STACK, k) != NULL);
    }
    CHECK(tv_section_nth(&im, TV_SECTION_STACK, im.stacks) == NULL);
    for (uint32_t i = 0; i < im.entry_count; i++) {
        const struct tv_entry *e = &im.entries[i];
        const struct tv_section *code = tv_section_at(&im, e->va);
        CHECK(code && code->type == TV_SECTION_CODE && e->first == params_of_all);
        CHECK(e->params <= XMHF_IMAGE_ENTRY_PARAMS);
        params_of_all += e->params;
        expect_sane_params(e);
    }
    CHECK(params_of_all == im.param_count && params_of_all == d.image.params
          && params_of_all <= XMHF_IMAGE_PARAMS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_64;

    if (size < 1) {
        return 0;
    }
    is_64 = data[0] & 1;
    good_descriptor(is_64);
    for (size_t at = 1; at + 10 <= size; at += 10) {
        edit(data + at);
    }
    d.params = params;
    if (d.image.size == 0) {
        d.image.size = (uint32_t)XMHF_IMAGE_SIZE(d.image.sections, d.image.params,
                                                 d.image.entries);
    }
    if (tv_check_image_head(&d.image, STUBS, is_64) == TV_OK
        && tv_check_image(&d, is_64, &im) == TV_OK) {
        expect_sane_sections(is_64 ? TV_USER_END : TV_USER_END_32);
        expect_sane_entries();
    }
    return 0;
}
