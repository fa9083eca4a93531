/* SPDX-License-Identifier: MIT */
/* What an image's lists may say: the program's library, pal-lint and the hypervisor take and refuse
 * the same ones, at each bound and with random changes. */
#include "unit.h"

#include "hypapps/trustvisor/check_image.h"
#include "pal_sdk/include/pal/interface.h"
#include "pal_sdk/lib/image_file.h"
#include "pal_sdk/tools/lint/image.h"

#define LINK 0x10000000ULL

static struct image im;             /* only its lists */

/* --- an image ------------------------------------------------------------------------------- */

static void section(uint32_t type, uint32_t pages)
{
    const uint32_t n = im.head.sections++;
    const struct xmhf_image_section *before = &im.sections[n - (n != 0)];

    im.sections[n] = (struct xmhf_image_section){
        type, pages, n == 0 ? LINK : before->address + (before->pages + 1ULL) * PAGE_SIZE, 0,
    };
}

static void param(uint32_t type, uint32_t direction, uint32_t size, unsigned by, unsigned unit)
{
    im.params[im.head.params++] = (struct xmhf_image_param){
        type, direction, size, (uint16_t)by, (uint16_t)unit,
    };
}

static void entry(uint64_t address, uint32_t n)
{
    im.entries[im.head.entries++] = (struct xmhf_image_entry){ address, n, 0 };
}

/* With `area` pages of each PARAM section; without any it has no pointers. */
static void layout(unsigned stacks, uint32_t area)
{
    memset(&im, 0, sizeof(im));
    im.head.version = XMHF_IMAGE_VERSION;
    im.head.mode = PAL_ID_MODE_64;
    im.head.convention = XMHF_SYSV;
    im.head.stacks = stacks;
    section(TV_SECTION_CODE, 2);
    section(TV_SECTION_DATA, 1);
    section(XMHF_SECTION_BSS, 3);
    for (unsigned k = 0; k < stacks && im.head.sections < XMHF_IMAGE_SECTIONS; k++) {
        section(TV_SECTION_STACK, 2);
        if (area != 0 && im.head.sections < XMHF_IMAGE_SECTIONS) {
            section(TV_SECTION_PARAM, area);
        }
    }
    entry(LINK + 0x101, 3);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(XMHF_PARAM_OCALL, XMHF_INOUT, 200, 0, 0);
    if (area != 0) {
        entry(LINK + PAGE_SIZE, 3);
        param(TV_PARAM_POINTER, XMHF_INOUT, 4096, 2, 8);
        param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
        param(TV_PARAM_POINTER, XMHF_OUT, 100, 2, 1);
    }
}

/* --- three judges --------------------------------------------------------------------------- */

static bool by_the_library(void)
{
    static uint8_t file[XMHF_IMAGE_MAGIC_SIZE + sizeof(im.head) + sizeof(im.sections)
                        + sizeof(im.params) + sizeof(im.entries)];
    const void *part[] = { XMHF_IMAGE_MAGIC, &im.head, im.sections, im.params, im.entries };
    const size_t size[] = {
        XMHF_IMAGE_MAGIC_SIZE, sizeof(im.head), im.head.sections * sizeof(im.sections[0]),
        im.head.params * sizeof(im.params[0]), im.head.entries * sizeof(im.entries[0]),
    };
    static struct pal_file f;
    enum pal_file_error e;
    size_t n = 0;

    for (unsigned i = 0; i < 5 && n + size[i] <= sizeof(file); i++) {
        memcpy(file + n, part[i], size[i]);
        n += size[i];
    }
    e = pal_file_read(file, n, &f);
    return e == PAL_FILE_OK || e == PAL_FILE_CONTENTS; /* looked at last; there are none */
}

static bool counts_fit(void)
{
    return im.head.sections <= XMHF_IMAGE_SECTIONS && im.head.params <= XMHF_IMAGE_PARAMS
        && im.head.entries <= XMHF_IMAGE_ENTRIES;
}

