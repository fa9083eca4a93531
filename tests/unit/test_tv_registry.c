/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor/registry.c: look-ups by many threads while PALs come and go. */
#include "unit.h"

#include "hypapps/trustvisor/registry.h"
#include <pthread.h>

#define THREADS 4
#define KEYS    40          /* per thread; few buckets of owners, so that chains grow */
#define ROUNDS  20000
#define OWNER(t) (7ULL * ((t) + 1))
#define VA(k)   (0x10000ULL * ((k) + 1))

static atomic_uint looked_up, reaped;

static void (*in_the_middle)(void); /* what another CPU does while a new PAL is judged */

size_t pool_total(void)
{
    void (*now)(void) = in_the_middle;

    in_the_middle = NULL;
    if (now) {
        now();
    }
    return 4000;
}

static struct tv_pal *new_pal(uint64_t va)
{
    struct tv_pal *pal = calloc(1, sizeof(*pal));

    pal->image.sections = pal->lists.sections;
    pal->image.entry = va;
    pal->image.section_count = pal->image.sources = 1;
    pal->image.sections[0].start = pal->image.sections[0].source = align_down(va, PAGE_SIZE);
    pal->image.sections[0].pages = 1;
    return pal;
}

static void reap(void)
{
    struct tv_slot *s = registry_reap_pop();

    if (s) {
        memset(s->pal, 0xdd, sizeof(*s->pal));
        free(s->pal);
        registry_recycle(s);
        atomic_fetch_add(&reaped, 1);
    }
}

static struct tv_slot *add(uint64_t owner, uint64_t va)
{
    struct tv_pal *pal = new_pal(va);
    struct tv_slot *other;

    if (registry_add(pal, owner, UINT32_MAX, &other) != REGISTRY_ADDED) {
        free(pal);
        return NULL;
    }
    assert_true(registry_change(pal->slot, TV_REGISTERING, TV_LIVE));
    return pal->slot;
}

/* End all PALs, whoever holds them. */
static void end_all(void)
{
    for (unsigned i = 0; i < TV_SLOTS; i++) {
        struct tv_slot *s = registry_get_index(i, TV_IN(TV_REGISTERING) | TV_IN(TV_LIVE));
        if (s) {
            registry_kill(s);
            while (slot_refs(s->life) > 1) {
                registry_put(s);
            }
            registry_put(s);
            reap();
        }
    }
}

static void test_add_find_kill(void **state)
{
    struct tv_slot *s, *other;
    struct tv_pal *pal;
    bool busy;

    (void)state;
    registry_init();
    assert_null(registry_get(OWNER(0), VA(0), ~0u, NULL));
    pal = new_pal(VA(0) + 0x123);
    assert_int_equal(registry_add(pal, OWNER(0), UINT32_MAX, &other), REGISTRY_ADDED);
    assert_null(registry_get(OWNER(0), VA(0), TV_IN(TV_LIVE), NULL));
    assert_null(registry_get_idle(OWNER(0), VA(0), &busy));
    assert_true(busy);
    registry_put(pal->slot);
    s = registry_get_idle(OWNER(0), VA(0) + 5, &busy);
    assert_ptr_equal(s, pal->slot);
    assert_int_equal(registry_count(OWNER(0)), 0);
    assert_true(registry_change(s, TV_REGISTERING, TV_LIVE));
    assert_false(registry_change(s, TV_REGISTERING, TV_LIVE));
    assert_int_equal(registry_count(OWNER(0)), 1);
    assert_int_equal(registry_count(OWNER(1)), 0);
    assert_int_equal(registry_count(REGISTRY_ALL), 1);
    assert_null(registry_get(OWNER(1), VA(0), TV_IN(TV_LIVE), NULL));
    assert_null(registry_get(OWNER(0), VA(1), TV_IN(TV_LIVE), NULL));
    assert_ptr_equal(registry_get(OWNER(0), VA(0) + 0xfff, TV_IN(TV_LIVE), NULL), s);
    assert_true(registry_kill(s));
    assert_false(registry_kill(s));
    registry_put(s);
    assert_null(registry_reap_pop()); /* one reference is left */
    registry_put(s);
    reap();
    assert_int_equal(slot_state(s->life), TV_EMPTY);
}

