/* SPDX-License-Identifier: MIT */
/*
 * Images of each mode, called by code of each mode, against the fake core: how arguments get from
 * one frame to the other, and results back, by a model of both frames that knows nothing of the
 * code it is compared with. Random layouts; what isn't declared must not be seen.
 */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/caller.h"
#include "hypapps/trustvisor/registry.h"

#define TEXT    0x8048000ULL
#define STACK   0x70000000ULL   /* the caller's: two pages */
#define SP      (STACK + 0x800)
#define RET     0x8041234ULL
#define ARGS    0x70010000ULL   /* descriptor: four pages */
#define BUFS    0x70020000ULL   /* 32 pages */
#define SOURCE  0x70100000ULL   /* one page of CODE */
#define STUBS   0x70110000ULL
#define RESUME  (STUBS + PAGE_SIZE - 32)
#define PARAMS  32u
#define BUFFER  24u             /* bytes of each POINTER's data */
#define ROUNDS  60u

enum { RAX, RCX, RDX, RBX, RSP_, RBP, RSI, RDI };

/* Who calls. */
static const struct caller {
    const char *name;
    unsigned bits;
    uint32_t convention;
    uint64_t cr3, cr4, efer;
} callers[] = {
    { "non-PAE", 32, XMHF_CDECL, 0x1234000, CR4_PSE, 0 },
    { "PAE", 32, XMHF_CDECL, 0x1234560, CR4_PAE, EFER_NXE },
    { "compatibility", 32, XMHF_CDECL, 0x1234000, CR4_PAE, EFER_LME | EFER_LMA },
    { "System V", 64, XMHF_SYSV, 0x1234000, CR4_PAE, EFER_LME | EFER_LMA },
    { "Microsoft", 64, XMHF_MICROSOFT, 0x1234000, CR4_PAE, EFER_LME | EFER_LMA },
};

/* Who is called, and where it is linked. */
static const struct called {
    const char *name;
    unsigned bits;
    uint32_t convention;
    uint64_t link;
    enum sandbox_mode mode;
    unsigned word;          /* bytes of its machine word ... */
    uint64_t step;          /* ... and from a section to the next one's beginning */
} pals[] = {
    { "System V", 64, XMHF_SYSV, 0x7e0000000000, SANDBOX_64, 8, 0x10000 },
    { "Microsoft", 64, XMHF_MICROSOFT, 0x123400000000, SANDBOX_64, 8, 0x10000 },
    { "cdecl", 32, XMHF_CDECL, 0xfff00000, SANDBOX_32, 4, 0x10000 },
    { "16-bit cdecl", 16, XMHF_CDECL16, 0x8ff00000, SANDBOX_16, 2, 0x10000 },
    { "pascal", 16, XMHF_PASCAL16, 0x12000, SANDBOX_16, 2, 0x20000 },
    { "one 16-bit segment", 16, XMHF_CDECL, 0x2000, SANDBOX_16, 4, 0x4000 },
};

static struct vcpu v;
static const struct caller *from;
static const struct called *to;
static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[3];
    struct xmhf_image_param params[PARAMS];
    struct xmhf_image_entry entry;
} d;
static uint64_t given[PARAMS];    /* as the caller's source has them, of 64 bits */
static unsigned pool_at_rest;
static uint64_t seed;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* --- the process ------------------------------------------------------------------- */

static uint64_t pattern(unsigned r) { return 0x1111111111111111ULL * r + 5; }

static void start(const struct caller *c, const struct called *p)
{
    from = c;
    to = p;
    machine_reset(0);
    fake_reset(&v);
    fake.caller.paging.mode = c->bits == 64 ? MODE_LONG64 : MODE_PROT32;
    fake.caller.paging.cr3 = c->cr3;
    fake.caller.paging.cr4 = c->cr4;
    fake.caller.paging.efer = c->efer;
    memcpy(fake_ram(fake_map_new(c->cr3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(c->cr3, STACK, 2, FAKE_RW);
    fake_map_new(c->cr3, ARGS, 4, FAKE_RW);
    fake_map_new(c->cr3, BUFS, PARAMS, FAKE_RW);
    fake_map_new(c->cr3, SOURCE, 1, FAKE_RW);
    fake_map_new(c->cr3, STUBS, 1, FAKE_RWX);
    pool_at_rest = fake.pool_free;
}

static void poison(void)
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = pattern(i);
    }
    v.regs.gpr[RSP_] = from->bits == 64 ? SP : 0xdeadbeef00000000 | SP;
    v.regs.rflags = 0x246;
    v.regs.rip = TEXT;
}

static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    enum hc_result r;

    poison();
    v.regs.gpr[RCX] = rcx;
    v.regs.gpr[RSI] = rsi;
    v.regs.gpr[RDI] = rdi;
    do {
        v.regs.gpr[RAX] = cmd;
        r = hypapp.hypercall(&v, cmd);
        assert_int_equal(fake.injected, FAKE_NONE);
    } while (r == HC_AGAIN);
    assert_int_equal(r, HC_DONE);
    return v.regs.gpr[RAX];
}

