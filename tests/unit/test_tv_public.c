/* SPDX-License-Identifier: MIT */
/* The fine print of the public TrustVisor ABI, for 64-bit and 32-bit callers: what is in the PARAM
 * section and on the PAL's stack, and what a registration may ask for. */
#include "unit.h"

#include "fake/fake_core.h"
#include "fake/machine.h"
#include "hypapps/trustvisor/check.h"
#include "hypapps/trustvisor/pal.h"

#define CR3    0x1234000ULL
#define BASE   0x40560000ULL    /* CODE, DATA, STACK, one page each; PARAM */
#define PARAM  (BASE + 3 * PAGE_SIZE)
#define SHARED 0x41000000ULL    /* SHARED_CODE: the caller's text, which it can't write */
#define ENTRY  (BASE + 0x100)
#define STACK  0x7ffd0000ULL    /* the caller's own stack page */
#define ARGS   0x70010000ULL    /* page with the descriptors */
#define BUFS   0x70020000ULL    /* 16 pages for pointers */
#define TEXT   0x8048000ULL     /* page with a hypercall instruction */
#define SP     (STACK + 0x800)
#define RET    0x8041234ULL

static const uint32_t types[4] = {
    TV_SECTION_CODE, TV_SECTION_DATA, TV_SECTION_STACK, TV_SECTION_PARAM,
};

static struct vcpu v;
static struct tv_pal_sections *sections;
static struct tv_pal_params *params;
static bool is_64;
static unsigned word, pool_at_rest;
static uint64_t seed = 0x7091;

/* --- a process ------------------------------------------------------------------ */

static void fill(uint64_t va, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++) {
        *fake_at(CR3, va + i) = (uint8_t)unit_random(&seed);
    }
}

