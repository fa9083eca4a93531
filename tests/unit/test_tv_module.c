/* SPDX-License-Identifier: MIT */
/* The module interface: every named error of its structure, and the life of its PALs against the
 * fake core: conventions, directions, entries, several calls at once, deaths, budgets. */
#include "tv_process.h"

#include "hypapps/trustvisor/check_module.h"
#include "hypapps/trustvisor/identity.h"
#include "hypapps/trustvisor/pal.h"
#include "hypapps/trustvisor/register.h"

#define BASE    0x7f1234560000ULL
#define RESUME  (BASE + PAGE_SIZE - 32)
#define ENTRY   (BASE + 0x100)

/* Where layout() puts them. */
#define AT_DATA     (BASE + 1 * PAGE_SIZE)
#define AT_RODATA   (BASE + 2 * PAGE_SIZE)
#define AT_STACK(k) (BASE + (3 + (k)) * PAGE_SIZE)
#define AT_PARAM(k) (BASE + (8 + (k)) * PAGE_SIZE)

static struct vcpu v, cpu2;
static struct xmhf_module d;
static unsigned pool_at_rest;

/* --- a process -------------------------------------------------------------------- */

static void section(uint32_t type, uint64_t start)
{
    d.section[d.sections++] = (struct xmhf_module_section){ type, 0, 1, start };
}

/* CODE, DATA, RODATA, and so many stacks with parameters; two integers. */
static void layout(unsigned stacks)
{
    memset(&d, 0, sizeof(d));
    d.size = sizeof(d);
    d.version = XMHF_MODULE_VERSION;
    d.convention = XMHF_SYSV;
    section(TV_SECTION_CODE, BASE);
    section(TV_SECTION_DATA, AT_DATA);
    section(XMHF_SECTION_RODATA, AT_RODATA);
    for (unsigned k = 0; k < stacks; k++) {
        section(TV_SECTION_STACK, AT_STACK(k));
        section(TV_SECTION_PARAM, AT_PARAM(k));
    }
    d.stacks = stacks;
    d.params = 2;
    d.param[0] = d.param[1] = (struct xmhf_module_param){ TV_PARAM_INTEGER, XMHF_IN, 0 };
    d.entries = 1;
    d.entry[0] = (struct xmhf_module_entry){ ENTRY, 0, 2 };
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    memset(&cpu2, 0, sizeof(cpu2));
    cpu2.index = 1;
    fake_reset(&v);
    fake.caller.paging.cr3 = CR3;
    process_make(1, 8);
    fake_map_new(CR3, BASE, 16, FAKE_RWX);
    for (uint64_t i = 0; i < 16 * PAGE_SIZE; i++) {
        *fake_at(CR3, BASE + i) = (uint8_t)(i * 7 + (i >> 12));
    }
    pool_at_rest = fake.pool_free;
    layout(1);
    return 0;
}

/* --- hypercalls ------------------------------------------------------------------- */

static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    return process_command(&v, cmd, rcx, rsi, rdi);
}

static uint64_t reg(void)
{
    memcpy(fake_at(CR3, ARGS), &d, sizeof(d));
    return command(XMHF_HC_MODULE_REGISTER, ARGS, 0, d.entry[0].address);
}

static void expect_gone(void)
{
    assert_int_equal(command(XMHF_HC_MODULE_UNREGISTER, ENTRY, 0, 0), TV_OK);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

static struct xmhf_pal_stats stats(void)
{
    struct xmhf_pal_stats st;

    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, sizeof(st), ENTRY), TV_OK);
    memcpy(&st, fake_at(CR3, BUFS), sizeof(st));
    return st;
}

/* --- calls ------------------------------------------------------------------------ */

static enum hc_result call_on(struct vcpu *cpu, uint64_t entry, uint64_t a, uint64_t b)
{
    bool ms = d.convention == XMHF_MICROSOFT;