static uint64_t param_start(void) { return to->link + 2 * to->step; }

/* Segments of its own? With them a pointer has a selector, and each section is a segment: CODE's
 * selector is 0fh, STACK's 17h, PARAM's 1fh. */
static bool far_code(void) { return to->word == 2; }

/* What the PAL's offset means in this section. */
static uint64_t based(uint64_t start, uint64_t offset)
{
    return far_code() ? start + offset : offset;
}

/* CODE, STACK and PARAM, and one entry without parameters. */
static void describe(void)
{
    memset(&d, 0, sizeof(d));
    d.image = (struct xmhf_image){
        .version = XMHF_IMAGE_VERSION, .mode = to->bits, .convention = to->convention,
        .caller = from->convention, .stacks = 1, .sections = 3, .entries = 1, .stubs = STUBS,
    };
    d.sections[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, to->link, SOURCE };
    d.sections[1] = (struct xmhf_image_section){ TV_SECTION_STACK, 2, to->link + to->step, 0 };
    d.sections[2] = (struct xmhf_image_section){ TV_SECTION_PARAM, 1, param_start(), 0 };
    d.entry.address = to->link + 0x40;
    memset(fake_at(from->cr3, SOURCE), 0x90, PAGE_SIZE);
}

static uint64_t reg(void)
{
    uint64_t at = ARGS;
    const void *part[] = { &d.image, d.sections, d.params, &d.entry };
    const size_t size[] = { sizeof(d.image), sizeof(d.sections),
                            d.image.params * sizeof(d.params[0]), sizeof(d.entry) };

    d.entry.params = d.image.params;
    d.image.size = (uint32_t)XMHF_IMAGE_SIZE(3, d.image.params, 1);
    for (unsigned i = 0; i < 4; i++) {
        for (size_t k = 0; k < size[i]; k++) {
            *fake_at(from->cr3, at++) = ((const uint8_t *)part[i])[k];
        }
    }
    return command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, STUBS);
}

static void expect_gone(uint64_t answer)
{
    assert_int_equal(command(XMHF_HC_IMAGE_UNREGISTER, STUBS, 0, 0), answer);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

static struct xmhf_pal_stats stats(void)
{
    struct xmhf_pal_stats st;

    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, sizeof(st), STUBS), TV_OK);
    memcpy(&st, fake_at(from->cr3, BUFS), sizeof(st));
    return st;
}

/* --- the model of a frame ------------------------------------------------------------ */

/* One frame of code with this convention: places are taken in the order of the parameters. */
struct frame {
    uint32_t convention;
    unsigned word;
    uint8_t *stack;          /* the word of the return address */
    uint64_t *gpr;
    unsigned registers;      /* taken */
    unsigned bytes;          /* of the stack behind the return address */
};

static const uint8_t sysv[] = { RDI, RSI, RDX, RCX, 8, 9 }, ms[] = { RCX, RDX, 8, 9 };

static unsigned caller_word(void) { return from->bits / 8; }

/* The next value's place, if it has so many bytes; `*room`: bytes that it takes there. */
static void *place(struct frame *f, unsigned bytes, unsigned *room)
{
    const unsigned word = f->word;
    void *at;

    *room = word;
    if (f->convention == XMHF_SYSV && f->registers < 6) {
        return &f->gpr[sysv[f->registers++]];
    }
    if (f->convention == XMHF_MICROSOFT && f->registers < 4) {
        f->bytes += 8; /* its home */
        return &f->gpr[ms[f->registers++]];
    }
    *room = bytes > word ? bytes : word;
    if (f->convention == XMHF_PASCAL16) { /* from the highest down */
        f->bytes -= *room;
        return f->stack + word + f->bytes;
    }
    at = f->stack + word + f->bytes;
    f->bytes += *room;
    return at;
}

