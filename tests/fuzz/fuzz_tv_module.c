/* SPDX-License-Identifier: MIT */
/*
 * The structure of the module interface, from a hostile process: whatever is accepted makes sense
 * in 64-bit arithmetic. The input is a byte for the caller's mode, then 10-byte edits of a good
 * structure.
 */
#include "hypapps/trustvisor/check_module.h"
#include <stdlib.h>
#include <string.h>

#define CHECK(cond) do { if (!(cond)) { abort(); } } while (0)
#define BASE 0x10000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xmhf_module d;
static struct tv_module_lists lists;
static struct tv_image im = {
    .sections = lists.sections, .params = lists.params, .entries = lists.entries,
};

/* CODE, then STACK and PARAM in turn; pointers of all directions. */
static void good_structure(bool is_64)
{
    memset(&d, 0, sizeof(d));
    d.size = sizeof(d);
    d.version = XMHF_MODULE_VERSION;
    d.convention = is_64 ? XMHF_SYSV : XMHF_CDECL;
    d.sections = 5;
    d.params = 4;
    d.entries = 2;
    d.stacks = 2;
    for (uint32_t i = 0; i < XMHF_MODULE_SECTIONS; i++) {
        d.section[i] = (struct xmhf_module_section){
            i == 0 ? TV_SECTION_CODE : i % 2 ? TV_SECTION_STACK : TV_SECTION_PARAM, 0, 1,
            BASE + 2 * i * PAGE_SIZE,
        };
    }
    for (uint32_t i = 0; i < XMHF_MODULE_PARAMS; i++) {
        d.param[i].type = i % 4 ? TV_PARAM_POINTER : TV_PARAM_INTEGER;
        d.param[i].direction = i % 4 ? i % 4 : XMHF_IN;
        d.param[i].size = i % 4 ? 20 * i : 0;
    }
    for (uint32_t i = 0; i < XMHF_MODULE_ENTRIES; i++) {
        d.entry[i] = (struct xmhf_module_entry){ BASE + 16 * i, 0, 4 };
    }
}

/* Eight bytes anywhere, any value or a small one; or only the low half. */
static void edit(const uint8_t *at)
{
    uint16_t where;
    uint64_t value;

    memcpy(&where, at, 2);
    memcpy(&value, at + 2, 8);
    value = where & 0x8000 ? value : value % 80;
    memcpy((uint8_t *)&d + where % (sizeof(d) / 4) * 4, &value,
           where & 0x4000 && where % (sizeof(d) / 4) != sizeof(d) / 4 - 1 ? 8 : 4);
}

static void expect_sane_sections(uint64_t end)
{
    uint64_t pages = 0;

    CHECK(im.section_count == d.sections && d.sections >= 1 && d.sections <= XMHF_MODULE_SECTIONS);
    for (uint32_t i = 0; i < im.section_count; i++) {
        const struct tv_section *s = &im.sections[i];
        CHECK(s->start == d.section[i].start && s->pages == d.section[i].pages && s->pages > 0);
        CHECK(s->start % PAGE_SIZE == 0 && s->start < end && tv_section_end(s) <= end);
        CHECK(s->first == pages && s->start >= im.lowest);
        pages += s->pages;
        for (uint32_t k = 0; k < i; k++) {
            const struct tv_section *t = &im.sections[k];
            CHECK(s->start >= tv_section_end(t) || t->start >= tv_section_end(s));
        }
        CHECK(i == 0 || im.sections[im.order[i - 1]].start < im.sections[im.order[i]].start);
    }
    CHECK(pages == im.pages && pages <= TV_PAGES_MAX);
}

/* No two data of POINTERs share a byte, and each call's PARAM section holds them all. */
static void expect_sane_params(void)
{
    uint64_t end = 0;

    CHECK(im.param_count == d.params && d.params <= XMHF_MODULE_PARAMS);
    for (uint32_t i = 0; i < im.param_count; i++) {
        const struct tv_param *p = &im.params[i];
        CHECK(p->offset >= end && p->offset % 16 == 0 && p->bytes == d.param[i].size);
        CHECK(p->type == TV_PARAM_POINTER || (p->bytes == 0 && p->direction == XMHF_IN));
        CHECK(p->direction >= XMHF_IN && p->direction <= XMHF_INOUT);
        end = p->offset + (uint64_t)p->bytes;
        for (uint32_t k = 0; k < im.stacks && p->type == TV_PARAM_POINTER; k++) {
            const struct tv_section *area = tv_section_nth(&im, TV_SECTION_PARAM, k);
            CHECK(area && end <= area->pages * PAGE_SIZE);
        }
    }
    CHECK(end <= TV_AREA_MAX);
}

static void expect_sane_entries(void)
{
    CHECK(im.entry_count == d.entries && im.stacks >= 1 && im.stacks <= XMHF_MODULE_STACKS);
    for (uint32_t k = 0; k < im.stacks; k++) {
        CHECK(tv_section_nth(&im, TV_SECTION_STACK, k) != NULL);
    }
    for (uint32_t i = 0; i < im.entry_count; i++) {
        const struct tv_entry *e = &im.entries[i];
        CHECK(tv_section_at(&im, e->va) == &im.sections[im.code]);
        CHECK(im.sections[im.code].type == TV_SECTION_CODE);
        CHECK(e->va / PAGE_SIZE == im.entry / PAGE_SIZE && e->va % PAGE_SIZE <= PAGE_SIZE - 48);
        CHECK((uint64_t)e->first + e->params <= im.param_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_64;

    if (size < 1) {
        return 0;
    }
    is_64 = data[0] & 1;
    good_structure(is_64);
    for (size_t at = 1; at + 10 <= size; at += 10) {
        edit(data + at);
    }
    if (tv_check_module(&d, d.entry[0].address, is_64, &im) == TV_OK) {
        expect_sane_sections(is_64 ? TV_USER_END : TV_USER_END_32);
        expect_sane_params();
        expect_sane_entries();
    }
    return 0;
}
