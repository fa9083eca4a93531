/* SPDX-License-Identifier: MIT */
/*
 * hypapps/trustvisor as a whole: threads: interrupted calls, tokens, flags, and who waits for whom.
 */
#include "tv_fixture.h"
#include "hypapps/trustvisor/registry.h"

static void test_interrupt_and_resume(void **state)
{
    uint64_t token[2], old[2] = { 0, 0 };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    for (unsigned i = 0; i < 20; i++) {
        interrupt_pal(token);
        assert_memory_not_equal(token, old, 16);
        v.index = i % 4; /* on any CPU */
        assert_int_equal(resume(token), HC_SWITCHED);
        expect_pal_goes_on();
        memcpy(old, token, 16);
    }
    pal_returns(77);
    expect_returned(77);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

/* A machine check is the OS's, as an interrupt is: no fault of the PAL's. */
static void test_machine_check(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 3 }, 1);
    stop_pal(&(struct exit){ .kind = EXIT_EXCEPTION, .exception.vector = EXC_MC }, token);
    assert_int_equal(fake.injected, FAKE_MC);
    assert_int_equal(fake.injected_rip, RESUME);
    fake_clear();
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_pal_goes_on();
    pal_returns(4);
    expect_returned(4);
}

/* A debugger steps the thread, or no longer: as it was at the resume stub, not as at the call. */
static void test_steps(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    for (unsigned on = 0; on < 2; on++) {
        call((uint64_t[]){ 0 }, 1);
        interrupt_pal(token);
        v.regs.rflags = 0x246 | (on ? RFLAGS_TF : 0);
        assert_int_equal(hypapp.hypercall(&v, (uint32_t)token[0]), HC_SWITCHED);
        expect_pal_goes_on(); /* the PAL isn't stepped */
        v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x100;
        sandbox_exit(EXIT_INTR);
        assert_int_equal(v.regs.rflags, 0x246 | (on ? RFLAGS_TF : 0));
        v.regs.rflags = 0x246 | (on ? 0 : RFLAGS_TF);
        assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
        expect_pal_goes_on();
        pal_returns(1);
        assert_int_equal(v.regs.rflags, 0x246 | (on ? 0 : RFLAGS_TF));
    }
}

/* A call with these flags, interrupted, that goes on where the OS has set others. Those at the
 * return. */
static uint64_t flags_after(uint64_t at_call, uint64_t at_resume)
{
    poison();
    set_word(RSP, RET);
    v.regs.rip = pal_entry;
    v.regs.rflags = at_call;
    fake.fpu = 0xf00d;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    sandbox_exit(EXIT_INTR);
    assert_int_equal(v.regs.rflags, at_call);
    v.regs.rflags = at_resume;
    assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
    assert_true(v.in_sandbox);
    v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x18;
    pal_returns(1);
    return v.regs.rflags;
}

/* The OS has taken the thread's right to ports meanwhile, or another thread comes with the
 * token: what the thread may do is what it might at the resume stub. */
static void test_rights_while_interrupted(void **state)
{
    const uint64_t rights = RFLAGS_IOPL | RFLAGS_AC | RFLAGS_NT, of_code = 0xed7;

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(flags_after(of_code | rights, 0x202), of_code);
    assert_int_equal(flags_after(of_code, 0x202 | rights), of_code | rights);
}

/* A debugger that goes on at a breakpoint sets RF, for that one instruction only. */
static void test_resume_flag(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    set_word(RSP, RET);
    v.regs.rip = pal_entry;
    v.regs.rflags |= RFLAGS_RF;
    fake.fpu = 0xf00d;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    pal_returns(1);
    expect_returned(1);
    assert_int_equal(flags_after(0x246, 0x246 | RFLAGS_RF), 0x246);
}

static void expect_bad_token(uint64_t low, uint64_t high)
{
    assert_int_equal(resume((uint64_t[]){ low, high }), HC_SWITCHED);
    assert_int_equal(fake.injected, FAKE_GP);
    assert_int_equal(v.regs.rip, RESUME);
    assert_false(v.in_sandbox);
    fake_clear();
}