static unsigned declared(uint32_t size, unsigned word)
{
    return size == XMHF_INTEGER_WORD ? word : size & 0xff;
}

/* The value that counts of `value`, whose type has so many bytes. */
static uint64_t typed(uint64_t value, unsigned bytes, bool is_signed)
{
    switch (bytes) {
    case 1: return is_signed ? (uint64_t)(int8_t)value : (uint8_t)value;
    case 2: return is_signed ? (uint64_t)(int16_t)value : (uint16_t)value;
    case 4: return is_signed ? (uint64_t)(int32_t)value : (uint32_t)value;
    default: return value;
    }
}

/* --- random layouts -------------------------------------------------------------------- */

static void layout(void)
{
    static const uint8_t widths[] = { 0, 1, 2, 4, 8 };

    describe();
    d.image.params = (uint32_t)(random64() % (PARAMS + 1));
    for (unsigned i = 0; i < d.image.params; i++) {
        uint32_t size = widths[random64() % 5];
        if (random64() % 4 == 0) {
            d.params[i] = (struct xmhf_image_param){
                TV_PARAM_POINTER, (uint32_t)(XMHF_IN + random64() % 3), BUFFER, 0, 0,
            };
            given[i] = BUFS + i * PAGE_SIZE + random64() % (PAGE_SIZE - BUFFER);
            memset(fake_at(from->cr3, BUFS + i * PAGE_SIZE), (int)(i + 1), PAGE_SIZE);
        } else {
            size |= size != 0 && random64() % 2 ? XMHF_INTEGER_SIGNED : 0;
            d.params[i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, size, 0, 0 };
            given[i] = random64();
            if (size == XMHF_INTEGER_WORD) {
                given[i] = typed(given[i], to->word, false);
            }
        }
    }
    d.entry.result = widths[random64() % (far_code() ? 4 : 5)];
    d.entry.result |= d.entry.result != 0 && random64() % 2 ? XMHF_INTEGER_SIGNED : 0;
}

/* The process's frame: what the types leave open is garbage. */
static enum hc_result call(void)
{
    struct frame f = { from->convention, caller_word(), fake_at(from->cr3, SP), v.regs.gpr, 0, 0 };

    memset(fake_at(from->cr3, SP), 0xe7, 0x400);
    memcpy(fake_at(from->cr3, SP), &(uint64_t){ RET }, caller_word());
    poison();
    for (unsigned i = 0; i < d.image.params; i++) {
        const bool is_int = d.params[i].type == TV_PARAM_INTEGER;
        const unsigned word = caller_word();
        unsigned room, bytes = is_int ? declared(d.params[i].size, word) : word;
        uint8_t *at = place(&f, bytes, &room);

        memset(at, (int)random64(), room);
        memcpy(at, &given[i], bytes);
    }
    v.regs.rip = STUBS;
    fake.fpu = 0xf00d;
    return hypapp.hypercall(&v, (uint32_t)v.regs.gpr[RAX]);
}

static uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *p = fake_pal_at(va, &rights);

    assert_non_null(p);
    return p;
}

static uint8_t *pal_stack(void)
{
    return pal_at(based(to->link + to->step, v.regs.gpr[RSP_]));
}

static unsigned pal_bytes(const struct xmhf_image_param *p)
{
    return p->type == TV_PARAM_INTEGER ? declared(p->size, to->word)
           : far_code() ? 4 : to->word;
}

/* Of all arguments on a stack of 2-byte words. */
static unsigned all_bytes(void)
{
    unsigned bytes = 0;

    for (unsigned i = 0; i < d.image.params; i++) {
        bytes += pal_bytes(&d.params[i]) < 2 ? 2 : pal_bytes(&d.params[i]);
    }
    return bytes;
}

/* The PAL's own address of what it got for a POINTER. */
static uint64_t pointed(uint64_t is)
{
    if (far_code()) {
        assert_int_equal(is >> 16, 0x1f);
    }
    return far_code() ? param_start() + (is & 0xffff) : is;
}

