/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "However many PALs there are, and however large, each is its
 * own, and what one process takes is bounded".
 *
 *   pal_scale many [PROCESSES [EACH]]   so many processes with so many PALs each, all at once
 *   pal_scale sizes [MIB]               PALs with 4 KiB of data up to so much
 *   pal_scale lookup                    what a call costs with one PAL and with as many as there
 *                                       can be, for a machine whose TSC counts instructions; many
 *                                       sections
 */
#define _GNU_SOURCE
#include "tap.h"
#include <pal/module.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EACH_MAX 260
#define PROCESSES_MAX 100
#define RUNS 40
#define FACTOR ((pal_word)2862933555777941757ULL)

typedef pal_word (PAL_ABI *keep_fn)(pal_word what, pal_word value, volatile pal_word *data);
enum { NOTHING, SET, GET, FILL, SUM };

/* SET and GET: a secret of this PAL. FILL and SUM: `value` pages of data. */
PAL_CODE static PAL_ABI pal_word keep(pal_word what, pal_word value, volatile pal_word *data)
{
    pal_word sum = 0;

    if (what == SET) {
        data[0] = value;
    }
    if (what == GET) {
        sum = data[0] * FACTOR + value;
    }
    for (pal_word i = 0; (what == FILL || what == SUM) && i < value; i++) {
        if (what == FILL) {
            data[i * (4096 / sizeof(pal_word)) + i % 512] = i * FACTOR + 1;
        }
        sum = sum * FACTOR + data[i * (4096 / sizeof(pal_word)) + i % 512];
    }
    return sum;
}

static pal_word call(const struct pal *p, pal_word what, pal_word value)
{
    return ((keep_fn)(uintptr_t)p->entry)(what, value, p->data);
}

/* Memory for a PAL with so much data. */
static bool make(struct pal *p, unsigned data_pages)
{
    struct pal_spec spec = PAL_SPEC(keep);

    spec.data_pages = data_pages;
    if (pal_create(p, &spec) != 0) {
        return ok(false, "memory for a PAL with %u pages of data", data_pages);
    }
    for (unsigned i = 0; i < 3; i++) {
        pal_add_integer(p);
    }
    return true;
}

/* The error of registering a PAL that claims so many pages of data, which aren't there. */
static uint64_t claim(uint64_t pages)
{
    uint64_t error = TV_FAILED;
    struct pal p;

    if (make(&p, 1)) {
        p.sections.sections[1].page_num = (uint32_t)pages;
        p.sections.sections[1].start_addr = 0x10000000;
        error = pal_register(&p);
        p.sections.sections[1].page_num = 1;
        pal_destroy(&p);
    }
    return error;
}

/* More than one process may have: the hypervisor looks for dead owners before it says so. */
static bool collect(void)
{
    uint64_t error = claim(pal_info(XMHF_INFO_POOL_TOTAL) * 7 / 8);

    return error == TV_QUOTA_PAGES
        || ok(false, "a claim of 7/8 of all pages: %s", pal_error_name(error));
}

/* --- processes with PALs ------------------------------------------------------------------- */

struct process { pid_t pid; int orders, answers; unsigned number; };

static struct pal own[EACH_MAX];

static pal_word secret_of(unsigned process, unsigned k)
{
    return process * 1000003u + k * 7919u + 1;
}

/* Register up to `each`; how many there are. */
static unsigned register_all(unsigned process, unsigned each, uint64_t *error)
{
    unsigned n = 0;

    for (*error = TV_OK; n < each; n++) {
        if (!make(&own[n], 1)) {
            break;
        }
        *error = pal_register(&own[n]);
        if (*error != TV_OK) {
            pal_destroy(&own[n]);
            break;
        }
        call(&own[n], SET, secret_of(process, n));
    }
    return n;
}

static unsigned wrong_answers(unsigned process, unsigned n)
{
    unsigned bad = 0;

    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned k = 0; k < n; k++) {
            bad += call(&own[k], GET, round) != secret_of(process, k) * FACTOR + round;
        }
    }
    return bad;
}

static void unregister_all(unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        if (pal_unregister(&own[k]) != TV_OK) {
            _exit(4);
        }
        pal_destroy(&own[k]);
    }
}

/* What the process does that has number `number`: 'c' call all, 'u' unregister all and end. */
static void serve(unsigned number, unsigned each, int orders, int answers)
{
    uint64_t before = pal_info(XMHF_INFO_PALS), word[2];
    unsigned n = register_all(number, each, &word[1]);
    char order;

    word[0] = pal_info(XMHF_INFO_PALS) - before;
    while (write(answers, word, sizeof(word)) == sizeof(word) && read(orders, &order, 1) == 1) {
        if (order == 'u') {
            unregister_all(n);
            _exit(0);
        }
        word[0] = n;
        word[1] = wrong_answers(number, n);
    }
    _exit(3);
}