static void start(bool code_64, unsigned param_pages)
{
    is_64 = code_64;
    word = is_64 ? 8 : 4;
    machine_reset(0);
    fake_reset(&v);
    fake.caller.paging.mode = is_64 ? MODE_LONG64 : MODE_PROT32;
    fake.caller.paging.cr3 = CR3;
    memcpy(fake_ram(fake_map_new(CR3, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    fake_map_new(CR3, STACK, 1, FAKE_RW);
    fake_map_new(CR3, ARGS, 1, FAKE_RW);
    fake_map_new(CR3, BUFS, 16, FAKE_RW);
    fake_map_new(CR3, BASE, 3 + param_pages, FAKE_RWX);
    fill(BASE, (3 + param_pages) * PAGE_SIZE);
    fill(ARGS, PAGE_SIZE); /* the structures' padding holds anything */
    sections = (struct tv_pal_sections *)(void *)fake_at(CR3, ARGS);
    params = (struct tv_pal_params *)(void *)fake_at(CR3, ARGS + 0x800);
    sections->num_sections = 4;
    for (unsigned i = 0; i < 4; i++) {
        sections->sections[i] =
            (struct tv_pal_section){ types[i], i == 3 ? param_pages : 1, BASE + i * PAGE_SIZE };
    }
    params->num_params = 1;
    params->params[0].type = TV_PARAM_INTEGER;
    pool_at_rest = fake.pool_free;
}

static void in_both_widths(void (*test)(void))
{
    for (unsigned i = 0; i < 2; i++) {
        start(i == 0, 1);
        test();
        assert_int_equal(fake.pool_free, pool_at_rest);
    }
}

static void poison(uint64_t rip)
{
    for (unsigned i = 0; i < 16; i++) {
        v.regs.gpr[i] = 0x1111111111111111ULL * i + 5;
    }
    v.regs.gpr[GPR_RSP] = SP;
    v.regs.rflags = 0x246;
    v.regs.rip = rip;
}

/* What 32-bit code writes to a register doesn't say what is in its other half. */
static uint64_t reg_value(uint64_t value) { return is_64 ? value : value | 0xdead000000000000; }

/* As a guest does it: again as long as it is told to, faults resolved. No register but RAX has
 * changed in the end. ~0: SIGSEGV. */
static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    struct vcpu_regs before;

    poison(TEXT);
    v.regs.gpr[GPR_RAX] = 0xabcdef0000000000 | cmd; /* the upper half doesn't count */
    v.regs.gpr[GPR_RCX] = reg_value(rcx);
    v.regs.gpr[GPR_RSI] = reg_value(rsi);
    v.regs.gpr[GPR_RDI] = reg_value(rdi);
    before = v.regs;
    for (unsigned i = 0; i < 10000; i++) {
        if (hypapp.hypercall(&v, cmd) == HC_DONE) {
            uint64_t rax = v.regs.gpr[GPR_RAX];
            v.regs.gpr[GPR_RAX] = before.gpr[GPR_RAX];
            assert_memory_equal(&v.regs, &before, sizeof(before));
            assert_int_equal(fake.injected, FAKE_NONE);
            return rax;
        }
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

static uint64_t reg(void) { return command(TV_HC_REG, ARGS, ARGS + 0x800, ENTRY); }
static uint64_t unreg(void) { return command(TV_HC_UNREG, ENTRY, 0, 0); }

/* --- calls ---------------------------------------------------------------------- */

static const enum gpr arg_gpr[6] = { GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9 };

static unsigned in_registers(void) { return is_64 ? 6 : 0; }

static void call_at(uint64_t entry, const uint64_t *args, unsigned n)
{
    poison(entry);
    memcpy(fake_at(CR3, SP), &(uint64_t){ RET }, word);
    for (unsigned i = 0; i < n; i++) {
        if (i < in_registers()) {
            v.regs.gpr[arg_gpr[i]] = args[i];
        } else {
            memcpy(fake_at(CR3, SP + word * (1 + i - in_registers())), &args[i], word);
        }
    }
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
}

/* Every argument, in whatever register a convention has it; those on the stack are there. */
static void call_any(uint64_t arg)
{
    const uint64_t args[6] = { arg, arg, arg, arg, arg, arg };

    call_at(ENTRY, args, in_registers());
}

static void call(const uint64_t *args, unsigned n) { call_at(ENTRY, args, n); }

static uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *p = fake_pal_at(va, &rights);

    assert_non_null(p);
    return p;
}

/* A word of the PAL's memory that may cross a page. */
static uint64_t pal_word(uint64_t va, unsigned bytes)
{
    uint64_t w = 0;

    for (unsigned i = 0; i < bytes; i++) {
        w |= (uint64_t)*pal_at(va + i) << 8 * i;
    }
    return w;
}

static void pal_returns(uint64_t rax)
{
    const struct exit e = { .kind = EXIT_HYPERCALL, .insn_len = 3 };

    v.regs.rip = pal_word(v.regs.gpr[GPR_RSP], word);
    v.regs.gpr[GPR_RAX] = rax;
    hypapp.sandbox_exit(&v, &e);
    assert_false(v.in_sandbox);
    assert_int_equal(fake.injected, FAKE_NONE);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[GPR_RAX], is_64 ? rax : (uint32_t)rax);
    assert_int_equal(v.regs.gpr[GPR_RSP], SP + word);
}

/* --- the PARAM section ---------------------------------------------------------- */

/* Where argument `i` arrives in the PAL. */
static uint64_t delivered(unsigned i)
{
    return i < in_registers()
               ? v.regs.gpr[arg_gpr[i]]
               : pal_word(v.regs.gpr[GPR_RSP] + word * (1 + i - in_registers()), word);
}

/* Take a word of 64 bits, whatever the PAL's are. */
static void expect_word(uint64_t *at, uint64_t w)
{
    assert_int_equal(pal_word(*at, 8), w);
    *at += 8;
}

/* Where the PAL's stack begins: behind `slots` words of arguments and the return address, from the
 * page's end less 16, so that the arguments are at a multiple of 16. */
static uint64_t first_sp(unsigned slots)
{
    return align_down(BASE + 3 * PAGE_SIZE - 16 - word * slots, 16) - word;
}

/* The block from offset 0x10 on, as the ABI says: how many; then, the last parameter first, type,
 * size in bytes, the caller's word, data. No gaps. And the stack. */
static void expect_area(const uint64_t *args, unsigned n)
{
    const unsigned on_stack = n > in_registers() ? n - in_registers() : 0;
    uint64_t at = PARAM + 0x10;

    assert_int_equal(v.regs.gpr[GPR_RSP], first_sp(on_stack));
    assert_int_equal((v.regs.gpr[GPR_RSP] + word) % 16, 0);
    expect_word(&at, n);
    for (unsigned i = n; i-- > 0;) {
        const struct tv_pal_param *p = &params->params[i];
        expect_word(&at, p->type);
        expect_word(&at, p->size * word);
        expect_word(&at, args[i]);
        assert_int_equal(delivered(i), p->type == TV_PARAM_POINTER ? at : args[i]);
        for (uint64_t k = 0; p->type == TV_PARAM_POINTER && k < p->size * word; k++) {
            assert_int_equal(*pal_at(at++), *fake_at(CR3, args[i] + k));
        }
    }
    assert_true(at <= PARAM + sections->sections[3].page_num * PAGE_SIZE);
}

/* Nothing is copied for a pointer without length: it may be anything. */
static uint64_t wild(void)
{
    static const uint64_t some[] = {
        0, 1, 0xfffff000, 0xffffffff, 0x8000000000000000, 0xffff888000000000, UINT64_MAX,
    };
    uint64_t a = some[unit_below(&seed, ARRAY_SIZE(some))];

    return is_64 ? a : (uint32_t)a;
}

/* Parameters as `mask` says, with random sizes that `room` bytes have place for, and arguments. */
static void choose(unsigned n, unsigned mask, uint64_t room, uint64_t *args)
{
    uint64_t at = BUFS + unit_below(&seed, 32);

    params->num_params = n;
    for (unsigned i = 0; i < n; i++) {
        struct tv_pal_param *p = &params->params[i];
        p->type = mask >> i & 1 ? TV_PARAM_POINTER : TV_PARAM_INTEGER;
        p->size = unit_random(&seed) % 1000;
        args[i] = is_64 ? unit_random(&seed) : (uint32_t)unit_random(&seed);
        if (mask >> i & 1) {
            p->size = unit_below(&seed, 3) ? unit_below(&seed, room / word / 2 + 1) : 0;
            args[i] = p->size ? at : wild();
            at += p->size * word + unit_below(&seed, 20);
            room -= p->size * word;
        }
    }
}

static void every_mix(void)
{
    for (unsigned n = 1; n <= 10; n++) {
        const uint64_t steps = n < 6 ? 1 : 1u << (n - 3);
        for (unsigned mask = 0; mask < 1u << n; mask += 1 + (unsigned)unit_below(&seed, steps)) {
            uint64_t args[10];
            choose(n, mask, PAGE_SIZE - 0x18 - 24 * n, args);
            fill(BUFS, 2 * PAGE_SIZE);
            assert_int_equal(reg(), TV_OK);
            call(args, n);
            expect_area(args, n);
            pal_returns(unit_random(&seed));
            assert_int_equal(unreg(), TV_OK);
        }
    }
}

static void test_every_mix(void **state) { (void)state; in_both_widths(every_mix); }

/* A PAL of the module interface, with these parameters: those of `mask` are POINTERs. */
static uint64_t reg_module(uint32_t convention, unsigned n, uint32_t mask)
{
    struct xmhf_module *d = (void *)fake_at(CR3, ARGS);

    *d = (struct xmhf_module){
        .size = sizeof(*d), .version = XMHF_MODULE_VERSION, .convention = convention, .stacks = 1,
        .sections = 4, .params = n, .entries = 1, .entry = { { ENTRY, 0, n } },
    };
    for (unsigned i = 0; i < 4; i++) {
        d->section[i] = (struct xmhf_module_section){ types[i], 0, 1, BASE + i * PAGE_SIZE };
    }
    for (unsigned i = 0; i < n; i++) {
        bool pointer = mask >> i & 1;
        d->param[i] = (struct xmhf_module_param){
            pointer ? TV_PARAM_POINTER : TV_PARAM_INTEGER, pointer ? XMHF_INOUT : XMHF_IN,
            pointer ? unit_below(&seed, 100) : 0,
        };
    }
    return command(XMHF_HC_MODULE_REGISTER, ARGS, 0, ENTRY);
}

/* The stack of a PAL that has just been entered, with `slots` words behind its return address. */
static void expect_aligned(unsigned slots)
{
    const uint64_t sp = v.regs.gpr[GPR_RSP];

    assert_int_equal((sp + word) % 16, 0);
    assert_true(sp >= BASE + 2 * PAGE_SIZE && sp + word * (1 + slots) <= BASE + 3 * PAGE_SIZE);
}

static void align_module(uint32_t convention)
{
    for (unsigned n = 0; n <= XMHF_MODULE_PARAMS; n++) {
        for (unsigned round = 0; round < 4; round++) {
            uint32_t mask = round == 0 ? 0 : round == 1 ? ~0u : (uint32_t)unit_random(&seed);
            const uint64_t arg = BUFS + 8 * unit_below(&seed, 64);
            for (unsigned i = 0; i < XMHF_MODULE_PARAMS; i++) {
                memcpy(fake_at(CR3, SP + word * (1 + i)), &arg, word);
            }
            assert_int_equal(reg_module(convention, n, mask), TV_OK);
            call_any(arg);
            expect_aligned(convention == XMHF_MICROSOFT ? (n > 4 ? n : 4)
                           : n > in_registers() ? n - in_registers() : 0);
            pal_returns(n);
            assert_int_equal(unreg(), TV_OK);
        }
    }
}

static void align_in_width(void)
{
    align_module(is_64 ? XMHF_SYSV : XMHF_CDECL);
    if (is_64) {
        align_module(XMHF_MICROSOFT);
    }
}

/* By the module interface; expect_area looks at those of the public ABI. */
static void test_stack_alignment(void **state) { (void)state; in_both_widths(align_in_width); }

/* No two free pages of the pool side by side. */
static void scatter_pool(void)
{
    void *pages[100];

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        pages[i] = pool_alloc();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i += 2) {
        pool_free(pages[i]);
    }
    pool_at_rest = fake.pool_free;
}

/* A header that begins in one page and ends in the next one. */
static void test_split_headers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned before = 0; before <= 32; before += word) {
            uint64_t args[3] = { 0x1111111111, BUFS + 3, 0 };
            start(i == 0, 2);
            scatter_pool();
            args[0] = is_64 ? args[0] : 0x2222222;
            params->num_params = 2;
            params->params[0] = (struct tv_pal_param){ TV_PARAM_INTEGER, 0, 77 };
            params->params[1] =
                (struct tv_pal_param){ TV_PARAM_POINTER, 0, (PAGE_SIZE - 0x30 - before) / word };
            assert_int_equal(reg(), TV_OK);
            call(args, 2);
            expect_area(args, 2);
            pal_returns(1);
            assert_int_equal(unreg(), TV_OK);
            assert_int_equal(fake.pool_free, pool_at_rest);
        }
    }
}

