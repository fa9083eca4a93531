/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor as a whole against the fake core: the life of PALs. */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/call.h"
#include "hypapps/trustvisor/collect.h"
#include "hypapps/trustvisor/death.h"
#include "hypapps/trustvisor/register.h"
#include "hypapps/trustvisor/registry.h"
#include "hypapps/trustvisor/stubs.h"

#define CR3    0x1234000ULL
#define BASE   0x7f1234560000ULL
#define STACK  0x7ffd00000000ULL   /* the caller's own stack page */
#define ARGS   0x7ffd00010000ULL   /* page with the descriptors */
#define BUFS   0x7ffd00020000ULL   /* 16 pages for pointers */
#define RSP    (STACK + 0x800)
#define TEXT   0x400000ULL         /* page with a hypercall instruction */
#define RET    0x401234ULL
#define RESUME (BASE + PAGE_SIZE - 32)
#define VMMCALL_LEN 3

static struct vcpu v;
static struct tv_pal_sections *sections;
static struct tv_pal_params *params;
static uint64_t entry;
static unsigned pool_at_rest;

/* --- a process ------------------------------------------------------------------ */

static void set_word(uint64_t va, uint64_t w)
{
    memcpy(fake_at(CR3, va), &w, 8);
}

static void fill(uint64_t va, unsigned pages, uint8_t seed)
{
    for (uint64_t i = 0; i < pages * PAGE_SIZE; i++) {
        *fake_at(CR3, va + i) = (uint8_t)(seed + i * 7 + (i >> 12));
    }
}

static bool filled(const uint8_t *at, uint64_t from, uint64_t n, uint8_t seed)
{
    for (uint64_t i = from; i < from + n; i++) {
        if (at[i - from] != (uint8_t)(seed + i * 7 + (i >> 12))) {
            return false;
        }
    }
    return true;
}

/* Sections CODE, DATA, STACK, PARAM of these sizes from BASE, filled with patterns. */
static void layout(unsigned code, unsigned data, unsigned stack, unsigned param)
{
    const unsigned pages[4] = { code, data, stack, param };
    static const uint32_t type[4] = {
        TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
    };
    uint64_t at = BASE;

    sections->num_sections = 4;
    for (unsigned i = 0; i < 4; i++) {
        sections->sections[i] = (struct tv_pal_section){ type[i], pages[i], at };
        fake_map_new(CR3, at, pages[i], FAKE_RWX);
        fill(at, pages[i], (uint8_t)(0x40 * i));
        at += pages[i] * PAGE_SIZE;
    }
    entry = BASE + 0x100;
}

static void integers(unsigned n)
{
    params->num_params = n;
    for (unsigned i = 0; i < n; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_INTEGER, 0, 1 };
    }
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    fake_reset(&v);
    fake.caller.paging.cr3 = CR3 | 0x18; /* attribute bits don't count */
    memcpy(fake_ram(fake_map_new(CR3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(CR3, STACK, 1, FAKE_RW);
    fake_map_new(CR3, ARGS, 1, FAKE_RW);
    fake_map_new(CR3, BUFS, 16, FAKE_RW);
    sections = (struct tv_pal_sections *)(void *)fake_at(CR3, ARGS);
    params = (struct tv_pal_params *)(void *)fake_at(CR3, ARGS + 0x800);
    memset(sections, 0, sizeof(*sections));
    memset(params, 0, sizeof(*params));
    integers(1);
    pool_at_rest = fake.pool_free;
    return 0;
}

/* --- hypercalls ----------------------------------------------------------------- */

/* Registers of the process that nothing may change. */
static void poison(void)
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x1111111111111111ULL * i + 5;
    }
    v.regs.gpr[GPR_RSP] = RSP;
    v.regs.rflags = 0x246;
    v.regs.rip = TEXT;
}

static enum hc_result hypercall(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    v.regs.gpr[GPR_RAX] = cmd;
    v.regs.gpr[GPR_RCX] = rcx;
    v.regs.gpr[GPR_RSI] = rsi;
    v.regs.gpr[GPR_RDI] = rdi;
    return hypapp.hypercall(&v, cmd);
}

/* As a guest does it: again as long as it is told to, faults resolved. ~0: SIGSEGV. */
static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    struct vcpu_regs before;

    poison();
    before = v.regs;
    for (unsigned i = 0; i < 100000; i++) {
        enum hc_result r = hypercall(cmd, rcx, rsi, rdi);
        assert_int_equal(v.regs.rip, before.rip);
        if (r == HC_DONE) {
            assert_int_equal(v.regs.gpr[GPR_RDX], before.gpr[GPR_RDX]);
            assert_int_equal(v.regs.gpr[GPR_RBX], before.gpr[GPR_RBX]);
            assert_int_equal(fake.injected, FAKE_NONE);
            return v.regs.gpr[GPR_RAX];
        }
        assert_int_equal(r, HC_AGAIN);
        if (fake.injected != FAKE_NONE) {
            fake_clear();
            if (!fake_resolve()) {
                return ~0ULL;
            }
        }
    }
    fail_msg("the hypercall never ends");
    return 0;
}

static uint64_t reg(void)
{
    return command(TV_HC_REG, ARGS, ARGS + 0x800, entry);
}

static uint64_t unreg(void)
{
    return command(TV_HC_UNREG, entry, 0, 0);
}

static uint64_t info(uint32_t which)
{
    uint64_t value = 0;

    assert_true(hypapp.info(&v, which, &value));
    return value;
}

static unsigned death(void) { return (unsigned)(info(XMHF_INFO_LAST_DEATH) >> 32); }

/* --- calls ---------------------------------------------------------------------- */

static const enum gpr arg_gpr[6] = { GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9 };

/* The process calls the entry; the result of the exit. */
static enum hc_result call(const uint64_t *args, unsigned n)
{
    poison();
    set_word(RSP, RET);
    for (unsigned i = 0; i < n; i++) {
        if (i < 6) {
            v.regs.gpr[arg_gpr[i]] = args[i];
        } else {
            set_word(RSP + 8 + 8 * (i - 6), args[i]);
        }
    }
    v.regs.rip = entry;
    fake.fpu = 0xf00d;
    return hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]);
}

static uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *p = fake_pal_at(va, &rights);

    assert_non_null(p);
    return p;
}

static uint64_t pal_word(uint64_t va)
{
    uint64_t w;

    memcpy(&w, pal_at(va), 8);
    return w;
}