/* The segments that a call begins with, and the page tables' view of their table. */
static void expect_segments(void)
{
    static const uint16_t far_selectors[] = { 0, 0x0f, 0x17, 0, 0, 0, 8 };
    static const uint16_t one[] = { 0x17, 0x0f, 0x17, 0x17, 0, 0, 8 };
    const uint16_t *selector = far_code() ? far_selectors : one;
    const struct segment *ldt = &fake.segments[SEG_LDTR];
    unsigned nested;
    uint8_t *page;
    uint64_t leaf = fake_pal_leaf(ldt->base, &nested, &page);

    for (unsigned i = 0; i < SANDBOX_OWN_SEGMENTS; i++) {
        const struct segment *s = &fake.segments[i];
        assert_int_equal(s->selector, selector[i]);
        assert_int_equal(s->attr, selector[i] == 0 ? 0 : i == SEG_LDTR ? 0x82
                                  : i == SEG_CS ? 0xfb : 0xf3);
        if (i == SEG_CS || i == SEG_SS) {
            assert_int_equal(s->base, !far_code() ? 0 : i == SEG_CS ? to->link
                                                                  : to->link + to->step);
            assert_int_equal(s->limit, i == SEG_SS && far_code() ? 0x1fff : 0xffff);
        }
    }
    assert_int_equal(ldt->limit, 0xfff);
    assert_int_equal(leaf & ~0x000ffffffffff000ULL, 0x8000000000000061); /* supervisor, read-only */
    assert_int_equal(nested, ACCESS_READ);
    assert_int_equal(page[8 + 5], 0xfb); /* CODE's descriptor */
}

/* Are all arguments where code of the PAL's convention looks for them? */
static void expect_arguments(void)
{
    struct frame f = {
        to->convention, to->word, pal_stack(), v.regs.gpr, 0,
        to->convention == XMHF_PASCAL16 ? all_bytes() : 0,
    };
    const unsigned word = to->word;

    assert_true(v.in_sandbox);
    assert_int_equal(fake.entered.mode, to->mode);
    if (to->bits == 16) {
        expect_segments();
    }
    assert_int_equal(v.regs.rip, far_code() ? 0x40 : to->link + 0x40);
    assert_int_equal((v.regs.gpr[RSP_] + word) % 16, 0);
    for (unsigned i = 0; i < d.image.params; i++) {
        const struct xmhf_image_param *p = &d.params[i];
        const bool is_int = p->type == TV_PARAM_INTEGER;
        unsigned room, theirs = declared(p->size, caller_word());
        uint64_t is = 0, value = typed(given[i], theirs, p->size & XMHF_INTEGER_SIGNED);
        uint8_t *at = place(&f, pal_bytes(p), &room);

        memcpy(&is, at, room);
        if (is_int) {
            assert_int_equal(is, typed(value, room, false));
        } else {
            is = pointed(is);
            assert_true(is >= param_start() && is + BUFFER <= param_start() + PAGE_SIZE);
            for (unsigned k = 0; k < BUFFER; k++) {
                assert_int_equal(pal_at(is)[k], p->direction & XMHF_IN ? i + 1 : 0);
                pal_at(is)[k] = (uint8_t)(0x80 + i);
            }
        }
    }
}

static void sandbox_exit(enum exit_kind kind, unsigned vector, uint64_t address)
{
    const struct exit e = {
        .kind = kind, .insn_len = 3, .exception = { .vector = vector, .addr = address },
    };

    hypapp.sandbox_exit(&v, &e);
}

static void pal_returns(uint64_t rax, uint64_t rdx)
{
    uint64_t page = 0;

    memcpy(&page, pal_stack(), to->word);
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x5ec3e75ec3e7ULL;
    }
    v.regs.gpr[RAX] = rax;
    v.regs.gpr[RDX] = rdx;
    v.regs.rip = page;
    assert_memory_equal(pal_at(based(to->link, page)), "\x0f\x01\xd9", 3);
    sandbox_exit(EXIT_HYPERCALL, 0, 0);
}

/* What the caller's convention lets a function change is `result`, `rcx` or 0, all else as at the
 * call. */
