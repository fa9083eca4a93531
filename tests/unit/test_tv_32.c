/* SPDX-License-Identifier: MIT */
/* hypapps/trustvisor with 32-bit callers, under each kind of paging, against the fake core. */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/caller.h"
#include "hypapps/trustvisor/death.h"
#include "hypapps/trustvisor/registry.h"

#define BASE   0x80560000ULL    /* CODE, DATA, STACK, PARAM: one page each */
#define ENTRY  (BASE + 0x100)
#define STACK  0xbffd0000ULL    /* the caller's own stack page */
#define ARGS   0x90010000ULL    /* page with the descriptors */
#define BUFS   0x90020000ULL    /* 16 pages for pointers */
#define TEXT   0x8048000ULL     /* page with a hypercall instruction */
#define ESP    (STACK + 0x800)
#define RET    0x8041234u
#define HIGH   0xdeadbeef00000000ULL /* what 32-bit code can't see of a register */

struct mode { const char *name; uint64_t cr3, neighbour, cr4, efer; };

/* `neighbour`: the CR3 of another process, as near as this paging allows. */
static const struct mode modes[] = {
    { "32-bit", 0x1234000, 0x1235000, CR4_PSE, 0 },
    { "PAE", 0x1234560, 0x1234580, CR4_PAE, EFER_NXE },
    { "compatibility", 0x1234000, 0x1235000, CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE },
};

static struct vcpu v;
static struct tv_pal_sections *sections;
static struct tv_pal_params *params;
static const struct mode *mode;
static unsigned pool_at_rest;

/* --- a process ------------------------------------------------------------------ */

static void start(const struct mode *m)
{
    static const uint32_t type[4] = {
        TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
    };

    mode = m;
    machine_reset(0);
    fake_reset(&v);
    fake.caller.paging.mode = MODE_PROT32;
    fake.caller.paging.cr3 = m->cr3 | 0x18; /* attribute bits don't count */
    fake.caller.paging.cr4 = m->cr4;
    fake.caller.paging.efer = m->efer;
    memcpy(fake_ram(fake_map_new(m->cr3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(m->cr3, STACK, 1, FAKE_RW);
    fake_map_new(m->cr3, ARGS, 1, FAKE_RW);
    fake_map_new(m->cr3, BUFS, 16, FAKE_RW);
    sections = (struct tv_pal_sections *)(void *)fake_at(m->cr3, ARGS);
    params = (struct tv_pal_params *)(void *)fake_at(m->cr3, ARGS + 0x800);
    sections->num_sections = 4;
    for (unsigned i = 0; i < 4; i++) {
        sections->sections[i] = (struct tv_pal_section){ type[i], 1, BASE + i * PAGE_SIZE };
        fake_map_new(m->cr3, BASE + i * PAGE_SIZE, 1, FAKE_RWX);
        memset(fake_at(m->cr3, BASE + i * PAGE_SIZE), (int)(0x40 + i), PAGE_SIZE);
    }
    params->num_params = 1;
    params->params[0].type = TV_PARAM_INTEGER;
    pool_at_rest = fake.pool_free;
}

static void poison(void)
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x1111111111111111ULL * i + 5;
    }
    v.regs.gpr[GPR_RSP] = HIGH | ESP;
    v.regs.rflags = 0x246;
    v.regs.rip = TEXT;
}

static uint64_t command(uint32_t cmd, uint64_t ecx, uint64_t esi, uint64_t edi)
{
    poison();
    v.regs.gpr[GPR_RAX] = HIGH | cmd;
    v.regs.gpr[GPR_RCX] = HIGH | ecx;
    v.regs.gpr[GPR_RSI] = HIGH | esi;
    v.regs.gpr[GPR_RDI] = HIGH | edi;
    for (unsigned i = 0; i < 1000; i++) {
        enum hc_result r = hypapp.hypercall(&v, cmd);
        if (r == HC_DONE) {
            assert_int_equal(v.regs.gpr[GPR_RDX], 0x2222222222222227ULL);
            return v.regs.gpr[GPR_RAX];
        }
        assert_int_equal(r, HC_AGAIN);
        assert_int_equal(fake.injected, FAKE_NONE);
        /* Between two steps the OS saves and restores 32-bit registers only. */
        for (unsigned k = 0; k < 8; k++) {
            v.regs.gpr[k] = (v.regs.gpr[k] & 0xffffffff) | (k == GPR_RDX ? 0x22222222ULL << 32 : 0);
        }
    }
    fail_msg("the hypercall never ends");
    return 0;
}

static uint64_t reg(void) { return command(TV_HC_REG, ARGS, ARGS + 0x800, ENTRY); }
static uint64_t unreg(void) { return command(TV_HC_UNREG, ENTRY, 0, 0); }

static void push(unsigned i, uint32_t word)
{
    memcpy(fake_at(mode->cr3, ESP + 4 * i), &word, 4);
}

/* The process calls the entry with what is on its stack. */
static enum hc_result call(void)
{
    poison();
    push(0, RET);
    v.regs.rip = ENTRY;
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

/* Word i of the PAL's stack. */
static uint32_t pal_word(unsigned i)
{
    uint32_t w;

    memcpy(&w, pal_at(v.regs.gpr[GPR_RSP] + 4 * i), 4);
    return w;
}

static void sandbox_exit(enum exit_kind kind)
{
    const struct exit e = { .kind = kind, .insn_len = 3 };

    hypapp.sandbox_exit(&v, &e);
}

static void pal_returns(uint64_t rax)
{
    uint32_t return_page = pal_word(0);

    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x5ec3e75ec3e7ULL;
    }
    v.regs.gpr[GPR_RAX] = rax;
    v.regs.rip = return_page;
    assert_memory_equal(pal_at(return_page), "\x0f\x01\xd9", 3);
    sandbox_exit(EXIT_HYPERCALL);
}

static void expect_returned(uint64_t eax)
{
    static const enum gpr kept[] = {
        GPR_RBX, GPR_RBP, GPR_RSI, GPR_RDI, GPR_R8, GPR_R9, GPR_R10, GPR_R11, GPR_R12, GPR_R13,
        GPR_R14, GPR_R15,
    };

    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], eax);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[GPR_RSP], ESP + 4);
    assert_int_equal(v.regs.rflags, 0x246);
    assert_int_equal(v.regs.gpr[GPR_RCX] | v.regs.gpr[GPR_RDX], 0);
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        assert_int_equal(v.regs.gpr[kept[i]], 0x1111111111111111ULL * kept[i] + 5);
    }
    assert_int_equal(fake.fpu, 0xf00d);
}