/* Over several pages. */
static void test_large_area(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        const unsigned n = 1 + (unsigned)unit_below(&seed, 10);
        uint64_t args[10];
        start(round % 2 == 0, 5);
        scatter_pool();
        choose(n, (unsigned)unit_random(&seed), 5 * PAGE_SIZE - 0x18 - 24 * n, args);
        fill(BUFS, 8 * PAGE_SIZE);
        assert_int_equal(reg(), TV_OK);
        call(args, n);
        expect_area(args, n);
        pal_returns(round);
        assert_int_equal(unreg(), TV_OK);
        assert_int_equal(fake.pool_free, pool_at_rest);
    }
}

/* With each number of parameters: all sizes that fit, not one word more. */
static void sizes(void)
{
    for (unsigned n = 1; n <= 10; n++) {
        const uint64_t most = (PAGE_SIZE - 0x18 - 24 * n) / word;
        params->num_params = n;
        for (uint64_t w = 0; w <= most + 2; w++) {
            struct tv_public_lists lists;
            struct tv_image im = {
                .sections = lists.sections, .params = lists.params, .entries = lists.entries,
            };
            for (unsigned i = 0; i < n; i++) {
                params->params[i].type = i == w % n ? TV_PARAM_POINTER : TV_PARAM_INTEGER;
                params->params[i].size = i == w % n ? w : UINT64_MAX;
            }
            assert_int_equal(tv_check(sections, params, ENTRY, is_64, &im),
                             w <= most ? TV_OK : TV_PARAMS_TOO_BIG);
        }
    }
}