static void expect_returned(uint64_t rax, uint64_t rcx, uint64_t rdx)
{
    static const uint16_t keeps[] = { /* bits of registers, by convention */
        [XMHF_CDECL] = 0xffe8, [XMHF_SYSV] = 0xf028, [XMHF_MICROSOFT] = 0xf0e8,
    };
    const uint64_t *gpr = v.regs.gpr;

    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(gpr[RSP_], SP + from->bits / 8);
    assert_int_equal(v.regs.rflags, 0x246);
    assert_int_equal(fake.fpu, 0xf00d);
    assert_int_equal(gpr[RAX], rax);
    assert_int_equal(gpr[RCX], rcx);
    assert_int_equal(gpr[RDX], rdx);
    for (unsigned i = RBX; i < 16; i++) {
        if (i != RSP_) {
            assert_int_equal(gpr[i], keeps[from->convention] >> i & 1 ? pattern(i) : 0);
        }
    }
}

static void expect_result(uint64_t rax, uint64_t rdx)
{
    const unsigned bytes = declared(d.entry.result, to->word);
    const uint64_t whole = to->word == 8 ? rax : to->word == 4 ? (uint32_t)rax | rdx << 32
                           : (uint16_t)rax | (uint32_t)(uint16_t)rdx << 16;
    uint64_t r = typed(whole, bytes, d.entry.result & XMHF_INTEGER_SIGNED);

    if (from->bits == 64) {
        expect_returned(r, 0, 0);
    } else {
        expect_returned((uint32_t)r, 0, r >> 32);
    }
    for (unsigned i = 0; i < d.image.params; i++) {
        const bool out = d.params[i].type == TV_PARAM_POINTER && d.params[i].direction != XMHF_IN;
        for (unsigned k = 0; k < BUFFER && d.params[i].type == TV_PARAM_POINTER; k++) {
            assert_int_equal(*fake_at(from->cr3, given[i] + k), out ? 0x80 + i : i + 1);
        }
    }
}

/* --- every pair ------------------------------------------------------------------------ */

static void each_pair(void (*test)(void))
{
    for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(pals); k++) {
            start(&callers[i], &pals[k]);
            test();
        }
    }
}

/* Registers of callers that 32-bit code can't see are in expect_returned: 0xffe8 has them. */
static void random_calls(void)
{
    for (unsigned n = 0; n < ROUNDS; n++) {
        const uint64_t rax = random64(), rdx = random64();

        layout();
        assert_int_equal(reg(), TV_OK);
        for (unsigned again = 0; again < 2; again++) { /* nothing of the first is left */
            for (unsigned i = 0; i < d.image.params; i++) {
                memset(fake_at(from->cr3, BUFS + i * PAGE_SIZE), (int)(i + 1), PAGE_SIZE);
            }
            assert_int_equal(call(), HC_SWITCHED);
            expect_arguments();
            pal_returns(rax, rdx);
            expect_result(rax, rdx);
        }
        expect_gone(TV_OK);
    }
}

static void test_calls(void **state)
{
    (void)state;
    seed = 0x9e3779b97f4a7c15;
    print_message("seed 0x%llx\n", (unsigned long long)seed);
    each_pair(random_calls);
}

/* Images as there were before widths were declared: words pass as they are, bit for bit, where the
 * widths agree. */
static void words(void)
{
    if (from->bits != to->bits) { /* of 16 bits nobody's do */
        return;
    }
    describe();
    d.image.params = 9;
    for (unsigned i = 0; i < 9; i++) {
        d.params[i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
        given[i] = from->bits == 64 ? random64() : (uint32_t)random64();
    }
    assert_int_equal(reg(), TV_OK);
    call();
    expect_arguments();
    pal_returns(0xfeedfacecafebabe, 0x1234);
    expect_returned(from->bits == 64 ? 0xfeedfacecafebabe : 0xcafebabe, 0, 0);
    expect_gone(TV_OK);
}

static void test_words(void **state)
{
    (void)state;
    seed = 7;
    each_pair(words);
}

/* A word of a 64-bit caller that a narrower PAL has no room for: the call isn't begun. */
static void too_large(void)
{
    const bool fits = 8 * to->word >= from->bits;

    describe();
    d.image.params = 2;
    d.params[0] = d.params[1] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
    given[0] = typed(~0ULL, to->word, false);
    given[1] = given[0] + 1; /* of the caller's word as well, if that is as wide */
    assert_int_equal(reg(), TV_OK);
    call();
    if (fits) {
        expect_arguments();
        pal_returns(1, 0);
        expect_returned(1, 0, 0);
    } else {
        expect_returned(0, XMHF_STATUS_BAD_VALUE, 0);
        given[1] = 0;
        call();
        expect_arguments();
        pal_returns(1, 0);
        expect_returned(1, 0, 0);
        assert_int_equal(stats().calls, 1);
    }
    expect_gone(TV_OK);
}

static void test_too_large(void **state)
{
    (void)state;
    each_pair(too_large);
}

/* A count that is declared to have 4 bytes counts, whatever is above it in a register. */
static void counted(void)
{
    describe();
    d.image.params = 2;
    d.params[0] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 4, 0, 0 };
    d.params[1] = (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_OUT, BUFFER, 1, 1 };
    given[0] = 3;
    given[1] = BUFS + PAGE_SIZE;
    memset(fake_at(from->cr3, BUFS + PAGE_SIZE), 9, PAGE_SIZE);
    assert_int_equal(reg(), TV_OK);
    call();
    assert_true(v.in_sandbox);
    *pal_at(param_start()) = 0x55;
    pal_returns(0, 0);
    expect_returned(0, 0, 0);
    assert_memory_equal(fake_at(from->cr3, BUFS + PAGE_SIZE), "\x55\0\0\x09", 4);
    given[0] = 0x80000000;
    call();
    expect_returned(0, XMHF_STATUS_BAD_COUNT, 0);
    expect_gone(TV_OK);
}