static void sandbox_exit(enum exit_kind kind)
{
    struct exit e = { .kind = kind, .insn_len = 3 };

    if (kind == EXIT_EXCEPTION) {
        e.exception.vector = 14;
    }
    hypapp.sandbox_exit(&v, &e);
}

/* The PAL executes RET with this result; its other registers are full of secrets. */
static void pal_returns(uint64_t rax)
{
    uint64_t sp = v.regs.gpr[GPR_RSP];

    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x5ec3e7ULL;
    }
    v.regs.gpr[GPR_RAX] = rax;
    v.regs.gpr[GPR_RSP] = sp + 8;
    v.regs.rip = pal_word(sp);
    assert_int_equal(memcmp(pal_at(v.regs.rip), "\x0f\x01\xd9", VMMCALL_LEN), 0);
    fake.fpu = 0x5ec3e7;
    sandbox_exit(EXIT_HYPERCALL);
}

/* The process is back behind its call, with nothing of the PAL but the result. */
static void expect_returned(uint64_t rax)
{
    static const enum gpr saved[] = { GPR_RBX, GPR_RBP, GPR_R12, GPR_R13, GPR_R14, GPR_R15 };
    static const enum gpr cleared[] = {
        GPR_RCX, GPR_RDX, GPR_RSI, GPR_RDI, GPR_R8, GPR_R9, GPR_R10, GPR_R11,
    };

    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], rax);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP + 8);
    assert_int_equal(v.regs.rflags, 0x246);
    for (unsigned i = 0; i < ARRAY_SIZE(saved); i++) {
        assert_int_equal(v.regs.gpr[saved[i]], 0x1111111111111111ULL * saved[i] + 5);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cleared); i++) {
        assert_int_equal(v.regs.gpr[cleared[i]], 0);
    }
    assert_int_equal(fake.fpu, 0xf00d);
}

/* The process got an exception at the entry stub, as at the call. */
static void expect_refused(enum fake_injection what)
{
    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, what);
    assert_int_equal(v.regs.rip, entry);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP);
    fake_clear();
}

static void expect_no_pal_left(void)
{
    assert_int_equal(info(XMHF_INFO_PALS), 0);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- registration --------------------------------------------------------------- */

static void test_register_leaves_stubs_and_zeros(void **state)
{
    (void)state;
    layout(2, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    assert_memory_equal(fake_at(CR3, entry), "\x0f\x01\xd9\xccXMHFPAL", 11);
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
    assert_int_equal(v.regs.rip, entry);
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
        entry = places[n][0] + 0x10;
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ 0 }, 1);
        pal_returns(n);
        expect_returned(n);
        assert_int_equal(unreg(), TV_OK);
        expect_no_pal_left();
    }
}

/* Every place of the entry keeps stub, mark and nonce apart. */
static const unsigned entry_offset[] = { 0, 1, 3, 30, 31, 32, 33, 43, 4053, 4064, 4085, 4086, 4093 };

static void test_entry_places(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(entry_offset); i++) {
        entry = BASE + entry_offset[i];
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
        entry = BASE + entry_offset[i];
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ i }, 1);
        sandbox_exit(EXIT_EXCEPTION);
        expect_refused(FAKE_GP);
        assert_int_equal(call((uint64_t[]){ i }, 1), HC_SWITCHED);
        expect_refused(FAKE_UD);
        v.regs.rip = align_down(entry, PAGE_SIZE) + (entry_offset[i] < 4054 ? 4064 : 0);
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
    assert_int_equal(command(TV_HC_REG, 0, ARGS, entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, ARGS, 0x123456, entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, ARGS, 0xffff800000000000, entry), ~0ULL);
    assert_int_equal(command(TV_HC_REG, 0x8000000000000000, ARGS, entry), ~0ULL);
    /* An object that ends with its page is legal. */
    memmove(fake_at(CR3, ARGS + 0x1000 - 8 - 64), sections, 8 + 64);
    memmove(fake_at(CR3, ARGS + 0x800 - 24), params, 24);
    assert_int_equal(command(TV_HC_REG, ARGS + 0x1000 - 8 - 64, ARGS + 0x800 - 24, entry), TV_OK);
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

/* Again and again a registration meets an empty pool and a dead owner, so it is tried again; and each
 * time the OS has moved the page that it is at. The table of pages seen has no room for all that. */
static void test_moved_and_no_memory(void **state)
{
    struct vcpu_regs regs;
    struct tv_slot *s;
    bool busy;

    (void)state;
    layout(1, 247, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
    regs = v.regs;
    s = registry_get_idle(CR3 >> PAGE_SHIFT, entry, &busy);
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

/* An exit that has copied nearly as much as it may, and then finds an error, wipes only a little. */
static void test_error_at_the_end_of_an_exit(void **state)
{
    (void)state;
    layout(1, 160, 1, 1);
    fake_map(CR3, BASE + 162 * PAGE_SIZE, (uint64_t)(fake_at(CR3, BASE) - fake_ram(0)), FAKE_RWX);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_DUPLICATE_PAGE);
    assert_true(pool_at_rest - fake.pool_free > 140);
    assert_int_equal(command(TV_HC_TEST, 0, 0, 0), TV_OK);
    expect_no_pal_left();
}

static void test_exists_and_overlap(void **state)
{
    (void)state;
    layout(2, 2, 2, 2);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(reg(), TV_EXISTS);
    entry = BASE + 0x200;
    assert_int_equal(reg(), TV_OVERLAP);
    entry = BASE + PAGE_SIZE + 0x200;
    assert_int_equal(reg(), TV_OVERLAP);
    assert_int_equal(unreg(), TV_NOT_FOUND);
    entry = BASE + 0x100;
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
            entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            assert_int_equal(reg(), TV_OK);
        }
        assert_int_equal(info(XMHF_INFO_PALS), 10);
        for (uint64_t i = 0; i < 10; i++) {
            entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            call(&i, 1);
            assert_int_equal(v.regs.gpr[GPR_RDI], i);
            pal_returns(i * i);
            expect_returned(i * i);
        }
        for (uint64_t i = 10; i-- > 0;) {
            entry = BASE + 4 * i * PAGE_SIZE + 0x80;
            assert_int_equal(unreg(), TV_OK);
        }
        expect_no_pal_left();
    }
}

