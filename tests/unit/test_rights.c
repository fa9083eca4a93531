/* SPDX-License-Identifier: MIT */
/*
 * guest/rights.c and guest/flush.c against a model: CPUs whose TLBs and caches of paging structures
 * forget nothing unless they are told to, in every state that a CPU of ours can be in, with calls
 * under way on several at once. After DONE no CPU may use a right that was taken away, nor a table
 * that was given back to the pool; when all rights are given back the tables are as they were at
 * boot, and so is the pool.
 */
#include "unit.h"

#include <cpu/vcpus.h>
#include <fake/machine.h>
#include <fake/phys.h>
#include <guest/flush.h>
#include <guest/rights.h>
#include <hw/apic.h>
#include <hw/insn.h>
#include <pthread.h>
#include <signal.h>
#include <smp/stop.h>
#include <sys/mman.h>
#include <time.h>
#include <x86/msr.h>

#define CPUS  4u
#define BASE  MIB(64) /* of the protected range */
#define TOP   GIB(3)  /* of RAM */
#define RWX   (ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC)
#define AMD   "svm/inst-0a10f11-k19-genoa-01.txt"
#define INTEL "vmx/inst-00806f8-sapphirerapids-05.txt"

struct vcpu *vcpus[CPU_MAX];
unsigned vcpu_count;
void *host_phys(uint64_t at, uint64_t len) { (void)at; (void)len; fail(); return NULL; }
uint64_t host_map_ram(uint64_t start, uint64_t end) { return end > start ? end : start; }

/* --- pages that are looked at ---------------------------------------------------------------- */

#define SPOTS 4u
#define SPOT_PAGES 2048u /* 8 MiB each */
static const uint64_t spot[SPOTS] = { MIB(16), MIB(96), GIB(1) - MIB(4), GIB(2) - MIB(8) };
#define PAGES (SPOTS * SPOT_PAGES)

static uint64_t address(unsigned page)
{
    return spot[page / SPOT_PAGES] + page % SPOT_PAGES * PAGE_SIZE;
}

static uint8_t promised[PAGES];  /* what the last call that is DONE gave */
static uint8_t busy[PAGES];      /* calls under way */

/* --- CPUs ---------------------------------------------------------------------------------- */

enum where { GUEST, CORE, PARKED, WAITING, SANDBOX };

struct cpu {
    struct vcpu v;
    enum where where;
    bool nmi, flush, off;
    uint64_t root;               /* since its APIC was turned off or on last */
    uint8_t tlb[PAGES];          /* rights, + 16; 0: nothing */
    uint64_t table[PAGES / 512 + SPOTS]; /* the table of 4K leaves of each 2 MiB; 0: nothing */
    bool calling;
    unsigned first, pages, rights;
};

static struct cpu cpus[CPUS];
static uint64_t seed;
static unsigned stale, done, tries, kicks_sent;
static bool deaf;                /* the control: TLBs that don't listen */

void kick(struct vcpu *t)
{
    struct cpu *c = &cpus[t->index];

    assert_true(c->where != WAITING);
    kicks_sent++;
    if (atomic_exchange(&t->kicks, 1) == 0) {
        c->nmi = true;
    }
}

static void flush(struct vcpu *v) { cpus[v->index].flush = true; }

/* Entering the OS's guest. */
static void enter(struct cpu *c)
{
    if (c->flush && !deaf) {
        memset(c->tlb, 0, sizeof(c->tlb));
        memset(c->table, 0, sizeof(c->table));
    }
    c->flush = false;
    c->where = GUEST;
}

/* The top of guest_loop. */
static void take_up(struct cpu *c)
{
    c->nmi = false;
    atomic_store(&c->v.kicks, 0);
    if (atomic_load(&c->v.requests) & REQ_FLUSH) {
        flush_take(&c->v);
    }
}

/* The table of 4K leaves of `g`, or the leaf above. */
static uint64_t walk(struct cpu *c, uint64_t g, uint64_t *table)
{
    uint64_t at = c->root, e = 0;

    for (unsigned level = 4; level >= 1; level--) {
        e = ((const uint64_t *)core_va(hpa(at)))[g >> (12 + 9 * (level - 1)) & 511];
        if (level == 1) {
            *table = at;
        }
        if (virt->nested->is_leaf(e, level) || !virt->nested->present(e)) {
            return e;
        }
        at = virt->nested->addr(e).a;
    }
    return e;
}

static bool is_free(uint64_t table) { return fake_is_free[(table - fake_pool_base) / PAGE_SIZE]; }

