/* SPDX-License-Identifier: MIT */
/*
 * hypapps/trustvisor as a whole: registering and unregistering: what is left in the owner's memory,
 * what is refused, and that a refusal changes nothing.
 */
#include "tv_fixture.h"
#include "hypapps/trustvisor/call.h"
#include "hypapps/trustvisor/pal.h"

static void test_register_leaves_stubs_and_zeros(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    assert_memory_equal(fake_at(CR3, pal_entry), "\x0f\x01\xd9\xccXMHFPAL", 11);
    assert_memory_equal(fake_at(CR3, RESUME), "\x0f\x01\xd9\xccXMHFPAL", 11);
    for (unsigned i = 0; i < 2 * PAGE_SIZE; i++) {
        if ((i < 0x100 || i >= 0x10b) && (i < 4064 || i >= 4096)) {
            assert_int_equal(*fake_at(CR3, BASE + i), 0xcc);
        }
    }
    for (unsigned i = 2 * PAGE_SIZE; i < 5 * PAGE_SIZE; i++) {
        assert_int_equal(*fake_at(CR3, BASE + i), 0);
    }
}

static void test_unregister_gives_code_back(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    for (unsigned round = 0; round < 50; round++) {
        assert_int_equal(reg(), TV_OK);
        assert_int_equal(unreg(), TV_OK);
        for (unsigned p = 0; p < 2; p++) {
            assert_true(filled(fake_at(CR3, BASE + p * PAGE_SIZE), p * PAGE_SIZE, PAGE_SIZE, 0));
        }
        expect_no_pal_left();
    }
    assert_int_equal(unreg(), TV_NOT_FOUND);
}

/* No PAL without random numbers; and an old key of them is renewed in an exit of its own. */
static void test_no_entropy(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    fake.no_entropy = true;
    assert_int_equal(reg(), TV_NO_ENTROPY);
    expect_no_pal_left();
    assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0));
    fake.no_entropy = false;
    fake.refresh_due = true;
    assert_int_equal(hypapp.hypercall(&v, TV_HC_REG), HC_AGAIN);
    assert_false(fake.refresh_due);
    expect_no_pal_left();
    assert_int_equal(reg(), TV_OK);
}

static void test_xstate_of_any_size(void **state)
{
    static const size_t size[] = { 512, 832, 2696, 4096 };

    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
        fake.xstate_size = size[i];
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ 0 }, 1);
        sandbox_exit(EXIT_INTR);
        assert_int_equal(unreg(), TV_OK);
        expect_no_pal_left();
    }
    fake.xstate_size = 4097;
    assert_false(call_init());
}

static void test_pal_sees_its_sections_only(void **state)
{
    unsigned rights;

    (void)state;
    layout(2, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call((uint64_t[]){ 7 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
    assert_int_equal(fake.entered.mode, SANDBOX_64);
    for (unsigned p = 0; p < 5; p++) {
        uint8_t *at = fake_pal_at(BASE + p * PAGE_SIZE, &rights);
        assert_non_null(at);
        assert_int_equal(rights, p < 2 ? FAKE_RX : FAKE_RW);
        if (p < 3) { /* what was there at registration */
            unsigned first = p < 2 ? 0 : 2;
            assert_true(filled(at, (p - first) * PAGE_SIZE, PAGE_SIZE, p < 2 ? 0 : 0x40));
        }
    }
    assert_int_equal(v.regs.rip, pal_entry);
    assert_int_equal(v.regs.gpr[GPR_RDI], 7);
    fake_pal_at(pal_word(v.regs.gpr[GPR_RSP]), &rights);
    assert_int_equal(rights, FAKE_RX); /* the return page */
    for (uint64_t va = 0; va < 0x10000; va += PAGE_SIZE) {
        assert_null(fake_pal_at(va, &rights));
    }
    assert_null(fake_pal_at(STACK, &rights));
    assert_null(fake_pal_at(BASE - PAGE_SIZE, &rights));
    pal_returns(1);
    expect_returned(1);
}

/* Sections anywhere, with and without room for the return page next to them. */
static void test_address_spaces(void **state)
{
    static const uint64_t places[][4] = {
        { 0x1000, 0x2000, 0x4000, 0x3000 },
        { 0x1ff000, 0x3ff000, 0x5ff000, 0x7ff000 },
        { 0x1ff000, 0x1000, 0x3fffffff000, 0x7ffffffff000 },
        { 0x7ffffffff000, 0x3ffff000, 0x7ffffff000, 0xfffffff000 },
        { 0x0, 0x40000000, 0x8000000000, 0x400000000000 },
    };

    (void)state;
    for (unsigned n = 0; n < ARRAY_SIZE(places); n++) {
        setup(NULL);
        sections->num_sections = 4;
        for (unsigned i = 0; i < 4; i++) {
            static const uint32_t type[4] = {
                TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
            };
            sections->sections[i] = (struct tv_pal_section){ type[i], 1, places[n][i] };
            fake_map_new(CR3, places[n][i], 1, FAKE_RWX);
        }
        pal_entry = places[n][0] + 0x10;
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ 0 }, 1);
        pal_returns(n);
        expect_returned(n);
        assert_int_equal(unreg(), TV_OK);
        expect_no_pal_left();
    }
}

/* Every place of the entry keeps stub, mark and nonce apart. */
static const unsigned entry_offset[] = {
    0, 1, 3, 30, 31, 32, 33, 43, 4053, 4064, 4085, 4086, 4093,
};

static void test_entry_places(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(entry_offset); i++) {
        pal_entry = BASE + entry_offset[i];
        assert_int_equal(reg(), TV_OK);
        for (unsigned k = 0; k < 3; k++) {
            call((uint64_t[]){ i }, 1);
            sandbox_exit(EXIT_INTR);
            assert_true(v.regs.rip == BASE || v.regs.rip == BASE + 4064);
            assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
            pal_returns(i);
            expect_returned(i);
        }
        assert_int_equal(unreg(), TV_OK);
        expect_no_pal_left();
    }
}