/* A PAL too large for one exit: overwritten and handed back in steps. */
static void test_large_pal(void **state)
{
    (void)state;
    layout(300, 200, 3, 3);
    entry = BASE + 150 * PAGE_SIZE + 8;
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

/* The owner dies half way through, and its address space gets another process. */
static void test_half_unregistered_after_remap(void **state)
{
    (void)state;
    layout(300, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    assert_int_equal(hypercall(TV_HC_UNREG, entry, 0, 0), HC_AGAIN);
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
        assert_int_equal(hypercall(TV_HC_UNREG, entry, 0, 0), HC_AGAIN);
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
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
    g = (uint64_t)(fake_at(CR3, BASE) - fake_ram(0));
    fake_map_new(CR3, BASE, 1, FAKE_RWX);
    memcpy(fake_at(CR3, BASE), fake_ram(g), PAGE_SIZE);
    fake_map(CR3, BASE + 299 * PAGE_SIZE, g, FAKE_RWX);
    for (unsigned i = 0;; i++) {
        enum hc_result r = hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry);
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
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
    assert_int_not_equal(fake.pool_free, pool_at_rest);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
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
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
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
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
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

/* --- calls ---------------------------------------------------------------------- */

static void test_integers(void **state)
{
    uint64_t args[10], base = BASE + 3 * PAGE_SIZE + 0x10;

    (void)state;
    layout(1, 1, 1, 1);
    for (unsigned n = 1; n <= 10; n++) {
        unsigned extra = n > 6 ? n - 6 : 0;
        uint64_t top = BASE + 3 * PAGE_SIZE - 0x10, sp;
        integers(n);
        assert_int_equal(reg(), TV_OK);
        for (unsigned i = 0; i < 10; i++) {
            args[i] = 0xabcd000000000000ULL + 0x1234567ULL * (i + n);
        }
        assert_int_equal(call(args, n), HC_SWITCHED);
        sp = v.regs.gpr[GPR_RSP];
        assert_int_equal(sp, top - align_up(8 * extra, 16) - 8);
        for (unsigned i = 0; i < 16; i++) {
            bool is_arg = i == GPR_RSP;
            for (unsigned k = 0; k < n && k < 6; k++) {
                is_arg = is_arg || arg_gpr[k] == i;
            }
            assert_true(is_arg || v.regs.gpr[i] == 0);
        }
        for (unsigned i = 0; i < n; i++) {
            uint64_t at = base + 8 + (n - 1 - i) * 24;
            assert_int_equal(i < 6 ? v.regs.gpr[arg_gpr[i]] : pal_word(sp + 8 + 8 * (i - 6)), args[i]);
            assert_int_equal(pal_word(at), TV_PARAM_INTEGER);
            assert_int_equal(pal_word(at + 16), args[i]);
        }
        assert_int_equal(pal_word(base), n);
        pal_returns(~args[0]);
        expect_returned(~args[0]);
        assert_int_equal(unreg(), TV_OK);
    }
    expect_no_pal_left();
}

/* Pointers of all sizes, over page borders on both sides, with guard words. */
static void test_pointers(void **state)
{
    static const unsigned words[10] = { 1, 0, 99, 512, 3, 700, 64, 2, 0, 511 };
    uint64_t args[10], user[10], at = BUFS + 0x10;

    (void)state;
    layout(1, 1, 1, 6);
    params->num_params = 10;
    for (unsigned i = 0; i < 10; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, words[i] };
        user[i] = at;
        at += words[i] * 8 + 16;
    }
    fill(BUFS, 8, 0x21);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call(user, 10), HC_SWITCHED);
    for (unsigned i = 0; i < 10; i++) {
        uint64_t a = i < 6 ? v.regs.gpr[arg_gpr[i]]
                           : pal_word(v.regs.gpr[GPR_RSP] + 8 + 8 * (i - 6));
        args[i] = a;
        assert_true(a > BASE + 3 * PAGE_SIZE && a + words[i] * 8 <= BASE + 9 * PAGE_SIZE);
        for (uint64_t k = 0; k < words[i] * 8; k++) {
            assert_int_equal(*pal_at(a + k), *fake_at(CR3, user[i] + k));
            *pal_at(a + k) ^= 0xff;
        }
    }
    /* What the PAL does to the rest of the area has no effect. */
    memset(pal_at(BASE + 3 * PAGE_SIZE), 0xee, 0x18);
    pal_returns(5);
    expect_returned(5);
    for (uint64_t i = 0; i < 8 * PAGE_SIZE; i++) {
        bool inside = false;
        uint8_t before = (uint8_t)(0x21 + i * 7 + (i >> 12));
        for (unsigned k = 0; k < 10; k++) {
            inside = inside || (BUFS + i >= user[k] && BUFS + i < user[k] + words[k] * 8);
        }
        assert_int_equal(*fake_at(CR3, BUFS + i), (uint8_t)(inside ? ~before : before));
    }
    (void)args;
}

static void pointer_pal(unsigned words)
{
    layout(1, 1, 1, 4);
    params->num_params = 1;
    params->params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, words };
    assert_int_equal(reg(), TV_OK);
}

/* A pointer that can't be copied back faults before the PAL runs. */
static void test_bad_pointers(void **state)
{
    (void)state;
    pointer_pal(1024);
    fake_map(CR3, BUFS + PAGE_SIZE, 0x20000, ACCESS_READ);
    call((uint64_t[]){ BUFS }, 1);
    expect_refused(FAKE_PF);
    assert_int_equal(fake.fault.addr.a, BUFS + PAGE_SIZE);
    assert_int_equal(fake.fault.error, PF_PRESENT | PF_WRITE | PF_USER);
    call((uint64_t[]){ 0 }, 1);
    expect_refused(FAKE_PF);
    call((uint64_t[]){ 0xffffffffffffff00 }, 1);
    expect_refused(FAKE_PF);
    call((uint64_t[]){ 0x8000000000000000 }, 1);
    expect_refused(FAKE_GP);
    fake_map(CR3, BUFS + PAGE_SIZE, FAKE_MMIO, FAKE_RW);
    call((uint64_t[]){ BUFS }, 1);
    expect_refused(FAKE_GP);
    assert_int_equal(fake.enters, 0);
    /* None of it has hurt the PAL. */
    call((uint64_t[]){ BUFS + 2 * PAGE_SIZE }, 1);
    pal_returns(9);
    expect_returned(9);
}

