/* SPDX-License-Identifier: MIT */
/* Ocalls, from 64-bit and from 32-bit programs: the request, the answer, and all that can happen to
 * a call meanwhile; and debug PALs, which can be read then. */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/caller.h"
#include "hypapps/trustvisor/registry.h"
#include <x86/cpu.h>
#include <xmhf/image.h>

/* All of it is below 4 GiB, for both. */
#define CR3     0x1234000ULL
#define SOURCE  0x20000000ULL
#define STUBS   0x20100000ULL
#define STACK   0x70000000ULL
#define ARGS    0x70010000ULL
#define BUFS    0x70020000ULL
#define TEXT    0x400000ULL
#define RSP     (STACK + 0x800)
#define RSP2    (STACK + 0x480)
#define RET     0x401234ULL
#define RET2    0x405678ULL
#define RESUME  (STUBS + PAGE_SIZE - 32)
#define LINK    0x10000000ULL
#define DATA    (LINK + 2 * PAGE_SIZE)      /* two pages */
#define AT_STACK(k) (LINK + (0x20 + 0x10 * (k)) * PAGE_SIZE)

#define MOST    300u                        /* bytes that a caller's buffer holds */
#define WHERE   (BUFS + PAGE_SIZE - 60)     /* the structure, then data on two pages */
#define BUFFER  (DATA + PAGE_SIZE - 100)    /* the PAL's, on two pages too */

struct process {
    struct xmhf_image d;
    struct xmhf_image_section section[6];
    struct xmhf_image_param param[3];
    struct xmhf_image_entry entry[2];
};

static struct vcpu v, cpu2;
static struct process p;
static bool is_64;
static unsigned pool_at_rest;

/* --- a process -------------------------------------------------------------------- */

/* Entry 0: where it is asked, and an integer. Entry 1: an integer. */
static void describe(unsigned stacks)
{
    p = (struct process){
        .d = { .size = sizeof(p), .version = XMHF_IMAGE_VERSION,
               .mode = is_64 ? PAL_ID_MODE_64 : PAL_ID_MODE_32,
               .convention = is_64 ? XMHF_SYSV : XMHF_CDECL, .stacks = stacks,
               .sections = 2 + stacks, .params = 3, .entries = 2, .stubs = STUBS },
        .section = { { TV_SECTION_CODE, 1, LINK, SOURCE },
                     { TV_SECTION_DATA, 2, DATA, SOURCE + PAGE_SIZE },
                     { TV_SECTION_STACK, 1, AT_STACK(0), 0 },
                     { TV_SECTION_STACK, 1, AT_STACK(1), 0 } },
        .param = { { XMHF_PARAM_OCALL, XMHF_INOUT, MOST, 0, 0 },
                   { TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 }, { TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 } },
        .entry = { { LINK, 2, 0 }, { LINK + 0x40, 1, 0 } },
    };
}

