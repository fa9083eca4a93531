/* SPDX-License-Identifier: MIT */
/*
 * hypapps/trustvisor as a whole: calls and returns: arguments, faults on the way in and out,
 * budgets, deaths, CPUID.
 */
#include "tv_fixture.h"
#include "hypapps/trustvisor/register.h"
#include "hypapps/trustvisor/pal.h"

static void test_integers(void **state)
{
    uint64_t args[10], base = BASE + 3 * PAGE_SIZE + 0x10;

    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned n = 1; n <= 10; n++) {
        unsigned extra = n > 6 ? n - 6 : 0;
        uint64_t top = BASE + 3 * PAGE_SIZE - 0x10, sp;
        integers(n);
        assert_int_equal(reg(), TV_OK);
        for (unsigned i = 0; i < 10; i++) {
            args[i] = 0xabcd000000000000ULL + 0x1234567ULL * (i + n);
        }
        assert_int_equal(call(args, n), HC_SWITCHED);
        sp = v.regs.gpr[GPR_RSP];
        assert_int_equal(sp, top - align_up(8 * extra, 16) - 8);
        for (unsigned i = 0; i < 16; i++) {
            bool is_arg = i == GPR_RSP;
            for (unsigned k = 0; k < n && k < 6; k++) {
                is_arg = is_arg || arg_gpr[k] == i;
            }
            assert_true(is_arg || v.regs.gpr[i] == 0);
        }
        for (unsigned i = 0; i < n; i++) {
            uint64_t at = base + 8 + (n - 1 - i) * 24;
            assert_int_equal(i < 6 ? v.regs.gpr[arg_gpr[i]] : pal_word(sp + 8 + 8 * (i - 6)),
                             args[i]);
            assert_int_equal(pal_word(at), TV_PARAM_INTEGER);
            assert_int_equal(pal_word(at + 16), args[i]);
        }
        assert_int_equal(pal_word(base), n);
        pal_returns(~args[0]);
        expect_returned(~args[0]);
        assert_int_equal(unreg(), TV_OK);
    }
    expect_no_pal_left();
}

/* Pointers of all sizes, over page borders on both sides, with guard words. */
static void test_pointers(void **state)
{
    static const unsigned words[10] = { 1, 0, 99, 512, 3, 700, 64, 2, 0, 511 };
    uint64_t args[10], user[10], at = BUFS + 0x10;

    (void)state;
    layout(1, 1, 1, 6);
    params->num_params = 10;
    for (unsigned i = 0; i < 10; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, words[i] };
        user[i] = at;
        at += words[i] * 8 + 16;
    }
    fill(BUFS, 8, 0x21);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call(user, 10), HC_SWITCHED);
    for (unsigned i = 0; i < 10; i++) {
        uint64_t a = i < 6 ? v.regs.gpr[arg_gpr[i]]
                           : pal_word(v.regs.gpr[GPR_RSP] + 8 + 8 * (i - 6));
        args[i] = a;
        assert_true(a > BASE + 3 * PAGE_SIZE && a + words[i] * 8 <= BASE + 9 * PAGE_SIZE);
        for (uint64_t k = 0; k < words[i] * 8; k++) {
            assert_int_equal(*pal_at(a + k), *fake_at(CR3, user[i] + k));
            *pal_at(a + k) ^= 0xff;
        }
    }
    /* What the PAL does to the rest of the area has no effect. */
    memset(pal_at(BASE + 3 * PAGE_SIZE), 0xee, 0x18);
    pal_returns(5);
    expect_returned(5);
    for (uint64_t i = 0; i < 8 * PAGE_SIZE; i++) {
        bool inside = false;
        uint8_t before = (uint8_t)(0x21 + i * 7 + (i >> 12));
        for (unsigned k = 0; k < 10; k++) {
            inside = inside || (BUFS + i >= user[k] && BUFS + i < user[k] + words[k] * 8);
        }
        assert_int_equal(*fake_at(CR3, BUFS + i), (uint8_t)(inside ? ~before : before));
    }
    (void)args;
}

static void pointer_pal(unsigned words)
{
    layout(1, 1, 1, 4);
    params->num_params = 1;
    params->params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, words };
    assert_int_equal(reg(), TV_OK);
}