static void test_bad_stack(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    integers(10);
    assert_int_equal(reg(), TV_OK);
    poison();
    v.regs.rip = entry;
    v.regs.gpr[GPR_RSP] = STACK + PAGE_SIZE - 16; /* six words don't fit */
    assert_int_equal(hypapp.hypercall(&v, 0), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_PF);
    assert_int_equal(fake.fault.addr.a, STACK + PAGE_SIZE);
    fake_clear();
    integers(1);
    call((uint64_t[]){ 0 }, 1); /* still registered with 10 */
    pal_returns(0);
    poison();
    set_word(RSP, 0x8000000000000000ULL);
    v.regs.rip = entry;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    expect_refused(FAKE_GP);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
}

static void test_call_waits(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake.caller.event_queued = true;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    fake.caller.event_queued = false;
    fake.caller.interrupts_on = false;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    expect_refused(FAKE_GP);
    fake.caller.interrupts_on = true;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
}

/* --- interruption --------------------------------------------------------------- */

/* The PAL has these registers, an interrupt comes; the thread is at the resume stub. */
static void stop_pal(const struct exit *e, uint64_t token[2])
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x7000 + i;
    }
    v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x100;
    v.regs.rip = BASE + 0x333;
    v.regs.rflags = 0x297;
    fake.fpu = 0x5ec3e7;
    hypapp.sandbox_exit(&v, e);
    assert_false(v.in_sandbox);
    assert_int_equal(fake.fpu, 0xf00d);
    assert_int_equal(v.regs.rip, RESUME);
    assert_int_equal(v.regs.rflags, 0x246);
    for (unsigned i = 0; i < 16; i++) {
        if (i == GPR_RSP) {
            assert_int_equal(v.regs.gpr[i], RSP);
        } else if (i != GPR_RAX && i != GPR_RDX) {
            assert_int_equal(v.regs.gpr[i], 0);
        }
    }
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
}

static void interrupt_pal(uint64_t token[2])
{
    stop_pal(&(struct exit){ .kind = EXIT_INTR }, token);
}

static enum hc_result resume(const uint64_t token[2])
{
    v.regs = (struct vcpu_regs){ .rip = RESUME, .rflags = 0x246 };
    v.regs.gpr[GPR_RSP] = RSP;
    v.regs.gpr[GPR_RAX] = token[0];
    v.regs.gpr[GPR_RDX] = token[1];
    return hypapp.hypercall(&v, (uint32_t)token[0]);
}

static void expect_pal_goes_on(void)
{
    assert_true(v.in_sandbox);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(v.regs.gpr[i],
                         i == GPR_RSP ? BASE + 3 * PAGE_SIZE - 0x100 : 0x7000 + i);
    }
    assert_int_equal(v.regs.rip, BASE + 0x333);
    assert_int_equal(v.regs.rflags, 0x297);
    assert_int_equal(fake.fpu, 0x5ec3e7);
    v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x18; /* what its RET finds the return page at */
}

static void test_interrupt_and_resume(void **state)
{
    uint64_t token[2], old[2] = { 0, 0 };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    for (unsigned i = 0; i < 20; i++) {
        interrupt_pal(token);
        assert_memory_not_equal(token, old, 16);
        v.index = i % 4; /* on any CPU */
        assert_int_equal(resume(token), HC_SWITCHED);
        expect_pal_goes_on();
        memcpy(old, token, 16);
    }
    pal_returns(77);
    expect_returned(77);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

/* A debugger steps the thread, or no longer: as it was at the resume stub, not as at the call. */
/* A machine check is the OS's, as an interrupt is: no fault of the PAL's. */
static void test_machine_check(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 3 }, 1);
    stop_pal(&(struct exit){ .kind = EXIT_EXCEPTION, .exception.vector = EXC_MC }, token);
    assert_int_equal(fake.injected, FAKE_MC);
    assert_int_equal(fake.injected_rip, RESUME);
    fake_clear();
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_pal_goes_on();
    pal_returns(4);
    expect_returned(4);
}

static void test_steps(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    for (unsigned on = 0; on < 2; on++) {
        call((uint64_t[]){ 0 }, 1);
        interrupt_pal(token);
        v.regs.rflags = 0x246 | (on ? RFLAGS_TF : 0);
        assert_int_equal(hypapp.hypercall(&v, (uint32_t)token[0]), HC_SWITCHED);
        expect_pal_goes_on(); /* the PAL isn't stepped */
        v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x100;
        sandbox_exit(EXIT_INTR);
        assert_int_equal(v.regs.rflags, 0x246 | (on ? RFLAGS_TF : 0));
        v.regs.rflags = 0x246 | (on ? 0 : RFLAGS_TF);
        assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
        expect_pal_goes_on();
        pal_returns(1);
        assert_int_equal(v.regs.rflags, 0x246 | (on ? 0 : RFLAGS_TF));
    }
}

/* A call with these flags, interrupted, that goes on where the OS has set others. Those at the return. */
static uint64_t flags_after(uint64_t at_call, uint64_t at_resume)
{
    poison();
    set_word(RSP, RET);
    v.regs.rip = entry;
    v.regs.rflags = at_call;
    fake.fpu = 0xf00d;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    sandbox_exit(EXIT_INTR);
    assert_int_equal(v.regs.rflags, at_call);
    v.regs.rflags = at_resume;
    assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
    assert_true(v.in_sandbox);
    v.regs.gpr[GPR_RSP] = BASE + 3 * PAGE_SIZE - 0x18;
    pal_returns(1);
    return v.regs.rflags;
}

/* The OS has taken the thread's right to ports meanwhile, or another thread comes with the token: what
 * the thread may do is what it might at the resume stub. */
static void test_rights_while_interrupted(void **state)
{
    const uint64_t rights = RFLAGS_IOPL | RFLAGS_AC | RFLAGS_NT, of_code = 0xed7;

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(flags_after(of_code | rights, 0x202), of_code);
    assert_int_equal(flags_after(of_code, 0x202 | rights), of_code | rights);
}

/* A debugger that goes on at a breakpoint sets RF, for that one instruction only. */
static void test_resume_flag(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    set_word(RSP, RET);
    v.regs.rip = entry;
    v.regs.rflags |= RFLAGS_RF;
    fake.fpu = 0xf00d;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    pal_returns(1);
    expect_returned(1);
    assert_int_equal(flags_after(0x246, 0x246 | RFLAGS_RF), 0x246);
}