    process_poison(cpu);
    process_set_word(RSP, RET);
    cpu->regs.gpr[ms ? GPR_RCX : GPR_RDI] = a;
    cpu->regs.gpr[ms ? GPR_RDX : GPR_RSI] = b;
    cpu->regs.rip = entry;
    return hypapp.hypercall(cpu, (uint32_t)cpu->regs.gpr[GPR_RAX]);
}

static uint8_t *pal_at(uint64_t va, unsigned *rights)
{
    uint8_t *p = fake_pal_at(va, rights);

    assert_non_null(p);
    return p;
}

static uint64_t pal_word(uint64_t va)
{
    unsigned rights;
    uint64_t w;

    memcpy(&w, pal_at(va, &rights), 8);
    return w;
}

static void leave_by(struct vcpu *cpu, enum exit_kind kind)
{
    struct exit e = { .kind = kind, .insn_len = 3 };

    e.exception.vector = kind == EXIT_EXCEPTION ? 14 : 0;
    hypapp.sandbox_exit(cpu, &e);
}

static void pal_returns(struct vcpu *cpu, uint64_t rax)
{
    process_pal_returns(cpu, pal_word(cpu->regs.gpr[GPR_RSP]), rax);
}

/* --- the structure ------------------------------------------------------------------ */

#define BAD(error, change) do { layout(2); change; assert_int_equal(reg(), error); } while (0)

/* A structure of another version may be shorter, and end where the process's memory does. */
static void test_shorter_structure(void **state)
{
    const uint32_t head[2] = { 100, 2 };

    (void)state;
    memcpy(fake_at(CR3, ARGS + PAGE_SIZE - 100), head, sizeof(head));
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS + PAGE_SIZE - 100, 0, ENTRY),
                     TV_BAD_STRUCT);
    layout(1);
    memcpy(fake_at(CR3, ARGS + PAGE_SIZE - 100), &d, 100);
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS + PAGE_SIZE - 100, 0, ENTRY), ~0ULL);
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS + PAGE_SIZE - 4, 0, ENTRY), ~0ULL);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

static void test_errors(void **state)
{
    (void)state;
    BAD(TV_BAD_STRUCT, d.size--);
    BAD(TV_BAD_STRUCT, d.version = 2);
    BAD(TV_BAD_CONVENTION, d.convention = XMHF_CDECL);
    BAD(TV_BAD_CONVENTION, d.convention = 4);
    BAD(TV_BAD_FLAGS, d.flags = 1);
    BAD(TV_BAD_FLAGS, d.reserved = 1);
    BAD(TV_BAD_FLAGS, d.section[1].reserved = 1);
    BAD(TV_BAD_SECTIONS, d.sections = 0);
    BAD(TV_BAD_SECTIONS, d.sections = 65);
    BAD(TV_BAD_SECTION_TYPE, d.section[1].type = TV_SECTION_SHARED_CODE);
    BAD(TV_MISALIGNED, d.section[1].start++);
    BAD(TV_BAD_SIZE, d.section[1].pages = 1ULL << 52);
    BAD(TV_BAD_SIZE, d.section[1].pages = 0);
    BAD(TV_OVERLAP, d.section[1].start = BASE);
    BAD(TV_BAD_PARAMS, d.params = 33);
    BAD(TV_BAD_PARAM_TYPE, d.param[1].type = 3);
    BAD(TV_BAD_DIRECTION, d.param[1].direction = XMHF_OUT);
    BAD(TV_BAD_DIRECTION, d.param[1].size = 1);
    BAD(TV_BAD_DIRECTION, d.param[1] = ((struct xmhf_module_param){ TV_PARAM_POINTER, 4, 8 }));
    BAD(TV_PARAMS_TOO_BIG, d.param[1] = ((struct xmhf_module_param){ TV_PARAM_POINTER, 1, 4097 }));
    BAD(TV_PARAMS_TOO_BIG, d.param[1] = ((struct xmhf_module_param){ TV_PARAM_POINTER, 1, ~0ULL }));
    BAD(TV_BAD_STACKS, d.stacks = 0);
    BAD(TV_BAD_STACKS, d.stacks = 1);
    BAD(TV_BAD_STACKS, d.stacks = 3);
    BAD(TV_BAD_STACKS, d.section[4].type = TV_SECTION_DATA);
    BAD(TV_NO_CODE, d.section[0].type = TV_SECTION_DATA);
    BAD(TV_BAD_ENTRIES, d.entries = 0);
    BAD(TV_BAD_ENTRIES, d.entries = 17);
    BAD(TV_BAD_ENTRIES, d.entry[0].address += 8);
    BAD(TV_BAD_ENTRIES, d.entry[0].address = AT_DATA);
    BAD(TV_BAD_ENTRIES, d.entry[0].address = RESUME);
    BAD(TV_BAD_ENTRIES, d.entry[0].first_param = 1);
    BAD(TV_BAD_ENTRIES, d.entry[0].first_param = ~0u);
    BAD(TV_BAD_ENTRIES, d.entries = 2; d.entry[1] = d.entry[0]);
    assert_int_equal(fake.pool_free, pool_at_rest);
    layout(1);
    d.section[4].type = TV_SECTION_DATA;
    assert_int_equal(reg(), TV_OK); /* no POINTER needs PARAM */
    expect_gone();
    d.param[0] = (struct xmhf_module_param){ TV_PARAM_POINTER, XMHF_IN, 0 };
    assert_int_equal(reg(), TV_NO_PARAM);
}