/* Wherever the entry is, a call of a dead PAL is no command, whatever RAX holds. */
static void test_dead_entry_places(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(entry_offset); i++) {
        pal_entry = BASE + entry_offset[i];
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ i }, 1);
        sandbox_exit(EXIT_EXCEPTION);
        expect_refused(FAKE_GP);
        assert_int_equal(call((uint64_t[]){ i }, 1), HC_SWITCHED);
        expect_refused(FAKE_UD);
        v.regs.rip = align_down(pal_entry, PAGE_SIZE) + (entry_offset[i] < 4054 ? 4064 : 0);
        assert_int_equal(hypapp.hypercall(&v, TV_HC_TEST), HC_SWITCHED);
        assert_int_equal(fake.injected, FAKE_UD);
        fake_clear();
        expect_no_pal_left();
    }
    /* A program's own hypercall at the end of a page is one. */
    fake_map_new(CR3, TEXT + PAGE_SIZE, 1, FAKE_RX);
    memcpy(fake_at(CR3, TEXT + PAGE_SIZE + 4093), "\x0f\x01\xd9", 3);
    poison();
    v.regs.rip = TEXT + PAGE_SIZE + 4093;
    assert_int_equal(hypercall(TV_HC_TEST, 0, 0, 0), HC_DONE);
}

static void test_errors_change_nothing(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    params->num_params = 0;
    assert_int_equal(reg(), TV_BAD_PARAMS);
    integers(1);
    sections->num_sections = 11;
    assert_int_equal(reg(), TV_BAD_SECTIONS);
    sections->num_sections = 4;
    fake_map(CR3, BASE + PAGE_SIZE, FAKE_MMIO, FAKE_RWX);
    assert_int_equal(reg(), TV_NOT_RAM);
    fake_map(CR3, BASE + PAGE_SIZE, 0x13000, FAKE_RWX);
    fake_map(CR3, BASE + 3 * PAGE_SIZE, 0x13000, FAKE_RWX);
    assert_int_equal(reg(), TV_DUPLICATE_PAGE);
    assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0));
    expect_no_pal_left();
}

/* What the caller may not write it can't register: it gets the fault of its own write. */
static void test_foreign_pages_fault(void **state)
{
    static const unsigned rights[] = { ACCESS_READ, FAKE_RX };

    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t va = BASE + (i / 2) * PAGE_SIZE;
        uint64_t g = (uint64_t)(fake_at(CR3, va) - fake_ram(0));
        fake_map(CR3, va, g, rights[i % 2]);
        assert_int_equal(reg(), ~0ULL);
        assert_int_equal(fake.fault.addr.a, va);
        assert_int_equal(fake.fault.error, PF_PRESENT | PF_WRITE | PF_USER);
        assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, i / 2 == 0 ? 0 : 0));
        expect_no_pal_left();
        fake_map(CR3, va, g, FAKE_RWX);
    }
    fake_unmap(CR3, BASE + 2 * PAGE_SIZE);
    assert_int_equal(reg(), ~0ULL);
    expect_no_pal_left();
}