static void test_counted(void **state)
{
    (void)state;
    seed = 9;
    each_pair(counted);
}

/* What 16-bit code may have done meanwhile: FS is PARAM's segment, or the data's, ES null. */
static void load_segments(void)
{
    if (to->bits == 16) {
        fake.segments[SEG_FS].selector = far_code() ? 0x1f : 0x17;
        fake.segments[SEG_ES].selector = 3;
    }
}

static void expect_loaded(void)
{
    const struct segment *s = fake.segments;

    if (to->bits == 16) {
        assert_int_equal(s[SEG_FS].selector, far_code() ? 0x1f : 0x17);
        assert_int_equal(s[SEG_FS].attr, 0xf3);
        assert_int_equal(s[SEG_FS].base, far_code() ? param_start() : 0);
        assert_int_equal(s[SEG_ES].selector, 3);
        assert_int_equal(s[SEG_ES].attr, 0);
        assert_int_equal(s[SEG_CS].selector, 0x0f);
        assert_int_equal(s[SEG_SS].selector, 0x17);
        assert_int_equal(s[SEG_LDTR].attr, 0x82);
    }
}

/* An interrupt in the middle: the token is in the registers of the caller's width. */
static void interrupted(void)
{
    struct vcpu_regs pal;

    describe();
    d.entry.result = far_code() ? 4 : 8;
    assert_int_equal(reg(), TV_OK);
    call();
    load_segments();
    v.regs.gpr[13] = 0x1234567812345678;
    pal = v.regs;
    sandbox_exit(EXIT_INTR, 0, 0);
    assert_false(v.in_sandbox);
    assert_int_equal(v.regs.rip, RESUME);
    assert_int_equal((uint32_t)v.regs.gpr[RSP_], SP);
    assert_int_equal(v.regs.gpr[13], from->bits == 64 ? 0 : pattern(13));
    if (from->bits == 32) {
        assert_int_equal((v.regs.gpr[RAX] | v.regs.gpr[RDX] | v.regs.gpr[RCX] | v.regs.gpr[RBX])
                         >> 32, 0);
    }
    fake.os_fpu = fake.fpu = 0xf00d;
    memset(fake.segments, 0x77, sizeof(fake.segments));
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
    expect_loaded();
    assert_memory_equal(v.regs.gpr, pal.gpr, sizeof(pal.gpr));
    assert_int_equal(fake.entered.mode, to->mode);
    pal_returns(0x1122334455667788, 0x99aabbcc);
    expect_result(0x1122334455667788, 0x99aabbcc);
    expect_gone(TV_OK);
}

static void test_interrupted(void **state)
{
    (void)state;
    each_pair(interrupted);
}

