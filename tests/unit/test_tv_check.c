/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor/check.c: every named error, the limits on both sides, the layout. */
#include "unit.h"

#include "hypapps/trustvisor/check.h"

#define BASE 0x7f0000000000ULL

static struct tv_pal_sections sections;
static struct tv_pal_params params;
static struct tv_public_lists lists;
static struct tv_image im = {
    .sections = lists.sections, .params = lists.params, .entries = lists.entries,
};
static uint64_t entry;
static bool is_64;

static void section(unsigned i, uint32_t type, uint64_t start, uint32_t pages)
{
    sections.sections[i] = (struct tv_pal_section){ type, pages, start };
}

/* A registration with nothing wrong: CODE, DATA, STACK, PARAM, one integer. */
static int good(void **state)
{
    (void)state;
    memset(&sections, 0, sizeof(sections));
    memset(&params, 0, sizeof(params));
    sections.num_sections = 4;
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t type[] = {
            TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
        };
        section(i, type[i], BASE + i * PAGE_SIZE, 1);
    }
    params.num_params = 1;
    params.params[0].type = TV_PARAM_INTEGER;
    entry = BASE + 0x123;
    is_64 = true;
    return 0;
}

static void expect(enum tv_error e)
{
    assert_int_equal(tv_check(&sections, &params, entry, is_64, &im), e);
}

static void test_good(void **state)
{
    (void)state;
    expect(TV_OK);
    assert_int_equal(im.pages, 4);
    assert_int_equal(im.lowest, BASE);
    assert_int_equal(im.code, 0);
    assert_ptr_equal(tv_section_nth(&im, TV_SECTION_STACK, 0), &im.sections[2]);
    assert_ptr_equal(tv_section_nth(&im, TV_SECTION_PARAM, 0), &im.sections[3]);
    assert_false(im.has_data);
    assert_int_equal(im.sections[3].first, 3);
    assert_int_equal(im.params[0].offset, 0x18);
}

static void test_section_count(void **state)
{
    (void)state;
    sections.num_sections = 0;
    expect(TV_BAD_SECTIONS);
    sections.num_sections = 11;
    expect(TV_BAD_SECTIONS);
    sections.num_sections = UINT32_MAX;
    expect(TV_BAD_SECTIONS);
    for (unsigned i = 4; i < 10; i++) {
        section(i, TV_SECTION_DATA, BASE + i * PAGE_SIZE, 1);
    }
    sections.num_sections = 10;
    expect(TV_OK);
}

static void test_section_type(void **state)
{
    static const uint32_t bad[] = { 0, 6, 7, 8, 0x100, 0x80000001, UINT32_MAX };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        sections.sections[1].type = bad[i];
        expect(TV_BAD_SECTION_TYPE);
    }
    sections.sections[1].type = TV_SECTION_SHARED_CODE;
    expect(TV_OK);
}

static void test_misaligned(void **state)
{
    (void)state;
    for (uint64_t off = 1; off < PAGE_SIZE; off = off * 2 + 1) {
        sections.sections[1].start_addr = BASE + 16 * PAGE_SIZE + off;
        expect(TV_MISALIGNED);
    }
}

static void test_size(void **state)
{
    static const uint32_t bad[] = { TV_PAGES_MAX, 0x100000, 0x80000000, UINT32_MAX };
    static const uint64_t far[] = {
        TV_USER_END, TV_USER_END - 0x1000, 0xffff800000000000, 0xfffffffffffff000,
        0x8000000000000000,
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        sections.sections[1].page_num = bad[i];
        sections.sections[1].start_addr = 0x1000000;
        expect(TV_BAD_SIZE);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
        section(1, TV_SECTION_DATA, far[i], 2);
        expect(TV_BAD_SIZE);
    }
    section(1, TV_SECTION_DATA, TV_USER_END - 0x2000, 2);
    expect(TV_OK);
    section(1, TV_SECTION_DATA, 0, TV_PAGES_MAX - 3);
    expect(TV_OK);
    section(1, TV_SECTION_DATA, 0, TV_PAGES_MAX - 2);
    expect(TV_BAD_SIZE);
}

static void test_overlap(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        section(3, TV_SECTION_PARAM, BASE + i * PAGE_SIZE, 1);
        expect(TV_OVERLAP);
    }
    section(3, TV_SECTION_PARAM, BASE - PAGE_SIZE, 2);
    expect(TV_OVERLAP);
    section(3, TV_SECTION_PARAM, BASE - PAGE_SIZE, 1);
    expect(TV_OK);
    assert_int_equal(im.lowest, BASE - PAGE_SIZE);
}

static void test_roles(void **state)
{
    (void)state;
    sections.sections[0].type = TV_SECTION_DATA;
    expect(TV_NO_CODE);
    good(NULL);
    sections.sections[2].type = TV_SECTION_DATA;
    expect(TV_NO_STACK);
    good(NULL);
    sections.sections[3].type = TV_SECTION_DATA;
    expect(TV_NO_PARAM);
}

static void test_several_of_a_role(void **state)
{
    (void)state;
    section(4, TV_SECTION_STACK, BASE + 4 * PAGE_SIZE, 1);
    section(5, TV_SECTION_PARAM, BASE + 5 * PAGE_SIZE, 1);
    section(6, TV_SECTION_CODE, BASE + 6 * PAGE_SIZE, 2);
    sections.num_sections = 7;
    entry = BASE + 7 * PAGE_SIZE;
    expect(TV_OK);
    assert_ptr_equal(tv_section_nth(&im, TV_SECTION_STACK, 0), &im.sections[2]);
    assert_ptr_equal(tv_section_nth(&im, TV_SECTION_PARAM, 0), &im.sections[3]);
    assert_int_equal(im.code, 6);
}