static void start(bool sixty_four)
{
    machine_reset(0);
    memset(&cpu2, 0, sizeof(cpu2));
    cpu2.index = 1;
    fake_reset(&v);
    is_64 = sixty_four;
    fake.caller.paging.cr3 = CR3;
    fake.caller.paging.mode = is_64 ? MODE_LONG64 : MODE_PROT32;
    memcpy(fake_ram(fake_map_new(CR3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(CR3, STACK, 1, FAKE_RW);
    fake_map_new(CR3, ARGS, 1, FAKE_RW);
    fake_map_new(CR3, BUFS, 3, FAKE_RW);
    fake_map_new(CR3, SOURCE, 3, FAKE_RW);
    fake_map_new(CR3, STUBS, 1, FAKE_RWX);
    fake.fs_base = 0x7000;
    pool_at_rest = fake.pool_free;
    describe(2);
}

static int setup_64(void **state) { (void)state; start(true); return 0; }
static int setup_32(void **state) { (void)state; start(false); return 0; }

static void poison(struct vcpu *cpu, uint64_t seed, uint64_t rsp, uint64_t rip)
{
    for (unsigned i = 0; i < 16; i++) {
        cpu->regs.gpr[i] = seed * i + 5;
    }
    cpu->regs.gpr[GPR_RSP] = rsp;
    cpu->regs.rflags = 0x246;
    cpu->regs.rip = rip;
}

#define FIRST  0x11111111u   /* registers at the call ... */
#define SECOND 0x01020304u   /* ... and at the resume stub */

static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rdi)
{
    poison(&v, FIRST, RSP, TEXT);
    v.regs.gpr[GPR_RCX] = rcx;
    v.regs.gpr[GPR_RDI] = rdi;
    for (unsigned i = 0; i < 100000; i++) {
        v.regs.gpr[GPR_RAX] = cmd;
        if (hypapp.hypercall(&v, cmd) == HC_DONE) {
            assert_int_equal(fake.injected, FAKE_NONE);
            return v.regs.gpr[GPR_RAX];
        }
        assert_int_equal(fake.injected, FAKE_NONE);
    }
    fail_msg("the hypercall never ends");
    return 0;
}

static uint64_t reg(void)
{
    struct xmhf_image *d = (struct xmhf_image *)(void *)fake_at(CR3, ARGS);
    uint8_t *to = (uint8_t *)(d + 1);
    const uint32_t n = p.d.sections;

    p.d.size = (uint32_t)XMHF_IMAGE_SIZE(n, 3, 2);
    *d = p.d;
    memcpy(to, p.section, n * sizeof(p.section[0]));
    to += n * sizeof(p.section[0]);
    memcpy(to, p.param, sizeof(p.param));
    memcpy(to + sizeof(p.param), p.entry, sizeof(p.entry));
    return command(XMHF_HC_IMAGE_REGISTER, ARGS, STUBS);
}

static uint64_t unreg(void) { return command(XMHF_HC_IMAGE_UNREGISTER, STUBS, 0); }

static void put(uint64_t va, uint64_t w)
{
    memcpy(fake_at(CR3, va), &w, is_64 ? 8 : 4);
}

/* The process calls entry `i` with two arguments. */
static enum hc_result call_on(struct vcpu *cpu, unsigned i, uint64_t a, uint64_t b)
{
    poison(cpu, FIRST, RSP, XMHF_IMAGE_STUB(STUBS, i));
    put(RSP, RET);
    if (is_64) {
        cpu->regs.gpr[GPR_RDI] = a;
        cpu->regs.gpr[GPR_RSI] = b;
    } else {
        put(RSP + 4, a);
        put(RSP + 8, b);
    }
    fake.fpu = 0xf00d;
    return hypapp.hypercall(cpu, (uint32_t)cpu->regs.gpr[GPR_RAX]);
}

static uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *at = fake_pal_at(va, &rights);

    assert_non_null(at);
    return at;
}

static void pal_returns(struct vcpu *cpu, uint64_t rax)
{
    const struct exit e = { .kind = EXIT_HYPERCALL, .insn_len = 3 };
    uint64_t sp = cpu->regs.gpr[GPR_RSP], to = 0;

    memcpy(&to, pal_at(sp), is_64 ? 8 : 4);
    poison(cpu, 0x5ec3e7, sp, to);
    cpu->regs.gpr[GPR_RAX] = rax;
    hypapp.sandbox_exit(cpu, &e);
}

static void sandbox_exit(struct vcpu *cpu, enum exit_kind kind)
{
    struct exit e = { .kind = kind, .insn_len = 3 };

    e.exception.vector = kind == EXIT_EXCEPTION ? 6 : 0;
    hypapp.sandbox_exit(cpu, &e);
}

/* The PAL executes XMHF_HC_OCALL. */
static void ask(struct vcpu *cpu, uint32_t function, uint64_t buffer, uint64_t n, uint64_t room)
{
    cpu->regs.rip = LINK + 0x10;
    cpu->regs.gpr[GPR_RAX] = XMHF_HC_OCALL;
    cpu->regs.gpr[GPR_RBX] = 0xbbbb;
    cpu->regs.gpr[GPR_RCX] = function;
    cpu->regs.gpr[GPR_RDX] = buffer;
    cpu->regs.gpr[GPR_RSI] = n;
    cpu->regs.gpr[GPR_RDI] = room;
    fake.fpu = 0xfa1;
    sandbox_exit(cpu, EXIT_HYPERCALL);
}

static void ask_now(struct vcpu *cpu) { ask(cpu, 7, BUFFER, 200, 250); }

/* --- what the process sees --------------------------------------------------------- */

static void expect_at(struct vcpu *cpu, uint64_t seed, uint64_t rsp, uint64_t rip, uint64_t rax)
{
    assert_false(cpu->in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(cpu->regs.rip, rip);
    assert_int_equal(cpu->regs.gpr[GPR_RSP], rsp + (is_64 ? 8 : 4));
    assert_int_equal(cpu->regs.gpr[GPR_RAX], rax);
    assert_int_equal(cpu->regs.gpr[GPR_RBP], seed * GPR_RBP + 5);
    assert_int_equal(cpu->regs.gpr[GPR_R12], seed * GPR_R12 + 5);
}

static void expect_back(struct vcpu *cpu, uint64_t seed, uint64_t rsp, uint64_t rip, uint64_t rax,
                        uint64_t rcx)
{
    expect_at(cpu, seed, rsp, rip, rax);
    assert_int_equal(cpu->regs.gpr[GPR_RCX], rcx);
    assert_int_equal(cpu->regs.gpr[GPR_RDX], 0);
    assert_int_equal(cpu->regs.gpr[GPR_R8], is_64 ? 0 : seed * GPR_R8 + 5);
    assert_int_equal(cpu->regs.rflags, 0x246);
    assert_int_equal(fake.fpu, 0xf00d);
}

/* The structure in the caller's buffer, which lies on two pages. */
static struct xmhf_ocall seen(void)
{
    struct xmhf_ocall o;

    memcpy(&o, fake_at(CR3, WHERE), sizeof(o));
    return o;
}

static uint8_t *caller_byte(uint64_t i)
{
    return fake_at(CR3, WHERE + sizeof(struct xmhf_ocall) + i);
}

static void set_caller(uint64_t n, uint8_t seed)
{
    for (uint64_t i = 0; i < n; i++) {
        *caller_byte(i) = (uint8_t)(i * 3 + seed);
    }
}

static void set_pal(uint64_t n, uint8_t seed)
{
    for (uint64_t i = 0; i < n; i++) {
        *pal_at(BUFFER + i) = (uint8_t)(i * 5 + seed);
    }
}

static void expect_told(struct vcpu *cpu)
{
    struct xmhf_ocall o = seen();

    expect_back(cpu, FIRST, RSP, RET, 0, XMHF_STATUS_OCALL);
    assert_int_equal(o.function, 7);
    assert_int_equal(o.bytes, 200);
    assert_int_not_equal(o.token[0], 0);
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(*caller_byte(i), (uint8_t)(i * 5 + 1));
    }
}

static void set_bytes(uint32_t n) { memcpy(fake_at(CR3, WHERE + 20), &n, 4); }

static void set_token(struct vcpu *cpu, const uint64_t token[2])
{
    cpu->regs.gpr[GPR_RAX] = is_64 ? token[0] : (uint32_t)token[0];
    cpu->regs.gpr[GPR_RDX] = is_64 ? token[1] : token[0] >> 32;
    if (!is_64) {
        cpu->regs.gpr[GPR_RCX] = (uint32_t)token[1];
        cpu->regs.gpr[GPR_RBX] = token[1] >> 32;
    }
}

/* The process calls the resume stub, from another place than its first call. */
static enum hc_result come(struct vcpu *cpu, const uint64_t token[2])
{
    poison(cpu, SECOND, RSP2, RESUME);
    put(RSP2, RET2);
    set_token(cpu, token);
    return hypapp.hypercall(cpu, (uint32_t)cpu->regs.gpr[GPR_RAX]);
}

/* A thread that was left at the resume stub executes it. */
static enum hc_result go_on(struct vcpu *cpu)
{
    assert_int_equal(cpu->regs.rip, RESUME);
    return hypapp.hypercall(cpu, (uint32_t)cpu->regs.gpr[GPR_RAX]);
}

/* The PAL goes on behind its hypercall. */
static void expect_answered(struct vcpu *cpu, uint64_t rax)
{
    assert_true(cpu->in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(cpu->regs.rip, LINK + 0x13);
    assert_int_equal(cpu->regs.gpr[GPR_RAX], rax);
    assert_int_equal(cpu->regs.gpr[GPR_RBX], 0xbbbb);
    assert_int_equal(fake.fpu, 0xfa1);
}

static void expect_pal(uint64_t from, uint64_t n, unsigned factor, uint8_t seed)
{
    for (uint64_t i = from; i < n; i++) {
        assert_int_equal(*pal_at(BUFFER + i), (uint8_t)(i * factor + seed));
    }
}

static void expect_fault(struct vcpu *cpu, enum hc_result r, enum hc_result expected,
                         enum fake_injection what)
{
    assert_int_equal(r, expected);
    assert_int_equal(fake.injected, what);
    assert_false(cpu->in_sandbox);
    fake_clear();
}

/* A PAL that asks; `v` is its thread, outside. */
static struct xmhf_ocall asking(void)
{
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    assert_true(v.in_sandbox);
    set_pal(250, 1);
    ask_now(&v);
    expect_told(&v);
    return seen();
}

static void expect_gone(void)
{
    assert_int_equal(unreg(), TV_OK);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- tests ------------------------------------------------------------------------ */

/* There and back, three times, and the call returns to where the last answer came from. */
static void ping_pong(void **state)
{
    struct xmhf_ocall o = asking(), last;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        set_caller(250, (uint8_t)(40 + i));
        set_bytes(30 + i);
        assert_int_equal(come(&v, o.token), HC_SWITCHED);
        expect_answered(&v, 30 + i);
        expect_pal(0, 30 + i, 3, (uint8_t)(40 + i));
        if (i == 0) {
            expect_pal(30, 250, 5, 1);
        }
        last = o;
        if (i < 2) {
            ask(&v, 7 + i, BUFFER, 200, 250);
            o = seen();
            expect_back(&v, SECOND, RSP2, RET2, 0, XMHF_STATUS_OCALL);
            assert_memory_not_equal(o.token, last.token, sizeof(o.token));
        }
    }
    pal_returns(&v, 77);
    expect_back(&v, SECOND, RSP2, RET2, 77, 0);
    expect_gone();
}

/* All that the buffers can hold, and nothing. */
static void sizes(void **state)
{
    static const struct { uint32_t n, room, answer; } size[] = {
        { MOST, MOST, MOST }, { 0, 0, 0 }, { MOST, 0, 0 }, { 0, MOST, MOST }, { 1, 4000, MOST },
    };
    struct xmhf_ocall o;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
        assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
        set_pal(MOST, (uint8_t)i);
        ask(&v, 1, BUFFER, size[i].n, size[i].room);
        expect_back(&v, FIRST, RSP, RET, 0, XMHF_STATUS_OCALL);
        o = seen();
        assert_int_equal(o.bytes, size[i].n);
        for (unsigned k = 0; k < size[i].n; k++) {
            assert_int_equal(*caller_byte(k), (uint8_t)(k * 5 + i));
        }
        set_caller(MOST, (uint8_t)(90 + i));
        set_bytes(size[i].answer);
        assert_int_equal(come(&v, o.token), HC_SWITCHED);
        expect_answered(&v, size[i].answer);
        expect_pal(0, size[i].answer, 3, (uint8_t)(90 + i));
        expect_pal(size[i].answer, MOST, 5, (uint8_t)i);
        pal_returns(&v, 1);
        expect_back(&v, SECOND, RSP2, RET2, 1, 0);
    }
    expect_gone();
}

/* Longer than the PAL has room for, than is declared, and far too long: the PAL is told, and its
 * buffer is as it was. */
static void answers_too_long(void **state)
{
    static const uint32_t n[] = { 251, MOST, MOST + 1, 0x7fffffff, 0xffffffff };
    struct xmhf_ocall o = asking();

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(n); i++) {
        set_bytes(n[i]);
        assert_int_equal(come(&v, o.token), HC_SWITCHED);
        expect_answered(&v, 0 - (uint64_t)TV_TOO_LONG);
        expect_pal(0, 250, 5, 1);
        ask_now(&v);
        o = seen();
    }
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    ask(&v, 1, DATA + 100, 0, 6000); /* room for more than is declared */
    o = seen();
    set_bytes(MOST + 1);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_answered(&v, 0 - (uint64_t)TV_TOO_LONG);
    pal_returns(&v, 5);
    expect_back(&v, SECOND, RSP2, RET2, 5, 0);
    expect_gone();
}

