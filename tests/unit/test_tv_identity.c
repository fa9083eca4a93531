/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor/identity.c: one known answer, and no two PALs with one identity. */
#include "unit.h"

#include <bearssl_hash.h>

#include "hypapps/trustvisor/check.h"
#include "hypapps/trustvisor/identity.h"

#define BASE 0x400000ULL

struct pal {
    struct tv_pal_sections sections;
    struct tv_pal_params params;
    uint64_t entry;
    bool is_64;
    uint8_t contents[4][PAGE_SIZE];
};

static struct pal plain(void)
{
    struct pal p = { .entry = BASE + 0x40, .is_64 = true };

    p.sections.num_sections = 4;
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t type[] = {
            TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
        };
        p.sections.sections[i] = (struct tv_pal_section){ type[i], 1, BASE + i * PAGE_SIZE };
        memset(p.contents[i], (int)(0x10 * i), PAGE_SIZE);
    }
    p.params.num_params = 2;
    p.params.params[0] = (struct tv_pal_param){ TV_PARAM_INTEGER, 0, 1 };
    p.params.params[1] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 1 };
    return p;
}

static void identity(const struct pal *p, uint8_t id[PAL_ID_SIZE])
{
    struct tv_public_lists lists;
    struct sha256 ctx;
    struct tv_image im = {
        .sections = lists.sections, .params = lists.params, .entries = lists.entries,
    };

    assert_int_equal(tv_check(&p->sections, &p->params, p->entry, p->is_64, &im), TV_OK);
    tv_identity_begin(&ctx, sha256_blocks, &im);
    tv_identity_add(&ctx, p->contents, im.pages * PAGE_SIZE);
    tv_identity_end(&ctx, id);
}

/* The same bytes, written down by hand from include/xmhf/measurement.h. */
static void encode(const struct pal *p, uint32_t mode, uint32_t convention, uint8_t id[PAL_ID_SIZE])
{
    br_sha256_context ctx;
    const uint32_t header[] = { mode, convention, 4, 1, 1, 4, 2, 0, (uint32_t)BASE, 0, 0, 0 };
    const uint32_t entry[] = { 0x40, 0, 0, 2 };
    const uint32_t sections[] = {
        1, 5, 1, 0, 0x0000, 0,
        2, 3, 1, 0, 0x1000, 0,
        4, 3, 1, 0, 0x2000, 0,
        3, 3, 1, 0, 0x3000, 0,
    };
    const uint32_t params[] = { 1, 1, 1, 0, 2, 3, 1, 0 };

    br_sha256_init(&ctx);
    br_sha256_update(&ctx, "XMHFPAL\2", 8);
    br_sha256_update(&ctx, header, sizeof(header));
    br_sha256_update(&ctx, entry, sizeof(entry));
    br_sha256_update(&ctx, sections, sizeof(sections));
    br_sha256_update(&ctx, params, sizeof(params));
    br_sha256_update(&ctx, p->contents, sizeof(p->contents));
    br_sha256_out(&ctx, id);
}

static void test_encoding(void **state)
{
    struct pal p = plain();
    uint8_t expected[PAL_ID_SIZE], got[PAL_ID_SIZE];

    (void)state;
    encode(&p, 64, 2, expected);
    identity(&p, got);
    assert_memory_equal(got, expected, PAL_ID_SIZE);
    p.is_64 = false;
    encode(&p, 32, 1, expected);
    identity(&p, got);
    assert_memory_equal(got, expected, PAL_ID_SIZE);
}

/* Each of these differs from the plain PAL in one respect. */
static bool variant(unsigned n, struct pal *p)
{
    struct tv_pal_section *s = p->sections.sections;
    struct tv_pal_param *q = p->params.params;
    struct tv_pal_section swap = s[1];

    *p = plain();
    switch (n) {
    case 0: break;
    case 1: s[1].type = TV_SECTION_PARAM; s[3].type = TV_SECTION_DATA; break;
    case 2: q[0].type = TV_PARAM_POINTER; break;
    case 3: q[1].type = TV_PARAM_INTEGER; break;
    case 4: q[1].size = 2; break;
    case 5: q[1].size = 0; break;
    case 6: p->params.num_params = 1; break;
    case 7: p->params.num_params = 3; q[2] = q[0]; break;
    case 8: p->entry++; break;
    case 9: /* the whole image moved */
        for (unsigned i = 0; i < 4; i++) {
            s[i].start_addr += 0x10000;
        }
        p->entry += 0x10000;
        break;
    case 10: s[1].start_addr += 0x10000; break;
    case 11: swap = s[1]; s[1] = s[2]; s[2] = swap; break;
    case 12: s[1].type = TV_SECTION_SHARED_CODE; break;
    case 13: p->contents[0][0] ^= 1; break;
    case 14: p->contents[3][PAGE_SIZE - 1] ^= 1; break;
    case 15: /* the same pages, cut otherwise */
        p->sections.num_sections = 3; s[0].page_num = 2; s[1] = s[2]; s[2] = s[3];
        break;
    case 16: q[0].size = 2; break;
    case 17: p->is_64 = false; break;
    case 18: s[1].type = TV_SECTION_CODE; break;
    default: return false;
    }
    return true;
}

static void test_injective(void **state)
{
    static uint8_t ids[32][PAL_ID_SIZE];
    static struct pal p;
    unsigned n = 0;

    (void)state;
    for (; variant(n, &p); n++) {
        identity(&p, ids[n]);
        for (unsigned i = 0; i < n; i++) {
            assert_memory_not_equal(ids[i], ids[n], PAL_ID_SIZE);
        }
    }
    assert_int_equal(n, 19);
}

/* However the contents are cut into pieces. */
static void test_pieces(void **state)
{
    static struct pal p;
    uint8_t whole[PAL_ID_SIZE], pieces[PAL_ID_SIZE];
    struct tv_public_lists lists;
    struct sha256 ctx;
    struct tv_image im = {
        .sections = lists.sections, .params = lists.params, .entries = lists.entries,
    };

    (void)state;
    p = plain();
    identity(&p, whole);
    tv_check(&p.sections, &p.params, p.entry, true, &im);
    tv_identity_begin(&ctx, sha256_blocks, &im);
    for (unsigned i = 0; i < 4; i++) {
        tv_identity_add(&ctx, p.contents[i], 1000);
        tv_identity_add(&ctx, p.contents[i] + 1000, PAGE_SIZE - 1000);
    }
    tv_identity_end(&ctx, pieces);
    assert_memory_equal(whole, pieces, PAL_ID_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_injective),
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
