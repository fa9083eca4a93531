/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor as a whole: short of memory, and wiping the dead. */
#include "tv_fixture.h"
#include "hypapps/trustvisor/collect.h"
#include "hypapps/trustvisor/death.h"
#include "hypapps/trustvisor/registry.h"
#include "hypapps/trustvisor/pal.h"

/* No memory at any point: the error, and all memory back. */
static void test_no_memory_at_every_point(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    for (unsigned n = 1;; n++) {
        uint64_t r;
        fake.pool_allocs = 0;
        fake.pool_fail_at = n;
        r = reg();
        fake.pool_fail_at = 0;
        if (r == TV_OK) {
            call((uint64_t[]){ 0 }, 1);
            for (unsigned i = 0; i < 5; i++) {
                pal_at(BASE + i * PAGE_SIZE);
            }
            pal_returns(0);
            assert_int_equal(unreg(), TV_OK);
            expect_no_pal_left();
            if (fake.pool_allocs < n) {
                assert_true(n > 10);
                break;
            }
        } else {
            assert_int_equal(r, TV_NO_MEMORY);
            expect_no_pal_left();
        }
        fill(BASE, 2, 0);
    }
}

/* Free memory of the pool, while others have it. */
static void *held[200];
static unsigned held_count;

static void drain(void)
{
    while (fake.pool_free > 0) {
        held[held_count++] = pool_alloc();
    }
}

static void refill(void)
{
    while (held_count > 0) {
        pool_free(held[--held_count]);
    }
}

/* Another process registers a PAL, and is no more. */
static void dead_pal(void)
{
    static const uint32_t type[3] = { TV_SECTION_CODE, TV_SECTION_STACK, TV_SECTION_PARAM };
    const uint64_t cr3 = fake.caller.paging.cr3, other = CR3 + MIB(1);

    fake.caller.paging.cr3 = other;
    fake_map(other, TEXT, (uint64_t)(fake_at(CR3, TEXT) - fake_ram(0)), FAKE_RX);
    fake_map(other, ARGS, (uint64_t)((uint8_t *)sections - fake_ram(0)), FAKE_RW);
    sections->num_sections = 3;
    for (unsigned i = 0; i < 3; i++) {
        fake_map(other, BASE + i * PAGE_SIZE, (1700 + i) * PAGE_SIZE, FAKE_RWX);
        sections->sections[i] = (struct tv_pal_section){ type[i], 1, BASE + i * PAGE_SIZE };
    }
    assert_int_equal(reg(), TV_OK);
    fake_unmap(other, BASE);
    fake.caller.paging.cr3 = cr3;
}

/* Again and again a registration meets an empty pool and a dead owner, so it is tried again; and
 * each time the OS has moved the page that it is at. The table of pages seen has no room for all
 * that. */
static void test_moved_and_no_memory(void **state)
{
    struct vcpu_regs regs;
    struct tv_slot *s;
    bool busy;

    (void)state;
    layout(1, 247, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_AGAIN);
    regs = v.regs;
    s = registry_get_idle(CR3 >> PAGE_SHIFT, pal_entry, &busy);
    assert_non_null(s);
    registry_put(s);
    while (fake.pool_free > ARRAY_SIZE(held)) {
        assert_non_null(pool_alloc()); /* others keep that */
    }
    for (uint64_t i = 0; i < 600; i++) {
        const uint32_t page = s->pal->reg.page;
        dead_pal();
        drain();
        fake_map(CR3, BASE + page * PAGE_SIZE, (1000 + i) * PAGE_SIZE, FAKE_RWX);
        v.regs = regs;
        assert_int_equal(hypapp.hypercall(&v, TV_HC_REG), HC_AGAIN);
        assert_int_equal(s->pal->reg.phase, PHASE_COPY);
        assert_int_equal(s->pal->reg.page, page);
        refill();
    }
    for (unsigned i = 0; hypapp.hypercall(&v, TV_HC_REG) == HC_AGAIN; i++) {
        assert_true(i < 10000);
    }
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
    assert_int_equal(unreg(), TV_OK);
}

/* An exit that has copied nearly as much as it may, and then finds an error, wipes only a
 * little. */
static void test_error_at_the_end_of_an_exit(void **state)
{
    (void)state;
    layout(1, 123, 1, 1);
    fake_map(CR3, BASE + 125 * PAGE_SIZE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_DUPLICATE_PAGE);
    assert_true(pool_at_rest - fake.pool_free > 110);
    assert_int_equal(command(TV_HC_TEST, 0, 0, 0), TV_OK);
    expect_no_pal_left();
}