/* Images overlap if some pair of their sections does, not both of SHARED_CODE. */
static void test_overlap(void **state)
{
    static struct tv_module_lists lists[2];
    struct tv_image im[2];
    uint64_t seed = 7;
    unsigned yes = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        bool expected = false;
        for (unsigned m = 0; m < 2; m++) {
            im[m].sections = lists[m].sections;
            tv_image_begin(&im[m], true);
            for (uint64_t n = unit_below(&seed, 8); n > 0; n--) {
                uint32_t type = unit_below(&seed, 3) ? TV_SECTION_SHARED_CODE : TV_SECTION_DATA;
                tv_image_section(&im[m], type, unit_below(&seed, 300) * PAGE_SIZE,
                                 1 + unit_below(&seed, 8));
            }
        }
        for (unsigned i = 0; i < im[0].section_count; i++) {
            for (unsigned k = 0; k < im[1].section_count; k++) {
                const struct tv_section *s = &im[0].sections[i], *t = &im[1].sections[k];
                bool both = s->type == TV_SECTION_SHARED_CODE && t->type == s->type;
                expected = expected || (!both && s->start < tv_section_end(t)
                                        && t->start < tv_section_end(s));
            }
        }
        assert_int_equal(tv_images_overlap(&im[0], &im[1]), expected);
        assert_int_equal(tv_images_overlap(&im[1], &im[0]), expected);
        yes += expected;
    }
    assert_true(yes > 1000 && yes < 19000);
}

static void test_bad_places(void **state)
{
    (void)state;
    memcpy(fake_at(CR3, ARGS), &d, sizeof(d));
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS, 0, ENTRY + 16), TV_BAD_ENTRY);
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS + PAGE_SIZE, 0, ENTRY), ~0ULL);
    assert_int_equal(command(XMHF_HC_MODULE_REGISTER, ARGS + 0xfff, 0, ENTRY), ~0ULL);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, 4, 0), TV_BAD_STRUCT);
    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, 4, ENTRY), TV_BAD_STRUCT);
    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, sizeof(struct xmhf_pal_stats), ENTRY),
                     TV_NOT_FOUND);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, 0, sizeof(struct xmhf_pal_limits), 0), ~0ULL);
    fake.caller.paging.cpl = 0;
    for (uint32_t cmd = XMHF_HC_MODULE_REGISTER; cmd <= XMHF_HC_PAL_STATS; cmd++) {
        assert_int_equal(command(cmd, ARGS, 0, ENTRY), TV_BAD_CALLER);
    }
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* Any attribute that differs gives another identity. */
static void identity_of(uint8_t id[PAL_ID_SIZE])
{
    struct tv_module_lists lists;
    struct tv_image im = {
        .sections = lists.sections, .params = lists.params, .entries = lists.entries,
    };
    struct sha256 ctx;

    assert_int_equal(tv_check_module(&d, d.entry[0].address, true, &im), TV_OK);
    tv_identity_begin(&ctx, sha256_blocks, &im);
    tv_identity_end(&ctx, id);
}