/* An access; what the TLB lacks is walked for, by way of the table that is remembered. */
static void touch(struct cpu *c, unsigned page)
{
    const uint64_t g = address(page);
    uint64_t *table = &c->table[g / PAGE_SIZE_2M % ARRAY_SIZE(c->table)], entry;

    if (c->tlb[page] == 0) {
        static uint64_t owner[CPUS][ARRAY_SIZE(c->table)];
        uint64_t *mine = &owner[c->v.index][g / PAGE_SIZE_2M % ARRAY_SIZE(c->table)];
        if (*table && *mine == g / PAGE_SIZE_2M) {
            stale += is_free(*table);
            entry = ((const uint64_t *)core_va(hpa(*table)))[g >> 12 & 511];
        } else {
            *table = 0;
            *mine = g / PAGE_SIZE_2M;
            entry = walk(c, g, table);
        }
        unsigned r = virt->nested->rights(entry);
        c->tlb[page] = (uint8_t)(16 + r);
    }
    unsigned allowed = promised[page];
    if (!busy[page] && ((c->tlb[page] - 16u) & ~allowed)) {
        stale++;
    }
}

/* --- calls ----------------------------------------------------------------------------------- */

static void choose_call(struct cpu *c)
{
    static const unsigned sizes[] = { 1, 1, 3, 512, 700, 1024, 2048 };
    static const unsigned rights[] = { RWX, ACCESS_READ, ACCESS_READ | ACCESS_EXEC, 0, RWX,
                                       ACCESS_READ | ACCESS_WRITE };

    c->pages = sizes[unit_below(&seed, ARRAY_SIZE(sizes))];
    c->first = (unsigned)unit_below(&seed, SPOTS) * SPOT_PAGES;
    if (c->pages < SPOT_PAGES) {
        unsigned at = (unsigned)unit_below(&seed, SPOT_PAGES - c->pages);
        c->first += unit_below(&seed, 2) ? at / 512 * 512 : at;
    }
    c->rights = rights[unit_below(&seed, ARRAY_SIZE(rights))];
    c->calling = true;
    for (unsigned i = 0; i < c->pages; i++) {
        busy[c->first + i]++;
    }
}

static enum hyp_rights_answer call(struct cpu *c)
{
    const uint64_t changed = flush_generation();
    enum hyp_rights_answer a = hyp_rights(&c->v, gpa(address(c->first)), c->pages, c->rights);

    tries++;
    if (a == HYP_RIGHTS_AGAIN) {
        return a;
    }
    assert_true(a == HYP_RIGHTS_DONE
                || (a == HYP_RIGHTS_NO_MEMORY && flush_generation() - changed < 2));
    for (unsigned i = 0; i < c->pages; i++) {
        unsigned page = c->first + i;
        busy[page]--;
        if (a == HYP_RIGHTS_DONE) {
            promised[page] = (uint8_t)c->rights;
        }
    }
    done += a == HYP_RIGHTS_DONE;
    c->calling = false;
    return a;
}

/* --- a CPU's next step ---------------------------------------------------- */

static void in_guest(struct cpu *c)
{
    unsigned what = (unsigned)unit_below(&seed, 100);

    if (c->nmi) {
        c->where = CORE;
    } else if (what < 70) {
        unsigned page = (unsigned)unit_below(&seed, PAGES);
        for (unsigned i = 0; i < 8; i++) {
            touch(c, (page + i) % PAGES);
        }
    } else if (what < 90) {
        c->where = CORE;
        if (!c->calling) {
            choose_call(c);
        }
        (void)call(c);
    } else if (!c->calling && what < 94) {
        c->where = SANDBOX;
    } else if (!c->calling && what < 96) {
        c->where = PARKED;
        c->flush = true; /* its APIC is reset, and so on; the SIPI's state is a new one */
    } else if (!c->calling && what < 98 && fake_intel) {
        c->where = WAITING;
        atomic_store(&c->v.waiting, true);
    } else if (what == 98) { /* its APIC is turned off, or on */
        c->off = !c->off;
        c->root = guest_phys_root(c->off).a;
        c->flush = true;
        c->where = CORE;
    }
}