static void test_entry(void **state)
{
    static const uint64_t bad[] = {
        0, BASE - 1, BASE + 4094, BASE + 4095, BASE + 4096, BASE + 5 * PAGE_SIZE, UINT64_MAX,
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        entry = bad[i];
        expect(TV_BAD_ENTRY);
    }
    entry = BASE + 4093;
    expect(TV_OK);
    entry = BASE;
    expect(TV_OK);
}

static void test_param_count(void **state)
{
    (void)state;
    params.num_params = 0;
    expect(TV_BAD_PARAMS);
    params.num_params = 11;
    expect(TV_BAD_PARAMS);
    for (unsigned i = 0; i < 10; i++) {
        params.params[i].type = TV_PARAM_INTEGER;
        params.params[i].size = UINT64_MAX; /* ignored */
    }
    params.num_params = 10;
    expect(TV_OK);
    assert_int_equal(im.params[9].offset, 0x18); /* the last one comes first */
    assert_int_equal(im.params[0].offset, 0x18 + 9 * 24);
}

static void test_param_type(void **state)
{
    static const uint32_t bad[] = { 0, 3, 0x102, UINT32_MAX };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        params.params[0].type = bad[i];
        expect(TV_BAD_PARAM_TYPE);
    }
}

static void test_param_size(void **state)
{
    uint64_t fits = (PAGE_SIZE - 0x18 - 24) / 8;

    (void)state;
    params.params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, fits };
    expect(TV_OK);
    assert_true(im.has_data);
    assert_int_equal(im.params[0].bytes, fits * 8);
    params.params[0].size = fits + 1;
    expect(TV_PARAMS_TOO_BIG);
    params.params[0].size = 1ULL << 61; /* x 8 wraps to 0 */
    expect(TV_PARAMS_TOO_BIG);
    params.params[0].size = UINT64_MAX;
    expect(TV_PARAMS_TOO_BIG);
    params.params[0].size = 0;
    expect(TV_OK);
    assert_false(im.has_data);
    section(3, TV_SECTION_PARAM, BASE + 0x100000, 1000);
    params.params[0].size = (TV_AREA_MAX - 0x18 - 24) / 8;
    expect(TV_OK);
    params.params[0].size++;
    expect(TV_PARAMS_TOO_BIG);
}

/* 32-bit code: all below 4 GiB, words of 4 bytes. */
static void test_narrow(void **state)
{
    const uint64_t fits = (PAGE_SIZE - 0x18 - 24) / 4;

    (void)state;
    is_64 = false;
    expect(TV_BAD_SIZE);
    for (uint64_t i = 0; i < 4; i++) {
        sections.sections[i].start_addr = 0xffffc000 + i * PAGE_SIZE;
    }
    entry = 0xffffc000;
    params.params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, fits };
    expect(TV_OK);
    assert_int_equal(im.word, 4);
    assert_int_equal(im.params[0].bytes, fits * 4);
    params.params[0].size = fits + 1;
    expect(TV_PARAMS_TOO_BIG);
    params.params[0].size = 1ULL << 62; /* x 4 wraps to 0 */
    expect(TV_PARAMS_TOO_BIG);
    params.params[0].size = fits;
    sections.sections[3].page_num = 2;
    expect(TV_BAD_SIZE);
    sections.sections[3] = (struct tv_pal_section){ TV_SECTION_PARAM, 1, 1ULL << 32 };
    expect(TV_BAD_SIZE);
    is_64 = true;
    params.params[0].size = 1;
    expect(TV_OK);
}

static void test_section_lookup(void **state)
{
    (void)state;
    section(0, TV_SECTION_CODE, BASE + 0x100000, 3);
    entry = BASE + 0x100000;
    expect(TV_OK);
    assert_ptr_equal(tv_section_of(&im, 0), &im.sections[0]);
    assert_ptr_equal(tv_section_of(&im, 2), &im.sections[0]);
    assert_ptr_equal(tv_section_of(&im, 3), &im.sections[1]);
    assert_ptr_equal(tv_section_of(&im, 5), &im.sections[3]);
    assert_ptr_equal(tv_section_at(&im, BASE + 0x102fff), &im.sections[0]);
    assert_null(tv_section_at(&im, BASE + 0x103000));
    assert_null(tv_section_at(&im, BASE));
}

/* Sections at random, in any order: each is compared with all. */
static void test_any_order(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        tv_image_begin(&im, true);
        for (unsigned i = 0; i < TV_MAX_SECTIONS; i++) {
            uint64_t start = BASE + unit_below(&seed, 40) * PAGE_SIZE;
            uint64_t pages = 1 + unit_below(&seed, 4);
            enum tv_error e = TV_OK;
            for (uint32_t k = 0; k < im.section_count; k++) {
                const struct tv_section *s = &im.sections[k];
                e = ranges_overlap(start, pages * PAGE_SIZE, s->start, s->pages * PAGE_SIZE)
                    ? TV_OVERLAP : e;
            }
            assert_int_equal(tv_image_section(&im, TV_SECTION_DATA, start, pages), e);
        }
        for (uint32_t k = 1; k < im.section_count; k++) {
            assert_true(im.sections[im.order[k - 1]].start < im.sections[im.order[k]].start);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup(name, good)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good), TEST(test_section_count), TEST(test_section_type), TEST(test_misaligned),
        TEST(test_size), TEST(test_overlap), TEST(test_roles), TEST(test_several_of_a_role),
        TEST(test_entry), TEST(test_param_count), TEST(test_param_type), TEST(test_param_size),
        TEST(test_narrow), TEST(test_section_lookup), TEST(test_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
