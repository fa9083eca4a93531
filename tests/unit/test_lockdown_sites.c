/* SPDX-License-Identifier: MIT */
/* hypapps/lockdown/sites.c: what a kernel may write where it patches its own text. */
#include "unit.h"
#include "hypapps/lockdown/sites.h"

#define TEXT_SIZE 0x100000u
#define AT        0x8000u
#define TARGET    0x8100u
#define NOP2      0x66, 0x90
#define NOP5      0x0f, 0x1f, 0x44, 0x00, 0x00
#define J2 1u     /* bits of the kinds of site at which it is allowed */
#define J5 2u
#define C  4u
#define S  8u

/* rel32 from a site of 5 bytes at AT. */
#define REL(to) (uint8_t)((to) - AT - 5), (uint8_t)(((to) - AT - 5) >> 8), \
    (uint8_t)(((to) - AT - 5) >> 16), (uint8_t)(((to) - AT - 5) >> 24)
#define OUTSIDE 0xff000000u

static const struct { const char *what; unsigned kinds; uint8_t b[SITE_MAX_LEN]; } cases[] = {
    { "NOP of 5 bytes", J5 | C | S, { NOP5 } },
    { "NOP of 2 bytes", J2, { NOP2 } },
    { "five NOPs of 1 byte", 0, { 0x90, 0x90, 0x90, 0x90, 0x90 } },
    { "another NOP of 5 bytes", 0, { 0x66, 0x0f, 0x1f, 0x44, 0x00 } },
    { "a NOP with a displacement", 0, { 0x0f, 0x1f, 0x44, 0x00, 0x01 } },
    { "JMP to the label's target", J5 | S, { 0xe9, REL(TARGET) } },
    { "JMP next to the target", S, { 0xe9, REL(TARGET + 1) } },
    { "JMP elsewhere in the text", S, { 0xe9, REL(0x10) } },
    { "JMP to the text's last byte", S, { 0xe9, REL(TEXT_SIZE - 1) } },
    { "JMP behind the text", 0, { 0xe9, REL(TEXT_SIZE) } },
    { "JMP before the text", 0, { 0xe9, REL(0xffffffffu) } },
    { "CALL to the label's target", C | S, { 0xe8, REL(TARGET) } },
    { "CALL to the text's first byte", C | S, { 0xe8, REL(0u) } },
    { "CALL to a module", 0, { 0xe8, REL(OUTSIDE) } },
    { "JMP to a module", 0, { 0xe9, REL(OUTSIDE) } },
    { "JMP of 2 bytes to the target", 0, { 0xeb, TARGET - AT - 5, 0, 0, 0 } },
    { "RET and INT3s", S, { 0xc3, 0xcc, 0xcc, 0xcc, 0xcc } },
    { "RET and something else", 0, { 0xc3, 0x90, 0x90, 0x90, 0x90 } },
    { "XOR EAX, EAX with CS prefixes", S, { 0x2e, 0x2e, 0x2e, 0x31, 0xc0 } },
    { "XOR RAX, RAX with prefixes", S, { 0x66, 0x66, 0x48, 0x31, 0xc0 } },
    { "XOR of another register", 0, { 0x2e, 0x2e, 0x2e, 0x31, 0xdb } },
    { "indirect JMP", 0, { 0xff, 0x25, 0, 0, 0 } },
    { "PUSH imm32", 0, { 0x68, REL(TARGET) } },
    { "zeros", 0, { 0 } },
    /* while text_poke is at it: INT3 and what was there, or what will be */
    { "INT3 and the NOP's rest", J5 | C | S, { 0xcc, 0x1f, 0x44, 0x00, 0x00 } },
    { "INT3 and the short NOP's rest, or a near way", J2 | C | S, { 0xcc, 0x90 } },
    { "INT3 and the way to the target", J5 | C | S, { 0xcc, REL(TARGET) } },
    { "INT3 and the way elsewhere in the text", C | S, { 0xcc, REL(TARGET + 1) } },
    { "INT3 and the way to a module", 0, { 0xcc, REL(OUTSIDE) } },
    { "INT3 and RET's rest", S, { 0xcc, 0xcc, 0xcc, 0xcc, 0xcc } },
    { "INT3 and XOR's rest", S, { 0xcc, 0x2e, 0x2e, 0x31, 0xc0 } },
    { "INT3 and WRMSR", 0, { 0xcc, 0x0f, 0x30, 0xc3, 0x90 } },
    { "INT3 and other NOPs", 0, { 0xcc, 0x91, 0x90, 0x90, 0x90 } },
};

