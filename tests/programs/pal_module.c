/* SPDX-License-Identifier: MIT */
/*
 * The module interface in a real guest: directions, entries, conventions, read-only data, several
 * threads in one PAL, deaths that are told, budgets, statistics, quotas.   pal_module
 */
#include "tap.h"
#include <pal/module.h>
#include <pthread.h>

typedef pal_word word;

/* --- the PALs --------------------------------------------------------------------------- */

#define MIX(h, a) ((h) * (word)0x9e3779b97f4a7c15ULL + (a))

PAL_CODE static PAL_ABI word copy_words(const volatile word *in, volatile word *out,
                                        volatile word *inout, word n)
{
    word sum = 0;

    for (word i = 0; i < n; i++) {
        sum += out[i]; /* zeros */
        out[i] = in[i] + inout[i];
        inout[i] = ~inout[i];
    }
    return sum;
}

/* Writes into what is in only, which nobody gets back. */
PAL_CODE static PAL_ABI word scribble(volatile word *in)
{
    *in = 0x5c5c5c5c;
    return *in;
}

PAL_CODE static PAL_ABI word many(word a0, word a1, word a2, word a3, word a4, word a5, word a6,
                                  word a7,
                                  word a8, word a9, word a10, word a11, word a12, word a13,
                                  word a14)
{
    word h = 15;

    h = MIX(h, a0); h = MIX(h, a1); h = MIX(h, a2); h = MIX(h, a3); h = MIX(h, a4);
    h = MIX(h, a5); h = MIX(h, a6); h = MIX(h, a7); h = MIX(h, a8); h = MIX(h, a9);
    h = MIX(h, a10); h = MIX(h, a11); h = MIX(h, a12); h = MIX(h, a13);
    return MIX(h, a14);
}

/* Where its stack is, modulo 16: 8 (with cdecl 12) as after a call from aligned code. */
extern const uint8_t stack_place[];
#ifdef __x86_64__
PAL_ASM(stack_place, "mov %rsp, %rax; and $15, %eax; ret");
#define STACK_PLACE 8
PAL_CODE static __attribute__((ms_abi)) word ms_mix(word a, word b, word c, word d, word e, word f)
{
    return MIX(MIX(MIX(MIX(MIX(MIX(6, a), b), c), d), e), f);
}
#else
PAL_ASM(stack_place, "mov %esp, %eax; and $15, %eax; ret");
#define STACK_PLACE 12
#endif

PAL_CODE static PAL_ABI word read_at(const volatile word *at) { return *at; }
PAL_CODE static PAL_ABI word write_at(volatile word *at) { return *at = 1; }

/* Waits until `n` calls are in here at once. */
PAL_CODE static PAL_ABI word meet(word *counter, word n)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < n) {
        __asm__ volatile("pause");
    }
    return *counter;
}

PAL_CODE static PAL_ABI word spin_for_ever(word *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        __asm__ volatile("pause");
    }
    return 0;
}

/* Until it was interrupted so often. */
PAL_CODE static PAL_ABI word until_interrupted(word n)
{
    while (pal_interruptions() < n) {
        for (volatile unsigned i = 0; i < 1000; i++) {
        }
    }
    return pal_interruptions();
}

PAL_CODE static PAL_ABI word divide(word a, word b)
{
    __asm__ volatile("" : "+r"(b));
    return a / b;
}

PAL_CODE static PAL_ABI word first(void) { return 1; }
PAL_CODE static PAL_ABI word inside(void) { return pal_inside(); }

/* --- helpers ------------------------------------------------------------------------------ */

static const word constants[3] = { 11, 22, 33 };

static const void *at(const void *p) { return p; }
#define CODE_OF(f) at((const void *)(uintptr_t)(f))

static struct pal_module_spec spec_of(unsigned stacks)
{
    struct pal_module_spec spec = PAL_MODULE_SPEC;

    spec.stacks = stacks;
    spec.rodata = constants;
    spec.rodata_size = sizeof(constants);
    return spec;
}

static bool made(struct pal_module *m, const struct pal_module_spec *spec)
{
    return pal_module_create(m, spec) == 0 || ok(false, "memory for a PAL");
}

static bool live(struct pal_module *m)
{
    return tap_no_error(pal_module_register(m), "register");
}

static bool gone(struct pal_module *m)
{
    bool good = tap_no_error(pal_module_unregister(m), "unregister");

    pal_module_destroy(m);
    return good;
}