static bool start(struct process *p, unsigned number, unsigned each)
{
    int orders[2], answers[2];

    if (pipe(orders) != 0 || pipe(answers) != 0) {
        return ok(false, "pipes");
    }
    fflush(stdout);
    *p = (struct process){ fork(), orders[1], answers[0], number };
    if (p->pid == 0) {
        close(orders[1]);
        close(answers[0]);
        serve(number, each, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    return p->pid > 0 || ok(false, "fork");
}

static bool answer(const struct process *p, uint64_t word[2])
{
    return read(p->answers, word, 16) == 16 || ok(false, "process %u has ended", p->number);
}

static void order(const struct process *p, char what)
{
    if (write(p->orders, &what, 1) != 1) {
        ok(false, "process %u takes no order", p->number);
    }
}

/* Unregistered by itself, or killed. True if it went as it should. */
static bool end(struct process *p, bool killed)
{
    int status = -1;

    if (killed) {
        kill(p->pid, SIGKILL);
    } else {
        order(p, 'u');
    }
    waitpid(p->pid, &status, 0);
    close(p->orders);
    close(p->answers);
    return killed ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Start them all; how many PALs they have in the end, and what the last of them was told. */
static uint64_t start_all(struct process *p, unsigned processes, unsigned each)
{
    uint64_t word[2], all = 0;

    for (unsigned i = 0; i < processes; i++) {
        if (!start(&p[i], i, each)) {
            return 0;
        }
    }
    for (unsigned i = 0; i < processes; i++) {
        if (answer(&p[i], word)) {
            all += word[0];
            if (word[1] != TV_OK) {
                ok(false, "process %u got %llu PALs, then %s", i, (unsigned long long)word[0],
                   pal_error_name(word[1]));
            }
        }
    }
    return all;
}

/* All of them call at the same time. */
static void call_all(const struct process *p, unsigned processes, uint64_t all)
{
    uint64_t word[2], called = 0, bad = 0;

    for (unsigned i = 0; i < processes; i++) {
        order(&p[i], 'c');
    }
    for (unsigned i = 0; i < processes; i++) {
        if (answer(&p[i], word)) {
            called += word[0];
            bad += word[1];
        }
    }
    ok(called == all && bad == 0, "%llu PALs of %u processes called, %llu wrong answers",
       (unsigned long long)called, processes, (unsigned long long)bad);
}

/* With all that live: what else is refused, and by what name. */
static void test_quotas(unsigned live)
{
    const uint64_t free = pal_info(XMHF_INFO_POOL_FREE), total = pal_info(XMHF_INFO_POOL_TOTAL);
    struct xmhf_pal_limits l = { 0 };
    struct process greedy, late;
    uint64_t word[2], error;
    bool good;

    error = pal_limits(&l);
    ok(error == TV_OK && l.pals_max >= live + l.own_pals_max,
       "limits: %u PALs of one process, %u of all",
       (unsigned)l.own_pals_max, (unsigned)l.pals_max);
    error = claim(total * 7 / 8);
    ok(error == TV_QUOTA_PAGES, "7/8 of all pages for one process: %s", pal_error_name(error));
    error = claim(free + 10);
    ok(error == TV_NO_MEMORY || free > total * 5 / 8, "more pages than are free: %s",
       pal_error_name(error));
    if (!start(&greedy, 200, (unsigned)l.own_pals_max + 1) || !answer(&greedy, word)) {
        return;
    }
    ok(word[0] == l.own_pals_max && word[1] == TV_QUOTA, "one process gets %llu PALs, then %s",
       (unsigned long long)word[0], pal_error_name(word[1]));
    if (l.pals_max - live - word[0] < l.own_pals_max && start(&late, 201, (unsigned)l.own_pals_max)
        && answer(&late, word)) {
        ok(live + l.own_pals_max + word[0] == l.pals_max && word[1] == TV_QUOTA_ALL,
           "another one %llu, then %s", (unsigned long long)word[0], pal_error_name(word[1]));
        order(&late, 'c');
        good = answer(&late, word) && word[1] == 0;
        ok(good, "its %llu PALs work", (unsigned long long)word[0]);
        ok(end(&late, false), "it unregisters them");
    }
    order(&greedy, 'c');
    good = answer(&greedy, word) && word[1] == 0;
    ok(good, "the %llu of the greedy one work", (unsigned long long)word[0]);
    ok(end(&greedy, false), "it unregisters them");
    ok(pal_info(XMHF_INFO_POOL_FREE) == free, "all its memory came back");
}

static void test_many(unsigned processes, unsigned each)
{
    static struct process p[PROCESSES_MAX];
    const uint64_t before = pal_info(XMHF_INFO_POOL_FREE);
    uint64_t all = start_all(p, processes, each), after;
    unsigned bad = 0;

    ok(all == (uint64_t)processes * each, "%llu PALs of %u processes live at once, in %llu pages",
       (unsigned long long)all, processes,
       (unsigned long long)(before - pal_info(XMHF_INFO_POOL_FREE)));
    call_all(p, processes, all);
    test_quotas((unsigned)all);
    call_all(p, processes, all);
    for (unsigned i = 0; i < processes; i += 2) {
        bad += !end(&p[i], false);
    }
    ok(bad == 0, "each second process unregisters its own");
    for (unsigned i = 1; i < processes; i += 2) {
        bad += !end(&p[i], true);
    }
    after = pal_info(XMHF_INFO_POOL_FREE);
    ok(bad == 0 && after < before, "the others are killed: %llu pages are dead PALs'",
       (unsigned long long)(before - after));
    collect();
    after = pal_info(XMHF_INFO_POOL_FREE);
    ok(after == before, "once somebody needs them: %llu free pages, %llu at first",
       (unsigned long long)after, (unsigned long long)before);
}

/* --- sizes --------------------------------------------------------------------------------- */

static pal_word expected_sum(pal_word pages)
{
    pal_word sum = 0;

    for (pal_word i = 0; i < pages; i++) {
        sum = sum * FACTOR + (i * FACTOR + 1);
    }
    return sum;
}

static void test_size(unsigned pages)
{
    const uint64_t before = pal_info(XMHF_INFO_POOL_FREE);
    uint64_t error, taken;
    struct pal p;

    if (!make(&p, pages)) {
        return;
    }
    /* What a page has before isn't the PAL's alone; afterwards there are zeros. */
    for (unsigned i = 0; i < pages; i++) {
        ((volatile pal_word *)p.data)[i * (PAL_PAGE / sizeof(pal_word)) + 7] = i;
    }
    error = pal_register(&p);
    taken = before - pal_info(XMHF_INFO_POOL_FREE);
    if (error == TV_OK) {
        pal_word sum = call(&p, FILL, pages);
        ok(sum == expected_sum(pages) && call(&p, SUM, pages) == sum
           && ((volatile pal_word *)p.data)[(pages - 1) * (PAL_PAGE / sizeof(pal_word)) + 7] == 0,
           "%u KiB of data, %llu pages in all", pages * 4, (unsigned long long)taken);
        error = pal_unregister(&p);
    }
    ok(error == TV_OK && pal_info(XMHF_INFO_POOL_FREE) == before,
       "%u KiB: %s, the pool is as before",
       pages * 4, pal_error_name(error));
    pal_destroy(&p);
}

/* The owner of a large PAL is killed. */
static void test_large_death(unsigned pages)
{
    const uint64_t before = pal_info(XMHF_INFO_POOL_FREE);
    int ready[2];
    pid_t child;
    char c = 0;

    fflush(stdout);
    child = pipe(ready) == 0 ? fork() : -1;
    if (child == 0) {
        c = make(&own[0], pages) && pal_register(&own[0]) == TV_OK
            && call(&own[0], FILL, pages) == expected_sum(pages);
        if (write(ready[1], &c, 1) == 1) {
            pause();
        }
        _exit(1);
    }
    if (child < 0 || read(ready[0], &c, 1) != 1) {
        c = 0;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    collect();
    ok(c == 1 && pal_info(XMHF_INFO_POOL_FREE) == before,
       "the owner of %u KiB is killed: the pool is as before",
       pages * 4);
}

/* --- the price of a call --------------------------------------------------------------------- */

static inline uint64_t ticks(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return low | (uint64_t)high << 32;
}

static uint64_t least(const struct pal *p, const struct pal *other)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < RUNS; i++) {
        uint64_t start, took;
        if (other) {
            call(other, NOTHING, 0); /* the next one isn't the last one again */
        }
        start = ticks();
        call(p, NOTHING, 0);
        took = ticks() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* A look-up walks one chain of a hash table: eight PALs in a chain, say, take this. */
#define CHAIN 120u

static void test_lookup(void)
{
    static struct process p[PROCESSES_MAX];
    struct xmhf_pal_limits l = { 0 };
    uint64_t same[2], turns[2], all, worst = 0, sum = 0, error;
    unsigned n = register_all(300, 2, &error);

    if (n != 2 || pal_limits(&l) != TV_OK) {
        ok(false, "two PALs: %s", pal_error_name(error));
        return;
    }
    same[0] = least(&own[0], NULL);
    turns[0] = least(&own[0], &own[1]);
    all = start_all(p, 63, (unsigned)(l.pals_max - l.own_pals_max) / 63) + 2;
    ok(all >= 1000, "%llu PALs of 64 processes live", (unsigned long long)all);
    same[1] = least(&own[0], NULL);
    turns[1] = least(&own[0], &own[1]);
    ok(same[1] <= same[0] + 4,
       "a call like the last one: %llu instructions with 2 PALs, %llu with %llu",
       (unsigned long long)same[0], (unsigned long long)same[1], (unsigned long long)all);
    ok(turns[1] <= turns[0] + CHAIN, "another PAL than the last time: %llu with 2, %llu with %llu",
       (unsigned long long)turns[0], (unsigned long long)turns[1], (unsigned long long)all);
    for (; n < l.own_pals_max && make(&own[n], 1) && pal_register(&own[n]) == TV_OK; n++) {
    }
    for (unsigned k = 1; k < n; k++) {
        uint64_t one = least(&own[k], &own[k - 1]);
        sum += one;
        worst = one > worst ? one : worst;
    }
    ok(n == l.own_pals_max && worst <= turns[0] + CHAIN && sum / (n - 1) <= turns[0] + CHAIN / 4,
       "each of %u PALs of one process, of %llu: %llu on average, %llu at worst", n,
       (unsigned long long)(all + n - 2), (unsigned long long)(sum / (n - 1)),
       (unsigned long long)worst);
    for (unsigned i = 0; i < 63; i++) {
        end(&p[i], i % 2 == 0);
    }
    unregister_all(n);
    collect();
}

/* --- many sections -------------------------------------------------------- */

#define PLACES 100u /* that PALs' sections take turns at */

/* PAL `number` gets its 64 sections in between those of the others. */
static bool make_many_sections(struct pal_module *m, unsigned number, uintptr_t area)
{
    struct pal_module_spec spec = PAL_MODULE_SPEC;

    spec.param_pages = 0;
    if (pal_module_create(m, &spec) != 0) {
        return ok(false, "memory for a PAL");
    }
    pal_module_integer(m);
    pal_module_integer(m);
    pal_module_integer(m);
    pal_module_entry(m, (const void *)(uintptr_t)keep, 0, 3);
    for (unsigned i = 0; m->pal.sections < XMHF_MODULE_SECTIONS; i++) {
        m->pal.section[m->pal.sections++] = (struct xmhf_module_section){
            .type = TV_SECTION_DATA, .start = area + (uintptr_t)(i * PLACES + number) * PAL_PAGE,
            .pages = 1,
        };
    }
    return true;
}

static void test_sections(void)
{
    static struct pal_module many[PLACES];
    const size_t size = (size_t)PLACES * XMHF_MODULE_SECTIONS * PAL_PAGE;
    void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
                      | MAP_POPULATE, -1, 0);
    uint64_t error = TV_OK, last = TV_OK;
    unsigned n = 0;

    if (area == MAP_FAILED) {
        ok(false, "memory for many sections");
        return;
    }
    while (n < PLACES && error == TV_OK && make_many_sections(&many[n], n, (uintptr_t)area)) {
        error = pal_module_register(&many[n++]);
    }
    ok(error == TV_QUOTA && n > 16,
       "%u PALs with %u sections each, in between each other's, then %s", n - 1,
       XMHF_MODULE_SECTIONS, pal_error_name(error));
    while (n > 0) {
        error = many[--n].registered ? pal_module_unregister(&many[n]) : TV_OK;
        last = error != TV_OK ? error : last;
        pal_module_destroy(&many[n]);
    }
    ok(last == TV_OK, "all unregistered (%s)", pal_error_name(last));
    munmap(area, size);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    unsigned first = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 64;
    unsigned second = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 16;
    uint64_t before;

    tap_need_hypervisor();
    collect();
    before = pal_info(XMHF_INFO_POOL_FREE);
    if (strcmp(what, "many") == 0 && first <= PROCESSES_MAX && second <= EACH_MAX) {
        test_many(first, second);
    } else if (strcmp(what, "sizes") == 0) {
        for (unsigned pages = 1; pages <= first * 256; pages *= 4) {
            test_size(pages);
        }
        test_large_death(first * 256);
    } else if (strcmp(what, "lookup") == 0) {
        test_lookup();
        test_sections();
    } else {
        fputs("usage: pal_scale many [PROCESSES [EACH]] | sizes [MIB] | lookup\n", stderr);
        return 2;
    }
    ok(pal_info(XMHF_INFO_POOL_FREE) == before, "%llu pages free, as at first",
       (unsigned long long)before);
    return tap_end();
}