static void test_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            const struct site s = { .at = AT, .target = TARGET, .kind = kind };
            if (site_allows(&s, cases[i].b, TEXT_SIZE) != (cases[i].kinds >> kind & 1)) {
                fail_msg("%s, at a site of kind %u", cases[i].what, kind);
            }
        }
    }
}

/* All bytes of a short jump, forwards and backwards. */
static void test_short(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned rel = 0; rel < 256; rel++) {
            const struct site s = { AT, AT + 2 - 100, LOCKDOWN_JUMP2 };
            const uint8_t b[] = { (uint8_t)first, (uint8_t)rel };
            bool right = (first == 0xeb && (int8_t)rel == -100) || (first == 0x66 && rel == 0x90)
                || (first == 0xcc && ((int8_t)rel == -100 || rel == 0x90));
            assert_int_equal(site_allows(&s, b, TEXT_SIZE), right);
        }
    }
}

/* One byte that differs from a patch is none, but for a CALL's or JMP's way within the text. */
static void test_one_byte(void **state)
{
    static const uint8_t nop[] = { NOP5 };

    (void)state;
    for (unsigned i = 0; i < sizeof(nop); i++) {
        for (unsigned value = 0; value < 256; value++) {
            const struct site s = { AT, TARGET, LOCKDOWN_JUMP5 };
            uint8_t b[SITE_MAX_LEN];
            memcpy(b, nop, sizeof(nop));
            b[i] = (uint8_t)value;
            assert_int_equal(site_allows(&s, b, TEXT_SIZE),
                             value == nop[i] || (i == 0 && value == 0xcc));
        }
    }
}

static void test_find(void **state)
{
    static const struct lockdown_site told[] = {
        { 0, 0x20 }, { 2, 0x30 }, { (uint32_t)LOCKDOWN_CALL << 30 | 0x10, 0 },
        { (uint32_t)LOCKDOWN_STATIC << 30 | 0x3ffffff0, 0 },
    };
    struct site s;

    (void)state;
    assert_false(sites_find(0, &s));
    memcpy(site_page[0] = calloc(LOCKDOWN_SITES_PAGE, sizeof(told[0])), told, sizeof(told));
    site_count = 4;
    static const struct { uint64_t at; int site; } asked[] = {
        { 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 1 }, { 4, -1 }, { 0xf, -1 }, { 0x10, 2 }, { 0x14, 2 },
        { 0x15, -1 }, { 0x3fffffef, -1 }, { 0x3ffffff0, 3 }, { 0x3ffffff4, 3 },
        { 0x3ffffff5, -1 }, { 0x100000000, -1 },
        { UINT64_MAX, -1 },
    };
    for (unsigned i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        assert_int_equal(sites_find(asked[i].at, &s), asked[i].site >= 0);
        if (asked[i].site >= 0) {
            assert_int_equal(s.at, told[asked[i].site].at & 0x3fffffff);
            assert_int_equal(s.kind, told[asked[i].site].at >> 30);
            assert_int_equal(s.target, told[asked[i].site].target);
        }
    }
    free(site_page[0]);
}

/* Many, in several pages: each byte of each, and of the gaps between them. */
static void test_many(void **state)
{
    struct site s;

    (void)state;
    for (uint32_t p = 0; p < 3; p++) {
        site_page[p] = calloc(LOCKDOWN_SITES_PAGE, sizeof(struct lockdown_site));
        for (uint32_t i = 0; i < LOCKDOWN_SITES_PAGE; i++) {
            uint32_t n = p * LOCKDOWN_SITES_PAGE + i;
            site_page[p][i] = (struct lockdown_site){ (n % 4) << 30 | (n * 7), n };
        }
    }
    for (site_count = 1; site_count <= 3 * LOCKDOWN_SITES_PAGE; site_count += 341) {
        for (uint32_t at = 0; at < 3 * LOCKDOWN_SITES_PAGE * 7; at++) {
            uint32_t n = at / 7;
            bool there = n < site_count && at % 7 < (n % 4 == LOCKDOWN_JUMP2 ? 2 : 5);
            assert_int_equal(sites_find(at, &s), there);
            assert_true(!there || (s.at == n * 7 && s.target == n && s.kind == n % 4));
        }
    }
    for (uint32_t p = 0; p < 3; p++) {
        free(site_page[p]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_short), cmocka_unit_test(test_one_byte),
        cmocka_unit_test(test_find), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