static void expect_refused(enum fake_injection what)
{
    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, what);
    assert_int_equal(v.regs.rip, ENTRY);
    assert_int_equal((uint32_t)v.regs.gpr[GPR_RSP], ESP);
    fake_clear();
}

static void expect_nothing_left(void)
{
    assert_int_equal(registry_count(tv_owner(&fake.caller.paging)), 0);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- one mode after the other ------------------------------------------------------ */

static void in_each_mode(void (*test)(void))
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        start(&modes[i]);
        test();
    }
}

/* Integers arrive in the PAL's stack, and in PARAM behind headers of 64-bit words. */
static void integers(void)
{
    for (unsigned n = 1; n <= 10; n++) {
        params->num_params = n;
        for (unsigned i = 0; i < n; i++) {
            params->params[i] = (struct tv_pal_param){ TV_PARAM_INTEGER, 0, 77 };
            push(1 + i, 0xf0000000 + i);
        }
        assert_int_equal(reg(), TV_OK);
        assert_int_equal(call(), HC_SWITCHED);
        assert_true(v.in_sandbox);
        assert_int_equal(fake.entered.mode, SANDBOX_32);
        assert_int_equal(v.regs.rip, ENTRY);
        assert_int_equal(v.regs.gpr[GPR_RSP], BASE + 3 * PAGE_SIZE - 16 - align_up(4 * n, 16) - 4);
        for (unsigned i = 0; i < n; i++) {
            uint64_t w[3];
            memcpy(w, pal_at(BASE + 3 * PAGE_SIZE + 0x18 + 24 * (n - 1 - i)), sizeof(w));
            assert_int_equal(pal_word(1 + i), 0xf0000000 + i);
            assert_int_equal(w[0], TV_PARAM_INTEGER);
            assert_int_equal(w[1], 77 * 4);
            assert_int_equal(w[2], 0xf0000000 + i);
        }
        pal_returns(0xfeedfacecafebabe);
        expect_returned(0xcafebabe);
        assert_int_equal(unreg(), TV_OK);
        expect_nothing_left();
    }
}