static bool variant(unsigned n)
{
    layout(2);
    d.params = 3;
    d.param[2] = (struct xmhf_module_param){ TV_PARAM_POINTER, XMHF_IN, 8 };
    d.entries = 2;
    d.entry[1] = (struct xmhf_module_entry){ ENTRY + 16, 1, 2 };
    switch (n) {
    case 0: break;
    case 1: d.convention = XMHF_MICROSOFT; break;
    case 2: d.flags = XMHF_MODULE_PIC; break;
    case 3: d.budget = 1; break;
    case 4: d.section[1].type = XMHF_SECTION_RODATA; break;
    case 5: d.param[2].direction = XMHF_OUT; break;
    case 6: d.param[2].direction = XMHF_INOUT; break;
    case 7: d.param[2].size = 9; break;
    case 8: d.entries = 1; break;
    case 9: d.entry[1].first_param = 0; break;
    case 10: d.entry[1].params = 1; break;
    case 11: d.entry[1].address += 16; break;
    case 12: layout(1); break;
    case 13: d.params = 2; d.entries = 1; break;
    default: return false;
    }
    return true;
}

static void test_identity(void **state)
{
    static uint8_t ids[32][PAL_ID_SIZE];
    unsigned n = 0;

    (void)state;
    for (; variant(n); n++) {
        identity_of(ids[n]);
        for (unsigned i = 0; i < n; i++) {
            assert_memory_not_equal(ids[i], ids[n], PAL_ID_SIZE);
        }
    }
    assert_int_equal(n, 14);
    for (unsigned i = 0; i < 2; i++) { /* position-independent: moved as a whole it is the same */
        layout(1);
        d.flags = XMHF_MODULE_PIC;
        for (unsigned k = 0; k < d.sections; k++) {
            d.section[k].start += i * 0x100000ULL;
        }
        d.entry[0].address += i * 0x100000ULL;
        identity_of(ids[i]);
    }
    assert_memory_equal(ids[0], ids[1], PAL_ID_SIZE);
}

/* --- calls --------------------------------------------------------------------------- */

static void test_call(void **state)
{
    unsigned rights;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(call_on(&v, ENTRY, 20, 22), HC_SWITCHED);
    assert_true(v.in_sandbox);
    assert_int_equal(v.regs.gpr[GPR_RDI], 20);
    assert_int_equal(v.regs.gpr[GPR_RSI], 22);
    assert_int_equal(v.regs.gpr[GPR_RSP] % 16, 8);
    pal_at(AT_RODATA, &rights);
    assert_int_equal(rights & FAKE_RWX, ACCESS_READ);
    pal_at(AT_DATA, &rights);
    assert_int_equal(rights & FAKE_RWX, FAKE_RW);
    pal_returns(&v, 42);
    process_expect_returned(&v, 42, 0, 0);
    expect_gone();
    for (uint64_t i = 0; i < PAGE_SIZE; i++) { /* RODATA comes back as CODE does */
        uint64_t at = 2 * PAGE_SIZE + i;
        assert_int_equal(*fake_at(CR3, BASE + at), (uint8_t)(at * 7 + (at >> 12)));
        assert_int_equal(*fake_at(CR3, AT_DATA + i), 0);
    }
}