static void test_bad_descriptors(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(command(TV_HC_REG, 0, ARGS, pal_entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, ARGS, 0x123456, pal_entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, ARGS, 0xffff800000000000, pal_entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, 0x8000000000000000, ARGS, pal_entry), ~0ULL);
    /* An object that ends with its page is legal. */
    memmove(fake_at(CR3, ARGS + 0x1000 - 8 - 64), sections, 8 + 64);
    memmove(fake_at(CR3, ARGS + 0x800 - 24), params, 24);
    assert_int_equal(command(TV_HC_REG, ARGS + 0x1000 - 8 - 64, ARGS + 0x800 - 24, pal_entry),
                     TV_OK);
}

static void test_only_ring3(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    fake.caller.paging.cpl = 0;
    assert_int_equal(reg(), TV_BAD_CALLER);
    assert_int_equal(unreg(), TV_BAD_CALLER);
    fake.caller.paging.cpl = 3;
    for (enum cpu_mode m = MODE_REAL; m <= MODE_PROT16; m++) {
        fake.caller.paging.mode = m;
        assert_int_equal(reg(), TV_BAD_CALLER);
        assert_int_equal(unreg(), TV_BAD_CALLER);
    }
    fake.caller.paging.mode = MODE_LONG64;
    assert_int_equal(reg(), TV_OK);
    /* Ring 0 or 16-bit code at the stub isn't a call. */
    fake.caller.paging.cpl = 0;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_NOT_SUPPORTED); /* RAX was 5: a command */
    fake.caller.paging.cpl = 3;
    fake.caller.paging.mode = MODE_PROT16;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_NOT_SUPPORTED);
}

/* Each page absent once, whatever the phase: the same PAL in the end. */
static void test_absent_pages(void **state)
{
    (void)state;
    layout(3, 2, 2, 1);
    for (unsigned i = 0; i < 8; i++) {
        fake_absent(CR3, BASE + i * PAGE_SIZE);
    }
    fake_absent(CR3, ARGS);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    assert_true(filled(pal_at(BASE), 0, PAGE_SIZE, 0));
    assert_true(filled(pal_at(BASE + 4 * PAGE_SIZE), PAGE_SIZE, PAGE_SIZE, 0x40));
    pal_returns(0);
    for (unsigned i = 0; i < 8; i++) {
        fake_absent(CR3, BASE + i * PAGE_SIZE);
    }
    assert_int_equal(unreg(), TV_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(filled(fake_at(CR3, BASE + i * PAGE_SIZE), i * PAGE_SIZE, PAGE_SIZE, 0));
    }
    for (unsigned i = 3; i < 8; i++) {
        fake_resolve();
    }
    expect_no_pal_left();
}

/* A fault at any access of a registration: it goes on, or it changed nothing. */
static void test_fault_at_every_access(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    for (unsigned n = 1;; n++) {
        uint64_t r;
        fake.guest_accesses = 0;
        fake.fault_at = n;
        r = reg();
        if (fake.guest_accesses < n) {
            assert_int_equal(r, TV_OK);
            assert_true(n > 15);
            break;
        }
        if (r == TV_OK) { /* the mark's check only looks whether this is a stub */
            assert_int_equal(unreg(), TV_OK);
        }
        fake.fault_at = 0;
        assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0));
        if (r != TV_OK) {
            machine.tsc += TV_STALE_TICKS;
            assert_int_equal(reg(), TV_OK); /* what was left over is no obstacle */
            assert_int_equal(unreg(), TV_OK);
        }
        expect_no_pal_left();
    }
}

