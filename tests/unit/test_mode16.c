/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor/mode16.c: the LDT against the core's own reading of descriptors, selectors of
 * small and tiled sections, far pointers there and back, every refusal. */
#include "unit.h"

#include "hypapps/trustvisor/mode16.h"
#include "xmhf-core/guest/descriptor.h"

#define SEGMENT 0x10000ULL

static struct tv_section sections[XMHF_IMAGE_SECTIONS + 1];
static struct tv_image im = { .sections = sections };
static uint64_t ldt[MODE16_DESCRIPTORS + 1]; /* and one that nobody may write */

static void section(uint32_t type, uint32_t pages, uint64_t start)
{
    sections[im.section_count++] = (struct tv_section){ .start = start, .pages = pages,
                                                        .type = type };
}

/* CODE, RODATA, DATA of 20 pages (two selectors), BSS, two stacks, PARAM. */
static int setup(void **state)
{
    (void)state;
    im.section_count = 0;
    im.convention = XMHF_CDECL16;
    im.flags = XMHF_IMAGE_TILED;
    memset(ldt, 0, sizeof(ldt));
    section(TV_SECTION_CODE, 15, 0x3000);
    section(XMHF_SECTION_RODATA, 1, 0x13000);
    section(TV_SECTION_DATA, 20, 0x12345000);
    section(XMHF_SECTION_BSS, 16, 0x20000000);
    section(TV_SECTION_STACK, 15, 0x30000000);
    section(TV_SECTION_STACK, 1, 0x30020000);
    section(TV_SECTION_PARAM, 1, 0xfffff000);
    return 0;
}

enum { CODE, RODATA, DATA, BSS, STACK0, STACK1, PARAM };

/* The core's own parser: another implementation than the one that is tested. */
static struct segment parsed(uint16_t selector)
{
    struct segment s;

    assert_int_equal(selector & 7, 7); /* in the LDT, for ring 3 */
    descriptor_parse((const uint8_t *)&ldt[selector >> 3], selector, &s);
    return s;
}

static void assert_segment(uint16_t selector, uint64_t base, uint32_t bytes, unsigned type)
{
    const struct segment s = parsed(selector);
    struct segment ours;

    assert_int_equal(s.base, base);
    assert_int_equal(s.limit, bytes - 1);
    assert_int_equal(s.attr, 0xf0 | type); /* P, DPL 3, S; G, D/B, L and AVL are 0 */
    assert_int_equal(s.attr & 1, 1);       /* accessed */
    assert_true(mode16_segment(ldt, selector, &ours));
    assert_memory_equal(&ours, &s, sizeof(s));
}

static void ldt_describes_each_section(void **state)
{
    (void)state;
    assert_int_equal(mode16_check(&im), TV_OK);
    mode16_ldt(&im, ldt);
    assert_int_equal(ldt[0], 0);
    assert_segment(0x0f, 0x3000, 0x10000, 0xb);           /* with the return page */
    assert_segment(0x17, 0x13000, 0x1000, 1);
    assert_segment(0x1f, 0x12345000, 0x10000, 3);
    assert_segment(0x27, 0x12355000, 0x4000, 3);          /* 8 behind */
    assert_segment(0x2f, 0x20000000, 0x10000, 3);
    assert_segment(0x37, 0x30000000, 0xf000, 3);
    assert_segment(0x3f, 0x30020000, 0x1000, 3);
    assert_segment(0x47, 0xfffff000, 0x1000, 3);
    for (unsigned i = 9; i <= MODE16_DESCRIPTORS; i++) {
        assert_int_equal(ldt[i], 0);
    }
}

static void ldt_may_be_full(void **state)
{
    (void)state;
    im.section_count = 0;
    section(TV_SECTION_CODE, 1, 0x10000);
    section(TV_SECTION_DATA, 16 * 510, 0x20000);
    assert_int_equal(mode16_check(&im), TV_OK);
    mode16_ldt(&im, ldt);
    assert_segment(0xfff, 0x20000 + 509 * SEGMENT, 0x10000, 3);
    assert_int_equal(ldt[MODE16_DESCRIPTORS], 0);
    sections[1].pages++;
    assert_int_equal(mode16_check(&im), TV_SEGMENTS);
}

static void one_segment_has_two_selectors(void **state)
{
    uint16_t s[MODE16_SEGMENTS];

    (void)state;
    im.convention = XMHF_CDECL;
    im.section_count = 0;
    section(TV_SECTION_CODE, 2, 0x1000);
    section(XMHF_SECTION_RODATA, 1, 0x4000);
    section(TV_SECTION_STACK, 1, 0xe000);
    assert_int_equal(mode16_check(&im), TV_OK);
    mode16_ldt(&im, ldt);
    assert_segment(0x0f, 0, 0x10000, 0xb);
    assert_segment(0x17, 0, 0x10000, 3);
    assert_int_equal(ldt[3], 0);
    mode16_selectors(&im, 0x1010, 2, s);
    assert_int_equal(s[SEG_CS], 0x0f);
    assert_true(s[SEG_SS] == 0x17 && s[SEG_DS] == 0x17 && s[SEG_ES] == 0x17);
    assert_int_equal(mode16_offset(&im, 0x1010), 0x1010);
    assert_int_equal(mode16_far(&im, 0x4002), 0x174002);
    assert_int_equal(mode16_return_page(&im, 0), 0xf000);
    assert_int_equal(mode16_return_page(&im, 1), 0);
    section(TV_SECTION_PARAM, 1, 0xf000);
    assert_int_equal(mode16_check(&im), TV_SEGMENT_SIZE);
}