static void expect_refused(uint64_t buffer, uint64_t n, uint64_t room, enum tv_error e)
{
    ask(&v, 1, buffer, n, room);
    expect_answered(&v, 0 - (uint64_t)e);
}

/* What a PAL can't ask; it goes on. */
static void bad_requests(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    expect_refused(DATA, MOST + 1, 0, TV_TOO_LONG);
    expect_refused(DATA, is_64 ? ~0ULL : 0xffffffff, 0, TV_TOO_LONG);
    expect_refused(LINK, 8, 8, TV_BAD_ADDRESS);
    expect_refused(DATA - 1, 8, 8, TV_BAD_ADDRESS);
    expect_refused(DATA + 2 * PAGE_SIZE - 8, 9, 0, TV_BAD_ADDRESS);
    expect_refused(DATA + 2 * PAGE_SIZE - 8, 8, 9, TV_BAD_ADDRESS);
    expect_refused(WHERE, 8, 8, TV_BAD_ADDRESS);
    expect_refused(DATA, 8, is_64 ? ~0ULL : 0xffffffff, TV_BAD_ADDRESS);
    expect_refused(is_64 ? ~0ULL - 3 : 0xfffffffc, 8, 8, TV_BAD_ADDRESS);
    pal_returns(&v, 1);
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_refused(DATA, 8, 8, TV_NO_OCALL);
    pal_returns(&v, 2);
    expect_back(&v, FIRST, RSP, RET, 2, 0);
    expect_gone();
}