/* A large one dies, and is wiped bit by bit. */
static void test_large_death(void **state)
{
    unsigned again = 0;

    (void)state;
    layout(300, 200, 3, 3);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    sandbox_exit(EXIT_EXCEPTION);
    expect_refused(FAKE_GP);
    assert_int_not_equal(fake.pool_free, pool_at_rest);
    while (death_reap(&v, 16)) {
        again++;
    }
    assert_true(again > 10);
    expect_no_pal_left();
}

/* Whoever makes the next hypercall goes on wiping, whatever it asks for. */
static void test_any_hypercall_wipes_the_dead(void **state)
{
    (void)state;
    layout(300, 200, 3, 3);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    sandbox_exit(EXIT_EXCEPTION);
    expect_refused(FAKE_GP);
    assert_true(registry_reap_waits());
    fake.caller.paging.cr3 = CR3 + PAGE_SIZE;
    fake_map(CR3 + PAGE_SIZE, TEXT, (uint64_t)(fake_at(CR3, TEXT) - fake_ram(0)), FAKE_RX);
    poison();
    assert_int_equal(hypercall(TV_HC_TEST, 0, 0, 0), HC_AGAIN);
    assert_int_equal(command(TV_HC_TEST, 0, 0, 0), TV_OK);
    expect_no_pal_left();
}

static struct vcpu second_cpu;
static unsigned pool_after_death;

/* Another CPU's PAL, a large one, dies while this one hands code back. */
static void dies_while_leaving(void)
{
    struct exit e = { .kind = EXIT_EXCEPTION, .exception.vector = 14 };

    if (!leaves(dies_while_leaving)) {
        return;
    }
    hypapp.sandbox_exit(&second_cpu, &e);
    fake_clear();
    pool_after_death = fake.pool_free;
}

/* What one exit has written and wiped counts, before it wipes for others. */
static void test_unregister_wipes_little_of_others(void **state)
{
    const unsigned pages = TV_ATOMIC_PAGES;

    (void)state;
    layout(1, 400, 1, 1);
    assert_int_equal(reg(), TV_OK);
    v.index = 1;
    call((uint64_t[]){ 0 }, 1);
    second_cpu = v;
    v.index = 0;
    v.in_sandbox = false;
    for (unsigned i = 0; i < 4; i++) {
        struct tv_pal_section *s = &sections->sections[i];
        s->start_addr += MIB(4);
        s->page_num = i == 0 ? pages - 3 : 1;
        fake_map_new(CR3, s->start_addr, s->page_num, FAKE_RWX);
    }
    for (unsigned i = 1; i < 4; i++) {
        sections->sections[i].start_addr = BASE + MIB(4) + (pages - 4 + i) * PAGE_SIZE;
        fake_map_new(CR3, sections->sections[i].start_addr, 1, FAKE_RWX);
    }
    pal_entry += MIB(4);
    assert_int_equal(reg(), TV_OK);
    poison();
    fake.on_access = dies_while_leaving;
    assert_int_equal(hypercall(TV_HC_UNREG, pal_entry, 0, 0), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
    assert_in_range(fake.pool_free - pool_after_death, pages, pages + 30);
}

/* Memory is short while a large PAL that was handed back is wiped: its owner gets its answer. */
static void test_wiping_is_not_collected(void **state)
{
    struct vcpu_regs regs;

    (void)state;
    layout(1, 400, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    assert_int_equal(hypercall(TV_HC_UNREG, pal_entry, 0, 0), HC_AGAIN);
    regs = v.regs;
    assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0));
    fake.log[0] = '\0';
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    until_done(&regs, TV_OK);
    assert_string_equal(fake.log, "");
    expect_no_pal_left();
    /* But nobody comes back for it. */
    assert_int_equal(reg(), TV_OK);
    poison();
    assert_int_equal(hypercall(TV_HC_UNREG, pal_entry, 0, 0), HC_AGAIN);
    machine.tsc += TV_ABANDONED_TICKS + 1;
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        assert_true(i < 100);
    }
    expect_no_pal_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_memory_at_every_point), TEST(test_moved_and_no_memory),
        TEST(test_error_at_the_end_of_an_exit), TEST(test_large_death),
        TEST(test_any_hypercall_wipes_the_dead), TEST(test_unregister_wipes_little_of_others),
        TEST(test_wiping_is_not_collected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