static void a_call_begins_with_these(void **state)
{
    uint16_t s[MODE16_SEGMENTS];

    (void)state;
    mode16_selectors(&im, 0x3456, STACK1, s);
    assert_int_equal(s[SEG_CS], 0x0f);
    assert_int_equal(s[SEG_SS], 0x3f);
    assert_int_equal(s[SEG_DS], 0x1f);
    assert_int_equal(s[SEG_ES], 0x1f);
    assert_true(s[SEG_FS] == 0 && s[SEG_GS] == 0);
    sections[DATA].type = sections[BSS].type = XMHF_SECTION_RODATA;
    mode16_selectors(&im, 0x3456, STACK0, s);
    assert_true(s[SEG_DS] == 0 && s[SEG_ES] == 0);
    assert_int_equal(s[SEG_SS], 0x37);
}

static void far_pointers_lead_back(void **state)
{
    static const uint64_t at[] = {
        0x3000, 0x3456, 0x11fff, 0x13000, 0x12345000, 0x12354fff, 0x12355000, 0x12358fff,
        0x2000ffff, 0x30000000, 0x30020fff, 0xfffff000, 0xffffffff,
    };
    uint64_t va;

    (void)state;
    mode16_ldt(&im, ldt);
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
        assert_true(mode16_linear(ldt, mode16_far(&im, at[i]), &va));
        assert_int_equal(va, at[i]);
    }
    assert_int_equal(mode16_far(&im, 0x12355004), 0x270004);
    assert_int_equal(mode16_far(&im, 0x2fff), 0);
    assert_int_equal(mode16_far(&im, 0x12359000), 0);
    assert_int_equal(mode16_offset(&im, 0x3456), 0x456);
    assert_true(mode16_linear(ldt, 0x173fff & ~0x3000, &va));
    assert_false(mode16_linear(ldt, 0x171000, &va));   /* beyond the limit */
    assert_false(mode16_linear(ldt, 0x4f0000, &va));   /* not present */
    assert_false(mode16_linear(ldt, 0x0b0000, &va));   /* of the GDT */
    assert_false(mode16_linear(ldt, 0x0c0000, &va));   /* RPL 0: its limit isn't the PAL's affair */
    assert_false(mode16_linear(ldt, 0, &va));
}

static void null_selectors_are_unusable(void **state)
{
    struct segment s;

    (void)state;
    mode16_ldt(&im, ldt);
    for (uint16_t i = 0; i < 4; i++) {
        assert_true(mode16_segment(ldt, i, &s));
        assert_int_equal(s.selector, i);
        assert_int_equal(s.attr, 0);
    }
    assert_false(mode16_segment(ldt, 7, &s));
    assert_false(mode16_segment(ldt, 0x23, &s));
    assert_false(mode16_segment(ldt, 0x4f, &s));
    assert_false(mode16_segment(ldt, 0xffff, &s));
}

static void return_pages_are_behind_code(void **state)
{
    (void)state;
    assert_int_equal(mode16_return_page(&im, 0), 0x12000);
    assert_int_equal(mode16_return_page(&im, 1), 0);
    section(TV_SECTION_CODE, 1, 0xffff0000);
    sections[PARAM].start = 0x40000000;
    assert_int_equal(mode16_check(&im), TV_OK);
    assert_int_equal(mode16_return_page(&im, 1), 0xfffff000);
    sections[PARAM + 1].start += PAGE_SIZE; /* the return page would be at 4 GiB */
    assert_int_equal(mode16_check(&im), TV_NO_GAP);
}

static void refuses_sections(void **state)
{
    (void)state;
    sections[CODE].pages = 16;
    sections[RODATA].start += PAGE_SIZE;
    assert_int_equal(mode16_check(&im), TV_SEGMENT_SIZE);
    sections[CODE].pages = 15;
    assert_int_equal(mode16_check(&im), TV_OK);
    sections[RODATA].start -= 2 * PAGE_SIZE;   /* in CODE's 64 KiB */
    assert_int_equal(mode16_check(&im), TV_NO_GAP);
    sections[RODATA].start += PAGE_SIZE;
    assert_int_equal(mode16_check(&im), TV_OK);
    sections[STACK0].pages = 16;
    assert_int_equal(mode16_check(&im), TV_SEGMENT_SIZE);
    sections[STACK0].pages = 15;
    im.flags = 0;                              /* DATA has 20 pages */
    assert_int_equal(mode16_check(&im), TV_SEGMENT_SIZE);
    sections[DATA].pages = 16;
    assert_int_equal(mode16_check(&im), TV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ldt_describes_each_section, setup),
        cmocka_unit_test_setup(ldt_may_be_full, setup),
        cmocka_unit_test_setup(one_segment_has_two_selectors, setup),
        cmocka_unit_test_setup(a_call_begins_with_these, setup),
        cmocka_unit_test_setup(far_pointers_lead_back, setup),
        cmocka_unit_test_setup(null_selectors_are_unusable, setup),
        cmocka_unit_test_setup(return_pages_are_behind_code, setup),
        cmocka_unit_test_setup(refuses_sections, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
