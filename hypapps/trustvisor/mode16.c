/* SPDX-License-Identifier: MIT */
/* PALs of 16-bit code: selectors and the LDT, far pointers; pure. */
#include "mode16.h"
#include <x86/cpu.h>

#define PAGES_OF_SEGMENT (MODE16_SEGMENT / (uint32_t)PAGE_SIZE)
#define SELECTOR_LOCAL   7u  /* table indicator and RPL 3 (SDM vol. 3A, 3.4.2) */

/* In one segment: these two. */
enum { ONE_CODE = 1, ONE_DATA = 2 };

/* gcc -m16 and the like: near pointers only, and arguments in words of 32 bits. */
static bool one_segment(const struct tv_image *im)
{
    return im->convention == XMHF_CDECL;
}

/* --- what is refused --------------------------------------------------------------- */

/* Its 64 KiB pieces. */
static uint32_t tiles(const struct tv_section *s)
{
    return (s->pages + PAGES_OF_SEGMENT - 1) / PAGES_OF_SEGMENT;
}

/* So that a near return finds the return page at the end of CODE's segment, and an overflow of the
 * stack a limit. */
static bool fits_60k(const struct tv_section *s)
{
    return s->pages <= XMHF_RETURN_PAGE_16 / PAGE_SIZE;
}

static enum tv_error check_section(const struct tv_image *im, const struct tv_section *s)
{
    const bool tiled = im->flags & XMHF_IMAGE_TILED;

    if (s->type == TV_SECTION_CODE || s->type == TV_SECTION_STACK) {
        return fits_60k(s) ? TV_OK : TV_SEGMENT_SIZE;
    }
    return s->pages <= PAGES_OF_SEGMENT || tiled ? TV_OK : TV_SEGMENT_SIZE;
}

/* The whole segment of CODE is its own, up to the end of the return page. */
static bool code_apart(const struct tv_image *im, uint32_t i)
{
    const struct tv_section *s = &im->sections[i];
    const uint64_t end = s->start + MODE16_SEGMENT;

    return s->type != TV_SECTION_CODE
        || (end <= TV_USER_END_32 && (i + 1 == im->section_count || s[1].start >= end));
}

static enum tv_error check_one(const struct tv_image *im)
{
    const struct tv_section *last = &im->sections[im->section_count - 1];

    return tv_section_end(last) <= XMHF_RETURN_PAGE_16 ? TV_OK : TV_SEGMENT_SIZE;
}

enum tv_error mode16_check(const struct tv_image *im)
{
    uint32_t selectors = 1;

    if (one_segment(im)) {
        return check_one(im);
    }
    for (uint32_t i = 0; i < im->section_count; i++) {
        enum tv_error e = check_section(im, &im->sections[i]);
        if (e != TV_OK) {
            return e;
        }
        if (!code_apart(im, i)) {
            return TV_NO_GAP;
        }
        selectors += tiles(&im->sections[i]);
        if (selectors > MODE16_DESCRIPTORS) {
            return TV_SEGMENTS;
        }
    }
    return TV_OK;
}

/* --- selectors and far pointers ---------------------------------------------------- */

uint16_t mode16_selector(const struct tv_image *im, uint32_t section)
{
    uint32_t n = 1;

    if (one_segment(im)) {
        n = im->sections[section].type == TV_SECTION_CODE ? ONE_CODE : ONE_DATA;
    } else {
        for (uint32_t i = 0; i < section; i++) {
            n += tiles(&im->sections[i]);
        }
    }
    return (uint16_t)XMHF_SELECTOR_16(n);
}

/* Where segments of this section begin. */
static uint64_t base_of(const struct tv_image *im, const struct tv_section *s)
{
    return one_segment(im) ? 0 : s->start;
}

uint16_t mode16_offset(const struct tv_image *im, uint64_t va)
{
    const struct tv_section *s = tv_section_at(im, va);

    return s ? (uint16_t)(va - base_of(im, s)) : 0;
}

uint32_t mode16_far(const struct tv_image *im, uint64_t va)
{
    const struct tv_section *s = tv_section_at(im, va);
    uint64_t at;

    if (!s) {
        return 0;
    }
    at = va - base_of(im, s);
    return (mode16_selector(im, (uint32_t)(s - im->sections))
            + MODE16_STEP * (uint32_t)(at / MODE16_SEGMENT)) << 16
        | (uint32_t)(at % MODE16_SEGMENT);
}