static bool by_pal_lint(void)
{
    static struct problems p;

    memset(&p, 0, sizeof(p));
    if (counts_fit()) { /* as image_read looks */
        image_check(&im, &p);
    }
    return counts_fit() && p.errors == 0;
}

/* The sources are the caller's, so a file has none. */
static bool by_the_hypervisor(void)
{
    static struct tv_descriptor d;
    static struct tv_image_lists lists;
    static struct tv_param params[XMHF_IMAGE_PARAMS];
    static struct tv_image out = {
        .sections = lists.sections, .entries = lists.entries, .params = params,
    };
    uint64_t at = 0x100000;

    memset(&d, 0, sizeof(d));
    d.image = im.head;
    memcpy(d.sections, im.sections, sizeof(d.sections));
    memcpy(d.entries, im.entries, sizeof(d.entries));
    d.params = im.params;
    d.image.stubs = 0x7000;
    for (uint32_t i = 0; i < im.head.sections && i < XMHF_IMAGE_SECTIONS; i++) {
        if (image_has_contents(im.sections[i].type)) {
            d.sections[i].source = at;
            at += im.sections[i].pages * PAGE_SIZE;
        }
    }
    return tv_check_image_head(&d.image, 0x7000, true) == TV_OK
        && tv_check_image(&d, true, &out) == TV_OK;
}

static bool agreed(const char *what)
{
    const bool library = by_the_library(), lint = by_pal_lint(), real = by_the_hypervisor();

    if (library != real || lint != real) {
        fail_msg("%s: the hypervisor %s it, libpal %s, pal-lint %s", what,
                 real ? "takes" : "refuses", library ? "takes" : "refuses",
                 lint ? "takes" : "refuses");
    }
    return real;
}

static void size_it(void)
{
    im.head.size = (uint32_t)XMHF_IMAGE_SIZE(im.head.sections, im.head.params, im.head.entries);
}

