/* SPDX-License-Identifier: MIT */
/*
 * Rights of pages that a hypapp takes away and gives back (the test hypapp does as it is told): no
 * CPU uses a right that is away, all CPUs may change rights at once, and when all rights are back
 * so is the pool.
 */
#include "guest.h"

#define PAGE   4096u
#define AREA   0x4000000ull        /* 64 MiB: RAM that nothing else is in */
#define SHARED (AREA + 5 * PAGE)   /* all CPUs store here */
#define OWN(i) (AREA + 0x200000ull * (2 + (i)))

#define HC_RIGHTS 0x7e570001u      /* RCX address, RDX pages, RSI rights: RAX is the answer */
#define HC_FAULTS 0x7e570002u      /* RAX: how many faults the hypapp was asked about */
/* RCX address: the word there as the core reads it for us, or ~0 */
#define HC_READ   0x7e570003u
#define R 1u
#define W 2u
#define X 4u

static uint64_t rights(uint64_t at, uint64_t pages, unsigned which)
{
    uint64_t rax = HC_RIGHTS;
    unsigned vector = hypercall(&rax, at, pages, which, 0);

    CHECK(vector == VECTOR_DONE, "the hypercall gave vector %u", vector);
    return rax;
}

static void give(uint64_t at, uint64_t pages, unsigned which)
{
    uint64_t answer = rights(at, pages, which);

    CHECK(answer == 0, "%llu pages at 0x%llx, rights %u: answer %llu", (unsigned long long)pages,
          (unsigned long long)at, which, (unsigned long long)answer);
}

static uint64_t faults(void)
{
    uint64_t rax = HC_FAULTS;

    CHECK(hypercall(&rax, 0, 0, 0, 0) == VECTOR_DONE, "the hypercall gave a fault");
    return rax;
}

/* --- one CPU: each right, by each kind of access -------------------------- */

static unsigned try_call(uint64_t at)
{
    struct exec x = exec_for(0, 64);

    x.rip = x.start = at;
    return exec_at(&x);
}

static void each_right(uint64_t page)
{
    static const uint8_t code[] = { 0xcd, 0x80 }; /* INT 80h */
    static const unsigned all[] = { R, R | W, R | X, R | W | X, 0 };
    uint64_t value;

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(all); i++) {
        unsigned now = all[i % ARRAY_SIZE(all)];

        give(page, 1, R | W | X);
        memcpy((void *)(uintptr_t)page, code, sizeof(code));
        CHECK(try_call(page) == VECTOR_DONE && try_write64(page + 8, i) == VECTOR_DONE,
              "all rights");
        give(page, 1, now);
        uint64_t before = faults();
        CHECK((try_read64(page + 8, &value) == VECTOR_DONE) == !!(now & R), "rights %u: read", now);
        CHECK((try_write64(page + 8, 77) == VECTOR_DONE) == !!(now & W), "rights %u: write", now);
        CHECK((try_call(page) == VECTOR_DONE) == !!(now & X), "rights %u: execution", now);
        unsigned away = 3u - !!(now & R) - !!(now & W) - !!(now & X);
        CHECK(faults() - before == away, "rights %u: %llu faults", now,
              (unsigned long long)(faults() - before));
        CHECK(try_write64(page - 8, i) == VECTOR_DONE && try_write64(page + PAGE, i) == VECTOR_DONE,
              "rights %u: a neighbour", now);
        give(page, 1, R | W | X);
        CHECK(try_read64(page + 8, &value) == VECTOR_DONE && value == (now & W ? 77 : i),
              "rights %u: %llu", now,
              (unsigned long long)value);
    }
}

/* What the core does for the guest needs the same rights: to read, and to set bits in page
 * tables. */
static uint64_t core_reads(uint64_t at)
{
    uint64_t rax = HC_READ;

    CHECK(hypercall(&rax, at, 0, 0, 0) == VECTOR_DONE, "the hypercall gave a fault");
    return rax;
}

