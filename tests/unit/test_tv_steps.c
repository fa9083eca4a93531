/* SPDX-License-Identifier: MIT */
/*
 * hypapps/trustvisor as a whole: registrations and unregistrations in steps: large ones, several at
 * a time, abandoned ones.
 */
#include "tv_fixture.h"
#include "hypapps/trustvisor/collect.h"
#include "hypapps/trustvisor/death.h"
#include "hypapps/trustvisor/registry.h"
#include "hypapps/trustvisor/pal.h"

/* A PAL too large for one exit: overwritten and handed back in steps. */
static void test_large_pal(void **state)
{
    (void)state;
    layout(300, 200, 3, 3);
    pal_entry = BASE + 150 * PAGE_SIZE + 8;
    for (unsigned i = 0; i < 500; i += 37) {
        fake_absent(CR3, BASE + i * PAGE_SIZE);
    }
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(*fake_at(CR3, BASE + i * PAGE_SIZE + 0x800), 0xcc);
    }
    call((uint64_t[]){ 3 }, 1);
    for (unsigned i = 0; i < 500; i += 13) {
        unsigned first = i < 300 ? 0 : 300;
        assert_true(filled(pal_at(BASE + i * PAGE_SIZE), (i - first) * PAGE_SIZE, PAGE_SIZE,
                           i < 300 ? 0 : 0x40));
    }
    pal_returns(3);
    expect_returned(3);
    for (unsigned i = 0; i < 300; i += 41) {
        fake_absent(CR3, BASE + i * PAGE_SIZE);
    }
    assert_int_equal(unreg(), TV_OK);
    for (unsigned i = 0; i < 300; i++) {
        assert_true(filled(fake_at(CR3, BASE + i * PAGE_SIZE), i * PAGE_SIZE, PAGE_SIZE, 0));
    }
    expect_no_pal_left();
}

/* The owner dies half way through, and its address space gets another process. */
static void test_half_unregistered_after_remap(void **state)
{
    (void)state;
    layout(300, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    assert_int_equal(hypercall(TV_HC_UNREG, pal_entry, 0, 0), HC_AGAIN);
    fake_map_new(CR3, BASE, 303, FAKE_RWX);
    fill(BASE, 303, 0x31);
    assert_int_equal(unreg(), TV_OK);
    for (unsigned i = 0; i < 303; i++) {
        assert_true(filled(fake_at(CR3, BASE + i * PAGE_SIZE), i * PAGE_SIZE, PAGE_SIZE, 0x31));
    }
    assert_int_equal(command(TV_HC_TEST, 0, 0, 0), TV_OK);
    expect_no_pal_left();
}

/* Unregistering given up half way: another process's need of memory, or the same process,
 * ends it; or it goes on. */
static void test_unregister_abandoned(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        setup(NULL);
        layout(300, 200, 3, 3);
        assert_int_equal(reg(), TV_OK);
        poison();
        assert_int_equal(hypercall(TV_HC_UNREG, pal_entry, 0, 0), HC_AGAIN);
        call((uint64_t[]){ 0 }, 1);
        if (how == 0) {
            fake_clear();
            assert_int_equal(unreg(), TV_OK);
        } else if (how == 1) {
            expect_refused(FAKE_UD);
            fake_unmap(CR3, BASE);
            for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
                assert_true(i < 100);
            }
        } else {
            fake_clear();
            fake_map_new(CR3, BASE, 1, FAKE_RWX);
            assert_int_equal(reg(), TV_OK);
            assert_int_equal(unreg(), TV_OK);
            while (death_reap(&v, 1000)) {
            }
        }
        expect_no_pal_left();
    }
}

/* The OS moves pages while a long registration goes on: a frame that now backs another
 * page of the PAL is no duplicate. */
static void test_migration_is_no_duplicate(void **state)
{
    uint64_t g;

    (void)state;
    layout(300, 1, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    g = (uint64_t)(fake_at(CR3, BASE) - fake_ram(0));
    fake_map_new(CR3, BASE, 1, FAKE_RWX);
    memcpy(fake_at(CR3, BASE), fake_ram(g), PAGE_SIZE);
    fake_map(CR3, BASE + 299 * PAGE_SIZE, g, FAKE_RWX);
    for (unsigned i = 0;; i++) {
        enum hc_result r = hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry);
        assert_true(i < 1000);
        if (r == HC_DONE) {
            break;
        }
    }
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
    assert_int_equal(unreg(), TV_OK);
    while (death_reap(&v, 1000)) {
    }
    /* But a real one across steps is found. */
    fake_map(CR3, BASE + 298 * PAGE_SIZE, g, FAKE_RWX);
    assert_int_equal(reg(), TV_DUPLICATE_PAGE);
    while (death_reap(&v, 1000)) {
    }
    expect_no_pal_left();
}

/* Given up in the middle: neither the same nor another registration is blocked, and a new
 * one starts from the memory as it is then. */
