/* SPDX-License-Identifier: MIT */
/*
 * Every command number and many random hypercalls from ring 3: each gives an error code
 * or a signal, and the machine lives.   pal_fuzz [CALLS [SEED [OFFSET]]]
 *
 * Sections are made only of an arena of our own and of what we may not write, so that a
 * registration that works costs this program nothing.
 */
#include "tap.h"

#define ARENA_PAGES 64
#define LIVE_MAX    64

static uint64_t state;
static uint8_t *arena;
static struct tv_pal_sections sections;
static struct tv_pal_params params;
static uint64_t live[LIVE_MAX];
static volatile unsigned long done, errors, signals, registered;

static uint64_t rnd(void) { return tap_random(&state); }
static uint64_t below(uint64_t n) { return rnd() % n; }

static uint64_t any_number(void)
{
    static const uint64_t odd[] = {
        0, 1, 2, 0xfff, 0x1000, 0x7fffffff, 0x80000000, 0xffffffff, 0x7ffffffff000, 0x800000000000,
        0xffff800000000000, 0xffffffff81000000, 0x8000000000000000, 0xfffffffffffff000,
        0xffffffffffffffff, 0xfee00000, 0x100000000,
    };

    switch (below(4)) {
    case 0:
        return odd[below(sizeof(odd) / sizeof(odd[0]))];
    case 1:
        return rnd() >> below(64);
    default:
        return rnd();
    }
}

static uint64_t arena_page(void) { return (uintptr_t)arena + below(ARENA_PAGES) * PAL_PAGE; }

/* Mostly sensible, with some field spoiled. */
static void make_sections(void)
{
    unsigned n = (unsigned)below(8) == 0 ? (unsigned)below(14) : 3 + (unsigned)below(5);

    sections.num_sections = below(40) == 0 ? (uint32_t)any_number() : n;
    for (unsigned i = 0; i < TV_MAX_SECTIONS; i++) {
        struct tv_pal_section *s = &sections.sections[i];
        static const uint32_t role[] = { TV_SECTION_CODE, TV_SECTION_STACK, TV_SECTION_PARAM };
        s->type = i < 3 ? role[i] : (uint32_t)below(9);
        s->page_num = below(16) == 0 ? (uint32_t)any_number() : 1 + (uint32_t)below(3);
        s->start_addr = arena_page();
        if (below(20) == 0) { /* nothing that we could write */
            s->start_addr = below(2) ? (uintptr_t)&pal_hypercall & ~(uintptr_t)0xfff
                                     : 0xffff800000000000 + (rnd() & 0x7ffffffff000);
        }
        if (below(60) == 0) {
            s->start_addr |= below(PAL_PAGE);
        }
    }
}

static void make_params(void)
{
    params.num_params = below(20) == 0 ? (uint32_t)any_number() : 1 + (uint32_t)below(10);
    for (unsigned i = 0; i < TV_MAX_PARAMS; i++) {
        params.params[i].type = below(20) == 0 ? (uint32_t)any_number() : 1 + (uint32_t)below(2);
        params.params[i].size = below(10) == 0 ? any_number() : below(100);
    }
}

static void forget_live(uint64_t entry)
{
    for (unsigned i = 0; i < LIVE_MAX; i++) {
        if (live[i] == entry) {
            live[i] = 0;
        }
    }
}

static void fuzz_register(void)
{
    uint64_t entry, r;

    make_sections();
    make_params();
    entry = below(10) == 0 ? any_number() : sections.sections[0].start_addr + below(PAL_PAGE);
    r = pal_hypercall(TV_HC_REG, below(50) == 0 ? any_number() : (uintptr_t)&sections, any_number(),
                      below(50) == 0 ? any_number() : (uintptr_t)&params, entry);
    errors += r != TV_OK;
    if (r == TV_OK) {
        registered++;
        for (unsigned i = 0; i < LIVE_MAX; i++) {
            if (live[i] == 0) {
                live[i] = entry;
                break;
            }
        }
    }
}

static void fuzz_unregister(void)
{
    uint64_t entry = below(2) ? live[below(LIVE_MAX)] : any_number();
    uint64_t r = pal_hypercall(TV_HC_UNREG, entry, any_number(), any_number(), any_number());

    errors += r != TV_OK;
    if (r == TV_OK) {
        forget_live(entry);
    }
}

static void fuzz_one(void)
{
    switch (below(8)) {
    case 0: case 1: case 2: case 3:
        fuzz_register();
        break;
    case 4: case 5:
        fuzz_unregister();
        break;
    case 6:
        errors += pal_hypercall((uint32_t)any_number(), any_number(), any_number(), any_number(),
                                any_number()) != TV_OK;
        break;
    default:
        errors += pal_hypercall((uint32_t)below(0x200), any_number(), any_number(), any_number(),
                                any_number()) != TV_OK;
        break;
    }
}

static void fuzz(unsigned long calls)
{
    while (done < calls) {
        done++;
        if (CATCH()) {
            fuzz_one();
        } else {
            signals++;
        }
        if (done % 50000 == 0) {
            printf("# %lu calls, %lu errors, %lu signals, %lu registrations\n", done, errors,
                   signals, registered);
            fflush(stdout);
        }
    }
    ok(true, "%lu random calls: %lu errors, %lu signals, %lu registrations", done, errors, signals,
       registered);
}

/* These read a structure of the caller's, at an address where none is. */
static bool may_fault(uint32_t cmd)
{
    return cmd == TV_HC_REG || cmd == XMHF_HC_MODULE_REGISTER || cmd == XMHF_HC_IMAGE_REGISTER
        || cmd == XMHF_HC_PAL_READ;
}

/* Every number, with arguments that mean nothing. */
static void every_command(void)
{
    volatile unsigned good = 0, faults = 0;

    for (volatile uint32_t cmd = 0; cmd < 65536; cmd++) {
        if (CATCH()) {
            uint64_t r = pal_hypercall(cmd, 1, 1, 1, 1);
            good += r != TV_OK || cmd == TV_HC_TEST || cmd == XMHF_HC_INFO || cmd == XMHF_HC_HELLO;
        } else {
            faults += may_fault(cmd);
        }
    }
    ok(good + faults == 65536, "each of 65,536 command numbers: %u answers, %u signals", good,
       faults);
}

static void end(void)
{
    for (volatile unsigned i = 0; i < LIVE_MAX; i++) {
        if (live[i] != 0 && CATCH()) {
            pal_hypercall(TV_HC_UNREG, live[i], 0, 0, 0);
        }
    }
}

int main(int argc, char **argv)
{
    unsigned long calls = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
    uint64_t before;

    state = (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) * 0x9e3779b97f4a7c15ULL | 1;
    tap_need_hypervisor();
    tap_catch_signals();
    arena = tap_pages(ARENA_PAGES);
    before = pal_info(XMHF_INFO_POOL_FREE);
    every_command();
    fuzz(calls);
    end();
    ok(tap_pals() == 0, "no PAL is left");
    ok(tap_no_leak(&before), "all memory came back");
    return tap_end();
}