static void step(struct cpu *c)
{
    switch (c->where) {
    case GUEST:
        in_guest(c);
        break;
    case SANDBOX: /* requests are taken up without leaving it */
        take_up(c);
        if (unit_below(&seed, 3) == 0) {
            c->where = CORE;
        }
        break;
    case CORE:
        take_up(c);
        enter(c);
        break;
    case PARKED: /* answers as ipi_take_signals does */
        if (c->nmi) {
            take_up(c);
        }
        if (unit_below(&seed, 10) == 0) {
            c->where = CORE;
        }
        break;
    case WAITING:
        if (unit_below(&seed, 10) == 0) {
            atomic_store(&c->v.waiting, false);
            c->where = CORE;
        }
        break;
    }
}

static struct acpi_info acpi;
static uint64_t ram_top = TOP;
static uint64_t odd_page;       /* has a memory type of its own */

static void begin(bool intel, bool leaves_1g, bool split, size_t pool)
{
    const struct boot_info info = {
        .protected_base = BASE, .protected_size = MIB(16), .mem_count = 1,
        .mem = { { .start = 0, .size = ram_top, .type = BOOT_MEM_USABLE } },
    };
    char part[300], path[4096];

    machine_reset(0);
    snprintf(part, sizeof(part), "tests/vectors/%s", intel ? INTEL : AMD);
    machine_load(unit_source(path, sizeof(path), part));
    machine_set_msr(intel ? MSR_IA32_TME_ACTIVATE : MSR_AMD_SYSCFG, 0);
    if (odd_page) {
        machine_set_msr(MSR_IA32_MTRRCAP, 1);
        machine_set_msr(MSR_IA32_MTRR_DEF_TYPE, MT_WB | BIT(11));
        machine_set_msr(MSR_IA32_MTRR_PHYSBASE0, odd_page | MT_WT);
        machine_set_msr(MSR_IA32_MTRR_PHYSMASK0, (BIT(46) - PAGE_SIZE) | BIT(11));
    }
    fake_1g = leaves_1g;
    fake_split = split;
    fake_phys_reset(intel, BASE, pool);
    fake_flush = flush;
    assert_int_equal(guest_phys_init(&info, &acpi), 0);
    memset(cpus, 0, sizeof(cpus));
    memset(busy, 0, sizeof(busy));
    memset(promised, RWX, sizeof(promised));
    for (unsigned i = 0; i < CPUS; i++) {
        vcpus[i] = &cpus[i].v;
        cpus[i].v.index = i;
        cpus[i].flush = true;
        cpus[i].where = CORE;
        cpus[i].root = guest_phys_root(false).a;
        atomic_store(&cpus[i].v.online, true);
        atomic_store(&cpus[i].v.flushed, flush_generation());
    }
    stale = done = tries = kicks_sent = 0;
}

/* One CPU goes on until its call is through, with the others running too. */
static enum hyp_rights_answer finish(struct cpu *c)
{
    for (unsigned n = 0; n < 200000; n++) {
        enum hyp_rights_answer a = call(c);
        if (a != HYP_RIGHTS_AGAIN) {
            return a;
        }
        for (unsigned i = 0; i < vcpu_count; i++) {
            cpus[i].where = cpus[i].where == PARKED || cpus[i].where == WAITING ? cpus[i].where
                : CORE;
            if (&cpus[i] != c) {
                step(&cpus[i]);
            } else {
                take_up(c);
                enter(c);
            }
        }
    }
    fail_msg("no end: %u calls done", done);
    return HYP_RIGHTS_AGAIN;
}

static void all_back(void)
{
    for (unsigned i = 0; i < vcpu_count; i++) {
        if (cpus[i].calling) {
            (void)finish(&cpus[i]);
        }
    }
    for (unsigned s = 0; s < SPOTS; s++) {
        struct cpu *c = &cpus[0];
        c->first = s * SPOT_PAGES;
        c->pages = SPOT_PAGES;
        c->rights = RWX;
        for (unsigned i = 0; i < c->pages; i++) {
            busy[c->first + i]++;
        }
        c->calling = true;
        assert_int_equal(finish(c), HYP_RIGHTS_DONE);
    }
}

/* Every entry of the tree but those of decoys, in words. */
static uint64_t sum(uint64_t table, unsigned level)
{
    uint64_t h = level;

    for (unsigned i = 0; i < 512; i++) {
        uint64_t e = ((const uint64_t *)core_va(hpa(table)))[i];
        bool leaf = level == 1 || virt->nested->is_leaf(e, level);
        h = h * 0x100000001b3ULL ^ (leaf || !virt->nested->present(e) ? e
                                    : sum(virt->nested->addr(e).a, level - 1));
    }
    return h;
}