/* A frame that is there twice is found, also if its first page is away at that moment. */
static void test_duplicate_with_a_fault_anywhere(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    fake_map(CR3, BASE + PAGE_SIZE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    for (unsigned n = 1;; n++) {
        uint64_t r;
        fake.guest_accesses = 0;
        fake.fault_at = n;
        r = reg();
        assert_int_not_equal(r, TV_OK);
        if (fake.guest_accesses < n) {
            assert_int_equal(r, TV_DUPLICATE_PAGE);
            assert_true(n > 8);
            break;
        }
        fake.fault_at = 0;
        machine.tsc += TV_STALE_TICKS;
        assert_int_equal(reg(), TV_DUPLICATE_PAGE);
        expect_no_pal_left();
    }
}

static void test_exists_and_overlap(void **state)
{
    (void)state;
    layout(2, 2, 2, 2);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(reg(), TV_EXISTS);
    pal_entry = BASE + 0x200;
    assert_int_equal(reg(), TV_OVERLAP);
    pal_entry = BASE + PAGE_SIZE + 0x200;
    assert_int_equal(reg(), TV_OVERLAP);
    assert_int_equal(unreg(), TV_NOT_FOUND);
    pal_entry = BASE + 0x100;
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

static void test_ten_pals(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < 10; i++) {
            sections->num_sections = 4;
            for (uint64_t k = 0; k < 4; k++) {
                static const uint32_t type[4] = {
                    TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
                };
                uint64_t va = BASE + (4 * i + k) * PAGE_SIZE;
                if (round == 0) {
                    fake_map_new(CR3, va, 1, FAKE_RWX);
                }
                sections->sections[k] = (struct tv_pal_section){ type[k], 1, va };
            }
            pal_entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            assert_int_equal(reg(), TV_OK);
        }
        assert_int_equal(info(XMHF_INFO_PALS), 10);
        for (uint64_t i = 0; i < 10; i++) {
            pal_entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            call(&i, 1);
            assert_int_equal(v.regs.gpr[GPR_RDI], i);
            pal_returns(i * i);
            expect_returned(i * i);
        }
        for (uint64_t i = 10; i-- > 0;) {
            pal_entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            assert_int_equal(unreg(), TV_OK);
        }
        expect_no_pal_left();
    }
}

static void test_quota(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    for (uint64_t n = 0; n <= TV_PALS_PER_PROCESS; n++) {
        /* The same frames at other addresses; each PAL needs its own entry page. */
        uint64_t at = BASE + 0x1000000 + n * 4 * PAGE_SIZE;
        fake_map_new(CR3, at, 1, FAKE_RWX);
        for (unsigned k = 0; k < 4; k++) {
            sections->sections[k].start_addr = at + k * PAGE_SIZE;
            if (k > 0) {
                fake_map(CR3, at + k * PAGE_SIZE,
                         (uint64_t)(fake_at(CR3, BASE + k * PAGE_SIZE) - fake_ram(0)), FAKE_RWX);
            }
        }
        pal_entry = at;
        assert_int_equal(reg(), n < TV_PALS_PER_PROCESS ? TV_OK : TV_QUOTA);
    }
    assert_int_equal(info(XMHF_INFO_PALS), TV_PALS_PER_PROCESS);
    /* The process ends; another one gets its CR3. */
    for (uint64_t n = 0; n < TV_PALS_PER_PROCESS; n++) {
        fake_unmap(CR3, BASE + 0x1000000 + n * 4 * PAGE_SIZE);
    }
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(command(TV_HC_UNREG, pal_entry, 0, 0), TV_OK);
}

static void test_every_command(void **state)
{
    (void)state;
    for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
        fake.caller.paging.cpl = (uint8_t)cpl;
        for (uint32_t cmd = 0; cmd < 65536; cmd++) {
            enum hc_result r;
            poison();
            r = hypercall(cmd, 0, 0, 0);
            if (cmd == XMHF_HC_INFO) {
                assert_int_equal(r, HC_UNKNOWN);
            } else if ((cmd == TV_HC_REG || cmd == XMHF_HC_MODULE_REGISTER
                        || cmd == XMHF_HC_IMAGE_REGISTER || cmd == XMHF_HC_PAL_READ)
                       && cpl == 3) {
                assert_int_equal(r, HC_AGAIN);
                assert_int_equal(fake.injected, FAKE_PF);
                fake_clear();
            } else {
                assert_int_equal(r, HC_DONE);
                assert_true((v.regs.gpr[GPR_RAX] == 0) == (cmd == TV_HC_TEST));
                assert_int_equal(v.regs.rip, 0x400000);
            }
        }
    }
    expect_no_pal_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register_leaves_stubs_and_zeros), TEST(test_unregister_gives_code_back),
        TEST(test_no_entropy), TEST(test_xstate_of_any_size), TEST(test_pal_sees_its_sections_only),
        TEST(test_address_spaces), TEST(test_entry_places), TEST(test_dead_entry_places),
        TEST(test_errors_change_nothing), TEST(test_foreign_pages_fault),
        TEST(test_bad_descriptors), TEST(test_only_ring3), TEST(test_absent_pages),
        TEST(test_fault_at_every_access), TEST(test_duplicate_with_a_fault_anywhere),
        TEST(test_exists_and_overlap), TEST(test_ten_pals), TEST(test_quota),
        TEST(test_every_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