static void test_sizes(void **state) { (void)state; in_both_widths(sizes); }

/* Two buffers that overlap: copied back last one first, so that the first one wins. */
static void aliases(void)
{
    uint64_t args[3] = { BUFS + 8, BUFS, BUFS + 16 };

    params->num_params = 3;
    for (unsigned i = 0; i < 3; i++) {
        params->params[i] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 16 / word };
    }
    assert_int_equal(reg(), TV_OK);
    call(args, 3);
    for (unsigned i = 0; i < 3; i++) {
        memset(pal_at(delivered(i)), (int)(0xa0 + i), 16);
    }
    pal_returns(0);
    assert_memory_equal(fake_at(CR3, BUFS),
                        "\xa1\xa1\xa1\xa1\xa1\xa1\xa1\xa1" "\xa0\xa0\xa0\xa0\xa0\xa0\xa0\xa0"
                        "\xa0\xa0\xa0\xa0\xa0\xa0\xa0\xa0" "\xa2\xa2\xa2\xa2\xa2\xa2\xa2\xa2", 32);
    assert_int_equal(unreg(), TV_OK);
}

static void test_aliases(void **state) { (void)state; in_both_widths(aliases); }

/* --- sections ------------------------------------------------------------------- */

static void add_section(uint32_t type, uint64_t start_at, unsigned pages)
{
    sections->sections[sections->num_sections++] =
        (struct tv_pal_section){ type, pages, start_at };
}