/* A pointer that can't be copied back faults before the PAL runs. */
static void test_bad_pointers(void **state)
{
    (void)state;
    pointer_pal(1024);
    fake_map(CR3, BUFS + PAGE_SIZE, 0x20000, ACCESS_READ);
    call((uint64_t[]){ BUFS }, 1);
    expect_refused(FAKE_PF);
    assert_int_equal(fake.fault.addr.a, BUFS + PAGE_SIZE);
    assert_int_equal(fake.fault.error, PF_PRESENT | PF_WRITE | PF_USER);
    call((uint64_t[]){ 0 }, 1);
    expect_refused(FAKE_PF);
    call((uint64_t[]){ 0xffffffffffffff00 }, 1);
    expect_refused(FAKE_PF);
    call((uint64_t[]){ 0x8000000000000000 }, 1);
    expect_refused(FAKE_GP);
    fake_map(CR3, BUFS + PAGE_SIZE, FAKE_MMIO, FAKE_RW);
    call((uint64_t[]){ BUFS }, 1);
    expect_refused(FAKE_GP);
    assert_int_equal(fake.enters, 0);
    /* None of it has hurt the PAL. */
    call((uint64_t[]){ BUFS + 2 * PAGE_SIZE }, 1);
    pal_returns(9);
    expect_returned(9);
}

static void test_bad_stack(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    integers(10);
    assert_int_equal(reg(), TV_OK);
    poison();
    v.regs.rip = pal_entry;
    v.regs.gpr[GPR_RSP] = STACK + PAGE_SIZE - 16; /* six words don't fit */
    assert_int_equal(hypapp.hypercall(&v, 0), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_PF);
    assert_int_equal(fake.fault.addr.a, STACK + PAGE_SIZE);
    fake_clear();
    integers(1);
    call((uint64_t[]){ 0 }, 1); /* still registered with 10 */
    pal_returns(0);
    poison();
    set_word(RSP, 0x8000000000000000ULL);
    v.regs.rip = pal_entry;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    expect_refused(FAKE_GP);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
}

static void test_call_waits(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake.caller.event_queued = true;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    fake.caller.event_queued = false;
    fake.caller.interrupts_on = false;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    expect_refused(FAKE_GP);
    fake.caller.interrupts_on = true;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
}

/* The option palbudget=. */
static void test_budget(void **state)
{
    uint64_t token[2];

    setup(state);
    tv_budget = 1000;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 2; i++) { /* of each call, while it runs */
        call((uint64_t[]){ 0 }, 1);
        machine.tsc += 900;
        interrupt_pal(token);
        machine.tsc += 1000000;
        assert_int_equal(resume(token), HC_SWITCHED);
        expect_pal_goes_on();
        pal_returns(1);
        expect_returned(1);
    }
    call((uint64_t[]){ 0 }, 1);
    machine.tsc += 900;
    interrupt_pal(token);
    assert_int_equal(resume(token), HC_SWITCHED);
    machine.tsc += 200;
    sandbox_exit(EXIT_INTR);
    expect_refused(FAKE_GP);
    assert_int_equal(death(), TV_DEATH_BUDGET);
    expect_no_pal_left();
    tv_budget = 0;
}

/* The hypapp's words of the command line. */
static void test_options(void **state)
{
    static const char *const bad[] = { "", "0", "100001", "2s", "-1", "99999999999999999999" };
    const struct option_more *o = hypapp.options;

    (void)state;
    assert_string_equal(o->name, "palbudget");
    assert_string_equal(o->values, "1 to 100000");
    assert_null(o[1].name);
    assert_true(o->set("7"));
    assert_int_equal(tv_budget, 7000000000);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(o->set(bad[i]));
        assert_int_equal(tv_budget, 7000000000);
    }
    assert_true(o->set("100000"));
    assert_int_equal(tv_budget, 100000000000000);
    tv_budget = 0;
}