/* Deaths: section, offset and address, as wide as the PAL's. */
static void death(void)
{
    const uint64_t touched = to->link + 0x54321, page = touched & ~(uint64_t)0xfff;
    struct xmhf_pal_stats st;

    describe();
    assert_int_equal(reg(), TV_OK);
    call();
    v.regs.rip = far_code() ? 0x44 : to->link + 0x44;
    sandbox_exit(EXIT_EXCEPTION, 14, touched);
    expect_returned(from->bits == 64 ? page : (uint32_t)page, TV_DEATH_EXCEPTION | 14 << 8, 0x44);
    st = stats();
    assert_int_equal(st.address, page);
    assert_int_equal(st.section, 0);
    assert_int_equal(st.offset, 0x44);
    call(); /* the stub tells it once more */
    assert_int_equal(v.regs.gpr[RAX], from->bits == 64 ? page : (uint32_t)page);
    assert_int_equal(v.regs.gpr[RDX], 0x44);
    expect_gone(TV_NOT_FOUND);
}

static void test_death(void **state)
{
    (void)state;
    each_pair(death);
}

/* An ocall: the PAL's addresses are its own mode's, the token the caller's. */
static void ocall(void)
{
    const uint64_t at = BUFS + 64, buffer = to->link + to->step + 0x10;
    const struct xmhf_ocall *told = (void *)fake_at(from->cr3, at);
    struct vcpu_regs pal;

    describe();
    d.image.params = 1;
    d.entry.result = 4;
    d.params[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, 64, 0, 0 };
    given[0] = at;
    assert_int_equal(reg(), TV_OK);
    call();
    assert_true(v.in_sandbox);
    memcpy(pal_at(buffer), "question", 8);
    pal = v.regs;
    v.regs.gpr[RAX] = XMHF_HC_OCALL;
    v.regs.gpr[RCX] = 77;
    v.regs.gpr[RDX] = far_code() ? 0xdead00000017ULL << 16 | 0x10 : buffer;
    v.regs.gpr[RSI] = 8;
    v.regs.gpr[RDI] = 64;
    sandbox_exit(EXIT_HYPERCALL, 0, 0);
    expect_returned(0, XMHF_STATUS_OCALL, 0);
    assert_int_equal(told->function, 77);
    assert_memory_equal(told + 1, "question", 8);
    poison();
    v.regs.rip = RESUME;
    v.regs.gpr[RAX] = told->token[0];
    v.regs.gpr[RDX] = told->token[1];
    if (from->bits == 32) {
        v.regs.gpr[RAX] = (uint32_t)told->token[0];
        v.regs.gpr[RDX] = told->token[0] >> 32;
        v.regs.gpr[RCX] = (uint32_t)told->token[1];
        v.regs.gpr[RBX] = told->token[1] >> 32;
    }
    memcpy(fake_at(from->cr3, at + 20), &(uint32_t){ 3 }, 4);
    memcpy(fake_at(from->cr3, at + 24), "yes", 3);
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
    assert_int_equal(v.regs.gpr[RAX], 3);
    assert_int_equal(v.regs.gpr[RSP_], pal.gpr[RSP_]);
    assert_memory_equal(pal_at(buffer), "yes", 3);
    pal_returns(0x1122334455667788, 0x99aabbcc);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[RSP_], SP + from->bits / 8);
    expect_gone(TV_OK);
}

static void test_ocall(void **state)
{
    (void)state;
    each_pair(ocall);
}

/* The identity is that of the file: the same whoever calls, and another one in another mode. */
static void test_identity(void **state)
{
    uint8_t id[ARRAY_SIZE(pals)][32];

    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(pals); k++) {
        for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
            struct called same = pals[k];
            struct xmhf_pal_stats st;

            same.link = same.word == 4 && same.bits == 16 ? same.link : 0x10000000;
            start(&callers[i], &same);
            describe();
            assert_int_equal(reg(), TV_OK);
            st = stats();
            if (i == 0) {
                memcpy(id[k], st.identity, 32);
            }
            assert_memory_equal(st.identity, id[k], 32);
            expect_gone(TV_OK);
        }
        for (unsigned other = 0; other < k; other++) {
            assert_memory_not_equal(id[k], id[other], 32);
        }
    }
}

/* --- refusals ---------------------------------------------------------------------------- */

#define BAD(error, change) do { describe(); change; assert_int_equal(reg(), error); } while (0)