/* PALs with 64 sections each, in between each other's: comparing them is bounded. */
static void test_many_sections(void **state)
{
    static struct tv_section lists[100][XMHF_MODULE_SECTIONS];
    struct tv_slot *other;
    enum registry_answer answer = REGISTRY_ADDED;
    unsigned n = 0;

    (void)state;
    registry_init();
    while (answer == REGISTRY_ADDED && n < ARRAY_SIZE(lists)) {
        struct tv_pal *pal = new_pal(VA(1000 + n));
        pal->image.sections = lists[n];
        pal->image.section_count = pal->image.sources = XMHF_MODULE_SECTIONS;
        for (unsigned i = 0; i < XMHF_MODULE_SECTIONS; i++) {
            uint64_t at = (i * 100 + n) * PAGE_SIZE;
            lists[n][i] = (struct tv_section){ at, 1, i, TV_SECTION_DATA, false, at };
            pal->image.order[i] = (uint8_t)i;
        }
        answer = registry_add(pal, OWNER(0), UINT32_MAX, &other);
        assert_true(pal->reg.compared
                    <= TV_COMPARE_MAX + XMHF_MODULE_SECTIONS * XMHF_MODULE_SECTIONS / 2);
        if (answer == REGISTRY_ADDED) {
            registry_change(pal->slot, TV_REGISTERING, TV_LIVE);
            registry_put(pal->slot);
            n++;
        } else {
            free(pal);
        }
    }
    assert_int_equal(answer, REGISTRY_QUOTA);
    assert_int_equal(n, 65);
    assert_int_equal(TV_COMPARE_MAX / (2 * XMHF_MODULE_SECTIONS) + 1, n);
    for (unsigned i = 0; i < n; i++) {
        struct tv_slot *s = registry_get(OWNER(0), VA(1000 + i), TV_IN(TV_LIVE), NULL);
        registry_kill(s);
        registry_put(s);
        reap();
    }
}

static void test_conflicts(void **state)
{
    struct tv_slot *s, *other;
    struct tv_pal *pal = new_pal(VA(0) + 0x800);

    (void)state;
    registry_init();
    s = add(OWNER(0), VA(0));
    assert_int_equal(registry_add(pal, OWNER(0), UINT32_MAX, &other), REGISTRY_CONFLICT);
    assert_ptr_equal(other, s);
    assert_int_equal(slot_refs(s->life), 2);
    registry_put(other);
    assert_int_equal(registry_add(pal, OWNER(1), UINT32_MAX, &other), REGISTRY_ADDED);
    registry_kill(pal->slot);
    registry_put(pal->slot);
    registry_kill(s);
    registry_put(s);
    reap();
    reap();
    /* Registrations under way: the oldest is named. */
    for (unsigned i = 0; i <= TV_PENDING_MAX; i++) {
        pal = new_pal(VA(i));
        if (i < TV_PENDING_MAX) {
            assert_int_equal(registry_add(pal, OWNER(0), UINT32_MAX, &other), REGISTRY_ADDED);
            s = i == 0 ? pal->slot : s;
        } else {
            assert_int_equal(registry_add(pal, OWNER(0), UINT32_MAX, &other), REGISTRY_PENDING);
            assert_ptr_equal(other, s);
            free(pal);
        }
    }
    end_all();
}

/* A PAL that is linked before it was compared: its place is its own, by the page of its stubs, and
 * of two that overlap elsewhere one gives way. */
static void test_judged_later(void **state)
{
    struct tv_pal *first = new_pal(VA(0)), *second = new_pal(VA(1)), *third = new_pal(VA(0) + 8);
    struct tv_slot *other;

    (void)state;
    registry_init();
    assert_non_null(add(OWNER(0), VA(5)));
    first->image.sections[0].pages = second->image.sections[0].pages = 0x11; /* to the next one */
    assert_int_equal(registry_add(first, OWNER(0), 1, &other), REGISTRY_ADDED);
    assert_false(first->reg.judged);
    assert_int_equal(registry_add(third, OWNER(0), 0, &other), REGISTRY_CONFLICT);
    assert_ptr_equal(other, first->slot);
    registry_put(other);
    assert_int_equal(registry_add(second, OWNER(0), UINT32_MAX, &other), REGISTRY_ADDED);
    assert_true(second->reg.judged);
    assert_int_equal(registry_judge(first, &other), REGISTRY_CONFLICT);
    assert_ptr_equal(other, second->slot);
    registry_put(other);
    assert_int_equal(slot_refs(first->slot->life), 1);
    registry_kill(second->slot);
    registry_put(second->slot);
    reap();
    assert_int_equal(registry_judge(first, &other), REGISTRY_ADDED);
    assert_true(first->reg.judged);
    assert_int_equal(registry_add(third, OWNER(0), UINT32_MAX, &other), REGISTRY_CONFLICT);
    registry_put(other);
    free(third);
    end_all();
}