/* One PAL with one entry for `function`, `integers` of them. */
static bool simple(struct pal_module *m, void **entry, const void *function, unsigned integers,
                   unsigned stacks, uint64_t budget)
{
    struct pal_module_spec spec = spec_of(stacks);

    spec.budget = budget;
    if (!made(m, &spec)) {
        return false;
    }
    for (unsigned i = 0; i < integers; i++) {
        pal_module_integer(m);
    }
    *entry = pal_module_entry(m, function, 0, integers);
    return live(m);
}

/* --- tests --------------------------------------------------------------------------------- */

static void test_directions(void)
{
    word in[600], out[600], inout[600], before;
    struct pal_module_spec spec = spec_of(1);
    struct pal_module m;
    struct pal_answer a;
    void *entry, *other;
    bool good = true;

    spec.param_pages = 4;
    if (!made(&m, &spec)) {
        return;
    }
    pal_module_pointer(&m, XMHF_IN, sizeof(in));
    pal_module_pointer(&m, XMHF_OUT, sizeof(out));
    pal_module_pointer(&m, XMHF_INOUT, sizeof(inout));
    pal_module_integer(&m);
    entry = pal_module_entry(&m, CODE_OF(copy_words), 0, 4);
    other = pal_module_entry(&m, CODE_OF(scribble), 0, 1);
    if (!live(&m)) {
        return;
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 600; i++) {
            in[i] = i * 3 + round;
            out[i] = 0xdead;
            inout[i] = i * 5;
        }
        a = pal_module_call(&m, entry, (word[]){ (word)in, (word)out, (word)inout, 600 }, 4);
        good = good && a.death == TV_DEATH_ALIVE && a.result == 0;
        for (unsigned i = 0; i < 600; i++) {
            good = good && in[i] == i * 3 + round && out[i] == i * 8 + round
                && inout[i] == ~(word)(i * 5);
        }
    }
    ok(good, "in, out and in-out pointers; out begins as zeros");
    before = in[0];
    a = pal_module_call(&m, other, (word[]){ (word)in }, 1);
    ok(a.result == 0x5c5c5c5c && in[0] == before, "what is in only isn't copied back");
    ok(gone(&m), "unregistered");
}

static void test_entries(void)
{
    struct pal_module_spec spec = spec_of(1);
    void *entry[XMHF_MODULE_ENTRIES];
    struct pal_module m;
    struct pal_answer a;
    word args[15], h = 15;
    bool good = true;

    if (!made(&m, &spec)) {
        return;
    }
    for (unsigned i = 0; i < 15; i++) {
        pal_module_integer(&m);
        args[i] = i * 1000 + 7;
        h = MIX(h, args[i]);
    }
    for (unsigned i = 0; i < XMHF_MODULE_ENTRIES; i++) {
        entry[i] = i == 0 ? pal_module_entry(&m, CODE_OF(first), 0, 0)
                   : i % 3 == 1 ? pal_module_entry(&m, CODE_OF(many), 0, 15)
                   : i % 3 == 2 ? pal_module_entry(&m, CODE_OF(inside), 0, 0)
                                : pal_module_entry(&m, CODE_OF(stack_place), 0, i % 8);
    }
    ok(!pal_module_entry(&m, CODE_OF(first), 0, 0), "there are no more than 16 entries");
    if (!live(&m)) {
        return;
    }
    for (unsigned i = 0; i < XMHF_MODULE_ENTRIES; i++) {
        word expected = i == 0 ? 1 : i % 3 == 1 ? h : i % 3 == 2 ? 1 : STACK_PLACE;
        a = pal_module_call(&m, entry[i], args, 15);
        good = good && a.death == TV_DEATH_ALIVE && a.result == expected;
    }
    ok(good, "16 entries, with 0 to 15 parameters, and stacks aligned");
    ok(gone(&m), "unregistered");
}

static void test_microsoft(void)
{
#ifdef __x86_64__
    struct pal_module_spec spec = spec_of(1);
    struct pal_module m;
    struct pal_answer a;
    void *entry;

    spec.convention = XMHF_MICROSOFT;
    if (!made(&m, &spec)) {
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        pal_module_integer(&m);
    }
    entry = pal_module_entry(&m, CODE_OF(ms_mix), 0, 6);
    if (!live(&m)) {
        return;
    }
    a = pal_module_call(&m, entry, (word[]){ 1, 2, 3, 4, 5, 6 }, 6);
    ok(a.result == ms_mix(1, 2, 3, 4, 5, 6), "Microsoft's convention, by the SDK");
    ok(((__attribute__((ms_abi)) word (*)(word, word, word, word, word, word))(uintptr_t)entry)
           (9, 8, 7, 6, 5, 4) == ms_mix(9, 8, 7, 6, 5, 4), "and as a plain function");
    ok(gone(&m), "unregistered");
#else
    skip("32-bit code has one convention");
#endif
}