/* Buffers of words of 4 bytes, in and out, zero-length ones too. */
static void pointers(void)
{
    static const unsigned words[5] = { 1, 0, 300, 7, 0 };

    params->num_params = 5;
    for (unsigned i = 0; i < 5; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, words[i] };
        push(1 + i, (uint32_t)(BUFS + i * PAGE_SIZE + 0xff2 + i));
        memset(fake_at(mode->cr3, BUFS + i * PAGE_SIZE + 0xff2 + i), 1, 0xe - i);
        memset(fake_at(mode->cr3, BUFS + (i + 1) * PAGE_SIZE), (int)(1), 0xe00);
    }
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call(), HC_SWITCHED);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t at = pal_word(1 + i);
        assert_true(at >= BASE + 3 * PAGE_SIZE + 0x30 && at + 4 * words[i] <= BASE + 4 * PAGE_SIZE);
        for (unsigned k = 0; k < 4 * words[i]; k++) {
            assert_int_equal(*pal_at(at + k), 1);
            *pal_at(at + k) = (uint8_t)(0x90 + i);
        }
    }
    pal_returns(3);
    expect_returned(3);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t at = BUFS + i * PAGE_SIZE + 0xff2 + i;
        for (unsigned k = 0; k < 4 * words[i]; k++) {
            assert_int_equal(*fake_at(mode->cr3, at + k), 0x90 + i);
        }
        assert_int_equal(*fake_at(mode->cr3, at + 4 * words[i]), 1);
    }
    assert_int_equal(unreg(), TV_OK);
    expect_nothing_left();
}

/* The token takes four registers; R8 to R15 are the caller's all the time. */
static void interruption(void)
{
    static const enum gpr parts[] = { GPR_RAX, GPR_RDX, GPR_RCX, GPR_RBX };
    uint64_t token[4];

    assert_int_equal(reg(), TV_OK);
    push(1, 9);
    call();
    for (unsigned round = 0; round < 3; round++) {
        v.regs.gpr[GPR_RSI] = 0x777;
        fake.fpu = 0xabcd;
        sandbox_exit(EXIT_INTR);
        assert_int_equal(v.regs.rip, BASE + PAGE_SIZE - 32);
        assert_int_equal(v.regs.gpr[GPR_RSP], HIGH | ESP);
        assert_int_equal(v.regs.gpr[GPR_RSI] | v.regs.gpr[GPR_RDI] | v.regs.gpr[GPR_RBP], 0);
        assert_int_equal(v.regs.gpr[GPR_R13], 0x1111111111111111ULL * GPR_R13 + 5);
        for (unsigned i = 0; i < 4; i++) {
            token[i] = v.regs.gpr[parts[i]];
            assert_int_equal(token[i] >> 32, 0);
        }
        for (unsigned bit = 0; bit < 128; bit += 5) { /* each part counts */
            v.regs.gpr[parts[bit / 32]] ^= 1u << bit % 32;
            assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
            assert_int_equal(fake.injected, FAKE_GP);
            assert_false(v.in_sandbox);
            fake_clear();
            v.regs.gpr[parts[bit / 32]] ^= 1u << bit % 32;
        }
        for (unsigned i = 0; i < 4; i++) {
            v.regs.gpr[parts[i]] |= HIGH; /* whatever an OS leaves there */
        }
        assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.gpr[GPR_RSI], 0x777);
        assert_int_equal(fake.fpu, 0xabcd);
        fake.os_fpu = 0xf00d;
    }
    pal_returns(4);
    expect_returned(4);
    assert_int_equal(unreg(), TV_OK);
    expect_nothing_left();
}