/* Forged and stale ones: #GP, and nothing has changed. */
static void tokens(void **state)
{
    struct xmhf_ocall o = asking();
    const uint64_t good[2] = { o.token[0], o.token[1] };

    (void)state;
    set_bytes(1);
    for (unsigned bit = 0; bit < 128; bit++) {
        uint64_t wrong[2] = { good[0], good[1] };
        wrong[bit / 64] ^= 1ULL << bit % 64;
        expect_fault(&v, come(&v, wrong), HC_SWITCHED, FAKE_GP);
        assert_int_equal(v.regs.rip, RESUME);
    }
    expect_fault(&v, come(&v, (uint64_t[]){ 0, 0 }), HC_SWITCHED, FAKE_GP);
    assert_int_equal(come(&v, good), HC_SWITCHED);
    expect_answered(&v, 1);
    expect_fault(&cpu2, come(&cpu2, good), HC_SWITCHED, FAKE_GP); /* it runs */
    ask_now(&v);
    expect_fault(&cpu2, come(&cpu2, good), HC_SWITCHED, FAKE_GP); /* it asks something else */
    fake.caller.paging.cr3 = CR3 + PAGE_SIZE; /* another process, with a copy of the stubs */
    fake_map(CR3 + PAGE_SIZE, STUBS, fake_map_new(CR3 + PAGE_SIZE, BUFS, 1, FAKE_RW), FAKE_RWX);
    memcpy(fake_at(CR3 + PAGE_SIZE, STUBS), fake_at(CR3, STUBS), PAGE_SIZE);
    o = seen();
    poison(&cpu2, SECOND, RSP2, RESUME);
    set_token(&cpu2, o.token);
    expect_fault(&cpu2, hypapp.hypercall(&cpu2, 0), HC_SWITCHED, FAKE_UD);
    fake.caller.paging.cr3 = CR3;
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    pal_returns(&v, 3);
    expect_fault(&v, come(&v, o.token), HC_SWITCHED, FAKE_GP); /* nobody is asked any more */
    expect_gone();
}

/* A #PF at each access to the caller's memory: at the request the thread waits at the resume stub
 * with a token, at the answer it runs the stub again. */
static void faults_everywhere(void **state)
{
    unsigned faults = 0;
    struct xmhf_ocall o;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    for (unsigned at = 1; at < 12; at++) {
        assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
        set_pal(250, 1);
        fake.fault_at = fake.guest_accesses + at;
        ask_now(&v);
        while (fake.injected == FAKE_PF) {
            faults++;
            assert_int_equal(v.regs.rip, RESUME);
            assert_int_equal(v.regs.gpr[GPR_RSP], RSP);
            fake_clear();
            assert_int_equal(go_on(&v), HC_SWITCHED);
        }
        expect_told(&v);
        o = seen();
        set_caller(250, 33);
        set_bytes(240);
        fake.fault_at = fake.guest_accesses + at;
        for (enum hc_result r = come(&v, o.token); r != HC_SWITCHED; r = go_on(&v)) {
            faults++;
            expect_fault(&v, r, HC_AGAIN, FAKE_PF);
            assert_int_equal(v.regs.gpr[GPR_RSP], RSP2);
        }
        expect_answered(&v, 240);
        expect_pal(0, 240, 3, 33);
        expect_pal(240, 250, 5, 1);
        fake.fault_at = 0;
        pal_returns(&v, at);
        expect_back(&v, SECOND, RSP2, RET2, at, 0);
    }
    assert_true(faults >= 6);
    expect_gone();
}

