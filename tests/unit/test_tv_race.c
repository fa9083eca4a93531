/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor as a whole: what another CPU does between two looks at a stub. */
#include "tv_fixture.h"
#include "hypapps/trustvisor/registry.h"
#include "hypapps/trustvisor/stubs.h"

/* Another CPU overwrites the code under a hypercall instruction that has just exited. */
static void test_code_changes_under_a_hypercall(void **state)
{
    static const struct { const char *code; enum hc_result r; } cases[] = {
        { "\x0f\x01\xd9 ", HC_DONE }, { "\x0f\x01\xc1 ", HC_DONE }, { "\xf3\x0f\x01\xd9", HC_DONE },
        { "\x55\x48\x89\xe5", HC_AGAIN }, { "\xcc\xcc\xcc\xcc", HC_AGAIN },
        { "\x0f\x01\xd8 ", HC_AGAIN },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memcpy(fake_at(CR3, TEXT), cases[i].code, 4);
        poison();
        assert_int_equal(hypercall(200, 0, 0, 0), cases[i].r);
    }
    fake_absent(CR3, TEXT);
    assert_int_equal(hypercall(200, 0, 0, 0), HC_AGAIN);
    fake_map(CR3, TEXT, 0, ACCESS_EXEC); /* can't be read */
    assert_int_equal(hypercall(200, 0, 0, 0), HC_DONE);
}

/* A registration under way whose stubs are there already. The caller holds a reference, as if a CPU
 * worked on it. */
static struct tv_slot *about_to_live(void)
{
    struct tv_slot *s;
    bool busy;

    layout(1, 1, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    s = registry_get_idle(CR3 >> PAGE_SHIFT, pal_entry, &busy);
    assert_non_null(s);
    stubs_write(s->pal, fake_at(CR3, BASE));
    return s;
}

/* A stub whose PAL is just being registered by another CPU is tried again. */
static void test_stub_of_a_pal_about_to_live(void **state)
{
    struct tv_slot *s = about_to_live();

    (void)state;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    registry_put(s);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    expect_refused(FAKE_UD);
}

static struct vcpu_regs registering;

/* Another CPU goes on with that registration to its end. */
static void becomes_live(void)
{
    struct vcpu cpu2 = { .index = 1, .regs = registering };
    enum hc_result r = HC_AGAIN;

    while (r == HC_AGAIN) {
        cpu2.regs.gpr[GPR_RAX] = TV_HC_REG;
        r = hypapp.hypercall(&cpu2, TV_HC_REG);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(cpu2.regs.gpr[GPR_RAX], TV_OK);
}

/* The same where the PAL becomes live between the look for one and the look at its stub. */
static void test_stub_of_a_pal_that_just_lives(void **state)
{
    (void)state;
    registry_put(about_to_live());
    registering = v.regs;
    fake.on_access = becomes_live;
    assert_int_equal(call((uint64_t[]){ 5 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(6);
    expect_returned(6);
}

static enum hc_result met;

/* Another CPU comes to the stub as soon as the PAL is closed, and its code isn't back yet. */
static void calls_while_leaving(void)
{
    struct vcpu cpu2 = { .index = 1, .regs = { .rip = pal_entry, .rflags = 0x246 } };

    if (!leaves(calls_while_leaving)) {
        return;
    }
    cpu2.regs.gpr[GPR_RSP] = RSP;
    met = hypapp.hypercall(&cpu2, 0);
}

static void test_call_while_code_is_handed_back(void **state)
{
    (void)state;
    layout(20, 1, 1, 1); /* more than unregistering remembers the places of */
    assert_int_equal(reg(), TV_OK);
    met = HC_UNKNOWN;
    fake.on_access = calls_while_leaving;
    assert_int_equal(unreg(), TV_OK);
    assert_int_equal(met, HC_AGAIN);
    expect_no_pal_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_code_changes_under_a_hypercall), TEST(test_stub_of_a_pal_about_to_live),
        TEST(test_stub_of_a_pal_that_just_lives), TEST(test_call_while_code_is_handed_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