static void test_microsoft(void **state)
{
    (void)state;
    d.convention = XMHF_MICROSOFT;
    d.params = 7;
    for (unsigned i = 0; i < 7; i++) {
        d.param[i] = d.param[0];
    }
    d.entry[0].params = 7;
    assert_int_equal(reg(), TV_OK);
    for (uint64_t i = 4; i < 7; i++) {
        process_set_word(RSP + 8 + 8 * i, 1000 + i);
    }
    call_on(&v, ENTRY, 20, 22);
    assert_true(v.in_sandbox);
    assert_int_equal(v.regs.gpr[GPR_RCX], 20);
    assert_int_equal(v.regs.gpr[GPR_RDX], 22);
    assert_int_equal(v.regs.gpr[GPR_R9], 0x1111111111111111ULL * GPR_R9 + 5);
    assert_int_equal(v.regs.gpr[GPR_RDI], 0);
    assert_int_equal(v.regs.gpr[GPR_RSP] % 16, 8);
    for (uint64_t i = 4; i < 7; i++) {
        assert_int_equal(pal_word(v.regs.gpr[GPR_RSP] + 8 + 8 * i), 1000 + i);
    }
    pal_returns(&v, 42);
    process_expect_returned(&v, 42, 0, 0);
    assert_int_equal(v.regs.gpr[GPR_RDI], 0x1111111111111111ULL * GPR_RDI + 5);
    assert_int_equal(v.regs.gpr[GPR_RSI], 0x1111111111111111ULL * GPR_RSI + 5);
    expect_gone();
}

static void test_entries(void **state)
{
    (void)state;
    d.entries = 16;
    for (unsigned i = 0; i < 16; i++) {
        d.entry[i] = (struct xmhf_module_entry){ ENTRY + 16 * i, i % 3, i % 3 ? 0 : 2 };
    }
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 16; i++) {
        call_on(&v, ENTRY + 16 * i, 1, 2);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.rip, ENTRY + 16 * i);
        assert_int_equal(v.regs.gpr[GPR_RSI], i % 3 ? 0 : 2);
        pal_returns(&v, i);
        process_expect_returned(&v, i, 0, 0);
    }
    call_on(&v, ENTRY + 8, 1, 2);
    assert_false(v.in_sandbox);
    expect_gone();
}

static void test_directions(void **state)
{
    const uint64_t readonly = BUFS + 7 * PAGE_SIZE;
    uint64_t in, out;

    (void)state;
    d.param[0] = (struct xmhf_module_param){ TV_PARAM_POINTER, XMHF_IN, 24 };
    d.param[1] = (struct xmhf_module_param){ TV_PARAM_POINTER, XMHF_OUT, 24 };
    assert_int_equal(reg(), TV_OK);
    process_set_word(readonly, 77);
    fake_map(CR3, readonly, (uint64_t)(fake_at(CR3, readonly) - fake_ram(0)), ACCESS_READ);
    process_set_word(BUFS, 99);
    call_on(&v, ENTRY, readonly, BUFS);
    assert_true(v.in_sandbox);
    in = v.regs.gpr[GPR_RDI];
    out = v.regs.gpr[GPR_RSI];
    assert_int_equal(in % 16, 0);
    assert_int_equal(out % 16, 0);
    assert_int_equal(pal_word(in), 77);
    assert_int_equal(pal_word(out), 0); /* not the caller's 99 */
    memcpy(fake_pal_at(in, &(unsigned){ 0 }), &(uint64_t){ 1 }, 8);
    memcpy(fake_pal_at(out, &(unsigned){ 0 }), &(uint64_t){ 5 }, 8);
    pal_returns(&v, 0);
    process_expect_returned(&v, 0, 0, 0);
    assert_int_equal(*(uint64_t *)(void *)fake_at(CR3, readonly), 77);
    assert_int_equal(*(uint64_t *)(void *)fake_at(CR3, BUFS), 5);
    call_on(&v, ENTRY, readonly, BUFS);
    assert_int_equal(pal_word(out), 0); /* nor what the last call left */
    pal_returns(&v, 0);
    call_on(&v, ENTRY, BUFS, readonly); /* out must be writable */
    assert_int_equal(fake.injected, FAKE_PF);
    fake_clear();
    expect_gone();
}

/* --- several at once ------------------------------------------------------------------ */