static void play(unsigned count, bool intel, bool leaves_1g, bool split)
{
    begin(intel, leaves_1g, split, MIB(8) / PAGE_SIZE);
    vcpu_count = count;
    const size_t used = fake_pool_used - fake_freed_count;
    const uint64_t was = sum(guest_nested.root.a, 4);
    for (unsigned n = 0; n < 16000; n++) {
        step(&cpus[unit_below(&seed, count)]);
    }
    assert_true(done > 100);
    all_back();
    if (deaf) {
        return;
    }
    assert_int_equal(stale, 0);
    assert_int_equal(fake_pool_used - fake_freed_count, used);
    assert_true(sum(guest_nested.root.a, 4) == was);
    printf("%u CPUs, %s%s%s: %u calls in %u tries, %u kicks\n", count, intel ? "EPT" : "NPT",
           leaves_1g ? ", 1G" : "", split ? ", small code" : "", done, tries, kicks_sent);
}

static void no_right_is_used_after_it_is_away(void **state)
{
    (void)state;
    seed = 88172645463325252ULL;
    for (unsigned count = 1; count <= CPUS; count *= 2) {
        for (unsigned kind = 0; kind < 6; kind++) {
            play(count, kind >= 2, kind & 1, kind >= 4);
        }
    }
}

static void a_deaf_tlb_is_noticed(void **state)
{
    (void)state;
    deaf = true;
    for (unsigned intel = 0; intel < 2; intel++) {
        play(2, intel, true, false);
        assert_true(stale > 0);
    }
    deaf = false;
}

static void *whole_ram(gpa_t g, size_t len)
{
    return g.a < TOP && len <= TOP - g.a ? (void *)(uintptr_t)(GIB(1024) + g.a) : NULL;
}

/* --- single CPUs ---------------------------------------------------------- */

static enum hyp_rights_answer until_done(unsigned cpu, uint64_t at, uint64_t pages, unsigned rights,
                                         unsigned max)
{
    enum hyp_rights_answer a = HYP_RIGHTS_AGAIN;

    for (tries = 0; tries < max && a == HYP_RIGHTS_AGAIN; tries++) {
        a = hyp_rights(&cpus[cpu].v, gpa(at), pages, rights);
        for (unsigned i = 0; i < vcpu_count; i++) {
            take_up(&cpus[i]);
        }
    }
    return a;
}

/* Without pages for all tables that it needs a call changes nothing, whichever is the one that is
 * missing. */
static void without_memory_nothing_changes(void **state)
{
    static const struct { uint64_t at, size; } range[] = {
        { MIB(16) + PAGE_SIZE, PAGE_SIZE }, { MIB(16) + PAGE_SIZE, MIB(40) },
        { GIB(1) - PAGE_SIZE, MIB(2) },
        { GIB(1) - MIB(200), MIB(1224) - PAGE_SIZE },
    };
    unsigned failed = 0;

    (void)state;
    for (unsigned n = 0; n < 6 * ARRAY_SIZE(range) * 5; n++) {
        const unsigned kind = n % 6, r = n / 6 % ARRAY_SIZE(range),
            pages = n / 6 / ARRAY_SIZE(range);

        begin(kind >= 2, kind & 1, kind >= 4, MIB(8) / PAGE_SIZE);
        vcpu_count = 2;
        const uint64_t was = sum(guest_nested.root.a, 4);
        const size_t used = fake_pool_used, total = fake_pool_total;
        fake_pool_total = used + pages;
        enum hyp_rights_answer a = until_done(0, range[r].at, range[r].size / PAGE_SIZE,
                                              ACCESS_READ, 10000);
        if (a == HYP_RIGHTS_NO_MEMORY) {
            assert_true(sum(guest_nested.root.a, 4) == was);
            assert_int_equal(fake_pool_used - fake_freed_count, used);
            failed++;
            fake_pool_total = total;
            a = until_done(0, range[r].at, range[r].size / PAGE_SIZE, ACCESS_READ, 10000);
        }
        assert_int_equal(a, HYP_RIGHTS_DONE);
        assert_true(sum(guest_nested.root.a, 4) != was);
        fake_pool_total = fake_pool_used; /* giving all back needs none */
        a = until_done(1, range[r].at, range[r].size / PAGE_SIZE, RWX, 10000);
        assert_int_equal(a, HYP_RIGHTS_DONE);
        assert_true(sum(guest_nested.root.a, 4) == was);
        assert_int_equal(fake_pool_used - fake_freed_count, used);
    }
    assert_true(failed > 20);
    printf("%u calls without memory for their tables changed nothing\n", failed);
}