/* While a PAL is compared with the others of its process no CPU waits: it adds a PAL of another
 * process, ends one of this process, or is told to try again. */
static struct tv_slot *victim, *stranger;

static void meanwhile(void)
{
    struct tv_pal *pal = new_pal(VA(90));
    struct tv_slot *other;

    assert_int_equal(registry_add(pal, OWNER(0), UINT32_MAX, &other), REGISTRY_AGAIN);
    assert_null(other);
    free(pal);
    stranger = add(OWNER(1), VA(91));
    assert_non_null(stranger);
    assert_true(registry_kill(victim));
    registry_put(victim);
    assert_null(registry_reap_pop()); /* who compares has a reference */
}

static void test_others_go_on(void **state)
{
    struct tv_slot *last;

    (void)state;
    registry_init();
    for (unsigned i = 0; i < 100; i++) {
        last = add(OWNER(0), VA(i));
        assert_non_null(last);
        victim = i == 40 ? last : victim;
    }
    in_the_middle = meanwhile;
    assert_non_null(add(OWNER(0), VA(100)));
    assert_null(in_the_middle);
    assert_int_equal(slot_refs(last->life), 1); /* its own */
    assert_int_equal(registry_count(OWNER(0)), 100);
    reap();
    assert_int_equal(registry_count(OWNER(1)), 1);
    assert_non_null(add(OWNER(0), VA(40)));
    end_all();
}

static void test_full(void **state)
{
    unsigned n = 0;

    (void)state;
    registry_init();
    while (add(OWNER(0), VA(n))) {
        n++;
    }
    assert_int_equal(n, TV_PALS_PER_PROCESS);
    while (n < TV_SLOTS) {
        assert_non_null(add(OWNER(n / 100 + 10), VA(n)));
        n++;
    }
    assert_null(add(OWNER(1000), VA(1)));
    end_all();
    assert_non_null(add(OWNER(1), VA(1)));
    end_all();
}

/* Take a PAL, which must be the right one for as long as it is held. */
static void look_up(uint64_t owner, uint64_t va, struct tv_slot **last)
{
    struct tv_slot *s = registry_get(owner, va, TV_IN(TV_LIVE), *last);

    *last = s != NULL ? s : *last;

    if (s) {
        if (s->pal->image.entry != va || s->owner != owner || s->pal->slot != s) {
            abort();
        }
        atomic_fetch_add(&looked_up, 1);
        registry_put(s);
    }
}

static void *worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint64_t seed = 0x9e3779b97f4a7c15ULL * (me + 1);
    struct tv_slot *mine[KEYS] = { NULL }, *last = NULL;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned k = (unsigned)unit_below(&seed, KEYS);
        unsigned t = (unsigned)unit_below(&seed, THREADS);
        if (!mine[k]) {
            mine[k] = add(OWNER(me), VA(k));
        } else if (i % 3 == 0) {
            registry_kill(mine[k]);
            registry_put(mine[k]);
            mine[k] = NULL;
        }
        for (unsigned n = 0; n < 8; n++) {
            look_up(OWNER(t), VA((k + n) % KEYS), &last);
        }
        reap();
    }
    for (unsigned k = 0; k < KEYS; k++) {
        if (mine[k]) {
            registry_kill(mine[k]);
            registry_put(mine[k]);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    registry_init();
    atomic_store(&reaped, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < THREADS * KEYS; i++) {
        reap();
    }
    assert_int_equal(registry_count(REGISTRY_ALL), 0);
    assert_true(looked_up > ROUNDS && reaped > ROUNDS / 10);
    for (unsigned i = 0; i < TV_SLOTS; i++) { /* none got lost */
        assert_non_null(add(OWNER(i / 100 + 50), VA(i)));
    }
    end_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find_kill),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_many_sections),
        cmocka_unit_test(test_judged_later),
        cmocka_unit_test(test_others_go_on),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