/* Nothing at or across 4 GiB, where 64-bit memory of the same process may lie. */
static void limits(void)
{
    sections->sections[1].start_addr = 1ULL << 32;
    assert_int_equal(reg(), TV_BAD_SIZE);
    sections->sections[1].start_addr = 0xfffff000;
    sections->sections[1].page_num = 2;
    assert_int_equal(reg(), TV_BAD_SIZE);
    sections->sections[1] = (struct tv_pal_section){ TV_SECTION_DATA, 1, BASE + PAGE_SIZE };
    params->params[0] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 4 };
    fake_map_new(mode->cr3, 0xfffff000, 2, FAKE_RW);
    assert_int_equal(reg(), TV_OK);
    push(1, 0xfffffff4);
    call();
    expect_refused(FAKE_GP);
    push(1, 0xfffffff0);
    assert_int_equal(call(), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(0);
    expect_returned(0);
    poison();
    v.regs.rip = ENTRY;
    v.regs.gpr[GPR_RSP] = HIGH | 0xfffffffc;
    assert_int_equal(hypapp.hypercall(&v, 5), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_GP);
    fake_clear();
    assert_int_equal(unreg(), TV_OK);
    poison();
    v.regs.gpr[GPR_RCX] = 0xfffffffc;
    v.regs.gpr[GPR_RDI] = ENTRY;
    assert_int_equal(hypapp.hypercall(&v, TV_HC_REG), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_GP);
    fake_clear();
    expect_nothing_left();
}

/* The return page is where 32-bit code can return to, even with a PAL at the end of the space. */
static void return_pages(void)
{
    static const uint64_t places[][4] = {
        { 0x1000, 0xffffe000, 0xffffd000, 0xfffff000 },
        { 0x1ff000, 0x3ff000, 0x5ff000, 0xffbff000 },
        { 0x2000, 0x1000, 0xffdff000, 0xfffff000 },
    };

    for (unsigned n = 0; n < ARRAY_SIZE(places); n++) {
        for (unsigned i = 0; i < 4; i++) {
            sections->sections[i].start_addr = places[n][i];
            fake_map_new(mode->cr3, places[n][i], 1, FAKE_RWX);
        }
        assert_int_equal(command(TV_HC_REG, ARGS, ARGS + 0x800, places[n][0] + 0x10), TV_OK);
        poison();
        push(0, RET);
        v.regs.rip = places[n][0] + 0x10;
        fake.fpu = 0xf00d;
        assert_int_equal(hypapp.hypercall(&v, 5), HC_SWITCHED);
        pal_returns(n);
        expect_returned(n);
        assert_int_equal(command(TV_HC_UNREG, places[n][0] + 0x10, 0, 0), TV_OK);
        expect_nothing_left();
    }
}

static void segments(void)
{
    static const struct segment odd[] = {
        { .base = 0x1000, .limit = 0xffffffff }, { .limit = 0xfffff }, { .limit = 0 },
    };

    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        fake.segment = odd[i];
        assert_int_equal(command(TV_HC_UNREG, ENTRY, 0, 0), TV_BAD_CALLER);
        assert_int_equal(command(TV_HC_REG, ARGS, ARGS + 0x800, ENTRY), TV_BAD_CALLER);
        assert_int_equal(command(TV_HC_TEST, 0, 0, 0), TV_OK);
        assert_int_equal(call(), HC_DONE); /* no call: command 5 */
        assert_int_equal(v.regs.gpr[GPR_RAX], TV_NOT_SUPPORTED);
    }
    fake.segment = (struct segment){ .limit = 0xffffffff };
    fake.caller.paging.cr0 &= ~CR0_PG;
    assert_int_equal(unreg(), TV_BAD_CALLER);
    fake.caller.paging.cr0 |= CR0_PG;
    assert_int_equal(unreg(), TV_OK);
}

/* Another process has another CR3, however near. */
static void neighbours(void)
{
    assert_int_equal(reg(), TV_OK);
    call();
    sandbox_exit(EXIT_EXCEPTION);
    expect_refused(FAKE_GP);
    assert_int_equal(death_last(tv_owner(&fake.caller.paging)) & 0xffff, TV_DEATH_EXCEPTION);
    memset(fake_at(mode->cr3, BASE), 0x40, PAGE_SIZE);
    assert_int_equal(reg(), TV_OK);
    fake.caller.paging.cr3 = mode->neighbour;
    fake_map(mode->neighbour, BASE, (uint64_t)(fake_at(mode->cr3, BASE) - fake_ram(0)), FAKE_RX);
    fake_map(mode->neighbour, TEXT, (uint64_t)(fake_at(mode->cr3, TEXT) - fake_ram(0)), FAKE_RX);
    assert_int_equal(death_last(tv_owner(&fake.caller.paging)), 0);
    assert_int_equal(registry_count(tv_owner(&fake.caller.paging)), 0);
    assert_int_equal(unreg(), TV_NOT_FOUND);
    call();
    expect_refused(FAKE_UD);
    fake.caller.paging.cr3 = mode->cr3;
    assert_int_equal(unreg(), TV_OK);
    expect_nothing_left();
}