/* Who was last gives way to who came meanwhile; and who doesn't come back is waited for no longer
 * than that. */
static void turns(void **state)
{
    (void)state;
    begin(true, true, true, MIB(8) / PAGE_SIZE);
    vcpu_count = 2;
    assert_int_equal(until_done(0, MIB(16), 1, ACCESS_READ, 3), HYP_RIGHTS_DONE);
    assert_true(guest_phys_lock());
    assert_int_equal(hyp_rights(&cpus[1].v, gpa(MIB(24)), 1, ACCESS_READ), HYP_RIGHTS_AGAIN);
    guest_phys_unlock();
    const uint64_t before = flush_generation();
    assert_int_equal(hyp_rights(&cpus[0].v, gpa(MIB(16)), 1, RWX), HYP_RIGHTS_AGAIN);
    assert_true(flush_generation() == before); /* it gave way */
    assert_int_equal(hyp_rights(&cpus[0].v, gpa(MIB(16)), 1, RWX), HYP_RIGHTS_AGAIN);
    assert_true(flush_generation() == before + 1); /* once */
    take_up(&cpus[1]);
    assert_int_equal(until_done(0, MIB(16), 1, RWX, 3), HYP_RIGHTS_DONE);

    for (unsigned i = 0; i < 3; i++) { /* a large call, begun and left */
        assert_int_equal(hyp_rights(&cpus[0].v, gpa(MIB(128)), 50000 + i, ACCESS_READ),
                         HYP_RIGHTS_AGAIN);
    }
    assert_int_equal(until_done(1, MIB(128) + PAGE_SIZE, 3, RWX, 2000), HYP_RIGHTS_DONE);
    assert_in_range(tries, 200, 1000);
    for (unsigned i = 0; i < 200; i++) { /* more calls than there is room for */
        assert_int_equal(hyp_rights(&cpus[0].v, gpa(MIB(512) + i * PAGE_SIZE), 1, ACCESS_READ),
                         HYP_RIGHTS_AGAIN);
    }
    assert_int_equal(until_done(1, MIB(512), 300, ACCESS_READ, 2000), HYP_RIGHTS_DONE);
}

/* Another CPU faults between the very first change of rights and its generation. */
static void the_first_change(void **state)
{
    struct vcpu *v = &cpus[1].v;

    (void)state;
    begin(true, true, false, MIB(8) / PAGE_SIZE);
    assert_true(flush_generation() == 0); /* this test comes first */
    assert_int_equal(guest_rights_fault(v, gpa(MIB(16)), ACCESS_WRITE), RIGHTS_WHOLE);
    guest_map_judge(guest_phys_rights);   /* as hyp_rights does */
    assert_true(guest_phys_lock());
    assert_int_equal(guest_phys_split(gpa(MIB(16)), PAGE_SIZE, ACCESS_READ), 0);
    assert_int_equal(guest_phys_protect(gpa(MIB(16)), PAGE_SIZE, ACCESS_READ), 1);
    const enum rights_fault f = guest_rights_fault(v, gpa(MIB(16)), ACCESS_WRITE);
    guest_phys_unlock();
    assert_int_equal(f, RIGHTS_TAKEN);
}

/* RAM that was plugged in and not yet touched has rights to take, too; where none can be, there are
 * none. */
static void ram_that_was_plugged_in(void **state)
{
    struct nested_leaf leaf;

    (void)state;
    acpi.hotplug_count = 1;
    acpi.hotplug[0] = (struct acpi_range){ GIB(600), GIB(604) };
    for (unsigned intel = 0; intel < 2; intel++) {
        begin(intel, true, intel, MIB(8) / PAGE_SIZE);
        vcpu_count = 1;
        assert_false(nested_lookup(&guest_nested, gpa(GIB(601)), &leaf));
        assert_int_equal(until_done(0, GIB(601), 3, ACCESS_READ, 5), HYP_RIGHTS_DONE);
        assert_true(nested_lookup(&guest_nested, gpa(GIB(601)), &leaf)
                    && leaf.rights == ACCESS_READ);
        assert_true(nested_lookup(&guest_nested, gpa(GIB(601) + 3 * PAGE_SIZE), &leaf)
                    && leaf.rights == RWX);
        assert_int_equal(until_done(0, GIB(601), 3, RWX, 5), HYP_RIGHTS_DONE);
        assert_true(nested_lookup(&guest_nested, gpa(GIB(601)), &leaf) && leaf.level == 3);
        assert_int_equal(until_done(0, GIB(604), 1, ACCESS_READ, 5), HYP_RIGHTS_REFUSED);
        assert_int_equal(until_done(0, GIB(604) - PAGE_SIZE, 2, ACCESS_READ, 5),
                         HYP_RIGHTS_REFUSED);
    }
    acpi.hotplug_count = 0;
}