static void test_abandoned_registration(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    assert_int_not_equal(fake.pool_free, pool_at_rest);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    fill(BASE + 2 * PAGE_SIZE, 1, 0x99);
    machine.tsc += TV_STALE_TICKS;
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    assert_true(filled(pal_at(BASE + 2 * PAGE_SIZE), 0, PAGE_SIZE, 0x99));
    pal_returns(0);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

static void test_abandoned_by_others_is_collected(void **state)
{
    unsigned free_then;

    (void)state;
    layout(300, 1, 1, 1);
    poison();
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    }
    free_then = fake.pool_free;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    machine.tsc += TV_ABANDONED_TICKS;
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        assert_true(i < 100);
    }
    assert_true(fake.pool_free > free_then);
    expect_no_pal_left();
}

/* Killed in the middle of a registration. */
static void test_abandoned_by_the_dead_is_collected_soon(void **state)
{
    (void)state;
    layout(300, 1, 1, 1);
    poison();
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    }
    machine.tsc += TV_STALE_TICKS;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE); /* it may wait for a CPU */
    for (unsigned i = 0; i < 300; i++) {
        fake_unmap(CR3, BASE + i * PAGE_SIZE);
    }
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        assert_true(i < 100);
    }
    expect_no_pal_left();
}

static struct vcpu_regs first_regs;

/* The PAL that another CPU has just found in the way: nobody but it has a reference. */
static struct tv_slot *in_the_way(void)
{
    for (unsigned i = 0; i < TV_SLOTS; i++) {
        struct tv_slot *s = registry_get_index(i, TV_IN(TV_REGISTERING));
        if (s) {
            bool found = slot_refs(atomic_load(&s->life)) == 2;
            registry_put(s);
            if (found) {
                return s;
            }
        }
    }
    fail_msg("no registration is in the way");
    return NULL;
}

/* A CPU that was at the last step of the oldest registration ends it. */
static void finish_first(void)
{
    struct tv_slot *s = in_the_way();
    static struct vcpu other;
    enum hc_result r = HC_AGAIN;

    registry_put(s); /* it had begun the step before that */
    other.index = 1;
    other.regs = first_regs;
    for (unsigned i = 0; i < 10000 && r == HC_AGAIN; i++) {
        r = hypapp.hypercall(&other, TV_HC_REG);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(other.regs.gpr[GPR_RAX], TV_OK);
    atomic_fetch_add(&s->life, 1);
}

static void test_pending_registration_ends(void **state)
{
    enum hc_result r;

    (void)state;
    layout(1, TV_ATOMIC_PAGES + 20, 1, 1); /* takes several exits */
    for (unsigned i = 0; i <= TV_PENDING_MAX; i++) {
        for (unsigned k = 0; i > 0 && k < 4; k++) {
            struct tv_pal_section *s = &sections->sections[k];
            s->start_addr += MIB(4);
            fake_map_new(CR3, s->start_addr, s->page_num, FAKE_RWX);
        }
        pal_entry += i > 0 ? MIB(4) : 0;
        poison();
        if (i == TV_PENDING_MAX) {
            fake.on_free = finish_first; /* after the look at all PALs of the process */
        }
        r = hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry);
        first_regs = i == 0 ? v.regs : first_regs;
        assert_int_equal(r, HC_AGAIN);
    }
    assert_null(fake.on_free);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    for (unsigned i = 0; i < 10000 && r == HC_AGAIN; i++) {
        r = hypapp.hypercall(&v, TV_HC_REG);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
    assert_int_equal(info(XMHF_INFO_PALS), 2);
}

/* Begin to register what layout(1, 300, 1, 1) makes, up to where half of it is overwritten. */
static struct vcpu_regs half_overwritten(void)
{
    struct vcpu_regs regs;

    layout(1, 300, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    regs = v.regs;
    while (*fake_at(CR3, BASE + 2 * PAGE_SIZE) != 0
        || *fake_at(CR3, BASE + 2 * PAGE_SIZE + 1) != 0) {
        assert_int_equal(again(&regs), HC_AGAIN);
    }
    assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0));
    return regs;
}

static void expect_data_complete(void)
{
    call((uint64_t[]){ 0 }, 1);
    for (unsigned i = 0; i < 300; i++) {
        assert_true(filled(pal_at(BASE + (1 + i) * PAGE_SIZE), i * PAGE_SIZE, PAGE_SIZE, 0x40));
    }
    pal_returns(0);
    expect_returned(0);
}

/* A fifth registration of the process waits for the others, also when one of them got no CPU for a
 * while, or its CPU's TSC is ahead. */
static void test_fifth_registration_waits(void **state)
{
    const uint64_t first_entry = BASE + 0x100;
    struct vcpu_regs first, fifth;

    (void)state;
    first = half_overwritten();
    for (unsigned i = 1; i <= TV_PENDING_MAX; i++) {
        for (unsigned k = 0; k < 4; k++) {
            struct tv_pal_section *s = &sections->sections[k];
            s->start_addr += MIB(4);
            s->page_num = k == 1 ? TV_ATOMIC_PAGES : 1;
            fake_map_new(CR3, s->start_addr, s->page_num, FAKE_RWX);
        }
        pal_entry += MIB(4);
        poison();
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    }
    fifth = v.regs;
    machine.tsc += TV_STALE_TICKS + 1;
    assert_int_equal(again(&fifth), HC_AGAIN);
    machine.tsc += TV_SLOW_TICKS; /* half of it is overwritten */
    assert_int_equal(again(&fifth), HC_AGAIN);
    machine.tsc -= TV_SLOW_TICKS + TV_STALE_TICKS + 2;
    assert_int_equal(again(&fifth), HC_AGAIN);
    until_done(&first, TV_OK);
    assert_int_equal(first.gpr[GPR_RDX], 0x1111111111111111ULL * GPR_RDX + 5);
    pal_entry = first_entry;
    expect_data_complete();
    until_done(&fifth, TV_OK);
}