static void the_core_obeys(uint64_t page)
{
    const uint64_t table = AREA + 9 * PAGE, va = 0x200000000ull; /* 8 GiB, mapped by nothing else */
    volatile uint64_t *pd = (volatile uint64_t *)(uintptr_t)table;

    *(volatile uint64_t *)(uintptr_t)page = 0x1234567890;
    CHECK(core_reads(page) == 0x1234567890, "the core reads something else");
    give(page, 1, 0);
    CHECK(core_reads(page) == ~0ull, "the core reads a page that can't be read");
    give(page, 1, R);
    CHECK(core_reads(page) == 0x1234567890, "the core doesn't read any more");
    pd[0] = AREA | PTE_P | PTE_RW | PTE_US | PTE_PS; /* not accessed yet */
    page_pdpt[va >> 30] = table | PTE_P | PTE_RW | PTE_US | PTE_A;
    give(table, 1, R);
    CHECK(core_reads(va + (page - AREA)) == ~0ull && !(pd[0] & PTE_A),
          "a bit was set in a table that is read-only");
    give(table, 1, R | W | X);
    CHECK(core_reads(va + (page - AREA)) == 0x1234567890 && (pd[0] & PTE_A),
          "the table isn't used again");
    page_pdpt[va >> 30] = 0;
    give(page, 1, R | W | X);
}