static void refusals(void)
{
    const uint64_t end = to->bits == 64 ? 1ULL << 47 : 1ULL << 32;

    BAD(TV_BAD_MODE, d.image.mode = 0);
    BAD(TV_BAD_MODE, d.image.mode = 48);
    BAD(TV_BAD_CONVENTION, d.image.convention = to->bits == 64 ? XMHF_CDECL : XMHF_SYSV);
    BAD(TV_BAD_CONVENTION, d.image.convention = 0);
    if (to->bits != 16) {
        BAD(TV_BAD_CONVENTION, d.image.convention = XMHF_CDECL16);
        BAD(TV_BAD_CONVENTION, d.image.convention = XMHF_PASCAL16);
        BAD(TV_BAD_FLAGS, d.image.flags = XMHF_IMAGE_TILED);
    } else {
        BAD(TV_SEGMENT_SIZE, d.sections[0].pages = 16; d.sections[1].address += 0x100000;
            d.sections[2].address += 0x100000 - PAGE_SIZE);
    }
    BAD(TV_BAD_CONVENTION, d.image.caller = from->bits == 64 ? XMHF_CDECL : XMHF_SYSV);
    BAD(TV_BAD_CONVENTION, d.image.caller = XMHF_PASCAL16);
    BAD(TV_BAD_SIZE, d.sections[2].address = end);
    BAD(TV_BAD_SIZE, d.sections[2].address = end - PAGE_SIZE; d.sections[2].pages = 2);
    BAD(TV_BAD_SIZE, d.sections[2].address = 0xffff800000000000);
    BAD(TV_BAD_SIZE, d.sections[2].address = -PAGE_SIZE);
    BAD(TV_BAD_SIZE, d.sections[0].source = from->bits == 64 ? 1ULL << 47 : 1ULL << 32);
    BAD(TV_IMAGE_ENTRIES, d.entry.address = to->link + PAGE_SIZE);
    BAD(TV_IMAGE_ENTRIES, d.entry.address = to->link - 1);
    BAD(TV_IMAGE_ENTRIES, d.entry.address = SOURCE);
    BAD(TV_BAD_INTEGER, d.entry.result = 5);
    BAD(TV_BAD_INTEGER, d.image.params = 1;
        d.params[0] = ((struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 16, 0, 0 }));
    BAD(TV_PARAMS_TOO_BIG, d.image.params = 1;
        d.params[0] = ((struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_IN, 4097, 0, 0 }));
    assert_int_equal(fake.pool_free, pool_at_rest);
    describe();
    fake.caller.paging.cr0 &= ~CR0_PG;
    if (from->bits == 32) {
        assert_int_equal(reg(), TV_BAD_CALLER);
    }
    fake.caller.paging.mode = MODE_REAL; /* and virtual-8086 */
    assert_int_equal(reg(), TV_BAD_CALLER);
    fake.caller.paging.mode = MODE_PROT16;
    assert_int_equal(reg(), TV_BAD_CALLER);
}

static void test_refusals(void **state)
{
    (void)state;
    each_pair(refusals);
}

/* Who doesn't say what its convention is: the PAL's, if it can be that. */
static void test_default_caller(void **state)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_SIZE(pals); k++) {
        struct caller c = callers[3];

        if (pals[k].convention == XMHF_MICROSOFT) {
            c = callers[4];
        }
        start(&c, &pals[k]);
        describe();
        d.image.caller = 0;
        d.image.params = 3;
        for (unsigned i = 0; i < 3; i++) {
            d.params[i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
            given[i] = 100 + i;
        }
        assert_int_equal(reg(), TV_OK);
        call();
        expect_arguments();
        pal_returns(5, 0);
        expect_returned(5, 0, 0);
        expect_gone(TV_OK);
    }
}

/* The query tells the modes, and they are those that are taken. */
static void test_query(void **state)
{
    struct xmhf_pal_limits l;

    (void)state;
    start(&callers[0], &pals[0]);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, sizeof(l), 0), TV_OK);
    memcpy(&l, fake_at(from->cr3, BUFS), sizeof(l));
    for (unsigned bits = 16; bits <= 64; bits *= 2) {
        const uint32_t bit = bits == 16 ? XMHF_FEATURE_MODE_16
                             : bits == 32 ? XMHF_FEATURE_MODE_32 : XMHF_FEATURE_MODE_64;
        describe();
        d.image.mode = bits;
        d.image.convention = 0;
        assert_int_equal(reg(), l.features & bit ? TV_BAD_CONVENTION : TV_NO_MODE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls), cmocka_unit_test(test_words),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_counted),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_death),
        cmocka_unit_test(test_ocall), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_default_caller),
        cmocka_unit_test(test_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