/* The descriptor that a selector of ring 3 in the LDT names; 0: none. */
static uint64_t descriptor_of(const uint64_t ldt[MODE16_DESCRIPTORS], uint16_t selector)
{
    return (selector & SELECTOR_LOCAL) == SELECTOR_LOCAL && selector >> 3 < MODE16_DESCRIPTORS
        ? ldt[selector >> 3] : 0;
}

static void parse(uint64_t d, uint16_t selector, struct segment *s)
{
    *s = (struct segment){
        .selector = selector,
        .attr = (uint16_t)((d >> 40 & 0xff) | (d >> 52 & 0xf) << 8),
        .limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000)),
        .base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
    };
}

bool mode16_linear(const uint64_t ldt[MODE16_DESCRIPTORS], uint32_t far, uint64_t *va)
{
    const uint64_t d = descriptor_of(ldt, (uint16_t)(far >> 16));
    struct segment s;

    parse(d, 0, &s);
    *va = s.base + (far & 0xffff);
    return d != 0 && (far & 0xffff) <= s.limit;
}

uint64_t mode16_return_page(const struct tv_image *im, uint32_t n)
{
    const struct tv_section *code;

    if (one_segment(im)) {
        return n == 0 ? XMHF_RETURN_PAGE_16 : 0;
    }
    code = tv_section_nth(im, TV_SECTION_CODE, n);
    return code ? code->start + XMHF_RETURN_PAGE_16 : 0;
}

/* --- the LDT ----------------------------------------------------------------------- */

/* A descriptor of 8 bytes for ring 3, limit in bytes (SDM vol. 3A, figure 3-8; APM vol. 2, figures
 * 4-14 and 4-15). G, D/B and L are 0. */
static uint64_t descriptor(uint64_t base, uint32_t limit, uint64_t attr)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | (attr | SEG_ATTR_DPL) << 40
        | (uint64_t)(limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56;
}

/* Type 11, readable code, or 3 or 1, data that can be written or not; all accessed. */
static uint64_t attr_of(uint32_t type)
{
    return type == TV_SECTION_CODE ? SEG_ATTR_CODE_REAL
           : tv_is_constant(type) ? SEG_ATTR_DATA_REAL & ~2u : SEG_ATTR_DATA_REAL;
}

/* All pieces of a section. CODE's segment has the return page at its end. */
static void describe(const struct tv_section *s, uint64_t *d)
{
    const uint64_t bytes = s->type == TV_SECTION_CODE ? MODE16_SEGMENT : s->pages * PAGE_SIZE;

    for (uint64_t at = 0; at < bytes; at += MODE16_SEGMENT) {
        const uint64_t left = bytes - at;
        const uint64_t here = left < MODE16_SEGMENT ? left : MODE16_SEGMENT;
        *d++ = descriptor(s->start + at, (uint32_t)here - 1, attr_of(s->type));
    }
}

void mode16_ldt(const struct tv_image *im, uint64_t ldt[MODE16_DESCRIPTORS])
{
    uint32_t n = 1;

    if (one_segment(im)) {
        ldt[ONE_CODE] = descriptor(0, MODE16_SEGMENT - 1, SEG_ATTR_CODE_REAL);
        ldt[ONE_DATA] = descriptor(0, MODE16_SEGMENT - 1, SEG_ATTR_DATA_REAL);
        return;
    }
    for (uint32_t i = 0; i < im->section_count; i++) {
        describe(&im->sections[i], &ldt[n]);
        n += tiles(&im->sections[i]);
    }
}

bool mode16_segment(const uint64_t ldt[MODE16_DESCRIPTORS], uint16_t selector, struct segment *s)
{
    const uint64_t d = descriptor_of(ldt, selector);

    parse(d, selector, s);
    return d != 0 || selector < 4;
}

/* The data segment: of the first section that is the program's own and can be written. */
static uint16_t data_selector(const struct tv_image *im)
{
    for (uint32_t i = 0; i < im->section_count; i++) {
        const uint32_t type = im->sections[i].type;
        if (type == TV_SECTION_DATA || type == XMHF_SECTION_BSS) {
            return mode16_selector(im, i);
        }
    }
    return one_segment(im) ? XMHF_SELECTOR_16(ONE_DATA) : 0;
}

void mode16_selectors(const struct tv_image *im, uint64_t entry, uint32_t stack,
                      uint16_t selector[MODE16_SEGMENTS])
{
    selector[SEG_CS] = (uint16_t)(mode16_far(im, entry) >> 16);
    selector[SEG_SS] = mode16_selector(im, stack);
    selector[SEG_DS] = selector[SEG_ES] = data_selector(im);
    selector[SEG_FS] = selector[SEG_GS] = 0;
}