/* --- two CPUs in the second tree ------------------------------------------ */

static void *late_table, *next_table; /* of the second tree: the first stores there are delayed */
static pthread_t other_cpu;
static unsigned delays;
static bool came_back;

static void *take_right(void *arg)
{
    (void)hyp_rights(&cpus[0].v, gpa(GIB(3)), 1, ACCESS_READ);
    return arg;
}

/* Between the load of an entry and its store: the other CPU does its whole step, but for what it
 * has to wait for. */
static void first_store(void)
{
    const uint64_t before = flush_generation();

    mprotect(late_table, PAGE_SIZE, PROT_READ | PROT_WRITE);
    pthread_create(&other_cpu, NULL, take_right, NULL);
    for (unsigned n = 0; flush_generation() == before && n < 300; n++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    came_back = flush_generation() != before; /* that is to be seen */
    mprotect(next_table, PAGE_SIZE, PROT_READ);
}

/* Behind it: a CPU that was asked to forget the right doesn't find it again. */
static void delayed(int sig)
{
    uint64_t table;

    (void)sig;
    switch (delays++) {
    case 0:
        first_store();
        break;
    case 1:
        mprotect(next_table, PAGE_SIZE, PROT_READ | PROT_WRITE);
        came_back = came_back
            && virt->nested->rights(walk(&cpus[1], GIB(3), &table)) != ACCESS_READ;
        break;
    default:
        abort();
    }
}

static uint64_t *table_below(const uint64_t *table, unsigned i)
{
    return core_va(virt->nested->addr(table[i]));
}

/* One turns its APIC off while another takes rights: what the one has read before the other's
 * change isn't written behind it. */
static void a_late_store_brings_no_right_back(void **state)
{
    const struct sigaction on = { .sa_handler = delayed };
    struct sigaction was;
    struct nested_leaf leaf;
    uint64_t table;

    (void)state;
    ram_top = GIB(3) + MIB(4); /* the first entry of the APIC's GiB is RAM */
    begin(false, true, false, MIB(8) / PAGE_SIZE);
    ram_top = TOP;
    vcpu_count = 2;
    cpus[1].root = guest_phys_root(true).a;
    late_table = table_below(table_below(core_va(hpa(cpus[1].root)), 0), 3);
    next_table = table_below(late_table, APIC_PAGE / PAGE_SIZE_2M % 512);
    delays = 0;
    came_back = false;
    assert_int_equal(sigaction(SIGSEGV, &on, &was), 0);
    assert_int_equal(mprotect(late_table, PAGE_SIZE, PROT_READ), 0);
    (void)guest_phys_root(true);
    sigaction(SIGSEGV, &was, NULL);
    assert_int_equal(delays, 2);
    assert_false(came_back);
    assert_int_equal(pthread_join(other_cpu, NULL), 0);
    assert_true(nested_lookup(&guest_nested, gpa(GIB(3)), &leaf) && leaf.rights == ACCESS_READ);
    assert_int_equal(virt->nested->rights(walk(&cpus[1], GIB(3), &table)), ACCESS_READ);
}

/* A GiB that is mapped when it is touched, but there were tables for its beginning alone: what is
 * mapped stays as it is when the rest follows. */
static void what_is_mapped_stays(void **state)
{
    struct nested_leaf leaf;

    (void)state;
    acpi.hotplug_count = 1;
    acpi.hotplug[0] = (struct acpi_range){ GIB(600), GIB(604) };
    odd_page = GIB(601) + MIB(4);
    begin(true, true, false, MIB(8) / PAGE_SIZE);
    vcpu_count = 1;
    const size_t total = fake_pool_total, kept = fake_pool_kept;
    fake_pool_kept = 0; /* a table for these 512 GiB and one for the GiB, none for the page's */
    fake_pool_total = fake_pool_used + 2;
    assert_int_equal(until_done(0, GIB(601), 3, ACCESS_READ, 5), HYP_RIGHTS_NO_MEMORY);
    fake_pool_total = total;
    fake_pool_kept = kept;
    assert_true(nested_lookup(&guest_nested, gpa(GIB(601)), &leaf) && leaf.rights == RWX);
    assert_int_equal(until_done(0, GIB(601), 3, ACCESS_READ, 5), HYP_RIGHTS_DONE);
    assert_true(guest_phys_map_device(gpa(GIB(601) + MIB(8))));
    assert_true(nested_lookup(&guest_nested, gpa(odd_page), &leaf) && leaf.level == 1);
    assert_true(nested_lookup(&guest_nested, gpa(GIB(602) - 1), &leaf) && leaf.rights == RWX);
    assert_true(nested_lookup(&guest_nested, gpa(GIB(601)), &leaf) && leaf.rights == ACCESS_READ);
    acpi.hotplug_count = 0;
    odd_page = 0;
}

/* Where leaves in use must keep their sizes no right is taken, and no table changes. */
static void sizes_that_stay(void **state)
{
    (void)state;
    fake_keep = true;
    begin(false, true, false, MIB(8) / PAGE_SIZE);
    fake_keep = false;
    vcpu_count = 1;
    const uint64_t was = sum(guest_nested.root.a, 4);
    assert_int_equal(hyp_rights(&cpus[0].v, gpa(MIB(16)), 1, ACCESS_READ), HYP_RIGHTS_REFUSED);
    assert_int_equal(hyp_rights(&cpus[0].v, gpa(GIB(1)), GIB(1) / PAGE_SIZE, 0),
                     HYP_RIGHTS_REFUSED);
    assert_int_equal(until_done(0, MIB(16), 1, RWX, 5), HYP_RIGHTS_DONE);
    assert_true(sum(guest_nested.root.a, 4) == was);
}

/* Execution by the user's addresses alone, where the CPU has it and the hypapp has asked: in the
 * entry, for faults, and for the core's own fetches. */
static void execution_by_the_user(void **state)
{
    const uint64_t page = MIB(40);
    const unsigned data = ACCESS_READ | ACCESS_WRITE;
    struct guest_paging p = { .cr0 = 1 };
    struct vcpu *v = &cpus[0].v;
    uint64_t table;
    struct walk w;

    (void)state;
    for (unsigned intel = 0; intel < 2; intel++) {
        begin(intel, true, false, MIB(8) / PAGE_SIZE);
        vcpu_count = 1;
        fake_has_mbec = false;
        assert_int_equal(hyp_user_exec(), -1);
        assert_int_equal(hyp_rights(v, gpa(page), 1, data | ACCESS_EXEC_USER), HYP_RIGHTS_REFUSED);
        fake_has_mbec = true;
        assert_int_equal(hyp_user_exec(), intel ? 0 : -1); /* GMET isn't supported */
    }
    assert_int_equal(hyp_rights(v, gpa(page), 1, data | ACCESS_EXEC_USER | ACCESS_EXEC),
                     HYP_RIGHTS_REFUSED);
    assert_int_equal(hyp_rights(v, gpa(page), 1, ACCESS_EXEC_USER), HYP_RIGHTS_REFUSED);
    const uint64_t was = sum(guest_nested.root.a, 4);
    assert_int_equal(until_done(0, page, 2000, data | ACCESS_EXEC_USER, 20), HYP_RIGHTS_DONE);
    cpus[0].root = guest_nested.root.a;
    /* SDM vol. 3, table 29-3 */
    assert_int_equal(walk(&cpus[0], page, &table) & (7 | BIT(10)), 3 | BIT(10));
    assert_int_equal(walk(&cpus[0], page - PAGE_SIZE, &table) & (7 | BIT(10)), 7 | BIT(10));
    fake_paging = (struct guest_paging){ .cpl = 0 };
    assert_int_equal(guest_rights_fault(v, gpa(page), ACCESS_EXEC), RIGHTS_TAKEN);
    assert_int_equal(guest_rights_fault(v, gpa(page), ACCESS_WRITE), RIGHTS_GIVEN);
    fake_paging.cpl = 3;
    assert_int_equal(guest_rights_fault(v, gpa(page), ACCESS_EXEC), RIGHTS_GIVEN);
    void *(*const map)(gpa_t, size_t) = guest_phys_ops.map;
    guest_phys_ops.map = whole_ram;
    /* no paging */
    assert_int_equal(guest_walk(&guest_phys_ops, &p, gva(page), ACCESS_EXEC, &w), WALK_OK);
    assert_int_equal(until_done(0, page, 2000, data, 20), HYP_RIGHTS_DONE);
    assert_int_equal(guest_rights_fault(v, gpa(page), ACCESS_EXEC), RIGHTS_TAKEN);
    assert_int_equal(guest_walk(&guest_phys_ops, &p, gva(page), ACCESS_EXEC, &w), WALK_NOT_RAM);
    assert_int_equal(until_done(0, page, 2000, RWX, 20), HYP_RIGHTS_DONE);
    assert_true(sum(guest_nested.root.a, 4) == was);
    guest_phys_ops.map = map;
}

/* --- all RAM but some pages ------------------------------------------------ */

static const uint64_t kept[] = { 0, MIB(40), MIB(40) + PAGE_SIZE, GIB(1), GIB(2) - PAGE_SIZE };
static unsigned walk_calls;

static bool is_kept(const void *arg, gpa_t page)
{
    assert_true(arg == kept);
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        if (kept[i] == page.a) {
            return true;
        }
    }
    return false;
}