/* Ten of them in any order; of STACK and PARAM the first ones count, the others are memory. */
static void ten_sections(void)
{
    uint64_t args[2] = { 5, BUFS };

    params->num_params = 2;
    params->params[1] = (struct tv_pal_param){ TV_PARAM_POINTER, 0, 3 };
    for (unsigned i = 0; i < 6; i++) {
        add_section(i == 0 ? TV_SECTION_CODE : types[i % 3 + 1], BASE + (16 + i) * PAGE_SIZE, 1);
        fake_map_new(CR3, BASE + (16 + i) * PAGE_SIZE, 1, FAKE_RWX);
        fill(BASE + (16 + i) * PAGE_SIZE, PAGE_SIZE);
    }
    for (unsigned round = 0; round < 24; round++) {
        /* Any order that keeps the first STACK and PARAM before the others: the four rotate. */
        struct tv_pal_section first = sections->sections[0];
        memmove(sections->sections, sections->sections + 1, 3 * sizeof(first));
        sections->sections[3] = first;
        assert_int_equal(reg(), TV_OK);
        call(args, 2);
        for (unsigned k = 0; k < 6; k++) {
            unsigned rights;
            assert_non_null(fake_pal_at(BASE + (16 + k) * PAGE_SIZE, &rights));
            assert_int_equal(rights, k == 0 ? FAKE_RX : FAKE_RW);
        }
        expect_word(&(uint64_t){ PARAM + 0x10 }, 2);
        assert_int_equal(v.regs.gpr[GPR_RSP], first_sp(is_64 ? 0 : 2));
        pal_returns(round);
        assert_int_equal(unreg(), TV_OK);
        assert_int_equal(*fake_at(CR3, BASE + 17 * PAGE_SIZE), 0); /* DATA */
    }
}

static void test_ten_sections(void **state) { (void)state; in_both_widths(ten_sections); }

/* A section without pages is as if it weren't there. */
static void empty_sections(void)
{
    uint64_t arg = 3;

    for (unsigned i = 0; i < 5; i++) {
        add_section(TV_SECTION_CODE + i, BASE + (i < 3 ? i : 100) * PAGE_SIZE, 0);
    }
    assert_int_equal(reg(), TV_OK);
    call(&arg, 1);
    expect_area(&arg, 1);
    pal_returns(1);
    assert_int_equal(unreg(), TV_OK);
    sections->sections[4].start_addr += 8;
    assert_int_equal(reg(), TV_MISALIGNED);
    sections->sections[4].start_addr -= 8;
    for (unsigned i = 0; i < 4; i++) {
        static const enum tv_error missing[] = { TV_NO_CODE, TV_OK, TV_NO_STACK, TV_NO_PARAM };
        sections->sections[i].page_num = 0;
        assert_int_equal(reg(), missing[i]);
        if (missing[i] == TV_OK) {
            assert_int_equal(unreg(), TV_OK);
        }
        sections->sections[i].page_num = 1;
    }
}

static void test_empty_sections(void **state) { (void)state; in_both_widths(empty_sections); }

/* --- SHARED_CODE ---------------------------------------------------------------- */

static void expect_shared_copy(unsigned pages, const uint8_t *was)
{
    for (unsigned i = 0; i < pages; i++) {
        unsigned rights;
        uint8_t *copy = fake_pal_at(SHARED + i * PAGE_SIZE, &rights);
        assert_non_null(copy);
        assert_int_equal(rights, FAKE_RX);
        assert_memory_equal(copy, was + i * PAGE_SIZE, PAGE_SIZE);
    }
}