/* The buffer must be writable when the call begins; all of it. */
static void buffers_at_the_call(void **state)
{
    const uint64_t g = fake_map_new(CR3, BUFS + 2 * PAGE_SIZE, 1, FAKE_RX);

    (void)state;
    assert_int_equal(reg(), TV_OK);
    expect_fault(&v, call_on(&v, 0, BUFS + 2 * PAGE_SIZE, 1), HC_AGAIN, FAKE_PF);
    expect_fault(&v, call_on(&v, 0, BUFS + 2 * PAGE_SIZE - MOST, 1), HC_AGAIN, FAKE_PF);
    expect_fault(&v, call_on(&v, 0, BUFS + 2 * PAGE_SIZE - MOST - 23, 1), HC_AGAIN, FAKE_PF);
    assert_int_equal(call_on(&v, 0, BUFS + 2 * PAGE_SIZE - MOST - 24, 1), HC_SWITCHED);
    pal_returns(&v, 1);
    fake_map(CR3, BUFS + 2 * PAGE_SIZE, g, FAKE_RW);
    assert_int_equal(call_on(&v, 0, BUFS + 2 * PAGE_SIZE - MOST, 1), HC_SWITCHED);
    pal_returns(&v, 2);
    expect_gone();
}

/* A device where the buffer was, at the request and at the answer: #GP, and the call waits. */
static void devices(void **state)
{
    struct xmhf_ocall o;
    const uint64_t other = fake_map_new(CR3, BUFS, 1, FAKE_RW);

    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    set_pal(250, 1);
    fake_map(CR3, BUFS, FAKE_MMIO, FAKE_RW);
    ask_now(&v);
    expect_fault(&v, HC_SWITCHED, HC_SWITCHED, FAKE_GP);
    assert_int_equal(v.regs.rip, RESUME);
    assert_int_equal(go_on(&v), HC_SWITCHED);
    expect_fault(&v, HC_SWITCHED, HC_SWITCHED, FAKE_GP);
    fake_map(CR3, BUFS, other, FAKE_RW);
    assert_int_equal(go_on(&v), HC_SWITCHED);
    expect_told(&v);
    o = seen();
    set_bytes(4);
    fake_map(CR3, BUFS, FAKE_MMIO, FAKE_RW);
    expect_fault(&v, come(&v, o.token), HC_SWITCHED, FAKE_GP);
    fake_map(CR3, BUFS, other, FAKE_RW);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_answered(&v, 4);
    pal_returns(&v, 1);
    expect_gone();
}

/* A return address that RET wouldn't take. */
static void bad_return_address(void **state)
{
    struct xmhf_ocall o = asking();

    (void)state;
    set_bytes(4);
    poison(&v, SECOND, RSP2, RESUME);
    put(RSP2, 1ULL << 47);
    set_token(&v, o.token);
    if (is_64) {
        expect_fault(&v, hypapp.hypercall(&v, 0), HC_SWITCHED, FAKE_GP);
    }
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_answered(&v, 4);
    pal_returns(&v, 1);
    expect_gone();
}

static void expect_busy(struct vcpu *cpu)
{
    expect_at(cpu, FIRST, RSP, RET, 0);
    assert_int_equal(cpu->regs.gpr[GPR_RCX], XMHF_STATUS_BUSY);
}

/* The thread that is asked can't call the PAL, though a stack is free; other threads can. */
static void nested_calls(void **state)
{
    struct xmhf_ocall o = asking();

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(call_on(&v, i, WHERE, 9), HC_SWITCHED);
        expect_busy(&v);
    }
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    assert_true(cpu2.in_sandbox);
    sandbox_exit(&cpu2, EXIT_INTR);
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED); /* its own is interrupted: as ever */
    expect_busy(&v);
    fake.fs_base = 0x9000;
    assert_int_equal(call_on(&v, 1, 9, 0), HC_AGAIN); /* a third one waits */
    assert_int_equal(go_on(&cpu2), HC_SWITCHED);
    pal_returns(&cpu2, 4);
    assert_int_equal(call_on(&cpu2, 0, WHERE, 9), HC_SWITCHED);
    pal_returns(&cpu2, 4);
    fake.fs_base = 0x7000;
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    pal_returns(&v, 5);
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(&v, 6);
    expect_gone();
}

/* While another CPU has the call closed for a moment, to look at its registers, nobody can tell:
 * the thread tries again. */
static void nested_call_while_closed(void **state)
{
    struct xmhf_ocall o = asking();
    struct tv_slot *s = registry_get(tv_owner(&fake.caller.paging), STUBS, TV_IN(TV_LIVE), NULL);

    (void)state;
    assert_non_null(s);
    assert_int_equal(atomic_load(&s->pal->act.state), ACT_OCALL);
    atomic_store(&s->pal->act.state, ACT_CLAIMED);
    assert_int_equal(call_on(&v, 1, 9, 0), HC_AGAIN);
    assert_false(v.in_sandbox);
    atomic_store(&s->pal->act.state, ACT_OCALL);
    registry_put(s);
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_busy(&v);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    pal_returns(&v, 5);
    expect_gone();
}

/* Also if the activation that comes first in the list is the free one. */
static void nested_call_first_free(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    sandbox_exit(&cpu2, EXIT_INTR);
    fake.fs_base = 0x7000;
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    ask_now(&v);
    o = seen();
    fake.fs_base = 0x8000;
    assert_int_equal(go_on(&cpu2), HC_SWITCHED);
    pal_returns(&cpu2, 4);
    fake.fs_base = 0x7000;
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_busy(&v);
    set_bytes(0);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    pal_returns(&v, 5);
    expect_gone();
}

/* Threads that can't be told from each other count as one here: nobody is let in. */
static void nested_calls_without_tls(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    fake.fs_base = 0;
    o = asking();
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_busy(&v);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    pal_returns(&v, 5);
    expect_gone();
}

