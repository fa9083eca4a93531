/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor as a whole: owners that are gone, away, or other processes by now. */
#include "tv_fixture.h"
#include "hypapps/trustvisor/collect.h"
#include "hypapps/trustvisor/death.h"
#include "hypapps/trustvisor/registry.h"
#include "hypapps/trustvisor/pal.h"

/* A new process with the same CR3 and other memory at the same address. */
static void test_recycled_cr3(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake_map_new(CR3, BASE, 1, FAKE_RWX);
    memcpy(fake_at(CR3, pal_entry), "\x0f\x01\xd9", 3);
    call((uint64_t[]){ 0 }, 1);
    expect_refused(FAKE_UD);
    assert_int_equal(fake.enters, 0);
    while (death_reap(&v, 1000)) {
    }
    expect_no_pal_left();
    assert_int_equal(death(), TV_DEATH_OWNER_GONE);
}

/* fork: the child has the stubs, under another CR3. */
static void test_forked_child(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake_map(0x99000, BASE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RX);
    fake.caller.paging.cr3 = 0x99000;
    call((uint64_t[]){ 0 }, 1);
    expect_refused(FAKE_UD);
    fake.caller.paging.cr3 = CR3;
    call((uint64_t[]){ 0 }, 1);
    pal_returns(8);
    expect_returned(8);
}

static void test_new_pal_at_a_dead_ones_place(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(reg(), TV_OK);
        if (i % 3 == 0) {
            fake_map_new(CR3, BASE, 4, FAKE_RWX); /* munmap, mmap */
        } else if (i % 3 == 1) {
            pal_entry = BASE + 0x300 + i; /* overwritten by the process itself */
            fill(BASE, 4, (uint8_t)i);
        } else {
            assert_int_equal(unreg(), TV_OK);
        }
    }
    assert_true(info(XMHF_INFO_PALS) <= 1);
}

static void test_unregister_after_remap(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake_map_new(CR3, BASE, 4, FAKE_RWX);
    fill(BASE, 4, 0x31);
    assert_int_equal(unreg(), TV_OK);
    assert_true(filled(fake_at(CR3, BASE), 0, PAGE_SIZE, 0x31)); /* not ours to write */
    expect_no_pal_left();
}

/* The pool is full of PALs of dead processes: they go, living ones stay. */
static void test_collection(void **state)
{
    unsigned count = 0;
    uint64_t alive = 0x50000000;

    (void)state;
    layout(1, 30, 1, 1);
    for (uint64_t r = TV_OK; r == TV_OK; count++) {
        fake.caller.paging.cr3 = alive + count * PAGE_SIZE;
        for (unsigned i = 0; i < 33; i++) {
            fake_map(fake.caller.paging.cr3, BASE + i * PAGE_SIZE,
                     (uint64_t)(fake_at(CR3, BASE + i * PAGE_SIZE) - fake_ram(0)), FAKE_RWX);
        }
        fake_map(fake.caller.paging.cr3, TEXT, (uint64_t)(fake_at(CR3, TEXT) - fake_ram(0)),
                 FAKE_RX);
        fake_map(fake.caller.paging.cr3, ARGS, (uint64_t)((uint8_t *)sections - fake_ram(0)),
                 FAKE_RW);
        r = reg();
        /* Each process needs an entry page of its own; the rest may be shared here. */
        if (r == TV_OK) {
            uint8_t stub[PAGE_SIZE];
            memcpy(stub, fake_at(fake.caller.paging.cr3, BASE), PAGE_SIZE);
            fake_map_new(fake.caller.paging.cr3, BASE, 1, FAKE_RWX);
            memcpy(fake_at(fake.caller.paging.cr3, BASE), stub, PAGE_SIZE);
        } else {
            assert_int_equal(r, TV_NO_MEMORY);
        }
    }
    count--;
    assert_true(count > 50);
    for (unsigned i = 0; i < count; i += 2) {
        fake_unmap(alive + i * PAGE_SIZE, BASE);
    }
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 1; i < count; i += 2) {
        fake.caller.paging.cr3 = alive + i * PAGE_SIZE;
        assert_int_equal(info(XMHF_INFO_PALS), 1);
    }
}