static void cpuid(void)
{
    struct cpuid_regs r = { 0 };

    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_memory_equal(&r, &((struct cpuid_regs){ TV_CPUID_REPLY_EAX, ~0u, 0, 0 }), sizeof(r));
    assert_int_equal(reg(), TV_OK);
    call();
    hypapp.cpuid(&v, TV_CPUID_LEAF, 0, &r);
    assert_true(r.eax == TV_CPUID_REPLY_EAX && r.ebx < TV_SLOTS);
    assert_int_equal(r.ecx, 0);
}

/* The same bytes are another instruction in 64-bit code: there 48 is a prefix. */
static void code_bytes(void)
{
    memcpy(fake_at(mode->cr3, TEXT), "\xf3\x0f\x01\xd9", 4);
    poison();
    assert_int_equal(hypapp.hypercall(&v, 200), HC_DONE);
    memcpy(fake_at(mode->cr3, TEXT), "\x48\x0f\x01\xd9", 4);
    poison();
    assert_int_equal(hypapp.hypercall(&v, 200), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_NONE);
}

static void test_code_bytes(void **state) { (void)state; in_each_mode(code_bytes); }
static void test_integers(void **state) { (void)state; in_each_mode(integers); }
static void test_pointers(void **state) { (void)state; in_each_mode(pointers); }
static void test_interruption(void **state) { (void)state; in_each_mode(interruption); }
static void test_limits(void **state) { (void)state; in_each_mode(limits); }
static void test_return_pages(void **state) { (void)state; in_each_mode(return_pages); }
static void test_segments(void **state) { (void)state; in_each_mode(segments); }
static void test_neighbours(void **state) { (void)state; in_each_mode(neighbours); }
static void test_cpuid(void **state) { (void)state; in_each_mode(cpuid); }

/* --- two modes in one address space --------------------------------------------------- */

/* A PAL belongs to the mode that registered it. */
static void test_modes_apart(void **state)
{
    (void)state;
    start(&modes[2]);
    for (unsigned is_64 = 0; is_64 < 2; is_64++) {
        const enum cpu_mode own = is_64 ? MODE_LONG64 : MODE_PROT32;
        const enum cpu_mode other = is_64 ? MODE_PROT32 : MODE_LONG64;
        fake.caller.paging.mode = own;
        poison();
        v.regs.gpr[GPR_RCX] = ARGS;
        v.regs.gpr[GPR_RSI] = ARGS + 0x800;
        v.regs.gpr[GPR_RDI] = ENTRY;
        while (hypapp.hypercall(&v, TV_HC_REG) == HC_AGAIN) {
            assert_int_equal(fake.injected, FAKE_NONE);
        }
        assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
        fake.caller.paging.mode = other;
        assert_int_equal(call(), HC_SWITCHED);
        expect_refused(FAKE_UD);
        v.regs.rip = TEXT;
        v.regs.gpr[GPR_RCX] = ENTRY;
        assert_int_equal(hypapp.hypercall(&v, TV_HC_UNREG), HC_DONE);
        assert_int_equal(v.regs.gpr[GPR_RAX], TV_NOT_FOUND);
        v.regs.gpr[GPR_RCX] = ARGS;
        v.regs.gpr[GPR_RSI] = ARGS + 0x800;
        v.regs.gpr[GPR_RDI] = ENTRY;
        assert_int_equal(hypapp.hypercall(&v, TV_HC_REG), HC_DONE);
        assert_int_equal(v.regs.gpr[GPR_RAX], TV_EXISTS);
        fake.caller.paging.mode = own;
        v.regs.gpr[GPR_RCX] = ENTRY;
        assert_int_equal(hypapp.hypercall(&v, TV_HC_UNREG), HC_DONE);
        assert_int_equal(v.regs.gpr[GPR_RAX], TV_OK);
        expect_nothing_left();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers), cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_interruption), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_return_pages), cmocka_unit_test(test_segments),
        cmocka_unit_test(test_neighbours), cmocka_unit_test(test_cpuid),
        cmocka_unit_test(test_modes_apart), cmocka_unit_test(test_code_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