static void test_two_stacks(void **state)
{
    uint64_t sp, resume[3];

    (void)state;
    layout(2);
    assert_int_equal(reg(), TV_OK);
    call_on(&v, ENTRY, 1, 2);
    sp = v.regs.gpr[GPR_RSP];
    call_on(&cpu2, ENTRY, 3, 4);
    assert_true(cpu2.in_sandbox);
    assert_int_equal(cpu2.regs.gpr[GPR_RSP], sp + PAGE_SIZE); /* the other stack */
    leave_by(&cpu2, EXIT_INTR);
    memcpy(resume, (uint64_t[]){ cpu2.regs.gpr[GPR_RAX], cpu2.regs.gpr[GPR_RDX] }, 16);
    assert_int_equal(cpu2.regs.rip, RESUME);
    assert_int_equal(call_on(&cpu2, ENTRY, 5, 6), HC_AGAIN); /* both are taken */
    pal_returns(&v, 12);
    process_expect_returned(&v, 12, 0, 0);
    call_on(&v, ENTRY, 7, 8);
    assert_int_equal(v.regs.gpr[GPR_RSP], sp);
    process_poison(&cpu2);
    cpu2.regs.rip = RESUME;
    cpu2.regs.gpr[GPR_RAX] = resume[0];
    cpu2.regs.gpr[GPR_RDX] = resume[1] ^ 1;
    hypapp.hypercall(&cpu2, 0);
    assert_int_equal(fake.injected, FAKE_GP); /* a wrong token */
    fake_clear();
    cpu2.regs.gpr[GPR_RDX] = resume[1];
    assert_int_equal(hypapp.hypercall(&cpu2, 0), HC_SWITCHED);
    assert_int_equal(cpu2.regs.gpr[GPR_RDI], 3);
    pal_returns(&cpu2, 34);
    process_expect_returned(&cpu2, 34, 0, 0);
    pal_returns(&v, 78);
    process_expect_returned(&v, 78, 0, 0);
    assert_int_equal(stats().calls, 3);
    assert_int_equal(stats().interruptions, 1);
    assert_int_equal(stats().exits, 4);
    expect_gone();
}

/* A thread whose calls take stacks calls again, from a signal handler: while one is free it gets
 * that one, then its call returns at once and says so. */
static void test_call_from_handler(void **state)
{
    struct vcpu_regs before;

    (void)state;
    layout(2);
    assert_int_equal(reg(), TV_OK);
    fake.fs_base = 0x7f0000001000;
    for (unsigned k = 0; k < 2; k++) {
        call_on(&v, ENTRY, 1, 2);
        assert_true(v.in_sandbox);
        leave_by(&v, EXIT_INTR);
    }
    assert_int_equal(call_on(&v, ENTRY, 5, 6), HC_SWITCHED);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[GPR_RCX], XMHF_STATUS_BUSY);
    before = v.regs;
    process_poison(&v);
    v.regs.gpr[GPR_RAX] = v.regs.gpr[GPR_RDX] = 0;
    v.regs.gpr[GPR_RCX] = XMHF_STATUS_BUSY;
    v.regs.gpr[GPR_RDI] = 5;
    v.regs.gpr[GPR_RSI] = 6;
    v.regs.gpr[GPR_RSP] = RSP + 8;
    v.regs.rip = RET;
    assert_memory_equal(&v.regs, &before, sizeof(before)); /* the rest is the caller's still */
    fake.fs_base = 0x7f0000002000;
    assert_int_equal(call_on(&v, ENTRY, 5, 6), HC_AGAIN);
    assert_int_equal(stats().calls, 2);
    expect_gone();
}

/* Where it would return to can't be read, or isn't an address. */
static void test_busy_without_return(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    fake.gs_base = 0x1000;
    call_on(&v, ENTRY, 1, 2);
    leave_by(&v, EXIT_INTR);
    fake_absent(CR3, STACK);
    process_poison(&v);
    v.regs.rip = ENTRY;
    assert_int_equal(hypapp.hypercall(&v, 0), HC_AGAIN);
    assert_int_equal(fake.injected, FAKE_PF);
    assert_int_equal(fake.fault.addr.a, RSP);
    assert_true(fake_resolve());
    fake_clear();
    process_set_word(RSP, 0x8000000000000000);
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    assert_int_equal(fake.injected, FAKE_GP);
    assert_int_equal(v.regs.rip, ENTRY);
    fake_clear();
    expect_gone();
}