/* ... but not for ever. */
static void test_fifth_registration_goes_on(void **state)
{
    struct vcpu_regs fifth;

    (void)state;
    layout(1, TV_ATOMIC_PAGES, 1, 1);
    for (unsigned i = 0; i <= TV_PENDING_MAX; i++) {
        for (unsigned k = 0; i > 0 && k < 4; k++) {
            struct tv_pal_section *s = &sections->sections[k];
            s->start_addr += MIB(4);
            fake_map_new(CR3, s->start_addr, s->page_num, FAKE_RWX);
        }
        pal_entry += i > 0 ? MIB(4) : 0;
        poison();
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    }
    fifth = v.regs;
    machine.tsc += TV_STALE_TICKS + 1;
    assert_int_equal(again(&fifth), HC_AGAIN);
    assert_int_equal(again(&fifth), HC_AGAIN);
    assert_int_equal(fifth.gpr[GPR_RDX], 0x1111111111111111ULL * GPR_RDX + 5); /* it hasn't begun */
    machine.tsc += TV_SLOW_TICKS;
    until_done(&fifth, TV_OK);
}

/* Memory is short while the owner of a half overwritten PAL is stopped: what it had is in our copy
 * only, so it isn't given up as long as its entry's page is what it was. */
static void test_half_overwritten_is_kept(void **state)
{
    struct vcpu_regs regs;

    (void)state;
    regs = half_overwritten();
    machine.tsc += TV_ABANDONED_TICKS + 1;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    until_done(&regs, TV_OK);
    assert_int_equal(regs.gpr[GPR_RDX], 0x1111111111111111ULL * GPR_RDX + 5);
    expect_data_complete();
    assert_int_equal(unreg(), TV_OK);
    setup(NULL);
    half_overwritten();
    machine.tsc += TV_ABANDONED_TICKS + 1;
    fill(BASE, 1, 0x17); /* another process has this CR3 */
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        assert_true(i < 100);
    }
    expect_no_pal_left();
}

/* The OS has taken the entry's page away for a moment, to move it, and the thread hasn't had a
 * CPU. */
static void test_half_overwritten_and_moved(void **state)
{
    struct vcpu_regs regs;

    (void)state;
    regs = half_overwritten();
    fake_absent(CR3, BASE);
    machine.tsc += TV_STALE_TICKS + 1;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    fake_map(CR3, BASE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    until_done(&regs, TV_OK);
    expect_data_complete();
}

/* An owner that is stopped while its memory is overwritten, and swapped out. */
static void test_half_overwritten_and_swapped(void **state)
{
    struct vcpu_regs regs;

    (void)state;
    regs = half_overwritten();
    fake_absent(CR3, BASE);
    machine.tsc += 100 * TV_ABANDONED_TICKS;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    fake_map(CR3, BASE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    until_done(&regs, TV_OK);
    expect_data_complete();
}

/* Another thread registers at the same place, while the first one hasn't had a CPU for a moment. */
static void test_half_overwritten_and_another(void **state)
{
    struct vcpu_regs first, second;

    (void)state;
    first = half_overwritten();
    poison();
    second = v.regs;
    second.gpr[GPR_RAX] = TV_HC_REG;
    second.gpr[GPR_RCX] = ARGS;
    second.gpr[GPR_RSI] = ARGS + 0x800;
    second.gpr[GPR_RDI] = pal_entry;
    machine.tsc += TV_STALE_TICKS + 1;
    assert_int_equal(again(&second), HC_AGAIN);
    until_done(&first, TV_OK);
    expect_data_complete();
    until_done(&second, TV_EXISTS);
    assert_int_equal(unreg(), TV_OK);
    half_overwritten();
    machine.tsc += TV_ABANDONED_TICKS + 1; /* it never comes back */
    second.gpr[GPR_RAX] = TV_HC_REG;
    until_done(&second, TV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_large_pal), TEST(test_half_unregistered_after_remap),
        TEST(test_unregister_abandoned), TEST(test_migration_is_no_duplicate),
        TEST(test_abandoned_registration), TEST(test_abandoned_by_others_is_collected),
        TEST(test_abandoned_by_the_dead_is_collected_soon), TEST(test_half_overwritten_and_swapped),
        TEST(test_pending_registration_ends), TEST(test_fifth_registration_waits),
        TEST(test_fifth_registration_goes_on), TEST(test_half_overwritten_is_kept),
        TEST(test_half_overwritten_and_another), TEST(test_half_overwritten_and_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