/* The process goes on using it, whatever happens to the PAL; what it does there the PAL doesn't
 * see. It needn't be able to write it. */
static void shared_code(unsigned pages)
{
    static uint8_t was[200 * PAGE_SIZE];
    uint64_t arg = 3;

    add_section(TV_SECTION_SHARED_CODE, SHARED, pages);
    fake_map_new(CR3, SHARED, pages, FAKE_RX);
    fill(SHARED, pages * PAGE_SIZE);
    memcpy(was, fake_at(CR3, SHARED), pages * PAGE_SIZE);
    fake_absent(CR3, SHARED + (pages - 1) * PAGE_SIZE);
    assert_int_equal(reg(), TV_OK);
    assert_memory_equal(fake_at(CR3, SHARED), was, pages * PAGE_SIZE);
    *fake_at(CR3, SHARED) ^= 1;
    call(&arg, 1);
    expect_shared_copy(pages, was);
    pal_returns(1);
    was[0] ^= 1;
    fake_unmap(CR3, SHARED + PAGE_SIZE); /* it may even go */
    assert_int_equal(unreg(), TV_OK);
    assert_memory_equal(fake_at(CR3, SHARED), was, PAGE_SIZE);
}

static void few_shared(void) { shared_code(2); }
static void many_shared(void) { shared_code(200); }

static void test_shared_code(void **state)
{
    (void)state;
    in_both_widths(few_shared);
    in_both_widths(many_shared);
}

/* Two PALs may have it, and pages of it may be the same memory, as KSM makes them. */
static void shared_twice(void)
{
    const uint64_t other = BASE + 64 * PAGE_SIZE;
    uint64_t arg = 3;

    add_section(TV_SECTION_SHARED_CODE, SHARED, 3);
    fake_map_new(CR3, SHARED, 1, FAKE_RX);
    for (unsigned i = 1; i < 4; i++) {
        uint64_t same = (uint64_t)(fake_at(CR3, SHARED) - fake_ram(0));
        fake_map(CR3, SHARED + i * PAGE_SIZE, same, FAKE_RX);
    }
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 4; i++) {
        fake_map_new(CR3, other + i * PAGE_SIZE, 1, FAKE_RWX);
        sections->sections[i].start_addr = other + i * PAGE_SIZE;
    }
    sections->sections[4].start_addr += PAGE_SIZE;
    assert_int_equal(command(TV_HC_REG, ARGS, ARGS + 0x800, other), TV_OK);
    call(&arg, 1);
    pal_returns(1);
    call_at(other, &arg, 1);
    pal_returns(2);
    assert_int_equal(unreg(), TV_OK);
    call_at(other, &arg, 1);
    pal_returns(3);
    /* Not what is another PAL's own. */
    sections->sections[4].start_addr = other;
    for (unsigned i = 0; i < 4; i++) {
        sections->sections[i].start_addr = BASE + i * PAGE_SIZE;
    }
    assert_int_equal(reg(), TV_OVERLAP);
    assert_int_equal(command(TV_HC_UNREG, other, 0, 0), TV_OK);
}

static void test_shared_twice(void **state) { (void)state; in_both_widths(shared_twice); }

/* Nobody stops a call of what isn't taken away: there can't be an entry. */
static void shared_entry(void)
{
    add_section(TV_SECTION_SHARED_CODE, SHARED, 1);
    fake_map_new(CR3, SHARED, 1, FAKE_RWX);
    assert_int_equal(command(TV_HC_REG, ARGS, ARGS + 0x800, SHARED + 16), TV_BAD_ENTRY);
    sections->sections[0].type = TV_SECTION_DATA;
    assert_int_equal(command(TV_HC_REG, ARGS, ARGS + 0x800, SHARED + 16), TV_NO_CODE);
}

static void test_shared_entry(void **state) { (void)state; in_both_widths(shared_entry); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mix),     cmocka_unit_test(test_split_headers),
        cmocka_unit_test(test_stack_alignment),
        cmocka_unit_test(test_large_area),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_aliases),       cmocka_unit_test(test_ten_sections),
        cmocka_unit_test(test_empty_sections), cmocka_unit_test(test_shared_code),
        cmocka_unit_test(test_shared_twice),  cmocka_unit_test(test_shared_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