/* Waiting to be told counts too. */
static void nested_call_before_the_request(void **state)
{
    struct vcpu_regs stub;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    set_pal(250, 1);
    fake.fault_at = fake.guest_accesses + 1;
    ask_now(&v);
    expect_fault(&v, HC_SWITCHED, HC_SWITCHED, FAKE_PF);
    fake.fault_at = 0;
    stub = v.regs;
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_busy(&v);
    put(RSP, RET);
    v.regs = stub;
    assert_int_equal(go_on(&v), HC_SWITCHED);
    expect_told(&v);
    expect_gone();
}

/* One stack: everybody else waits. */
static void one_stack(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    describe(1);
    o = asking();
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    expect_busy(&v);
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_AGAIN);
    assert_int_equal(come(&cpu2, o.token), HC_SWITCHED); /* but it may bring the answer */
    pal_returns(&cpu2, 5);
    expect_back(&cpu2, SECOND, RSP2, RET2, 5, 0);
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    pal_returns(&cpu2, 6);
    expect_gone();
}

static void interrupted_in_between(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, 0, WHERE, 9), HC_SWITCHED);
    sandbox_exit(&v, EXIT_INTR);
    assert_int_equal(go_on(&v), HC_SWITCHED);
    set_pal(250, 1);
    ask_now(&v);
    expect_told(&v);
    o = seen();
    set_bytes(7);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    sandbox_exit(&v, EXIT_INTR);
    assert_int_equal(v.regs.gpr[GPR_RSP], RSP2);
    expect_fault(&cpu2, come(&cpu2, o.token), HC_SWITCHED, FAKE_GP);
    assert_int_equal(go_on(&v), HC_SWITCHED);
    expect_answered(&v, 7);
    pal_returns(&v, 8);
    expect_back(&v, SECOND, RSP2, RET2, 8, 0);
    expect_gone();
}

static void unregistered_meanwhile(void **state)
{
    struct xmhf_ocall o = asking();

    (void)state;
    expect_gone();
    v.regs.rip = RESUME;
    expect_fault(&v, come(&v, o.token) == HC_SWITCHED ? HC_SWITCHED : HC_DONE,
                 HC_DONE, FAKE_NONE); /* the process's own page is there again */
}

/* Another thread's call has ended the PAL. */
static void died_meanwhile(void **state)
{
    struct xmhf_ocall o = asking();

    (void)state;
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    sandbox_exit(&cpu2, EXIT_EXCEPTION);
    expect_at(&cpu2, FIRST, RSP, RET, 0);
    assert_int_equal(XMHF_STATUS_DEATH(cpu2.regs.gpr[GPR_RCX]), TV_DEATH_EXCEPTION);
    fake.fs_base = 0x7000;
    poison(&v, SECOND, RSP2, RESUME);
    put(RSP2, RET2);
    o.token[0] &= ~1ULL; /* as the token of a thread that was left at the stub */
    set_token(&v, o.token);
    expect_fault(&v, hypapp.hypercall(&v, 0), HC_SWITCHED, FAKE_UD);
    o.token[0] |= 1;
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_at(&v, SECOND, RSP2, RET2, 0);
    assert_int_equal(XMHF_STATUS_DEATH(v.regs.gpr[GPR_RCX]), TV_DEATH_EXCEPTION);
    assert_int_equal(XMHF_STATUS_VECTOR(v.regs.gpr[GPR_RCX]), 6);
    assert_int_equal(v.regs.gpr[GPR_RDX], 0x40);
    for (unsigned i = 0; i < 2; i++) { /* and a new call */
        assert_int_equal(call_on(&v, i, WHERE, 9), HC_SWITCHED);
        expect_at(&v, FIRST, RSP, RET, 0);
        assert_int_equal(XMHF_STATUS_DEATH(v.regs.gpr[GPR_RCX]), TV_DEATH_EXCEPTION);
    }
    assert_int_equal(fake.pool_free, pool_at_rest);
    assert_int_equal(reg(), TV_OK); /* a new PAL there is alive */
    assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(&v, 1);
    expect_gone();
}

/* A thread that was left at the resume stub, and didn't call it, can't return from there. */
static void died_while_interrupted(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(call_on(&v, 1, 9, 0), HC_SWITCHED);
        sandbox_exit(&v, EXIT_INTR);
        fake.fs_base = 0x8000;
        assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
        sandbox_exit(&cpu2, EXIT_EXCEPTION);
        expect_fault(&v, go_on(&v), HC_SWITCHED, FAKE_UD);
        fake.fs_base = 0x7000;
        assert_int_equal(reg(), TV_OK);
    }
    expect_gone();
}

/* The owner's end is no death that is told: who is there may be somebody else. */
static void owner_gone(void **state)
{
    struct xmhf_ocall o = asking();
    uint8_t stubs[PAGE_SIZE];

    (void)state;
    memcpy(stubs, fake_at(CR3, STUBS), PAGE_SIZE);
    memset(fake_at(CR3, STUBS) + PAGE_SIZE - 16, 0, 16); /* the nonce */
    fake.fs_base = 0x8000;
    expect_fault(&cpu2, call_on(&cpu2, 1, 9, 0), HC_SWITCHED, FAKE_UD);
    memcpy(fake_at(CR3, STUBS), stubs, PAGE_SIZE);
    expect_fault(&v, come(&v, o.token), HC_SWITCHED, FAKE_UD);
    expect_fault(&v, call_on(&v, 1, 9, 0), HC_SWITCHED, FAKE_UD);
}

/* And while a thread brings the answer, and it runs again: the call is told. */
static void died_while_it_runs(void **state)
{
    struct xmhf_ocall o = asking();

    (void)state;
    set_bytes(3);
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    fake.sandbox = NULL; /* the fake core knows one sandbox only: cpu2 stays in its own */
    fake.fs_base = 0x7000;
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    sandbox_exit(&v, EXIT_EXCEPTION);
    expect_at(&v, SECOND, RSP2, RET2, 0);
    assert_int_equal(XMHF_STATUS_DEATH(v.regs.gpr[GPR_RCX]), TV_DEATH_EXCEPTION);
}