static void test_rodata(void)
{
    struct xmhf_pal_stats st;
    struct pal_module m;
    struct pal_answer a;
    void *entry[2];
    struct pal_module_spec spec = spec_of(1);

    if (!made(&m, &spec)) {
        return;
    }
    pal_module_integer(&m);
    entry[0] = pal_module_entry(&m, CODE_OF(read_at), 0, 1);
    entry[1] = pal_module_entry(&m, CODE_OF(write_at), 0, 1);
    if (!live(&m)) {
        return;
    }
    a = pal_module_call(&m, entry[0], (word[]){ (word)((word *)m.rodata + 1) }, 1);
    ok(a.result == 22, "a PAL reads its read-only data");
    a = pal_module_call(&m, entry[1], (word[]){ (word)m.rodata }, 1);
    ok(a.death == TV_DEATH_EXCEPTION && a.vector == 14 && a.section == 0
       && a.offset >= PAL_PAGE && a.result == 0,
       "writing there kills it; told: %s, vector %u, section %u + 0x%x", pal_death_text(a.death),
       a.vector, a.section, a.offset);
    ok(pal_stats(entry[0], &st) == TV_OK && st.death == TV_DEATH_EXCEPTION && st.vector == 14
       && st.offset == a.offset && st.calls == 2, "its statistics say the same");
    if (CATCH()) {
        pal_module_call(&m, entry[0], (word[]){ 0 }, 1);
    }
    ok(tap_signal == SIGILL, "another call is an invalid instruction");
    pal_module_destroy(&m);
}

static void test_deaths(void)
{
    struct pal_module m;
    struct pal_answer a;
    void *entry;

    if (!simple(&m, &entry, CODE_OF(divide), 2, 1, 0)) {
        return;
    }
    a = pal_module_call(&m, entry, (word[]){ 84, 2 }, 2);
    ok(a.result == 42 && a.death == TV_DEATH_ALIVE, "a division");
    a = pal_module_call(&m, entry, (word[]){ 84, 0 }, 2);
    ok(a.death == TV_DEATH_EXCEPTION && a.vector == 0, "a division by 0: vector %u", a.vector);
    pal_module_destroy(&m);
    if (simple(&m, &entry, CODE_OF(read_at), 1, 1, 0)) {
        a = pal_module_call(&m, entry, (word[]){ (word)&m }, 1);
        ok(a.death == TV_DEATH_EXCEPTION && a.vector == 14, "reading the process's memory");
        pal_module_destroy(&m);
    }
}

/* --- several threads -------------------------------------------------------------------------- */

struct caller { const struct pal_module *m; void *entry; word args[2]; struct pal_answer a; };

static void *calling_thread(void *arg)
{
    struct caller *c = arg;

    c->a = pal_module_call(c->m, c->entry, c->args, 2);
    return NULL;
}