/* What the owner's tables hold instead of the way to the stubs, and whether that means its end.
 * Entries that cover 1 GiB or more: 2 of 4 in long mode, 1 of 3 with PAE, none of 2. */
struct absence {
    const char *what;
    unsigned depth;              /* the entry that isn't present, from 1 at the top */
    uint64_t last;               /* it */
    bool other_tables;           /* those above are others than at the registration */
    bool other_kernel;
    bool gone;
};
#define SWAPPED 0x00fffff7a5e00c00ULL

static const struct absence absences[3][14] = {
    { { "32-bit: swapped", 2, 0x1234500, false, false, false },
      { "not there", 2, 0, false, false, true },
      { "nor a table", 1, 0, false, false, true },
      { "a huge page is moved", 1, 0x7600, false, false, false },
      { "another kernel's, or no directory at all", 2, 0x1234500, false, true, true } },
    { { "PAE: swapped", 3, SWAPPED, false, false, false },
      { "not there", 3, 0, false, false, true },
      { "nor a table", 2, 0, false, false, true },
      { "another directory, and what looks like a huge page on its way", 2, SWAPPED, true, false,
        true },
      { "another directory, and what looks like a swapped page", 3, SWAPPED, true, false, true },
      { "nothing at all", 1, 0, false, false, true },
      { "what looks like a directory on its way", 1, SWAPPED, false, false, true },
      { "no directory", 1, SWAPPED, false, true, true } },
    { { "long mode: swapped", 4, SWAPPED, false, false, false },
      { "of another process, or after a table moved: swapped", 4, SWAPPED, true, false, false },
      { "a file's page", 4, 0, false, false, false },
      { "a huge page is made", 3, 0, false, false, false },
      { "a huge page is moved", 3, SWAPPED, false, false, false },
      { "of another process, which has no page there", 4, 0, true, false, true },
      { "nor a table", 3, 0, true, false, true },
      { "nothing within 1 GiB", 2, 0, false, false, true },
      { "nothing within 512 GiB", 1, 0, false, false, true },
      { "a table is away", 3, SWAPPED, false, false, false },
      { "a directory is away", 2, SWAPPED, false, false, false },
      { "no directory: text", 1, 0x6e6e6e6e6e6e6e6e, false, true, true },
      { "no directory, though there is a way", 4, SWAPPED, false, true, true } },
};

/* A LIVE PAL of an owner with so many levels, and the pool is full. */
static void try_absence(unsigned levels, const struct absence *a)
{
    const unsigned upper = levels - 2;

    setup(NULL);
    layout(1, 1, 1, 1);
    if (levels < 4) { /* the PAL's code stays 64-bit: nobody calls it */
        fake.caller.paging.cr4 = levels == 3 ? CR4_PAE : 0;
    }
    assert_int_equal(reg(), TV_OK);
    fake.caller.paging.efer &= levels == 4 ? ~0ULL : ~(uint64_t)EFER_LMA;
    fake.trace = (struct trace){ .end = TRACE_ABSENT, .depth = a->depth };
    for (unsigned i = 0; i + 1 < a->depth; i++) {
        fake.trace.entry[i] = 0x1000 * (i + 1) | 0x67
            | (a->other_tables && i < upper ? 0x777000 : 0);
    }
    fake.trace.entry[a->depth - 1] = a->last;
    fake.trace_set = true;
    fake.other_kernel = a->other_kernel;
}

static void test_away_is_not_gone(void **state)
{
    (void)state;
    for (unsigned levels = 2; levels <= 4; levels++) {
        for (const struct absence *a = absences[levels - 2]; a->what; a++) {
            struct tv_slot *s;
            try_absence(levels, a);
            s = registry_get_index(0, TV_IN(TV_LIVE));
            assert_non_null(s);
            s->pal->owner.efer = fake.caller.paging.efer;
            s->pal->owner.cr4 = fake.caller.paging.cr4;
            for (unsigned i = 0; i < 2; i++) {
                s->pal->upper[i] = i < levels - 2 ? 0x1000 * (i + 1) : 0;
            }
            fake_absent(CR3, BASE);
            for (unsigned i = 0; i < 2 * TV_SLOTS; i++) {
                collect_look(&v, 100);
            }
            if ((registry_count(REGISTRY_ALL) == 0) != a->gone) {
                fail_msg("%s: %s", a->what, a->gone ? "kept" : "lost");
            }
            registry_put(s);
        }
    }
}