/* What passes outside isn't the PAL's, what it ran before is. */
static void budget(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    p.d.budget = 1000000;
    o = asking();
    set_bytes(3);
    machine.tsc += 100000000;
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    sandbox_exit(&v, EXIT_INTR);
    assert_int_equal(go_on(&v), HC_SWITCHED);
    machine.tsc += 600000;
    ask_now(&v);
    o = seen();
    expect_back(&v, SECOND, RSP2, RET2, 0, XMHF_STATUS_OCALL);
    machine.tsc += 100000000;
    set_bytes(3);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    machine.tsc += 600000;
    ask_now(&v);
    assert_int_equal(XMHF_STATUS_DEATH(v.regs.gpr[GPR_RCX]), TV_DEATH_BUDGET);
    expect_at(&v, SECOND, RSP2, RET2, 0);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- debug PALs ---------------------------------------------------------------------- */

#define ASK (ARGS + 0x400)   /* the request */
#define TO  (BUFS + 3 * PAGE_SIZE - 200) /* where it goes, if it is short */

static struct xmhf_pal_read q;

static uint64_t read_it(void)
{
    memcpy(fake_at(CR3, ASK), &q, sizeof(q));
    return command(XMHF_HC_PAL_READ, ASK, 0);
}

static uint64_t read_memory(uint64_t at, uint32_t n, uint64_t to)
{
    q = (struct xmhf_pal_read){ sizeof(q), XMHF_READ_MEMORY, STUBS, at, to, n, 0 };
    return read_it();
}

static uint64_t read_registers(uint64_t k, struct xmhf_pal_registers *r)
{
    uint64_t e;

    q = (struct xmhf_pal_read){ sizeof(q), XMHF_READ_REGISTERS, STUBS, k, TO, sizeof(*r), 0 };
    e = read_it();
    memcpy(r, fake_at(CR3, TO), sizeof(*r));
    return e;
}

/* Without the nonce it is another process with the owner's CR3: it can't answer, and isn't told. */
static void nonce_gone(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    p.d.flags = XMHF_IMAGE_DEBUG;
    o = asking();
    memset(fake_at(CR3, STUBS) + PAGE_SIZE - 16, 0, 16);
    assert_int_equal(read_memory(BUFFER, 4, TO), TV_NOT_FOUND);
    v.regs.gpr[GPR_RCX] = TO;
    v.regs.gpr[GPR_RDI] = STUBS;
    v.regs.gpr[GPR_RSI] = sizeof(struct xmhf_pal_stats);
    assert_int_equal(hypapp.hypercall(&v, XMHF_HC_PAL_STATS), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_NOT_FOUND);
    expect_fault(&v, come(&v, o.token), HC_SWITCHED, FAKE_UD);
}

static void debug_memory(void **state)
{
    struct xmhf_ocall o;

    (void)state;
    p.d.flags = XMHF_IMAGE_DEBUG;
    memset(fake_at(CR3, SOURCE), 0x5c, PAGE_SIZE);
    o = asking();
    assert_int_equal(read_memory(BUFFER, 250, TO - 100), TV_OK); /* two pages to two pages */
    for (uint64_t i = 0; i < 250; i++) {
        assert_int_equal(*fake_at(CR3, TO - 100 + i), (uint8_t)(i * 5 + 1));
    }
    assert_int_equal(read_memory(LINK + 100, 32, TO), TV_OK);
    assert_int_equal(*fake_at(CR3, TO + 31), 0x5c);
    assert_int_equal(read_memory(AT_STACK(1), XMHF_READ_MAX, BUFS), TV_OK);
    assert_int_equal(*fake_at(CR3, BUFS), 0);
    assert_int_equal(read_memory(DATA, 0, TO), TV_OK);
    assert_int_equal(read_memory(DATA, XMHF_READ_MAX + 1, BUFS), TV_TOO_LONG);
    memset(fake_at(CR3, TO), 0x77, 64);
    assert_int_equal(read_memory(LINK + PAGE_SIZE - 8, 9, TO), TV_BAD_ADDRESS);
    assert_int_equal(read_memory(LINK - 1, 2, TO), TV_BAD_ADDRESS);
    assert_int_equal(read_memory(WHERE, 8, TO), TV_BAD_ADDRESS);
    assert_int_equal(read_memory(~0ULL, 8, TO), TV_BAD_ADDRESS);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(*fake_at(CR3, TO + i), 0x77);
    }
    memcpy(fake_at(CR3, WHERE), &o, sizeof(o)); /* it was read to there */
    set_bytes(0);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_answered(&v, 0);
    expect_pal(0, 250, 5, 1);
    pal_returns(&v, 1);
    expect_gone();
}