/* The option palbudget=. */
static void test_budget(void **state)
{
    uint64_t token[2];

    setup(state);
    tv_budget = 1000;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 2; i++) { /* of each call, while it runs */
        call((uint64_t[]){ 0 }, 1);
        machine.tsc += 900;
        interrupt_pal(token);
        machine.tsc += 1000000;
        assert_int_equal(resume(token), HC_SWITCHED);
        expect_pal_goes_on();
        pal_returns(1);
        expect_returned(1);
    }
    call((uint64_t[]){ 0 }, 1);
    machine.tsc += 900;
    interrupt_pal(token);
    assert_int_equal(resume(token), HC_SWITCHED);
    machine.tsc += 200;
    sandbox_exit(EXIT_INTR);
    expect_refused(FAKE_GP);
    assert_int_equal(death(), TV_DEATH_BUDGET);
    expect_no_pal_left();
    tv_budget = 0;
}

/* The hypapp's words of the command line. */
static void test_options(void **state)
{
    static const char *const bad[] = { "", "0", "100001", "2s", "-1", "99999999999999999999" };
    const struct option_more *o = hypapp.options;

    (void)state;
    assert_string_equal(o->name, "palbudget");
    assert_string_equal(o->values, "1 to 100000");
    assert_null(o[1].name);
    assert_true(o->set("7"));
    assert_int_equal(tv_budget, 7000000000);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(o->set(bad[i]));
        assert_int_equal(tv_budget, 7000000000);
    }
    assert_true(o->set("100000"));
    assert_int_equal(tv_budget, 100000000000000);
    tv_budget = 0;
}

static void expect_bad_token(uint64_t low, uint64_t high)
{
    assert_int_equal(resume((uint64_t[]){ low, high }), HC_SWITCHED);
    assert_int_equal(fake.injected, FAKE_GP);
    assert_int_equal(v.regs.rip, RESUME);
    assert_false(v.in_sandbox);
    fake_clear();
}

static void test_bad_tokens(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    expect_bad_token(0, 0);
    expect_bad_token(1, 2);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    expect_bad_token(token[0] ^ 1, token[1]);
    expect_bad_token(token[0], token[1] ^ (1ULL << 63));
    expect_bad_token(0, token[1]);
    expect_bad_token(token[1], token[0]);
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_pal_goes_on();
    /* Replayed while it runs on another CPU, and after the end. */
    pal_returns(1);
    expect_bad_token(token[0], token[1]);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
}

static void test_second_caller_waits(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    resume(token);
    expect_pal_goes_on();
    pal_returns(2);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(3);
    expect_returned(3);
}

/* A call of a thread whose own call takes the only stack: #GP, and nothing else changes. */
static void expect_no_wait_for_oneself(void)
{
    const unsigned before = fake.enters;

    call((uint64_t[]){ 0 }, 1);
    assert_int_equal(fake.enters, before);
    assert_int_equal(fake.injected, FAKE_GP);
    fake_clear();
    assert_int_equal(v.regs.rip, entry);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP);
}

static void be_thread(uint64_t fs, uint64_t gs)
{
    fake.fs_base = fs;
    fake.gs_base = gs;
}

/* A signal handler calls the PAL that its thread is in, or the thread has jumped out of the handler and
 * calls again. Other threads wait. */
static void test_call_from_handler(void **state)
{
    static const uint64_t others[][2] = {
        { 0x7000, 0x9000 }, { 0x7008, 0x8000 }, { 0, 0x8000 }, { 0x8000, 0x7000 }, { 0, 0 },
    };
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    be_thread(0x7000, 0x8000);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    expect_no_wait_for_oneself();
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        be_thread(others[i][0], others[i][1]);
        assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
        assert_int_equal(fake.injected, FAKE_NONE);
    }
    be_thread(0x7100, 0); /* the call is who goes on with it */
    resume(token);
    expect_pal_goes_on();
    interrupt_pal(token);
    expect_no_wait_for_oneself();
    be_thread(0x7000, 0x8000);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    resume(token);
    expect_pal_goes_on();
    pal_returns(2);
    expect_returned(2);
    call((uint64_t[]){ 0 }, 1); /* nobody is in it */
    assert_true(v.in_sandbox);
    pal_returns(3);
    expect_returned(3);
}

/* The same where the PAL is done and its caller's buffer was taken away: the handler of that fault. */
static void test_call_from_fault_handler(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    params->params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 1 };
    assert_int_equal(reg(), TV_OK);
    be_thread(0, 0x8000);
    call((uint64_t[]){ BUFS }, 1);
    fake_absent(CR3, BUFS);
    pal_returns(2);
    assert_int_equal(fake.injected, FAKE_PF);
    fake_clear();
    expect_no_wait_for_oneself();
    be_thread(1, 0x8000);
    assert_int_equal(call((uint64_t[]){ BUFS }, 1), HC_AGAIN);
}

/* All stacks are taken by calls of an owner that is no more: who has its CR3 now doesn't wait for it. */
static void test_call_of_the_dead_interrupted(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    memset(fake_at(CR3, RESUME + 16), 0, 16);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(registry_count(REGISTRY_ALL), 0);
    call((uint64_t[]){ 0 }, 1);
    assert_int_equal(fake.injected, FAKE_UD); /* by the mark that is still there */
}

static void test_unregister_interrupted(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    interrupt_pal(token);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
    assert_int_equal(resume(token), HC_AGAIN); /* the process's own code is there again */
    assert_int_equal(reg(), TV_OK);
    expect_bad_token(token[0], token[1]);
}

static void test_unregister_running(void **state)
{
    struct vcpu other = { .index = 1 };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    other.regs.rip = 0x400000;
    other.regs.gpr[GPR_RCX] = entry;
    assert_int_equal(hypapp.hypercall(&other, TV_HC_UNREG), HC_DONE);
    assert_int_equal(other.regs.gpr[GPR_RAX], TV_BUSY);
    pal_returns(4);
    expect_returned(4);
    assert_int_equal(unreg(), TV_OK);
}

