/* SPDX-License-Identifier: MIT */
/* What a PAL asks for its own memory: random bytes, to where it can write, or nothing at all. */
#include "tv_fixture.h"

#include <xmhf/image.h>

/* CODE 2 pages, then DATA 2, STACK 1, PARAM 1, one behind the other. */
#define DATA (BASE + 2 * PAGE_SIZE)
#define END  (BASE + 6 * PAGE_SIZE)

static int running(void **state)
{
    setup(state);
    layout(2, 2, 1, 1);
    integers(1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    return 0;
}

/* The PAL's hypercall; it goes on behind it. */
static uint64_t draw(uint64_t to, uint64_t n)
{
    const struct exit e = { .kind = EXIT_HYPERCALL, .insn_len = VMMCALL_LEN };

    v.regs.rip = pal_entry + 0x20;
    v.regs.gpr[GPR_RAX] = XMHF_HC_RANDOM;
    v.regs.gpr[GPR_RCX] = to;
    v.regs.gpr[GPR_RDX] = n;
    hypapp.sandbox_exit(&v, &e);
    assert_true(v.in_sandbox);
    assert_int_equal(v.regs.rip, pal_entry + 0x20 + VMMCALL_LEN);
    return v.regs.gpr[GPR_RAX];
}

/* All that the PAL has. */
static uint8_t before[6 * PAGE_SIZE];

static void look(uint8_t *to)
{
    for (unsigned p = 0; p < 6; p++) {
        memcpy(to + p * PAGE_SIZE, pal_at(BASE + p * PAGE_SIZE), PAGE_SIZE);
    }
}

/* Nothing but [at, at + n) has changed, and of that hardly a byte is as it was. */
static void expect_only(uint64_t at, uint64_t n)
{
    static uint8_t now[sizeof(before)];
    uint64_t same = 0;

    look(now);
    for (uint64_t i = 0; i < sizeof(now); i++) {
        if (BASE + i - at >= n) {
            assert_int_equal(now[i], before[i]);
        } else {
            same += now[i] == before[i];
        }
    }
    assert_true(same <= n / 16 + 1);
}

static void expect_refused_draw(uint64_t to, uint64_t n, enum tv_error e)
{
    look(before);
    assert_int_equal(draw(to, n), e);
    expect_only(0, 0);
}

static void random_to_own_memory(void **state)
{
    static const struct { uint64_t at, n; } good[] = {
        { DATA, 1 }, { DATA + 5, 255 }, { DATA + PAGE_SIZE - 100, 256 }, { END - 256, 256 },
        { DATA + 2 * PAGE_SIZE - 1, 2 } /* DATA's last byte and STACK's first */,
        { DATA + 3 * PAGE_SIZE - 8, 256 } /* PARAM, and STACK's slack */, { DATA, 0 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        memset(pal_at(DATA), 0, PAGE_SIZE);
        look(before);
        assert_int_equal(draw(good[i].at, good[i].n), TV_OK);
        expect_only(good[i].at, good[i].n);
    }
    pal_returns(3);
    expect_returned(3);
}

static void random_to_elsewhere(void **state)
{
    static const struct { uint64_t at, n; } bad[] = {
        { BASE, 16 }, { DATA - 1, 1 }, { DATA - 1, 2 } /* CODE's last byte */,
        { END - 1, 2 }, { END, 1 }, { STACK, 8 } /* the caller's */, { 0, 8 }, { ~0ULL, 1 },
        { ~0ULL - 7, 64 } /* wraps */, { 1ULL << 63, 8 }, { END - 255, 256 },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        expect_refused_draw(bad[i].at, bad[i].n, TV_BAD_ADDRESS);
    }
    expect_refused_draw(DATA, XMHF_RANDOM_MAX + 1, TV_TOO_LONG);
    expect_refused_draw(DATA, ~0ULL, TV_TOO_LONG);
    expect_refused_draw(DATA, 1ULL << 32, TV_TOO_LONG);
    fake.no_entropy = true;
    expect_refused_draw(DATA, 16, TV_NO_ENTROPY);
    pal_returns(4);
    expect_returned(4);
}

/* For the OS the number means nothing. */
static void random_outside(void **state)
{
    (void)state;
    pal_returns(0);
    assert_int_equal(command(XMHF_HC_RANDOM, BUFS, 0, 0), TV_UNKNOWN_COMMAND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_to_own_memory, running),
        cmocka_unit_test_setup(random_to_elsewhere, running),
        cmocka_unit_test_setup(random_outside, running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