static enum hyp_rights_answer walk_all(unsigned rights)
{
    struct hyp_rights_walk w = { 0 };
    enum hyp_rights_answer a = HYP_RIGHTS_AGAIN;

    for (walk_calls = 0; walk_calls < 100000 && a == HYP_RIGHTS_AGAIN; walk_calls++) {
        a = hyp_rights_all(&cpus[walk_calls % vcpu_count].v, &w, is_kept, kept, rights);
        for (unsigned i = 0; i < vcpu_count; i++) {
            take_up(&cpus[i]);
        }
    }
    return a;
}

static unsigned rights_at(uint64_t g, unsigned *level)
{
    struct nested_leaf leaf;

    assert_true(nested_lookup(&guest_nested, gpa(g), &leaf));
    *level = leaf.level;
    return leaf.rights;
}

/* Any page of RAM but those kept has the rights; the protected range has none of the two. */
static void check_all(unsigned rights)
{
    unsigned level;

    for (uint64_t g = 0; g < ram_top; g += PAGE_SIZE) {
        if (guest_phys_ops.map(gpa(g), PAGE_SIZE)) {
            assert_int_equal(rights_at(g, &level), is_kept(kept, gpa(g)) ? RWX : rights);
        }
    }
}

/* On four CPUs, each in its turn: all RAM, but five pages; large leaves stay where there is one
 * answer; back again all is as it was. Without memory the pages before it have changed, and the
 * walk back needs none. */