/* The buffer is gone when the PAL returns: #PF at the resume stub, then the rest. */
static void test_copy_out_faults(void **state)
{
    uint64_t token[2];

    (void)state;
    pointer_pal(1024);
    fill(BUFS, 3, 0x55);
    call((uint64_t[]){ BUFS + 8 }, 1);
    for (unsigned i = 0; i < 8192; i++) {
        *pal_at(v.regs.gpr[GPR_RDI] + i) = 0xdd;
    }
    fake_absent(CR3, BUFS + PAGE_SIZE);
    pal_returns(6);
    assert_int_equal(fake.injected, FAKE_PF);
    assert_int_equal(fake.fault.addr.a, BUFS + PAGE_SIZE);
    assert_int_equal(v.regs.rip, RESUME);
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
    fake_clear();
    assert_int_equal(resume(token), HC_SWITCHED); /* too early: faults again */
    assert_int_equal(fake.injected, FAKE_PF);
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
    fake_clear();
    assert_true(fake_resolve());
    assert_int_equal(resume(token), HC_SWITCHED);
    expect_returned(6);
    for (unsigned i = 0; i < 8192; i++) {
        assert_int_equal(*fake_at(CR3, BUFS + 8 + i), 0xdd);
    }
    assert_true(filled(fake_at(CR3, BUFS), 0, 8, 0x55));
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

static void test_buffer_becomes_device(void **state)
{
    (void)state;
    pointer_pal(1024);
    call((uint64_t[]){ BUFS }, 1);
    fake_map(CR3, BUFS, FAKE_MMIO, FAKE_RW);
    pal_returns(6);
    expect_refused(FAKE_GP);
    assert_int_equal(info(XMHF_INFO_PALS), 1);
    assert_int_equal(unreg(), TV_OK);
    expect_no_pal_left();
}

/* --- death ---------------------------------------------------------------------- */

static void test_death(void **state)
{
    static const struct { enum exit_kind kind; enum tv_death why; } cases[] = {
        { EXIT_EXCEPTION, TV_DEATH_EXCEPTION }, { EXIT_NESTED_FAULT, TV_DEATH_ESCAPE },
        { EXIT_IO, TV_DEATH_FORBIDDEN },        { EXIT_RDMSR, TV_DEATH_FORBIDDEN },
        { EXIT_WRMSR, TV_DEATH_FORBIDDEN },     { EXIT_INVD, TV_DEATH_FORBIDDEN },
        { EXIT_SHUTDOWN, TV_DEATH_ESCAPE },     { EXIT_HIDDEN_INSN, TV_DEATH_FORBIDDEN },
        { EXIT_CR_WRITE, TV_DEATH_FORBIDDEN },  { EXIT_XSETBV, TV_DEATH_FORBIDDEN },
        { EXIT_UNKNOWN, TV_DEATH_FORBIDDEN },      { EXIT_ENTRY_FAILED, TV_DEATH_ESCAPE },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t token[2];
        setup(NULL);
        layout(1, 1, 1, 1);
        assert_int_equal(reg(), TV_OK);
        call((uint64_t[]){ 0 }, 1);
        if (i % 2) {
            interrupt_pal(token);
            resume(token);
        }
        v.regs.rip = BASE + 0x444;
        v.regs.gpr[GPR_RAX] = 0x5ec3e7;
        sandbox_exit(cases[i].kind);
        expect_refused(FAKE_GP);
        assert_int_equal(v.regs.gpr[GPR_RAX], 0);
        assert_int_equal(v.regs.gpr[GPR_RBX], 0x1111111111111111ULL * GPR_RBX + 5);
        assert_int_equal(fake.fpu, 0xf00d);
        assert_int_equal(death(), cases[i].why);
        if (cases[i].kind == EXIT_EXCEPTION) {
            assert_int_equal(info(XMHF_INFO_LAST_DEATH) >> 16 & 0xff, 14);
        }
        assert_non_null(strstr(fake.log, "CODE+0x444"));
        expect_no_pal_left();
        call((uint64_t[]){ 0 }, 1); /* nothing there any more */
        expect_refused(FAKE_UD);
        assert_int_equal(unreg(), TV_NOT_FOUND);
        fake.caller.paging.cr3 = 0x77000; /* no other process's business */
        assert_int_equal(info(XMHF_INFO_LAST_DEATH), 0);
    }
}

static void test_hypercalls_inside(void **state)
{
    static const struct { uint32_t cmd; enum tv_error answer; } cases[] = {
        { TV_HC_REG, TV_IN_PAL }, { TV_HC_UNREG, TV_IN_PAL }, { TV_HC_TEST, TV_OK },
        { 9, TV_NOT_SUPPORTED }, { 0, TV_UNKNOWN_COMMAND }, { 0x12345, TV_UNKNOWN_COMMAND },
    };

    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        v.regs.rip = BASE + 0x200;
        v.regs.gpr[GPR_RAX] = cases[i].cmd;
        sandbox_exit(EXIT_HYPERCALL);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.gpr[GPR_RAX], cases[i].answer);
        assert_int_equal(v.regs.rip, BASE + 0x203);
    }
    pal_returns(0);
    expect_returned(0);
}

/* --- owners --------------------------------------------------------------------- */

/* A new process with the same CR3 and other memory at the same address. */
static void test_recycled_cr3(void **state)
{
    (void)state;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    fake_map_new(CR3, BASE, 1, FAKE_RWX);
    memcpy(fake_at(CR3, entry), "\x0f\x01\xd9", 3);
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
            entry = BASE + 0x300 + i; /* overwritten by the process itself */
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
        fake_map(fake.caller.paging.cr3, TEXT, (uint64_t)(fake_at(CR3, TEXT) - fake_ram(0)), FAKE_RX);
        fake_map(fake.caller.paging.cr3, ARGS, (uint64_t)((uint8_t *)sections - fake_ram(0)), FAKE_RW);
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

/* What the owner's tables hold instead of the way to the stubs, and whether that means its end. Entries
 * that cover 1 GiB or more: 2 of 4 in long mode, 1 of 3 with PAE, none of 2. */
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
      { "another directory, and what looks like a huge page on its way", 2, SWAPPED, true, false, true },
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
        fake.trace.entry[i] = 0x1000 * (i + 1) | 0x67 | (a->other_tables && i < upper ? 0x777000 : 0);
    }
    fake.trace.entry[a->depth - 1] = a->last;
    fake.trace_set = true;
    fake.other_kernel = a->other_kernel;
}