/* The buffer is gone when the PAL returns: #PF at the resume stub, then the rest. */
static void test_copy_out_faults(void **state)
{
    uint64_t token[2];

    (void)state;
    pointer_pal(1024);
    fill(BUFS, 3, 0x55);
    call((uint64_t[]){ BUFS + 8 }, 1);
    for (unsigned i = 0; i < 8192; i++) {
        *pal_at(v.regs.gpr[GPR_RDI] + i) = 0xdd;
    }
    fake_absent(CR3, BUFS + PAGE_SIZE);
    pal_returns(6);
    assert_int_equal(fake.injected, FAKE_PF);
    assert_int_equal(fake.fault.addr.a, BUFS + PAGE_SIZE);
    assert_int_equal(v.regs.rip, RESUME);
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
    fake_clear();
    assert_int_equal(resume(token), HC_SWITCHED); /* too early: faults again */
    assert_int_equal(fake.injected, FAKE_PF);
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
    fake_clear();
    assert_true(fake_resolve());
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_returned(6);
    for (unsigned i = 0; i < 8192; i++) {
        assert_int_equal(*fake_at(CR3, BUFS + 8 + i), 0xdd);
    }
    assert_true(filled(fake_at(CR3, BUFS), 0, 8, 0x55));
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

static void test_buffer_becomes_device(void **state)
{
    (void)state;
    pointer_pal(1024);
    call((uint64_t[]){ BUFS }, 1);
    fake_map(CR3, BUFS, FAKE_MMIO, FAKE_RW);
    pal_returns(6);
    expect_refused(FAKE_GP);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

static void test_death(void **state)
{
    static const struct { enum exit_kind kind; enum tv_death why; } cases[] = {
        { EXIT_EXCEPTION, TV_DEATH_EXCEPTION }, { EXIT_NESTED_FAULT, TV_DEATH_ESCAPE },
        { EXIT_IO, TV_DEATH_FORBIDDEN },        { EXIT_RDMSR, TV_DEATH_FORBIDDEN },
        { EXIT_WRMSR, TV_DEATH_FORBIDDEN },     { EXIT_INVD, TV_DEATH_FORBIDDEN },
        { EXIT_SHUTDOWN, TV_DEATH_ESCAPE },     { EXIT_HIDDEN_INSN, TV_DEATH_FORBIDDEN },
        { EXIT_CR_WRITE, TV_DEATH_FORBIDDEN },  { EXIT_XSETBV, TV_DEATH_FORBIDDEN },
        { EXIT_UNKNOWN, TV_DEATH_FORBIDDEN },      { EXIT_ENTRY_FAILED, TV_DEATH_ESCAPE },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t token[2];
        setup(NULL);
        layout(1, 1, 1, 1);
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ 0 }, 1);
        if (i % 2) {
            interrupt_pal(token);
            resume(token);
        }
        v.regs.rip = BASE + 0x444;
        v.regs.gpr[GPR_RAX] = 0x5ec3e7;
        sandbox_exit(cases[i].kind);
        expect_refused(FAKE_GP);
        assert_int_equal(v.regs.gpr[GPR_RAX], 0);
        assert_int_equal(v.regs.gpr[GPR_RBX], 0x1111111111111111ULL * GPR_RBX + 5);
        assert_int_equal(fake.fpu, 0xf00d);
        assert_int_equal(death(), cases[i].why);
        if (cases[i].kind == EXIT_EXCEPTION) {
            assert_int_equal(info(XMHF_INFO_LAST_DEATH) >> 16 & 0xff, 14);
        }
        assert_non_null(strstr(fake.log, "CODE+0x444"));
        expect_no_pal_left();
        call((uint64_t[]){ 0 }, 1); /* nothing there any more */
        expect_refused(FAKE_UD);
        assert_int_equal(unreg(), TV_NOT_FOUND);
        fake.caller.paging.cr3 = 0x77000; /* no other process's business */
        assert_int_equal(info(XMHF_INFO_LAST_DEATH), 0);
    }
}

static void test_hypercalls_inside(void **state)
{
    static const struct { uint32_t cmd; enum tv_error answer; } cases[] = {
        { TV_HC_REG, TV_IN_PAL }, { TV_HC_UNREG, TV_IN_PAL }, { TV_HC_TEST, TV_OK },
        { 9, TV_NOT_SUPPORTED }, { 0, TV_UNKNOWN_COMMAND }, { 0x12345, TV_UNKNOWN_COMMAND },
    };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        v.regs.rip = BASE + 0x200;
        v.regs.gpr[GPR_RAX] = cases[i].cmd;
        sandbox_exit(EXIT_HYPERCALL);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.gpr[GPR_RAX], cases[i].answer);
        assert_int_equal(v.regs.rip, BASE + 0x203);
    }
    pal_returns(0);
    expect_returned(0);
}

static void test_cpuid(void **state)
{
    struct cpuid_regs r = { 1, 2, 3, 4 };

    (void)state;
    hypapp.cpuid(&v, TV_CPUID_LEAF, 1, &r);
    hypapp.cpuid(&v, 1, 0, &r);
    assert_memory_equal(&r, &((struct cpuid_regs){ 1, 2, 3, 4 }), sizeof(r));
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_memory_equal(&r, &((struct cpuid_regs){ TV_CPUID_REPLY_EAX, ~0u, 1, 0 }), sizeof(r));
    fake.caller.paging.mode = MODE_PROT32;
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_int_equal(r.ecx, 0);
    fake.caller.paging.mode = MODE_LONG64;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_int_equal(r.eax, TV_CPUID_REPLY_EAX);
    assert_true(r.ebx < TV_SLOTS);
    assert_int_equal(r.ecx, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_integers), TEST(test_pointers), TEST(test_bad_pointers), TEST(test_bad_stack),
        TEST(test_call_waits), TEST(test_budget), TEST(test_options), TEST(test_copy_out_faults),
        TEST(test_buffer_becomes_device), TEST(test_death), TEST(test_hypercalls_inside),
        TEST(test_cpuid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