#define TAKEN(wanted, stacks, area, change) do { \
        layout(stacks, area); change; size_it(); \
        assert_int_equal(agreed(#change), wanted); } while (0)

/* --- tests ---------------------------------------------------------------------------------- */

#define ROOMY 80u                   /* pages of a PARAM section: more than a call may have */

static void test_areas(void **state)
{
    (void)state;
    assert_int_equal(PAL_BUFFER_MAX, XMHF_IMAGE_AREA);
    TAKEN(true, 1, ROOMY, (void)0);
    TAKEN(true, 1, ROOMY, im.params[3].size = XMHF_IMAGE_AREA - 112);
    TAKEN(false, 1, ROOMY, im.params[3].size = XMHF_IMAGE_AREA - 112 + 16);
    TAKEN(true, 1, ROOMY, im.params[5].size = XMHF_IMAGE_AREA - 4096);
    TAKEN(false, 1, ROOMY, im.params[5].size = XMHF_IMAGE_AREA - 4096 + 1);
    TAKEN(false, 1, ROOMY, im.params[3].size = XMHF_IMAGE_AREA);
    TAKEN(false, 1, ROOMY, im.params[3].size = 2 * XMHF_IMAGE_AREA);
    TAKEN(true, 1, ROOMY, im.params[3].size = XMHF_IMAGE_AREA; im.params[5].size = 0);
    TAKEN(true, 1, ROOMY, im.params[2].size = XMHF_IMAGE_AREA);
    TAKEN(false, 1, ROOMY, im.params[2].size = XMHF_IMAGE_AREA + 1);
    TAKEN(true, 1, 2, im.params[5].size = 4096);
    TAKEN(false, 1, 2, im.params[5].size = 4097);
    TAKEN(true, 1, 1, im.params[5].size = 0);
    TAKEN(false, 1, 1, im.params[5].size = 1);
    TAKEN(false, 1, 0, im.params[0] = ((struct xmhf_image_param){ TV_PARAM_POINTER, 1, 0, 0, 0 }));
}

static void test_sections(void **state)
{
    (void)state;
    TAKEN(true, 30, 0, (void)0);
    TAKEN(true, 30, 1, im.params[5].size = 0);
    TAKEN(false, 31, 0, (void)0);
    TAKEN(false, 40, 0, (void)0);
    TAKEN(false, 0, 0, (void)0);
    TAKEN(true, 1, 0, im.sections[3].pages = XMHF_IMAGE_PAGES - 6);
    TAKEN(false, 1, 0, im.sections[3].pages = XMHF_IMAGE_PAGES - 5);
    TAKEN(false, 1, 0, im.sections[3].pages = ~0u);
    TAKEN(true, 1, 0, im.sections[3].address = (1ULL << 47) - 2 * PAGE_SIZE);
    TAKEN(false, 1, 0, im.sections[3].address = (1ULL << 47) - PAGE_SIZE);
    TAKEN(true, 1, 0, im.sections[0].address = PAGE_SIZE; im.entries[0].address = PAGE_SIZE);
    TAKEN(false, 1, 0, im.sections[0].address = 0; im.entries[0].address = PAGE_SIZE);
    TAKEN(false, 1, 0, im.sections[1].address -= PAGE_SIZE);
    TAKEN(false, 1, 0, im.entries[0].address = LINK + 2 * PAGE_SIZE);
    TAKEN(true, 1, 0, im.entries[0].address = LINK + 2 * PAGE_SIZE - 1);
}

/* xorshift64 */
static uint64_t seed = 0x9e3779b97f4a7c15ULL;

static uint64_t below(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static uint64_t value(void)
{
    static const uint64_t edges[] = {
        0, 4, 17, 30, 64, 100, 200, 256, PAGE_SIZE, 2 * PAGE_SIZE, XMHF_IMAGE_AREA,
        2 * XMHF_IMAGE_AREA, XMHF_IMAGE_PAGES, 1ULL << 32, 1ULL << 47, LINK,
    };

    return below(3) == 0 ? below(80) : edges[below(ARRAY_SIZE(edges))] + below(40) - 20;
}

static void change_one(void)
{
    struct xmhf_image_section *s = &im.sections[below(im.head.sections)];
    struct xmhf_image_param *p = &im.params[below(im.head.params)];
    struct xmhf_image_entry *e = &im.entries[below(im.head.entries)];
    uint32_t *const head[] = {
        &im.head.version, &im.head.convention, &im.head.flags, &im.head.stacks,
    }; /* `caller` is none of the image: a file has 0 there, who registers it chooses */

    switch (below(12)) {
    case 0: *head[below(ARRAY_SIZE(head))] = (uint32_t)value(); break;
    case 1: s->type = (uint32_t)below(20); break;
    case 2: s->pages = (uint32_t)value(); break;
    case 3: s->address = value(); break;
    case 4: s->address += (below(9) - 4) * PAGE_SIZE; break;
    case 5: p->type = (uint32_t)below(5); break;
    case 6: p->direction = (uint32_t)below(5); break;
    case 7: p->size = (uint32_t)value(); break;
    case 8: p->counted_by = (uint16_t)below(5); break;
    case 9: p->unit = (uint16_t)value(); break;
    case 10: e->address = below(2) ? LINK + value() : value(); break;
    default: e->params = (uint32_t)below(8); break;
    }
}

static void test_random(void **state)
{
    unsigned taken = 0;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        const uint64_t began = seed;
        char what[40];

        layout((unsigned)below(4) + 28 * (below(8) == 0), below(3) == 0 ? 0 : (uint32_t)below(90));
        for (uint64_t k = below(4); k > 0; k--) {
            change_one();
        }
        size_it();
        snprintf(what, sizeof(what), "seed %#llx", (unsigned long long)began);
        taken += agreed(what);
    }
    assert_true(taken > 10000 && taken < 190000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_areas),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