/* Whole ranges, across large leaves and in them. */
static void ranges(void)
{
    static const struct { uint64_t at, pages; } range[] = {
        { AREA, 512 }, { AREA + 100 * PAGE, 1024 }, { AREA, 4096 }, { AREA + PAGE, 1 },
        { AREA, 6000 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(range); i++) {
        uint64_t first = range[i].at, last = first + (range[i].pages - 1) * PAGE;

        give(first, range[i].pages, R);
        CHECK(try_write64(first, 1) == EXC_GP && try_write64(last, 1) == EXC_GP
              && try_write64((first + last) / 2 & ~7ull, 1) == EXC_GP, "range %u: a store", i);
        CHECK(try_write64(first - 8, 1) == VECTOR_DONE
              && try_write64(last + PAGE, 1) == VECTOR_DONE,
              "range %u: a neighbour", i);
        give(first, range[i].pages, R | W | X);
        CHECK(try_write64(first, 1) == VECTOR_DONE && try_write64(last, 1) == VECTOR_DONE,
              "range %u: back", i);
    }
}

static void refused(void)
{
    CHECK(rights(AREA + 8, 1, R) == 2 && rights(AREA, 0, R) == 2 && rights(AREA, ~0ull, R) == 2
          && rights(AREA, 1, W) == 2 && rights(AREA, 1, 9) == 2 && rights(0xfee00000, 1, R) == 2
          && rights(0xb8000, 1, R) == 2 && rights(1ull << 40, 1, R) == 2,
          "bad calls aren't refused");
}

/* --- several CPUs --------------------------------------------------------- */

static volatile unsigned stop, rounds_done;
static unsigned running; /* CPUs, without one that is started late */
static volatile uint64_t *const shared = (volatile uint64_t *)(uintptr_t)SHARED;

/* Stores as fast as it can: count[0] that went, count[1] that faulted. */
static void store(struct cpu *c)
{
    while (!stop) {
        c->count[try_write64(SHARED + 8 * c->index, c->count[0] + 1) == VECTOR_DONE ? 0 : 1]++;
    }
}

static uint64_t sum(unsigned which)
{
    uint64_t n = 0;

    for (unsigned i = 1; i < running; i++) {
        n += cpu_of(i)->count[which];
    }
    return n;
}

/* All others are seen to store, or to be refused. */
static void wait_for(unsigned which, const char *what)
{
    for (unsigned i = 1; i < running; i++) {
        uint64_t before = cpu_of(i)->count[which];

        for (unsigned n = 0; n < 4000 && cpu_of(i)->count[which] < before + 2; n++) {
            delay_us(500);
        }
        CHECK(cpu_of(i)->count[which] >= before + 2, "CPU %u %s", i, what);
    }
}

static void against_stores(unsigned rounds)
{
    uint64_t before[CPU_LIMIT];

    for (unsigned r = 0; r < rounds; r++) {
        wait_for(0, "doesn't store");
        give(r & 1 ? SHARED : AREA, r & 1 ? 1 : 512, R | (r & 2 ? X : 0));
        for (unsigned i = 0; i < cpu_total(); i++) {
            before[i] = shared[i];
        }
        wait_for(1, "isn't refused");
        for (unsigned i = 0; i < cpu_total(); i++) {
            CHECK(shared[i] == before[i], "round %u: CPU %u stored after its right was away", r, i);
        }
        give(r & 1 ? SHARED : AREA, r & 1 ? 1 : 512, R | W | X);
    }
}

/* All CPUs take and give rights at once: of pages of their own, and of those of all. */
static void change(struct cpu *c)
{
    for (unsigned r = 0; r < 20; r++) {
        uint64_t own = OWN(c->index) + r * PAGE;

        give(own, 1 + r % 3, R);
        CHECK(try_write64(own, 1) == EXC_GP, "CPU %u stores where it has no right", c->index);
        give(AREA, 700, r & 1 ? R : R | W | X);
        give(own, 1 + r % 3, R | W | X);
        CHECK(try_write64(own, 1) == VECTOR_DONE, "CPU %u doesn't get its right back", c->index);
    }
    __atomic_fetch_add(&rounds_done, 1, __ATOMIC_SEQ_CST);
}

static void store_and_change(struct cpu *c)
{
    store(c);
    change(c);
}

static void with_others(void)
{
    for (unsigned i = 1; i < running; i++) {
        CHECK(ap_run(i, store_and_change), "CPU %u doesn't start", i);
    }
    against_stores((unsigned)number("rounds", 20));
    stop = 1;
    change(this_cpu());
    for (unsigned i = 0; i < 60000 && rounds_done < running; i++) {
        delay_us(1000);
    }
    CHECK(rounds_done == running, "%u of %u CPUs got through", rounds_done, running);
}

/* The last CPU has waited for its SIPI all the time, and starts where a right is away. */
static void late(void)
{
    const unsigned last = cpu_total() - 1;
    struct cpu *c = cpu_of(last);

    give(AREA, 700, R | W | X);
    give(SHARED, 1, R);
    stop = 0;
    CHECK(ap_run(last, store), "CPU %u doesn't start", last);
    running = cpu_total();
    for (unsigned n = 0; n < 4000 && c->count[1] < 2; n++) {
        delay_us(500);
    }
    CHECK(c->count[1] >= 2 && c->count[0] == 0, "CPU %u: %llu stores went", last,
          (unsigned long long)c->count[0]);
    stop = 1;
}

void guest_main(void)
{
    uint64_t rax = HC_FAULTS;

    if (!hypervisor || hypercall(&rax, 0, 0, 0, 0) != VECTOR_DONE) {
        skip("the test hypapp isn't linked in");
    }
    const uint64_t pool = info(XMHF_INFO_POOL_FREE);
    refused();
    each_right(AREA + 7 * PAGE);
    the_core_obeys(AREA + 7 * PAGE);
    ranges();
    CHECK(info(XMHF_INFO_POOL_FREE) == pool, "%llu free pages, not %llu",
          (unsigned long long)info(XMHF_INFO_POOL_FREE), (unsigned long long)pool);
    running = cpu_total() - word("late");
    if (running > 1) {
        with_others();
    }
    if (word("late")) {
        late();
    }
    give(AREA, 6000, R | W | X);
    CHECK(info(XMHF_INFO_POOL_FREE) == pool, "%llu free pages at the end, not %llu",
          (unsigned long long)info(XMHF_INFO_POOL_FREE), (unsigned long long)pool);
    pass("rights of each kind; %llu stores by others, %llu refused", (unsigned long long)sum(0),
         (unsigned long long)sum(1));
}