static void test_threads(void)
{
    struct caller c[4];
    pthread_t thread[4];
    struct xmhf_pal_stats st;
    struct pal_module m;
    bool good = true, known;
    void *entry;

    if (!simple(&m, &entry, CODE_OF(meet), 2, 4, 0)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        c[i] = (struct caller){ &m, entry, { (word)m.data, 4 }, { 0 } };
        pthread_create(&thread[i], NULL, calling_thread, &c[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        good = good && c[i].a.death == TV_DEATH_ALIVE && c[i].a.result == 4;
    }
    ok(good, "four threads meet in one PAL");
    known = pal_stats(entry, &st) == TV_OK;
    ok(known && st.stacks == 4 && st.calls == 4 && st.exits >= 4
       && st.death == TV_DEATH_ALIVE, "%llu calls, %llu interruptions, %llu exits",
       (unsigned long long)st.calls, (unsigned long long)st.interruptions,
       (unsigned long long)st.exits);
    ok(gone(&m), "unregistered");
}

/* More threads than stacks: they take turns. */
static void test_more_threads(void)
{
    struct caller c[6];
    pthread_t thread[6];
    struct pal_module m;
    bool good = true;
    void *entry;

    if (!simple(&m, &entry, CODE_OF(until_interrupted), 2, 2, 0)) {
        return;
    }
    for (unsigned i = 0; i < 6; i++) {
        c[i] = (struct caller){ &m, entry, { 3, 0 }, { 0 } };
        pthread_create(&thread[i], NULL, calling_thread, &c[i]);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(thread[i], NULL);
        good = good && c[i].a.death == TV_DEATH_ALIVE && c[i].a.result >= 3;
    }
    ok(good, "six threads share two stacks, and learn how often they were interrupted");
    ok(gone(&m), "unregistered");
}

/* --- budgets, limits -------------------------------------------------------------------------- */

static void test_budget(void)
{
    struct pal_module m;
    struct pal_answer a;
    void *entry;

    if (!simple(&m, &entry, CODE_OF(spin_for_ever), 1, 1, 200 * 1000 * 1000)) {
        return;
    }
    a = pal_module_call(&m, entry, (word[]){ (word)m.data }, 1);
    ok(a.death == TV_DEATH_BUDGET && a.result == 0, "an endless PAL ends: %s",
       pal_death_text(a.death));
    pal_module_destroy(&m);
}

static void test_limits(void)
{
    struct xmhf_pal_limits l = { 0 }, after = { 0 };
    struct pal_module m;
    bool good = pal_limits(&l) == TV_OK;
    void *entry;

    ok(good && l.version == XMHF_MODULE_VERSION && l.pages_free <= l.pages_max
       && l.own_pages_max < l.pages_max, "limits: %llu of %llu pages free, %llu for one process",
       (unsigned long long)l.pages_free, (unsigned long long)l.pages_max,
       (unsigned long long)l.own_pages_max);
    if (simple(&m, &entry, CODE_OF(first), 0, 3, 0)) {
        good = pal_limits(&after) == TV_OK;
        ok(good && after.own_pals == l.own_pals + 1
           && after.own_pages - l.own_pages == l.pages_free - after.pages_free,
           "a PAL more: %llu pages", (unsigned long long)(after.own_pages - l.own_pages));
        ok(gone(&m), "unregistered");
    }
    ok(pal_hypercall(XMHF_HC_PAL_LIMITS, (uintptr_t)&l, 0, sizeof(l) - 1, 0) == TV_BAD_STRUCT,
       "a structure of another size is refused");
}

static int use_one(void)
{
    struct pal_module m;
    void *entry;

    return simple(&m, &entry, CODE_OF(first), 0, 1, 0)
        && pal_module_call(&m, entry, NULL, 0).result == 1 && gone(&m) ? 0 : 1;
}

static const tap_child children[] = { use_one };

/* One process takes what it may; another one still gets a PAL. */
static void test_quota(void)
{
    static struct pal_module m[300];
    struct pal_module_spec spec = spec_of(1);
    uint64_t error = TV_OK;
    unsigned n = 0, live_ones;

    spec.data_pages = 12;
    while (error == TV_OK && n < 300 && made(&m[n], &spec)) {
        pal_module_entry(&m[n], CODE_OF(first), 0, 0);
        error = pal_module_register(&m[n++]);
    }
    live_ones = n - 1;
    ok(error == TV_QUOTA_PAGES, "after %u PALs: %s (%s)", live_ones, pal_error_name(error),
       pal_error_text(error));
    ok(tap_child_run(children, 0) == 0, "another process still gets one");
    for (unsigned i = 0; i < n; i++) {
        pal_module_destroy(&m[i]);
    }
}

static void test_errors(void)
{
    struct pal_module_spec spec = spec_of(2);
    struct pal_module m;

    if (!made(&m, &spec)) {
        return;
    }
    pal_module_entry(&m, CODE_OF(first), 0, 0);
    m.pal.version = 2;
    ok(pal_module_register(&m) == TV_BAD_STRUCT, "another version is refused");
    m.pal.version = XMHF_MODULE_VERSION;
    m.pal.convention ^= 7;
    ok(pal_module_register(&m) == TV_BAD_CONVENTION, "an unknown convention is refused");
    m.pal.convention ^= 7;
    m.pal.stacks = 3;
    ok(pal_module_register(&m) == TV_BAD_STACKS, "too few stacks");
    m.pal.stacks = 2;
    m.pal.entry[0].params = 1;
    ok(pal_module_register(&m) == TV_BAD_ENTRIES, "an entry with a parameter that isn't there");
    m.pal.entry[0].params = 0;
    ok(pal_module_register(&m) == TV_OK, "and so it works");
    ok(pal_module_register(&m) == TV_EXISTS, "once");
    m.registered = true;
    ok(gone(&m), "unregistered");
}

int main(int argc, char **argv)
{
    uint64_t before;

    tap_child_main(argc, argv, children);
    tap_need_hypervisor();
    tap_catch_signals();
    before = pal_info(XMHF_INFO_POOL_FREE);
    test_directions();
    test_entries();
    test_microsoft();
    test_rodata();
    test_deaths();
    test_threads();
    test_more_threads();
    test_budget();
    test_limits();
    test_errors();
    test_quota();
    ok(tap_no_leak(&before), "all memory came back");
    return tap_end();
}