/* Unregistering while one call runs changes nothing for another that is interrupted. */
static void test_busy_unregister(void **state)
{
    uint64_t token[2];

    (void)state;
    layout(2);
    assert_int_equal(reg(), TV_OK);
    call_on(&v, ENTRY, 1, 2);
    call_on(&cpu2, ENTRY, 3, 4);
    leave_by(&v, EXIT_INTR);
    memcpy(token, (uint64_t[]){ v.regs.gpr[GPR_RAX], v.regs.gpr[GPR_RDX] }, 16);
    assert_int_equal(command(XMHF_HC_MODULE_UNREGISTER, ENTRY, 0, 0), TV_BUSY);
    process_poison(&v);
    v.regs.rip = RESUME;
    v.regs.gpr[GPR_RAX] = token[0];
    v.regs.gpr[GPR_RDX] = token[1];
    assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
    assert_true(v.in_sandbox);
    pal_returns(&v, 1);
    process_expect_returned(&v, 1, 0, 0);
    pal_returns(&cpu2, 2);
    process_expect_returned(&cpu2, 2, 0, 0);
    expect_gone();
}

/* --- ends ------------------------------------------------------------------------------ */

static void test_death(void **state)
{
    struct xmhf_pal_stats st;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    call_on(&v, ENTRY, 1, 2);
    v.regs.rip = BASE + 0x234;
    leave_by(&v, EXIT_EXCEPTION);
    process_expect_returned(&v, 0, TV_DEATH_EXCEPTION | 14 << 8 | 0 << 16, 0x234);
    assert_int_equal(fake.pool_free, pool_at_rest);
    st = stats();
    assert_int_equal(st.death, TV_DEATH_EXCEPTION);
    assert_int_equal(st.vector, 14);
    assert_int_equal(st.section, 0);
    assert_int_equal(st.offset, 0x234);
    assert_int_equal(st.calls, 1);
    assert_int_equal(st.exits, 1);
    setup(NULL);
    assert_int_equal(reg(), TV_OK);
    call_on(&v, ENTRY, 1, 2);
    v.regs.rip = 0x1234567;
    leave_by(&v, EXIT_NESTED_FAULT);
    process_expect_returned(&v, 0, TV_DEATH_ESCAPE | XMHF_NO_SECTION << 16, 0);
}

/* One call's death ends the other, whether it returns or is interrupted. */
static void test_death_of_several(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        layout(2);
        assert_int_equal(reg(), TV_OK);
        call_on(&v, ENTRY, 1, 2);
        call_on(&cpu2, ENTRY, 3, 4);
        v.regs.rip = BASE + 0x10;
        leave_by(&v, EXIT_EXCEPTION);
        process_expect_returned(&v, 0, TV_DEATH_EXCEPTION | 14 << 8, 0x10);
        if (i == 0) {
            pal_returns(&cpu2, 99);
        } else {
            leave_by(&cpu2, EXIT_INTR);
        }
        process_expect_returned(&cpu2, 0, TV_DEATH_EXCEPTION | 14 << 8, 0x10);
        command(XMHF_HC_MODULE_UNREGISTER, ENTRY, 0, 0);
        assert_int_equal(fake.pool_free, pool_at_rest);
    }
}

static void test_budget(void **state)
{
    setup(state);
    tv_budget = 10; /* of others */
    d.budget = 1000;
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < 3; i++) { /* each call has its own */
        call_on(&v, ENTRY, 1, 2);
        machine.tsc += 900;
        leave_by(&v, EXIT_INTR);
        assert_int_equal(v.regs.rip, RESUME);
        machine.tsc += 1000000; /* not running */
        assert_int_equal(hypapp.hypercall(&v, 0), HC_SWITCHED);
        assert_true(v.in_sandbox);
        v.regs.gpr[GPR_RAX] = XMHF_HC_PAL_INTERRUPTED;
        v.regs.rip = BASE + 0x40;
        leave_by(&v, EXIT_HYPERCALL);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.gpr[GPR_RAX], 1);
        pal_returns(&v, 1);
        process_expect_returned(&v, 1, 0, 0);
    }
    call_on(&v, ENTRY, 1, 2);
    machine.tsc += 1101;
    v.regs.rip = BASE + 0x40;
    leave_by(&v, EXIT_INTR);
    process_expect_returned(&v, 0, TV_DEATH_BUDGET, 0x40);
    assert_int_equal(fake.pool_free, pool_at_rest);
    tv_budget = 0;
}