static void all_ram_but_some_pages(void **state)
{
    const unsigned user = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC_USER;
    unsigned level, failed = 0;

    (void)state;
    fake_has_mbec = true;
    begin(true, true, false, MIB(8) / PAGE_SIZE);
    vcpu_count = CPUS;
    assert_int_equal(hyp_user_exec(), 0);
    const uint64_t was = sum(guest_nested.root.a, 4);
    const size_t used = fake_pool_used - fake_freed_count, total = fake_pool_total;
    for (unsigned pages = 0; pages < 20; pages++) {
        fake_pool_total = fake_pool_used + pages;
        enum hyp_rights_answer a = walk_all(user);
        if (a == HYP_RIGHTS_DONE) {
            check_all(user);
            break;
        }
        assert_int_equal(a, HYP_RIGHTS_NO_MEMORY);
        failed++;
        assert_int_equal(walk_all(RWX), HYP_RIGHTS_DONE);
        assert_true(sum(guest_nested.root.a, 4) == was);
        assert_int_equal(fake_pool_used - fake_freed_count, used);
    }
    assert_in_range(failed, 3, 19);
    fake_pool_total = total;
    assert_int_equal(walk_all(user), HYP_RIGHTS_DONE);
    check_all(user);
    (void)rights_at(MIB(512), &level);
    assert_int_equal(level, 2);      /* its 1 GiB has other pages */
    (void)rights_at(GIB(2) + MIB(4), &level);
    assert_int_equal(level, 3);
    fake_pool_total = fake_pool_used;
    assert_int_equal(walk_all(RWX), HYP_RIGHTS_DONE);
    assert_true(sum(guest_nested.root.a, 4) == was);
    fake_pool_total = total;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_change),
        cmocka_unit_test(no_right_is_used_after_it_is_away),
        cmocka_unit_test(a_deaf_tlb_is_noticed),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(execution_by_the_user),
        cmocka_unit_test(all_ram_but_some_pages),
        cmocka_unit_test(turns),
        cmocka_unit_test(ram_that_was_plugged_in),
        cmocka_unit_test(what_is_mapped_stays),
        cmocka_unit_test(sizes_that_stay),
        cmocka_unit_test(a_late_store_brings_no_right_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