static void debug_registers(void **state)
{
    struct xmhf_pal_registers r;
    struct xmhf_ocall o;

    (void)state;
    p.d.flags = XMHF_IMAGE_DEBUG;
    o = asking();
    assert_int_equal(read_registers(0, &r), TV_OK);
    assert_int_equal(r.state, XMHF_CALL_OCALL);
    assert_int_equal(r.rip, LINK + 0x13);
    assert_int_equal(r.gpr[GPR_RBX], 0xbbbb);
    assert_int_equal(r.gpr[GPR_RDX], BUFFER);
    assert_int_equal(read_registers(1, &r), TV_OK);
    assert_int_equal(r.state, XMHF_CALL_NONE);
    assert_int_equal(r.rip | r.gpr[GPR_RBX], 0);
    assert_int_equal(read_registers(2, &r), TV_BAD_STACKS);
    assert_int_equal(read_registers(~0ULL, &r), TV_BAD_STACKS);
    q.bytes--;
    q.address = 0;
    assert_int_equal(read_it(), TV_BAD_STRUCT);
    fake.fs_base = 0x8000;
    assert_int_equal(call_on(&cpu2, 1, 9, 0), HC_SWITCHED);
    cpu2.regs.gpr[GPR_RBX] = 0xcccc;
    fake.sandbox = NULL; /* cpu2's */
    assert_int_equal(read_registers(1, &r), TV_OK);
    assert_int_equal(r.state, XMHF_CALL_RUNNING);
    assert_int_equal(r.gpr[GPR_RBX], 0);
    fake.sandbox = &fake.entered;
    sandbox_exit(&cpu2, EXIT_INTR);
    assert_int_equal(read_registers(1, &r), TV_OK);
    assert_int_equal(r.state, XMHF_CALL_INTERRUPTED);
    assert_int_equal(r.gpr[GPR_RBX], 0xcccc);
    assert_int_equal(go_on(&cpu2), HC_SWITCHED);
    fake.sandbox = NULL;
    assert_int_equal(read_registers(1, &r), TV_OK); /* nor what it had before */
    assert_int_equal(r.state, XMHF_CALL_RUNNING);
    assert_int_equal(r.gpr[GPR_RBX], 0);
    fake.sandbox = &fake.entered;
    pal_returns(&cpu2, 2);
    fake.fs_base = 0x7000;
    set_bytes(0);
    assert_int_equal(come(&v, o.token), HC_SWITCHED);
    expect_answered(&v, 0);
    pal_returns(&v, 1);
    expect_gone();
}

/* Of other PALs nothing is read, and bad requests have names. */
static void nobody_elses(void **state)
{
    struct xmhf_pal_registers r;

    (void)state;
    asking();
    memset(fake_at(CR3, TO), 0x77, 200);
    assert_int_equal(read_memory(DATA, 16, TO), TV_NOT_DEBUG);
    assert_int_equal(*fake_at(CR3, TO), 0x77);
    assert_int_equal(read_registers(0, &r), TV_NOT_DEBUG);
    assert_int_equal(*fake_at(CR3, TO), 0x77);
    expect_gone();
    assert_int_equal(read_memory(DATA, 16, TO), TV_NOT_FOUND);
    describe(2);
    p.d.flags = XMHF_IMAGE_DEBUG;
    asking();
    q = (struct xmhf_pal_read){ sizeof(q), XMHF_READ_MEMORY, STUBS + 16, DATA, TO, 8, 0 };
    assert_int_equal(read_it(), TV_NOT_FOUND);
    q.stubs = SOURCE;
    assert_int_equal(read_it(), TV_NOT_FOUND);
    q.stubs = STUBS;
    q.what = 3;
    assert_int_equal(read_it(), TV_BAD_STRUCT);
    q.what = XMHF_READ_MEMORY;
    q.size--;
    assert_int_equal(read_it(), TV_BAD_STRUCT);
    q.size++;
    q.reserved = 1;
    assert_int_equal(read_it(), TV_BAD_STRUCT);
    q.reserved = 0;
    q.to = 0x1000; /* nothing is there */
    memcpy(fake_at(CR3, ASK), &q, sizeof(q));
    poison(&v, FIRST, RSP, TEXT);
    v.regs.gpr[GPR_RCX] = ASK;
    expect_fault(&v, hypapp.hypercall(&v, XMHF_HC_PAL_READ), HC_AGAIN, FAKE_PF);
    fake.caller.paging.cpl = 0;
    assert_int_equal(read_memory(DATA, 16, TO), TV_BAD_CALLER);
    fake.caller.paging.cpl = 3;
    fake.caller.paging.cr3 = CR3 + PAGE_SIZE; /* another process */
    fake_map(CR3 + PAGE_SIZE, ARGS, fake_map_new(CR3 + PAGE_SIZE, SOURCE, 1, FAKE_RW), FAKE_RW);
    fake_map_new(CR3 + PAGE_SIZE, TEXT, 1, FAKE_RX);
    memcpy(fake_at(CR3 + PAGE_SIZE, TEXT), "\x0f\x01\xd9", 3);
    q.to = TO;
    memcpy(fake_at(CR3 + PAGE_SIZE, ASK), &q, sizeof(q));
    assert_int_equal(command(XMHF_HC_PAL_READ, ASK, 0), TV_NOT_FOUND);
    fake.caller.paging.cr3 = CR3;
    expect_gone();
}

#define BOTH(f) { #f, f, setup_64, NULL, NULL }, { #f " 32", f, setup_32, NULL, NULL }
int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(ping_pong), BOTH(sizes), BOTH(answers_too_long), BOTH(bad_requests), BOTH(tokens),
        BOTH(faults_everywhere), BOTH(buffers_at_the_call), BOTH(devices), BOTH(bad_return_address),
        BOTH(nested_calls), BOTH(nested_call_while_closed),
        BOTH(nested_calls_without_tls), BOTH(nested_call_before_the_request),
        BOTH(nested_call_first_free), BOTH(one_stack), BOTH(interrupted_in_between),
        BOTH(unregistered_meanwhile), BOTH(died_meanwhile), BOTH(died_while_interrupted),
        BOTH(owner_gone), BOTH(died_while_it_runs), BOTH(budget), BOTH(debug_memory),
        BOTH(debug_registers), BOTH(nobody_elses), BOTH(nonce_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