/* --- limits ------------------------------------------------------------------------------ */

static void test_limits(void **state)
{
    struct xmhf_pal_limits l;
    size_t free_before = fake.pool_free;

    (void)state;
    layout(2);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, sizeof(l), 0), TV_OK);
    memcpy(&l, fake_at(CR3, BUFS), sizeof(l));
    assert_int_equal(l.version, XMHF_MODULE_VERSION);
    assert_int_equal(l.own_pals, 1);
    assert_int_equal(l.own_pages, free_before - fake.pool_free);
    assert_int_equal(l.pages_free, fake.pool_free);
    expect_gone();
}

/* A process gets three quarters of the pages. */
static void test_quota_pages(void **state)
{
    uint64_t r = TV_OK;
    unsigned n = 0;

    (void)state;
    d.section[1].pages = 200;
    d.section[1].start = BASE + 0x1000000;
    fake_map_new(CR3, d.section[1].start, 200, FAKE_RWX);
    for (; r == TV_OK && n < 100; n++) {
        uint64_t up = n * 0x10000000ULL;
        layout(1);
        d.section[1].pages = 200;
        d.section[1].start = BASE + 0x1000000;
        for (unsigned k = 0; k < d.sections; k++) {
            for (uint64_t i = 0; i < d.section[k].pages; i++) {
                uint64_t at = d.section[k].start + i * PAGE_SIZE;
                if (n > 0 && k == 0) {
                    fake_map_new(CR3, at + up, 1, FAKE_RWX);
                } else if (n > 0) {
                    fake_map(CR3, at + up, (uint64_t)(fake_at(CR3, at) - fake_ram(0)), FAKE_RWX);
                }
            }
            d.section[k].start += up;
        }
        d.entry[0].address += up;
        r = reg();
    }
    assert_int_equal(r, TV_QUOTA_PAGES);
    assert_true(n > FAKE_POOL_PAGES * 3 / 4 / 225 && n <= FAKE_POOL_PAGES * 3 / 4 / 205 + 1);
}

/* No memory at any point: the error, and all memory back. */
static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        uint64_t r;
        layout(4);
        fake.pool_allocs = 0;
        fake.pool_fail_at = n;
        r = reg();
        fake.pool_fail_at = 0;
        assert_true(r == TV_OK || r == TV_NO_MEMORY);
        if (r == TV_OK) {
            expect_gone();
        }
        assert_int_equal(fake.pool_free, pool_at_rest);
        if (fake.pool_allocs < n) {
            assert_true(n > 15);
            break;
        }
    }
}

static void test_xstate_sizes(void **state)
{
    (void)state;
    for (size_t size = 512; size <= PAGE_SIZE; size += 512) {
        fake.xstate_size = size;
        layout(3);
        assert_int_equal(reg(), TV_OK);
        call_on(&v, ENTRY, 1, 2);
        call_on(&cpu2, ENTRY, 3, 4);
        leave_by(&cpu2, EXIT_INTR);
        leave_by(&v, EXIT_INTR);
        expect_gone();
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_errors), TEST(test_shorter_structure),
        TEST(test_overlap), TEST(test_bad_places), TEST(test_identity), TEST(test_call),
        TEST(test_microsoft), TEST(test_entries), TEST(test_directions), TEST(test_two_stacks),
        TEST(test_call_from_handler), TEST(test_busy_without_return), TEST(test_busy_unregister),
        TEST(test_death), TEST(test_death_of_several),
        TEST(test_budget), TEST(test_limits), TEST(test_quota_pages), TEST(test_no_memory),
        TEST(test_xstate_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
