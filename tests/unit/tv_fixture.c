/* SPDX-License-Identifier: MIT */
/* The process of tv_fixture.h, and its life with a PAL. */
#include "tv_fixture.h"
#include "hypapps/trustvisor/registry.h"

struct vcpu v;
struct tv_pal_sections *sections;
struct tv_pal_params *params;
uint64_t pal_entry;
unsigned pool_at_rest;

void set_word(uint64_t va, uint64_t w)
{
    process_set_word(va, w);
}

void fill(uint64_t va, unsigned pages, uint8_t seed)
{
    for (uint64_t i = 0; i < pages * PAGE_SIZE; i++) {
        *fake_at(CR3, va + i) = (uint8_t)(seed + i * 7 + (i >> 12));
    }
}

bool filled(const uint8_t *at, uint64_t from, uint64_t n, uint8_t seed)
{
    for (uint64_t i = from; i < from + n; i++) {
        if (at[i - from] != (uint8_t)(seed + i * 7 + (i >> 12))) {
            return false;
        }
    }
    return true;
}

void layout(unsigned code, unsigned data, unsigned stack, unsigned param)
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
    pal_entry = BASE + 0x100;
}

void integers(unsigned n)
{
    params->num_params = n;
    for (unsigned i = 0; i < n; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_INTEGER, 0, 1 };
    }
}

int setup(void **state)
{
    (void)state;
    machine_reset(0);
    fake_reset(&v);
    fake.caller.paging.cr3 = CR3 | 0x18; /* attribute bits don't count */
    process_make(1, 16);
    sections = (struct tv_pal_sections *)(void *)fake_at(CR3, ARGS);
    params = (struct tv_pal_params *)(void *)fake_at(CR3, ARGS + 0x800);
    memset(sections, 0, sizeof(*sections));
    memset(params, 0, sizeof(*params));
    integers(1);
    pool_at_rest = fake.pool_free;
    return 0;
}

void poison(void)
{
    process_poison(&v);
}

enum hc_result hypercall(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    v.regs.gpr[GPR_RAX] = cmd;
    v.regs.gpr[GPR_RCX] = rcx;
    v.regs.gpr[GPR_RSI] = rsi;
    v.regs.gpr[GPR_RDI] = rdi;
    return hypapp.hypercall(&v, cmd);
}

uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
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

uint64_t reg(void)
{
    return command(TV_HC_REG, ARGS, ARGS + 0x800, pal_entry);
}

uint64_t unreg(void)
{
    return command(TV_HC_UNREG, pal_entry, 0, 0);
}

uint64_t info(uint32_t which)
{
    uint64_t value = 0;

    assert_true(hypapp.info(&v, which, &value));
    return value;
}

unsigned death(void) { return (unsigned)(info(XMHF_INFO_LAST_DEATH) >> 32); }
const enum gpr arg_gpr[6] = { GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9 };

enum hc_result call(const uint64_t *args, unsigned n)
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
    v.regs.rip = pal_entry;
    fake.fpu = 0xf00d;
    return hypapp.hypercall(&v, (uint32_t)v.regs.gpr[GPR_RAX]);
}

uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *p = fake_pal_at(va, &rights);

    assert_non_null(p);
    return p;
}

uint64_t pal_word(uint64_t va)
{
    uint64_t w;

    memcpy(&w, pal_at(va), 8);
    return w;
}

void sandbox_exit(enum exit_kind kind)
{
    struct exit e = { .kind = kind, .insn_len = 3 };

    if (kind == EXIT_EXCEPTION) {
        e.exception.vector = 14;
    }
    hypapp.sandbox_exit(&v, &e);
}

void pal_returns(uint64_t rax)
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

void expect_returned(uint64_t rax)
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

void expect_refused(enum fake_injection what)
{
    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, what);
    assert_int_equal(v.regs.rip, pal_entry);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP);
    fake_clear();
}

void expect_no_pal_left(void)
{
    assert_int_equal(info(XMHF_INFO_PALS), 0);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

void stop_pal(const struct exit *e, uint64_t token[2])
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

void interrupt_pal(uint64_t token[2])
{
    stop_pal(&(struct exit){ .kind = EXIT_INTR }, token);
}

enum hc_result resume(const uint64_t token[2])
{
    v.regs = (struct vcpu_regs){ .rip = RESUME, .rflags = 0x246 };
    v.regs.gpr[GPR_RSP] = RSP;
    v.regs.gpr[GPR_RAX] = token[0];
    v.regs.gpr[GPR_RDX] = token[1];
    return hypapp.hypercall(&v, (uint32_t)token[0]);
}

void expect_pal_goes_on(void)
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

enum hc_result again(struct vcpu_regs *regs)
{
    enum hc_result r;

    v.regs = *regs;
    r = hypapp.hypercall(&v, (uint32_t)regs->gpr[GPR_RAX]);
    *regs = v.regs;
    return r;
}

void until_done(struct vcpu_regs *regs, uint64_t answer)
{
    enum hc_result r = HC_AGAIN;

    for (unsigned i = 0; i < 10000 && r == HC_AGAIN; i++) {
        r = again(regs);
    }
    assert_int_equal(r, HC_DONE);
    assert_int_equal(regs->gpr[GPR_RAX], answer);
}

bool leaves(void (*other_cpu)(void))
{
    struct tv_slot *s = registry_get(CR3 >> PAGE_SHIFT, pal_entry, TV_IN(TV_LEAVING), NULL);

    if (!s) {
        fake.on_access = other_cpu;
        return false;
    }
    registry_put(s);
    return true;
}