static void test_away_is_not_gone(void **state)
{
    (void)state;
    for (unsigned levels = 2; levels <= 4; levels++) {
        for (const struct absence *a = absences[levels - 2]; a->what != NULL; a++) {
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

/* Somebody looked for owners that are gone and didn't go on, since there was memory meanwhile. Who looks
 * later is told that there are none only when all were looked at. */
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
        entry = BASE + MIB(1) + 4 * i * PAGE_SIZE;
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
        entry = at;
        assert_int_equal(reg(), n < TV_PALS_PER_PROCESS ? TV_OK : TV_QUOTA);
    }
    assert_int_equal(info(XMHF_INFO_PALS), TV_PALS_PER_PROCESS);
    /* The process ends; another one gets its CR3. */
    for (uint64_t n = 0; n < TV_PALS_PER_PROCESS; n++) {
        fake_unmap(CR3, BASE + 0x1000000 + n * 4 * PAGE_SIZE);
    }
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(command(TV_HC_UNREG, entry, 0, 0), TV_OK);
}

/* Another CPU overwrites the code under a hypercall instruction that has just exited. */
static void test_code_changes_under_a_hypercall(void **state)
{
    static const struct { const char *code; enum hc_result r; } cases[] = {
        { "\x0f\x01\xd9 ", HC_DONE }, { "\x0f\x01\xc1 ", HC_DONE }, { "\xf3\x0f\x01\xd9", HC_DONE },
        { "\x55\x48\x89\xe5", HC_AGAIN }, { "\xcc\xcc\xcc\xcc", HC_AGAIN },
        { "\x0f\x01\xd8 ", HC_AGAIN },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memcpy(fake_at(CR3, TEXT), cases[i].code, 4);
        poison();
        assert_int_equal(hypercall(200, 0, 0, 0), cases[i].r);
    }
    fake_absent(CR3, TEXT);
    assert_int_equal(hypercall(200, 0, 0, 0), HC_AGAIN);
    fake_map(CR3, TEXT, 0, ACCESS_EXEC); /* can't be read */
    assert_int_equal(hypercall(200, 0, 0, 0), HC_DONE);
}

/* --- more registrations at a time than a process may have ------------------------ */

static struct vcpu_regs first_regs;

/* The PAL that another CPU has just found in the way: nobody but it has a reference. */
static struct tv_slot *in_the_way(void)
{
    for (unsigned i = 0; i < TV_SLOTS; i++) {
        struct tv_slot *s = registry_get_index(i, TV_IN(TV_REGISTERING));
        if (s != NULL) {
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
        entry += i > 0 ? MIB(4) : 0;
        poison();
        if (i == TV_PENDING_MAX) {
            fake.on_free = finish_first; /* after the look at all PALs of the process */
        }
        r = hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry);
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

/* A registration under way whose stubs are there already. The caller holds a reference, as if a CPU
 * worked on it. */
static struct tv_slot *about_to_live(void)
{
    struct tv_slot *s;
    bool busy;

    layout(1, 1, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
    s = registry_get_idle(CR3 >> PAGE_SHIFT, entry, &busy);
    assert_non_null(s);
    stubs_write(s->pal, fake_at(CR3, BASE));
    return s;
}

/* A stub whose PAL is just being registered by another CPU is tried again. */
static void test_stub_of_a_pal_about_to_live(void **state)
{
    struct tv_slot *s = about_to_live();

    (void)state;
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    registry_put(s);
    assert_int_equal(call((uint64_t[]){ 0 }, 1), HC_SWITCHED);
    expect_refused(FAKE_UD);
}

/* One exit of a hypercall that was interrupted, on `regs`. */
static enum hc_result again(struct vcpu_regs *regs)
{
    enum hc_result r;

    v.regs = *regs;
    r = hypapp.hypercall(&v, (uint32_t)regs->gpr[GPR_RAX]);
    *regs = v.regs;
    return r;
}

static void until_done(struct vcpu_regs *regs, uint64_t answer)
{
    enum hc_result r = HC_AGAIN;

    for (unsigned i = 0; i < 10000 && r == HC_AGAIN; i++) {
        r = again(regs);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(regs->gpr[GPR_RAX], answer);
}

static struct vcpu inside;
static unsigned pool_after_death;

/* Is the PAL being unregistered? If not, then `other_cpu` looks again at the next access. */
static bool leaves(void (*other_cpu)(void))
{
    struct tv_slot *s = registry_get(CR3 >> PAGE_SHIFT, entry, TV_IN(TV_LEAVING), NULL);

    if (s == NULL) {
        fake.on_access = other_cpu;
        return false;
    }
    registry_put(s);
    return true;
}

/* Another CPU's PAL, a large one, dies while this one hands code back. */
static void dies_while_leaving(void)
{
    struct exit e = { .kind = EXIT_EXCEPTION, .exception.vector = 14 };

    if (!leaves(dies_while_leaving)) {
        return;
    }
    hypapp.sandbox_exit(&inside, &e);
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
    inside = v;
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
    entry += MIB(4);
    assert_int_equal(reg(), TV_OK);
    poison();
    fake.on_access = dies_while_leaving;
    assert_int_equal(hypercall(TV_HC_UNREG, entry, 0, 0), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
    assert_in_range(fake.pool_free - pool_after_death, pages, pages + 30);
}

static struct vcpu_regs registering;

/* Another CPU goes on with that registration to its end. */
static void becomes_live(void)
{
    struct vcpu cpu2 = { .index = 1, .regs = registering };
    enum hc_result r = HC_AGAIN;

    while (r == HC_AGAIN) {
        cpu2.regs.gpr[GPR_RAX] = TV_HC_REG;
        r = hypapp.hypercall(&cpu2, TV_HC_REG);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(cpu2.regs.gpr[GPR_RAX], TV_OK);
}

/* The same where the PAL becomes live between the look for one and the look at its stub. */
static void test_stub_of_a_pal_that_just_lives(void **state)
{
    (void)state;
    registry_put(about_to_live());
    registering = v.regs;
    fake.on_access = becomes_live;
    assert_int_equal(call((uint64_t[]){ 5 }, 1), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(6);
    expect_returned(6);
}

static enum hc_result met;

/* Another CPU comes to the stub as soon as the PAL is closed, and its code isn't back yet. */
static void calls_while_leaving(void)
{
    struct vcpu cpu2 = { .index = 1, .regs = { .rip = entry, .rflags = 0x246 } };

    if (!leaves(calls_while_leaving)) {
        return;
    }
    cpu2.regs.gpr[GPR_RSP] = RSP;
    met = hypapp.hypercall(&cpu2, 0);
}

static void test_call_while_code_is_handed_back(void **state)
{
    (void)state;
    layout(20, 1, 1, 1); /* more than unregistering remembers the places of */
    assert_int_equal(reg(), TV_OK);
    met = HC_UNKNOWN;
    fake.on_access = calls_while_leaving;
    assert_int_equal(unreg(), TV_OK);
    assert_int_equal(met, HC_AGAIN);
    expect_no_pal_left();
}

/* Begin to register what layout(1, 300, 1, 1) makes, up to where half of it is overwritten. */
static struct vcpu_regs half_overwritten(void)
{
    struct vcpu_regs regs;

    layout(1, 300, 1, 1);
    poison();
    assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
    regs = v.regs;
    while (*fake_at(CR3, BASE + 2 * PAGE_SIZE) != 0 || *fake_at(CR3, BASE + 2 * PAGE_SIZE + 1) != 0) {
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
        entry += MIB(4);
        poison();
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
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
    entry = first_entry;
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
        entry += i > 0 ? MIB(4) : 0;
        poison();
        assert_int_equal(hypercall(TV_HC_REG, ARGS, ARGS + 0x800, entry), HC_AGAIN);
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

/* The OS has taken the entry's page away for a moment, to move it, and the thread hasn't had a CPU. */
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
    second.gpr[GPR_RDI] = entry;
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

/* Memory is short while a large PAL that was handed back is wiped: its owner gets its answer. */
static void test_wiping_is_not_collected(void **state)
{
    struct vcpu_regs regs;

    (void)state;
    layout(1, 400, 1, 1);
    assert_int_equal(reg(), TV_OK);
    poison();
    assert_int_equal(hypercall(TV_HC_UNREG, entry, 0, 0), HC_AGAIN);
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
    assert_int_equal(hypercall(TV_HC_UNREG, entry, 0, 0), HC_AGAIN);
    machine.tsc += TV_ABANDONED_TICKS + 1;
    for (unsigned i = 0; collect_room(&v, pool_at_rest) != ROOM_FOUND; i++) {
        assert_true(i < 100);
    }
    expect_no_pal_left();
}

/* The owner gives its stubs a protection key that the thread which registered them had no right to then:
 * it is there all the same when memory is short, and may call. */
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

/* --- commands and CPUID --------------------------------------------------------- */

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
            } else if ((cmd == TV_HC_REG || cmd == XMHF_HC_PAL_REGISTER) && cpl == 3) {
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

static void test_cpuid(void **state)
{
    struct cpuid_regs r = { 1, 2, 3, 4 };

    (void)state;
    hypapp.cpuid(&v, TV_CPUID_LEAF, 1, &r);
    hypapp.cpuid(&v, 1, 0, &r);
    assert_memory_equal(&r, &((struct cpuid_regs){ 1, 2, 3, 4 }), sizeof(r));
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_memory_equal(&r, &((struct cpuid_regs){ TV_CPUID_REPLY_EAX, ~0u, 1, 0 }), sizeof(r));
    fake.caller.paging.mode = MODE_PROT32;
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_int_equal(r.ecx, 0);
    fake.caller.paging.mode = MODE_LONG64;
    layout(1, 1, 1, 1);
    assert_int_equal(reg(), TV_OK);
    call((uint64_t[]){ 0 }, 1);
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_int_equal(r.eax, TV_CPUID_REPLY_EAX);
    assert_true(r.ebx < TV_SLOTS);
    assert_int_equal(r.ecx, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_register_leaves_stubs_and_zeros), TEST(test_unregister_gives_code_back),
        TEST(test_xstate_of_any_size), TEST(test_pal_sees_its_sections_only),
        TEST(test_address_spaces), TEST(test_entry_places), TEST(test_dead_entry_places), TEST(test_errors_change_nothing),
        TEST(test_foreign_pages_fault), TEST(test_bad_descriptors), TEST(test_only_ring3),
        TEST(test_absent_pages), TEST(test_fault_at_every_access),
        TEST(test_duplicate_with_a_fault_anywhere),
        TEST(test_no_memory_at_every_point), TEST(test_moved_and_no_memory), TEST(test_error_at_the_end_of_an_exit),
        TEST(test_exists_and_overlap), TEST(test_ten_pals),
        TEST(test_large_pal), TEST(test_large_death), TEST(test_any_hypercall_wipes_the_dead),
        TEST(test_half_unregistered_after_remap), TEST(test_unregister_abandoned),
        TEST(test_migration_is_no_duplicate),
        TEST(test_abandoned_registration), TEST(test_abandoned_by_others_is_collected),
        TEST(test_abandoned_by_the_dead_is_collected_soon),
        TEST(test_integers), TEST(test_pointers), TEST(test_bad_pointers), TEST(test_bad_stack),
        TEST(test_call_waits), TEST(test_interrupt_and_resume), TEST(test_machine_check), TEST(test_steps),
        TEST(test_rights_while_interrupted), TEST(test_resume_flag), TEST(test_budget), TEST(test_options), TEST(test_bad_tokens),
        TEST(test_second_caller_waits), TEST(test_call_from_handler),
        TEST(test_call_from_fault_handler), TEST(test_call_of_the_dead_interrupted),
        TEST(test_unregister_interrupted),
        TEST(test_unregister_running), TEST(test_copy_out_faults),
        TEST(test_buffer_becomes_device), TEST(test_death), TEST(test_hypercalls_inside),
        TEST(test_recycled_cr3), TEST(test_forked_child), TEST(test_new_pal_at_a_dead_ones_place),
        TEST(test_unregister_after_remap), TEST(test_collection), TEST(test_look_after_another),
        TEST(test_away_is_not_gone), TEST(test_owner_of_an_absent_page_goes_on), TEST(test_half_overwritten_and_swapped), TEST(test_quota),
        TEST(test_code_changes_under_a_hypercall), TEST(test_stub_of_a_pal_about_to_live),
        TEST(test_stub_of_a_pal_that_just_lives),
        TEST(test_call_while_code_is_handed_back), TEST(test_pending_registration_ends),
        TEST(test_fifth_registration_waits), TEST(test_fifth_registration_goes_on),
        TEST(test_half_overwritten_is_kept), TEST(test_half_overwritten_and_another),
        TEST(test_half_overwritten_and_moved), TEST(test_unregister_wipes_little_of_others),
        TEST(test_wiping_is_not_collected),
        TEST(test_protection_keys), TEST(test_every_command), TEST(test_cpuid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