/* Memory is short and an owner's page is away: who registers is refused, and the owner calls on. */
static void test_owner_of_an_absent_page_goes_on(void **state)
{
    const unsigned taken = 200;

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake_absent(CR3, BASE);
    fake.pool_free -= FAKE_POOL_PAGES - taken;
    fake.caller.paging.cr3 = 0x7777000;
    for (unsigned i = 0; i < 4; i++) {
        fake_map_new(0x7777000, BASE + i * PAGE_SIZE, 1, FAKE_RWX);
    }
    for (unsigned i = 0; i < 2; i++) {
        fake_map(0x7777000, i ? ARGS : TEXT,
                 (uint64_t)(fake_at(CR3, i ? ARGS : TEXT) - fake_ram(0)), FAKE_RWX);
    }
    fake.pool_free = 5;
    assert_int_equal(reg(), TV_NO_MEMORY);
    fake.pool_free = taken - 20;
    fake.caller.paging.cr3 = CR3;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_PF);
    fake_clear();
    assert_true(fake_resolve());
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(5);
    expect_returned(5);
}

/* Somebody looked for owners that are gone and didn't go on, since there was memory meanwhile.
 * Who looks later is told that there are none only when all were looked at. */
static void look_after_another(unsigned looks, uint64_t gone)
{
    enum room r;

    setup(NULL);
    layout(1, 1, 1, 1);
    for (uint64_t i = 0; i < 3; i++) {
        for (uint64_t k = 0; k < 4; k++) {
            sections->sections[k].start_addr = BASE + MIB(1) + (4 * i + k) * PAGE_SIZE;
            fake_map_new(CR3, sections->sections[k].start_addr, 1, FAKE_RWX);
        }
        pal_entry = BASE + MIB(1) + 4 * i * PAGE_SIZE;
        assert_int_equal(reg(), TV_OK);
    }
    while (collect_look(&v, 1) != ROOM_NONE) {
    }
    while (looks-- > 0) {
        assert_int_equal(collect_look(&v, 1), ROOM_AGAIN);
    }
    fake_unmap(CR3, BASE + MIB(1) + 4 * gone * PAGE_SIZE);
    machine.tsc += TV_STALE_TICKS + 1;
    do {
        r = collect_look(&v, 1);
    } while (r == ROOM_AGAIN && info(XMHF_INFO_PALS) == 3);
    assert_int_equal(r, ROOM_AGAIN);
}

static void test_look_after_another(void **state)
{
    (void)state;
    for (unsigned looks = 0; looks < 3; looks++) {
        for (uint64_t gone = 0; gone < 3; gone++) {
            look_after_another(looks, gone);
        }
    }
}

/* The owner gives its stubs a protection key that the thread which registered them had no right
 * to then: it is there all the same when memory is short, and may call. */
static void test_protection_keys(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    fake.caller.paging.pkru = 0x55555554; /* as Linux starts a program */
    assert_int_equal(reg(), TV_OK);
    fake.keyed = BASE;
    assert_int_equal(collect_room(&v, pool_at_rest), ROOM_NONE);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    fake.caller.paging.pkru = 0x55555550;
    call((uint64_t[]){ 0 }, 1);
    pal_returns(5);
    expect_returned(5);
    fake.caller.paging.pkru = 0x55555554;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN); /* its own access would fault too */
    expect_refused(FAKE_PF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recycled_cr3), TEST(test_forked_child), TEST(test_new_pal_at_a_dead_ones_place),
        TEST(test_unregister_after_remap), TEST(test_collection), TEST(test_look_after_another),
        TEST(test_away_is_not_gone), TEST(test_owner_of_an_absent_page_goes_on),
        TEST(test_protection_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