static void test_bad_tokens(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    expect_bad_token(0, 0);
    expect_bad_token(1, 2);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    expect_bad_token(token[0] ^ 1, token[1]);
    expect_bad_token(token[0], token[1] ^ (1ULL << 63));
    expect_bad_token(0, token[1]);
    expect_bad_token(token[1], token[0]);
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_pal_goes_on();
    /* Replayed while it runs on another CPU, and after the end. */
    pal_returns(1);
    expect_bad_token(token[0], token[1]);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
}

static void test_second_caller_waits(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    resume(token);
    expect_pal_goes_on();
    pal_returns(2);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(3);
    expect_returned(3);
}

/* A call of a thread whose own call takes the only stack: #GP, and nothing else changes. */
static void expect_no_wait_for_oneself(void)
{
    const unsigned before = fake.enters;

    call((uint64_t[]){ 0 }, 1);
    assert_int_equal(fake.enters, before);
    assert_int_equal(fake.injected, FAKE_GP);
    fake_clear();
    assert_int_equal(v.regs.rip, pal_entry);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP);
}

static void be_thread(uint64_t fs, uint64_t gs)
{
    fake.fs_base = fs;
    fake.gs_base = gs;
}

/* A signal handler calls the PAL that its thread is in, or the thread has jumped out of the
 * handler and calls again. Other threads wait. */
static void test_call_from_handler(void **state)
{
    static const uint64_t others[][2] = {
        { 0x7000, 0x9000 }, { 0x7008, 0x8000 }, { 0, 0x8000 }, { 0x8000, 0x7000 }, { 0, 0 },
    };
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    be_thread(0x7000, 0x8000);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    expect_no_wait_for_oneself();
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        be_thread(others[i][0], others[i][1]);
        assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
        assert_int_equal(fake.injected, FAKE_NONE);
    }
    be_thread(0x7100, 0); /* the call is who goes on with it */
    resume(token);
    expect_pal_goes_on();
    interrupt_pal(token);
    expect_no_wait_for_oneself();
    be_thread(0x7000, 0x8000);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    resume(token);
    expect_pal_goes_on();
    pal_returns(2);
    expect_returned(2);
    call((uint64_t[]){ 0 }, 1); /* nobody is in it */
    assert_true(v.in_sandbox);
    pal_returns(3);
    expect_returned(3);
}

/* The same where the PAL is done and its caller's buffer was taken away: the handler of that
 * fault. */
static void test_call_from_fault_handler(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    params->params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 1 };
    assert_int_equal(reg(), TV_OK);
    be_thread(0, 0x8000);
    call((uint64_t[]){ BUFS }, 1);
    fake_absent(CR3, BUFS);
    pal_returns(2);
    assert_int_equal(fake.injected, FAKE_PF);
    fake_clear();
    expect_no_wait_for_oneself();
    be_thread(1, 0x8000);
    assert_int_equal(call((uint64_t[]){ BUFS }, 1), HC_AGAIN);
}

/* All stacks are taken by calls of an owner that is no more: who has its CR3 now doesn't wait
 * for it. */
static void test_call_of_the_dead_interrupted(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    memset(fake_at(CR3, RESUME + 16), 0, 16);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(registry_count(REGISTRY_ALL), 0);
    call((uint64_t[]){ 0 }, 1);
    assert_int_equal(fake.injected, FAKE_UD); /* by the mark that is still there */
}

static void test_unregister_interrupted(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
    assert_int_equal(resume(token), HC_AGAIN); /* the process's own code is there again */
    assert_int_equal(reg(), TV_OK);
    expect_bad_token(token[0], token[1]);
}

static void test_unregister_running(void **state)
{
    struct vcpu other = { .index = 1 };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    other.regs.rip = 0x400000;
    other.regs.gpr[GPR_RCX] = pal_entry;
    assert_int_equal(hypapp.hypercall(&other, TV_HC_UNREG), HC_DONE);
    assert_int_equal(other.regs.gpr[GPR_RAX], TV_BUSY);
    pal_returns(4);
    expect_returned(4);
    assert_int_equal(unreg(), TV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_interrupt_and_resume), TEST(test_machine_check), TEST(test_steps),
        TEST(test_rights_while_interrupted), TEST(test_resume_flag), TEST(test_bad_tokens),
        TEST(test_second_caller_waits), TEST(test_call_from_handler),
        TEST(test_call_from_fault_handler), TEST(test_call_of_the_dead_interrupted),
        TEST(test_unregister_interrupted), TEST(test_unregister_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
