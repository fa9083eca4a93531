/* SPDX-License-Identifier: MIT */
/* Images: every named error of their descriptor, and the life of their PALs against the fake core:
 * addresses, identity, stubs, counted parameters, deaths, and what is left of them. */
#include "tv_process.h"

#include <bearssl_hash.h>

#include "hypapps/trustvisor/check_image.h"
#include "hypapps/trustvisor/pal.h"
#include "hypapps/trustvisor/register.h"
#include "hypapps/trustvisor/registry.h"

#define SOURCE  0x7f1234560000ULL   /* the caller's pages: CODE, DATA, RODATA in this order */
#define STUBS   (SOURCE + 0x100000)
#define RESUME  (STUBS + PAGE_SIZE - 32)

/* Where the image is linked: sections of these pages with one unmapped page between them. */
#define LINK       0x10000000ULL
#define AT_CODE    LINK
#define AT_RODATA  (LINK + 3 * PAGE_SIZE)   /* CODE has two pages */
#define AT_DATA    (LINK + 5 * PAGE_SIZE)
#define AT_BSS     (LINK + 7 * PAGE_SIZE)   /* three pages */
#define AT_STACK(k) (LINK + (0x20 + 0x10 * (k)) * PAGE_SIZE)
#define AT_PARAM(k) (AT_STACK(k) + 4 * PAGE_SIZE)   /* two pages */

enum { CODE, RODATA, DATA, BSS, STACK0, PARAM0, STACK1, PARAM1 };

static struct vcpu v, cpu2;
static struct xmhf_image d;
static struct xmhf_image_section sections[XMHF_IMAGE_SECTIONS + 1];
static struct xmhf_image_param params[XMHF_IMAGE_PARAMS + 1];
static struct xmhf_image_entry entries[XMHF_IMAGE_ENTRIES + 1];
static unsigned pool_at_rest;

/* --- a process -------------------------------------------------------------------- */

static void section(uint32_t type, uint32_t pages, uint64_t address, uint64_t source)
{
    sections[d.sections++] = (struct xmhf_image_section){ type, pages, address, source };
}

static void param(uint32_t type, uint32_t direction, uint32_t size, unsigned by, unsigned unit)
{
    params[d.params++] = (struct xmhf_image_param){
        type, direction, size, (uint16_t)by, (uint16_t)unit,
    };
}

static void entry(uint64_t address, uint32_t n)
{
    entries[d.entries++] = (struct xmhf_image_entry){ address, n, 0 };
}

/* Entry 0 takes two integers; entry 1 a count and two buffers that it counts, of 8 bytes each and
 * of single ones; entry 2 a buffer of fixed size. */
static void layout(unsigned stacks)
{
    memset(&d, 0, sizeof(d));
    memset(sections, 0, sizeof(sections));
    memset(params, 0, sizeof(params));
    memset(entries, 0, sizeof(entries));
    d.version = XMHF_IMAGE_VERSION;
    d.mode = PAL_ID_MODE_64;
    d.convention = XMHF_SYSV;
    d.stacks = stacks;
    d.stubs = STUBS;
    section(TV_SECTION_CODE, 2, AT_CODE, SOURCE);
    section(XMHF_SECTION_RODATA, 1, AT_RODATA, SOURCE + 3 * PAGE_SIZE);
    section(TV_SECTION_DATA, 1, AT_DATA, SOURCE + 2 * PAGE_SIZE);
    section(XMHF_SECTION_BSS, 3, AT_BSS, 0);
    for (unsigned k = 0; k < stacks; k++) {
        section(TV_SECTION_STACK, 2, AT_STACK(k), 0);
        section(TV_SECTION_PARAM, 2, AT_PARAM(k), 0);
    }
    entry(AT_CODE + 0x101, 2);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    entry(AT_CODE + PAGE_SIZE + 0x20, 3);
    param(TV_PARAM_POINTER, XMHF_INOUT, 4096, 2, 8);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(TV_PARAM_POINTER, XMHF_OUT, 100, 2, 1);
    entry(AT_CODE + 0x101, 1);
    param(TV_PARAM_POINTER, XMHF_IN, 24, 0, 0);
}

static void fill_sources(void)
{
    for (uint64_t i = 0; i < 4 * PAGE_SIZE; i++) {
        *fake_at(CR3, SOURCE + i) = (uint8_t)(1 + i * 7 + (i >> 12));
    }
}

static int setup(void **state)
{
    (void)state;
    machine_reset(0);
    memset(&cpu2, 0, sizeof(cpu2));
    cpu2.index = 1;
    fake_reset(&v);
    fake.caller.paging.cr3 = CR3;
    process_make(2, 8);
    fake_map_new(CR3, SOURCE, 4, FAKE_RW);
    fake_map_new(CR3, STUBS, 1, FAKE_RWX);
    fill_sources();
    pool_at_rest = fake.pool_free;
    layout(1);
    return 0;
}

/* --- hypercalls ------------------------------------------------------------------- */

static uint64_t command(uint32_t cmd, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
    return process_command(&v, cmd, rcx, rsi, rdi);
}

/* The descriptor's bytes, as image.h says; returns how many. */
static size_t encode(uint8_t *out)
{
    const void *part[] = { &d, sections, params, entries };
    const size_t size[] = {
        sizeof(d), d.sections * sizeof(sections[0]), d.params * sizeof(params[0]),
        d.entries * sizeof(entries[0]),
    };
    size_t n = 0;

    for (unsigned i = 0; i < 4; i++) {
        memcpy(out + n, part[i], size[i]);
        n += size[i];
    }
    return n;
}

static void encode_to(uint64_t where)
{
    static uint8_t bytes[2 * PAGE_SIZE];
    size_t n = encode(bytes);

    for (size_t i = 0; i < n; i++) {
        *fake_at(CR3, where + i) = bytes[i];
    }
}

static uint64_t reg_at(uint64_t where)
{
    encode_to(where);
    return command(XMHF_HC_IMAGE_REGISTER, where, 0, STUBS);
}

static uint64_t reg(void)
{
    if (d.size == 0) {
        d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries);
    }
    return reg_at(ARGS);
}

static uint64_t info_pals(void)
{
    uint64_t value = 0;

    assert_true(hypapp.info(&v, XMHF_INFO_PALS, &value));
    return value;
}

/* Calls of the PAL that have begun. */
static uint64_t info_calls(void)
{
    struct xmhf_pal_stats st;

    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, sizeof(st), STUBS), TV_OK);
    memcpy(&st, fake_at(CR3, BUFS), sizeof(st));
    return st.calls;
}

static uint64_t unreg(void) { return command(XMHF_HC_IMAGE_UNREGISTER, STUBS, 0, 0); }

static void expect_gone(void)
{
    assert_int_equal(unreg(), TV_OK);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- calls ------------------------------------------------------------------------ */

static enum hc_result call_on(struct vcpu *cpu, unsigned i, const uint64_t *args, unsigned n)
{
    static const enum gpr sysv[] = { GPR_RDI, GPR_RSI, GPR_RDX, GPR_RCX, GPR_R8, GPR_R9 };
    static const enum gpr ms[] = { GPR_RCX, GPR_RDX, GPR_R8, GPR_R9 };
    const bool is_ms = d.convention == XMHF_MICROSOFT;
    const unsigned registers = is_ms ? 4 : 6;

    process_poison(cpu);
    process_set_word(RSP, RET);
    for (unsigned k = 0; k < n; k++) {
        if (k < registers) {
            cpu->regs.gpr[is_ms ? ms[k] : sysv[k]] = args[k];
        } else {
            process_set_word(RSP + 8 + 8 * (is_ms ? k : k - 6), args[k]);
        }
    }
    cpu->regs.rip = XMHF_IMAGE_STUB(STUBS, i);
    return hypapp.hypercall(cpu, (uint32_t)cpu->regs.gpr[GPR_RAX]);
}

#define CALL(i, ...) call_on(&v, i, (const uint64_t[]){ __VA_ARGS__ }, \
                             sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8)

static uint8_t *pal_at(uint64_t va)
{
    unsigned rights;
    uint8_t *p = fake_pal_at(va, &rights);

    assert_non_null(p);
    return p;
}

static unsigned rights_at(uint64_t va)
{
    unsigned rights = 0;

    return fake_pal_at(va, &rights) ? rights : 0;
}

static uint64_t pal_word(uint64_t va)
{
    uint64_t w;

    memcpy(&w, pal_at(va), 8);
    return w;
}

static void pal_returns(struct vcpu *cpu, uint64_t rax)
{
    process_pal_returns(cpu, pal_word(cpu->regs.gpr[GPR_RSP]), rax);
}

static bool all_are(const uint8_t *p, size_t n, uint8_t byte)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != byte) {
            return false;
        }
    }
    return true;
}

/* --- the descriptor ----------------------------------------------------------------- */

#define BAD(error, change) do { \
        layout(2); change; assert_int_equal(reg(), error); \
        assert_int_equal(fake.pool_free, pool_at_rest); } while (0)

static void test_errors_of_head(void **state)
{
    (void)state;
    BAD(TV_BAD_STRUCT, d.version = 1);
    BAD(TV_BAD_STRUCT, d.size = 55);
    BAD(TV_BAD_LISTS, d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries) + 1);
    BAD(TV_BAD_LISTS, d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries) - 16);
    BAD(TV_BAD_CONVENTION, d.mode = 32);
    BAD(TV_NO_GAP, d.mode = 16; d.convention = XMHF_CDECL16); /* RODATA is in CODE's 64 KiB */
    BAD(TV_BAD_MODE, d.mode = 8);
    BAD(TV_BAD_MODE, d.mode = 0);
    BAD(TV_BAD_CONVENTION, d.convention = XMHF_CDECL);
    BAD(TV_BAD_CONVENTION, d.convention = 4);
    BAD(TV_BAD_FLAGS, d.flags = 2);
    BAD(TV_BAD_CONVENTION, d.caller = XMHF_CDECL);
    BAD(TV_BAD_CONVENTION, d.caller = 6);
    BAD(TV_BAD_CONVENTION, d.convention = XMHF_CDECL16);
    BAD(TV_BAD_CONVENTION, d.mode = 32; d.convention = XMHF_MICROSOFT);
    BAD(TV_BAD_INTEGER, entries[1].result = 3);
    BAD(TV_BAD_INTEGER, entries[1].result = XMHF_INTEGER_SIGNED);
    BAD(TV_BAD_STUBS, d.stubs += PAGE_SIZE);
    BAD(TV_BAD_SECTIONS, d.sections = 0);
    BAD(TV_BAD_SECTIONS, d.sections = 65);
    BAD(TV_BAD_PARAMS, d.params = 257);
    BAD(TV_IMAGE_ENTRIES, d.entries = 0);
    BAD(TV_IMAGE_ENTRIES, d.entries = 65);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, STUBS + 16), TV_BAD_STUBS);
    layout(2);
    d.stubs++;
    reg();
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, STUBS + 1), TV_BAD_STUBS);
}

static void test_errors_of_sections(void **state)
{
    (void)state;
    BAD(TV_BAD_SECTION_TYPE, sections[DATA].type = TV_SECTION_SHARED_CODE);
    BAD(TV_BAD_SECTION_TYPE, sections[DATA].type = 18);
    BAD(TV_MISALIGNED, sections[DATA].address++);
    BAD(TV_MISALIGNED, sections[DATA].source++);
    BAD(TV_BAD_SIZE, sections[DATA].pages = 0);
    BAD(TV_BAD_SIZE, sections[PARAM1].pages = 65536);
    BAD(TV_BAD_SIZE, sections[PARAM1].address = 1ULL << 47);
    BAD(TV_BAD_SIZE, sections[PARAM1].address = (1ULL << 47) - PAGE_SIZE);
    BAD(TV_BAD_SIZE, sections[PARAM1].address = -PAGE_SIZE);
    BAD(TV_BAD_SIZE, sections[DATA].source = 1ULL << 47);
    BAD(TV_BAD_SIZE, sections[CODE].source = (1ULL << 47) - PAGE_SIZE);
    BAD(TV_NO_GAP, sections[RODATA].address = AT_CODE + 2 * PAGE_SIZE);
    BAD(TV_NO_GAP, sections[RODATA].address = AT_CODE + PAGE_SIZE);
    BAD(TV_NO_GAP, sections[BSS].address = AT_RODATA);
    BAD(TV_NO_GAP, sections[CODE].address = 0);
    BAD(TV_BAD_SOURCE, sections[DATA].source = 0);
    BAD(TV_BAD_SOURCE, sections[BSS].source = SOURCE);
    BAD(TV_BAD_SOURCE, sections[STACK0].source = SOURCE);
    BAD(TV_BAD_SOURCE, sections[PARAM1].source = SOURCE);
    BAD(TV_OVERLAP, sections[DATA].source = SOURCE + PAGE_SIZE);
    BAD(TV_OVERLAP, sections[DATA].source = STUBS);
    BAD(TV_OVERLAP, sections[CODE].source = STUBS - PAGE_SIZE);
    BAD(TV_NO_CODE, sections[CODE].type = TV_SECTION_DATA);
    BAD(TV_BAD_STACKS, d.stacks = 0);
    BAD(TV_BAD_STACKS, d.stacks = 1);
    BAD(TV_BAD_STACKS, d.stacks = 3);
    BAD(TV_BAD_STACKS, sections[PARAM1].type = XMHF_SECTION_BSS);
    BAD(TV_BAD_STACKS, sections[STACK1].type = XMHF_SECTION_BSS);
}

static void test_errors_of_entries(void **state)
{
    (void)state;
    BAD(TV_IMAGE_ENTRIES, entries[0].address = AT_DATA);
    BAD(TV_IMAGE_ENTRIES, entries[0].address = AT_CODE - 1);
    BAD(TV_IMAGE_ENTRIES, entries[0].address = SOURCE);
    BAD(TV_IMAGE_ENTRIES, entries[2].params = 2);
    BAD(TV_IMAGE_ENTRIES, entries[2].params = 0);
    BAD(TV_IMAGE_ENTRIES, entries[0].params = ~0u);
    BAD(TV_BAD_PARAM_TYPE, params[0].type = 4);
    BAD(TV_BAD_PARAM_TYPE, params[0].type = 0);
    BAD(TV_BAD_DIRECTION, params[0].direction = XMHF_OUT);
    BAD(TV_BAD_INTEGER, params[0].size = 3);
    BAD(TV_BAD_INTEGER, params[0].size = 16);
    BAD(TV_BAD_INTEGER, params[0].size = 0x204);
    BAD(TV_BAD_DIRECTION, params[2].direction = 0);
    BAD(TV_BAD_DIRECTION, params[2].direction = 4);
    BAD(TV_BAD_COUNT, params[0].unit = 1);
    BAD(TV_BAD_COUNT, params[0].counted_by = 2; params[0].unit = 1);
    BAD(TV_BAD_COUNT, params[2].unit = 0);
    BAD(TV_BAD_COUNT, params[2].unit = 7);
    BAD(TV_BAD_COUNT, params[2].counted_by = 0);
    BAD(TV_BAD_COUNT, params[2].counted_by = 1);
    BAD(TV_BAD_COUNT, params[2].counted_by = 3);
    BAD(TV_BAD_COUNT, params[2].counted_by = 4);
    BAD(TV_BAD_COUNT, params[2].counted_by = 0xffff);
    BAD(TV_PARAMS_TOO_BIG, params[2].size = 8192);
    BAD(TV_PARAMS_TOO_BIG, params[2].size = ~7u);
    BAD(TV_PARAMS_TOO_BIG, params[5].size = 8193);
    BAD(TV_PARAMS_TOO_BIG, params[0] = ((struct xmhf_image_param){ 3, 3, (256 << 10) + 1, 0, 0 }));
    BAD(TV_PARAMS_TOO_BIG, sections[PARAM1].pages = 1);
    BAD(TV_NO_PARAM, d.sections -= 2; sections[PARAM0] = sections[STACK1]);
    BAD(TV_BAD_DIRECTION, params[0].type = XMHF_PARAM_OCALL);
    BAD(TV_PARAMS_TOO_BIG, params[0] = ((struct xmhf_image_param){ 3, 3, 1 << 20, 0, 0 }));
    BAD(TV_BAD_COUNT, params[0] = ((struct xmhf_image_param){ 3, 3, 64, 2, 1 }));
    BAD(TV_BAD_OCALL, params[0] = params[1] = ((struct xmhf_image_param){ 3, 3, 64, 0, 0 }));
}

/* A descriptor that ends where the process's memory does; one whose lists don't. */
static void test_end_of_memory(void **state)
{
    size_t n;

    (void)state;
    d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries);
    n = d.size;
    assert_int_equal(reg_at(ARGS + 2 * PAGE_SIZE - n), TV_OK);
    expect_gone();
    fill_sources();
    memcpy(fake_at(CR3, ARGS + 2 * PAGE_SIZE - 56), &d, 56);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS + 2 * PAGE_SIZE - 56, 0, STUBS), ~0ULL);
    memcpy(fake_at(CR3, ARGS + 2 * PAGE_SIZE - 55), &d, 55);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS + 2 * PAGE_SIZE - 55, 0, STUBS), ~0ULL);
    d.version = 9;
    memcpy(fake_at(CR3, ARGS + 2 * PAGE_SIZE - 8), &d, 8);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS + 2 * PAGE_SIZE - 8, 0, STUBS),
                     TV_BAD_STRUCT);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- identity --------------------------------------------------------------------- */

/* Of what is described now, by the sentence in image.h. */
static void expected_identity(uint8_t id[PAL_ID_SIZE])
{
    static uint8_t bytes[2 * PAGE_SIZE];
    struct xmhf_image_section saved[XMHF_IMAGE_SECTIONS + 1];
    const uint64_t stubs = d.stubs;
    br_sha256_context ctx;
    size_t n;

    memcpy(saved, sections, sizeof(saved));
    d.stubs = 0;
    for (unsigned i = 0; i < d.sections; i++) {
        sections[i].source = 0;
    }
    n = encode(bytes);
    d.stubs = stubs;
    memcpy(sections, saved, sizeof(saved));
    br_sha256_init(&ctx);
    br_sha256_update(&ctx, "XMHFPAL\3", 8);
    br_sha256_update(&ctx, bytes, n);
    for (unsigned i = 0; i < d.sections; i++) {
        for (uint32_t k = 0; sections[i].source != 0 && k < sections[i].pages; k++) {
            br_sha256_update(&ctx, fake_at(CR3, sections[i].source + k * PAGE_SIZE), PAGE_SIZE);
        }
    }
    br_sha256_out(&ctx, id);
}

/* The statistics tell the identity to who asks for it, and nobody else gets those bytes. */
static void expect_told(const uint8_t id[PAL_ID_SIZE])
{
    uint8_t *told = (uint8_t *)fake_at(CR3, BUFS) + offsetof(struct xmhf_pal_stats, identity);
    uint8_t before[PAL_ID_SIZE];

    memset(told, 0xee, sizeof(before));
    memcpy(before, told, sizeof(before));
    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, XMHF_PAL_STATS_SHORT, STUBS), TV_OK);
    assert_memory_equal(told, before, sizeof(before));
    assert_int_equal(command(XMHF_HC_PAL_STATS, BUFS, sizeof(struct xmhf_pal_stats), STUBS),
                     TV_OK);
    assert_memory_equal(told, id, PAL_ID_SIZE);
}

static void expect_identity(void)
{
    uint8_t expected[PAL_ID_SIZE];
    struct tv_slot *s;

    d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries);
    expected_identity(expected);
    assert_int_equal(reg(), TV_OK);
    s = registry_get(CR3 >> PAGE_SHIFT, STUBS, TV_IN(TV_LIVE), NULL);
    assert_non_null(s);
    assert_memory_equal(s->pal->identity, expected, PAL_ID_SIZE);
    expect_told(expected);
    registry_put(s);
    expect_gone();
    fill_sources();
}

/* As large as one can be: 64 sections, 30 stacks, 256 parameters, 64 entries. */
static void layout_largest(void)
{
    layout(30);
    d.params = d.entries = 0;
    for (unsigned i = 0; i < XMHF_IMAGE_ENTRIES; i++) {
        entry(AT_CODE + i, 4);
        param(TV_PARAM_POINTER, XMHF_IN, 16 + i, 4, 1);
        param(TV_PARAM_POINTER, XMHF_OUT, i, 0, 0);
        param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
        param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    }
    assert_int_equal(d.sections, XMHF_IMAGE_SECTIONS);
    assert_int_equal(d.params, XMHF_IMAGE_PARAMS);
}

static void test_identity(void **state)
{
    (void)state;
    expect_identity();
    layout(2);
    d.flags = XMHF_IMAGE_DEBUG;
    d.budget = 0x123456789abcdefULL;
    d.convention = XMHF_MICROSOFT;
    params[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, 64, 0, 0 };
    expect_identity();
    layout_largest();
    expect_identity();
}

/* With each page of the caller's full of its number: as Python's struct and hashlib have it. */
static void test_identity_vector(void **state)
{
    static const uint8_t known[PAL_ID_SIZE] = {
        0x69, 0x67, 0xc1, 0xc2, 0x01, 0xbe, 0xac, 0xc6,
        0x2f, 0xff, 0xef, 0x3e, 0xf8, 0xad, 0x01, 0x2f,
        0x14, 0xa2, 0x90, 0xe4, 0x28, 0x3b, 0x5d, 0x5d,
        0xe8, 0x24, 0xd8, 0x73, 0x85, 0x52, 0x7c, 0x54,
    };
    struct tv_slot *s;

    (void)state;
    for (uint64_t i = 0; i < 4 * PAGE_SIZE; i++) {
        *fake_at(CR3, SOURCE + i) = (uint8_t)(i >> 12);
    }
    assert_int_equal(reg(), TV_OK);
    s = registry_get(CR3 >> PAGE_SHIFT, STUBS, TV_IN(TV_LIVE), NULL);
    assert_memory_equal(s->pal->identity, known, PAL_ID_SIZE);
    registry_put(s);
    expect_gone();
}

/* --- life ------------------------------------------------------------------------- */

/* Where the sections are, with what rights; what the caller has left. */
static void test_space(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    assert_true(all_are(fake_at(CR3, SOURCE), PAGE_SIZE, 0));
    assert_true(all_are(fake_at(CR3, SOURCE + 2 * PAGE_SIZE), PAGE_SIZE, 0));
    CALL(0, 1, 2);
    assert_true(v.in_sandbox);
    assert_int_equal(rights_at(AT_CODE), ACCESS_READ | ACCESS_EXEC);
    assert_int_equal(rights_at(AT_RODATA), ACCESS_READ);
    assert_int_equal(rights_at(AT_DATA), ACCESS_READ | ACCESS_WRITE);
    assert_int_equal(rights_at(AT_BSS + 2 * PAGE_SIZE), ACCESS_READ | ACCESS_WRITE);
    for (unsigned i = 0; i < d.sections; i++) { /* an unmapped page on both sides of each */
        const struct xmhf_image_section *x = &sections[i];
        assert_int_equal(rights_at(x->address - PAGE_SIZE), 0);
        assert_int_equal(rights_at(x->address + x->pages * PAGE_SIZE), 0);
    }
    assert_int_equal(rights_at(SOURCE), 0);
    assert_int_equal(rights_at(STUBS), 0);
    for (uint64_t i = 0; i < PAGE_SIZE; i++) {
        assert_int_equal(*pal_at(AT_CODE + PAGE_SIZE + i), (uint8_t)(1 + (PAGE_SIZE + i) * 7 + 1));
        assert_int_equal(*pal_at(AT_RODATA + i), (uint8_t)(1 + (3 * PAGE_SIZE + i) * 7 + 3));
        assert_int_equal(*pal_at(AT_DATA + i), (uint8_t)(1 + (2 * PAGE_SIZE + i) * 7 + 2));
        assert_int_equal(*pal_at(AT_BSS + i), 0);
    }
    pal_returns(&v, 3);
    process_expect_returned(&v, 3, 0, 0);
    expect_gone();
    assert_true(all_are(fake_at(CR3, SOURCE), PAGE_SIZE, 0)); /* nothing comes back */
    assert_true(all_are(fake_at(CR3, STUBS), PAGE_SIZE, 0xcc));
}

/* The return page is between unmapped ones, wherever the image leaves room. */
static void test_return_page(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        uint64_t page;
        layout(1);
        if (n == 1) { /* the last section ends where 2 MiB do */
            sections[PARAM0].address = 0x10200000 - 2 * PAGE_SIZE;
        } else if (n == 2) { /* and the low pages are taken */
            sections[PARAM0].address = 0x10200000 - 2 * PAGE_SIZE;
            sections[CODE].address = 2 * PAGE_SIZE;
            entries[0].address = entries[1].address = entries[2].address = 2 * PAGE_SIZE;
            sections[RODATA].address = 5 * PAGE_SIZE;
        }
        assert_int_equal(reg(), TV_OK);
        CALL(0, 1, 2);
        page = pal_word(v.regs.gpr[GPR_RSP]);
        assert_int_equal(rights_at(page), ACCESS_READ | ACCESS_EXEC);
        assert_int_equal(rights_at(page - PAGE_SIZE), 0);
        assert_int_equal(rights_at(page + PAGE_SIZE), 0);
        pal_returns(&v, 0);
        expect_gone();
        fill_sources();
    }
}

static void test_stubs(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < d.entries; i++) {
        assert_memory_equal(fake_at(CR3, XMHF_IMAGE_STUB(STUBS, i)), "\x0f\x01\xd9\xccXMHFPAL", 11);
        CALL(i, BUFS, 0, 0);
        assert_true(v.in_sandbox);
        assert_int_equal(v.regs.rip, entries[i].address);
        pal_returns(&v, i);
        process_expect_returned(&v, i, 0, 0);
    }
    /* Between them, behind them, and where the image is linked nothing can be called. */
    assert_true(all_are(fake_at(CR3, STUBS + 11), 5, 0xcc));
    CALL(3, 0);
    assert_false(v.in_sandbox);
    fake_clear();
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, STUBS), TV_EXISTS);
    assert_int_equal(command(TV_HC_UNREG, AT_CODE + 0x101, 0, 0), TV_NOT_FOUND);
    expect_gone();
}

/* Two PALs of a process may be linked at the same addresses; pages of the caller's are one's. */
static void test_two(void **state)
{
    const uint64_t other = STUBS + 0x10000;
    static uint8_t bytes[2 * PAGE_SIZE];
    size_t n;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    fake_map_new(CR3, other, 5, FAKE_RWX);
    d.stubs = other;
    sections[CODE].source = other + PAGE_SIZE;
    sections[RODATA].source = other + 3 * PAGE_SIZE;
    n = encode(bytes);
    memcpy(fake_at(CR3, ARGS), bytes, n);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, other), TV_OVERLAP); /* DATA */
    sections[DATA].source = other + 4 * PAGE_SIZE;
    n = encode(bytes);
    memcpy(fake_at(CR3, ARGS), bytes, n);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, other), TV_OK);
    *fake_at(CR3, other + PAGE_SIZE) = 1; /* still the caller's, and nobody's PAL */
    CALL(0, 1, 2);
    assert_int_equal(*pal_at(AT_CODE), 1);
    pal_returns(&v, 0);
    assert_int_equal(command(XMHF_HC_IMAGE_UNREGISTER, other, 0, 0), TV_OK);
    expect_gone();
}

/* One frame of the caller's at two places: as a section and as the page of stubs. */
static void test_duplicates(void **state)
{
    (void)state;
    fake_map(CR3, STUBS, (uint64_t)0, FAKE_RWX);
    fake_map(CR3, SOURCE + 2 * PAGE_SIZE, (uint64_t)0, FAKE_RW);
    assert_int_equal(reg(), TV_DUPLICATE_PAGE);
    fake_map(CR3, STUBS, (uint64_t)FAKE_MMIO, FAKE_RWX);
    assert_int_equal(reg(), TV_NOT_RAM);
    fake_map_new(CR3, STUBS, 1, FAKE_RX);
    assert_int_equal(reg(), ~0ULL);
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* --- parameters ------------------------------------------------------------------- */

static void fill_bufs(void)
{
    for (uint64_t i = 0; i < 8 * PAGE_SIZE; i++) {
        *fake_at(CR3, BUFS + i) = (uint8_t)(i * 5 + 3);
    }
}

static bool buf_is_as_filled(uint64_t at, uint64_t n)
{
    for (uint64_t i = at - BUFS; i < at - BUFS + n; i++) {
        if (*fake_at(CR3, BUFS + i) != (uint8_t)(i * 5 + 3)) {
            return false;
        }
    }
    return true;
}

/* Only what is counted is looked at, copied in and copied out: the buffers may end there. */
static void test_counted(void **state)
{
    const uint64_t end = BUFS + 8 * PAGE_SIZE, a = end - 80, b = BUFS + PAGE_SIZE;

    (void)state;
    assert_int_equal(reg(), TV_OK);
    fill_bufs();
    CALL(1, a, 10, b);
    assert_true(v.in_sandbox);
    assert_int_equal(v.regs.gpr[GPR_RDI], AT_PARAM(0));
    assert_int_equal(v.regs.gpr[GPR_RSI], 10);
    assert_int_equal(v.regs.gpr[GPR_RDX], AT_PARAM(0) + 4096);
    assert_memory_equal(pal_at(AT_PARAM(0)), fake_at(CR3, a), 80);
    assert_true(all_are(pal_at(AT_PARAM(0) + 80), PAGE_SIZE - 80, 0));
    assert_true(all_are(pal_at(AT_PARAM(0) + 4096), 112, 0));
    memset(pal_at(AT_PARAM(0)), 0x77, PAGE_SIZE);
    memset(pal_at(AT_PARAM(0) + 4096), 0x66, PAGE_SIZE);
    pal_returns(&v, 1);
    process_expect_returned(&v, 1, 0, 0);
    assert_true(all_are(fake_at(CR3, a), 80, 0x77));
    assert_true(all_are(fake_at(CR3, b), 10, 0x66));
    assert_true(buf_is_as_filled(b + 10, 200));
    /* The next call doesn't see what this one gave and got. */
    CALL(1, a, 1, b);
    assert_true(all_are(pal_at(AT_PARAM(0) + 8), PAGE_SIZE - 8, 0));
    assert_true(all_are(pal_at(AT_PARAM(0) + 4096), 112, 0));
    pal_returns(&v, 1);
    CALL(2, a);
    assert_true(all_are(pal_at(AT_PARAM(0) + 24), PAGE_SIZE - 24, 0));
    assert_true(all_are(pal_at(AT_PARAM(0) + 4096), 112, 0));
    pal_returns(&v, 1);
    CALL(0, 1, 2);
    assert_true(all_are(pal_at(AT_PARAM(0)), PAGE_SIZE, 0));
    pal_returns(&v, 1);
    expect_gone();
}

/* A count of zero asks for nothing; the greatest one for all. */
static void test_counts_at_the_ends(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    fill_bufs();
    CALL(1, 0, 0, ~0ULL);
    assert_true(v.in_sandbox);
    memset(pal_at(AT_PARAM(0)), 0x77, PAGE_SIZE);
    pal_returns(&v, 1);
    process_expect_returned(&v, 1, 0, 0);
    CALL(1, BUFS, 100, BUFS + PAGE_SIZE);
    assert_true(v.in_sandbox);
    pal_returns(&v, 1);
    /* The second buffer has 100 bytes. */
    CALL(1, BUFS, 101, BUFS + PAGE_SIZE);
    process_expect_returned(&v, 0, XMHF_STATUS_BAD_COUNT, 0);
    expect_gone();
}

/* Too much is refused before anything is touched, whatever the word looks like. */
static void test_bad_counts(void **state)
{
    static const uint64_t bad[] = {
        101, 513, 1ULL << 31, 1ULL << 32, (1ULL << 32) + 1, 1ULL << 61, 1ULL << 63, ~0ULL,
    };

    (void)state;
    params[4].counted_by = params[4].unit = 0; /* only the things of eight bytes are counted */
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 1; i < ARRAY_SIZE(bad); i++) {
        CALL(1, ~0ULL, bad[i], 8);
        process_expect_returned(&v, 0, XMHF_STATUS_BAD_COUNT, 0);
    }
    expect_gone();
    fill_sources();
    layout(1);
    assert_int_equal(reg(), TV_OK);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        CALL(1, ~0ULL, bad[i], 8);
        process_expect_returned(&v, 0, XMHF_STATUS_BAD_COUNT, 0);
    }
    assert_int_equal(info_calls(), 0);
    expect_gone();
}

/* The count that copies out is the caller's, which the PAL never sees in memory. Between in and out
 * the call is interrupted. */
static void test_count_is_kept(void **state)
{
    const struct exit intr = { .kind = EXIT_INTR };
    uint64_t token[2];

    (void)state;
    assert_int_equal(reg(), TV_OK);
    fill_bufs();
    CALL(1, BUFS, 2, BUFS + PAGE_SIZE);
    memset(pal_at(AT_PARAM(0)), 0x77, PAGE_SIZE);
    hypapp.sandbox_exit(&v, &intr);
    assert_int_equal(v.regs.rip, RESUME);
    token[0] = v.regs.gpr[GPR_RAX];
    token[1] = v.regs.gpr[GPR_RDX];
    process_poison(&v);
    v.regs.gpr[GPR_RAX] = token[0];
    v.regs.gpr[GPR_RDX] = token[1];
    v.regs.rip = RESUME;
    hypapp.hypercall(&v, (uint32_t)token[0]);
    assert_true(v.in_sandbox);
    v.regs.gpr[GPR_RSP] = AT_STACK(0) + 2 * PAGE_SIZE - 0x18;
    pal_returns(&v, 9);
    process_expect_returned(&v, 9, 0, 0);
    assert_true(all_are(fake_at(CR3, BUFS), 16, 0x77));
    assert_true(buf_is_as_filled(BUFS + 16, 4096 - 16));
    expect_gone();
}

/* 32 parameters, in both conventions; a pointer that is counted by the last one. */
static void test_32_parameters(void **state)
{
    uint64_t args[32];

    (void)state;
    for (unsigned ms = 0; ms < 2; ms++) {
        const unsigned in_registers = ms ? 4 : 6;
        layout(1);
        d.convention = ms ? XMHF_MICROSOFT : XMHF_SYSV;
        d.params = d.entries = 0;
        entry(AT_CODE, 32);
        param(TV_PARAM_POINTER, XMHF_IN, 64, 32, 4);
        for (unsigned i = 1; i < 32; i++) {
            param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
        }
        fill_bufs();
        fill_sources();
        assert_int_equal(reg(), TV_OK);
        for (unsigned i = 0; i < 32; i++) {
            args[i] = i == 0 ? BUFS : i == 31 ? 16 : 0x1000 + i;
        }
        call_on(&v, 0, args, 32);
        assert_true(v.in_sandbox);
        for (unsigned i = in_registers; i < 32; i++) {
            assert_int_equal(pal_word(v.regs.gpr[GPR_RSP] + 8 * (1 + i - (ms ? 0 : 6))), args[i]);
        }
        assert_int_equal(v.regs.gpr[ms ? GPR_RCX : GPR_RDI], AT_PARAM(0));
        assert_memory_equal(pal_at(AT_PARAM(0)), fake_at(CR3, BUFS), 64);
        pal_returns(&v, 7);
        process_expect_returned(&v, 7, 0, 0);
        args[31] = 17;
        call_on(&v, 0, args, 32);
        process_expect_returned(&v, 0, XMHF_STATUS_BAD_COUNT, 0);
        expect_gone();
    }
}

/* --- deaths ----------------------------------------------------------------------- */

/* The address that a page fault touched: its page, of a debug image all of it. */
static void test_death_address(void **state)
{
    const struct exit pf = {
        .kind = EXIT_EXCEPTION,
        .exception = { .vector = 14, .addr = AT_BSS + 3 * PAGE_SIZE + 0x123 },
    };
    const struct exit gp = {
        .kind = EXIT_EXCEPTION, .exception = { .vector = 13, .addr = 0x1234567 },
    };

    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        layout(2);
        d.flags = n == 1 ? XMHF_IMAGE_DEBUG : 0;
        fill_sources();
        assert_int_equal(reg(), TV_OK);
        CALL(0, 1, 2);
        call_on(&cpu2, 0, (const uint64_t[]){ 1, 2 }, 2);
        assert_true(cpu2.in_sandbox);
        v.regs.rip = AT_RODATA + 0x44;
        hypapp.sandbox_exit(&v, n == 2 ? &gp : &pf);
        process_expect_returned(&v, n == 0 ? AT_BSS + 3 * PAGE_SIZE
                                   : n == 1 ? AT_BSS + 3 * PAGE_SIZE + 0x123 : 0,
                        TV_DEATH_EXCEPTION | (n == 2 ? 13 : 14) << 8 | RODATA << 16, 0x44);
        /* Another call of it hears the same, whatever it dies of itself. */
        hypapp.sandbox_exit(&cpu2, &gp);
        assert_int_equal(cpu2.regs.gpr[GPR_RAX], v.regs.gpr[GPR_RAX]);
        assert_int_equal(cpu2.regs.gpr[GPR_RCX], v.regs.gpr[GPR_RCX]);
        assert_int_equal(unreg(), TV_NOT_FOUND);
        assert_int_equal(fake.pool_free, pool_at_rest);
    }
}

/* Who calls a dead image's stub is told how it died; another process, which has got its CR3 and
 * wrote something like a stub to the same place, isn't. */
static void test_stub_of_the_dead(void **state)
{
    const struct exit gp = { .kind = EXIT_EXCEPTION, .exception = { .vector = 13 } };
    uint8_t *nonce = fake_at(CR3, RESUME + 16);

    (void)state;
    assert_int_equal(reg(), TV_OK);
    CALL(0, 1, 2);
    v.regs.rip = AT_CODE + 0x10;
    hypapp.sandbox_exit(&v, &gp);
    CALL(0, 1, 2);
    assert_int_equal(v.regs.rip, RET);
    assert_int_equal(v.regs.gpr[GPR_RCX], TV_DEATH_EXCEPTION | 13 << 8 | CODE << 16);
    assert_int_equal(v.regs.gpr[GPR_RDX], 0x10);
    for (unsigned i = 0; i < 16; i++) {
        nonce[i] ^= 1;
        CALL(0, 1, 2);
        assert_int_equal(fake.injected, FAKE_UD);
        assert_int_equal(v.regs.rip, XMHF_IMAGE_STUB(STUBS, 0));
        fake_clear();
        nonce[i] ^= 1;
    }
}

/* --- large ones and failures -------------------------------------------------------- */

/* More than is registered in one exit, of which most are zeros; the page of stubs comes last. */
static void test_large(void **state)
{
    (void)state;
    fake_map_new(CR3, SOURCE + 0x1000000, 200, FAKE_RW);
    sections[DATA].source = SOURCE + 0x1000000;
    sections[DATA].pages = 200;
    sections[BSS].address = AT_DATA + 300 * PAGE_SIZE;
    sections[BSS].pages = 700;
    sections[STACK0].address = AT_DATA + 1100 * PAGE_SIZE;
    sections[PARAM0].address = AT_DATA + 1200 * PAGE_SIZE;
    *fake_at(CR3, SOURCE + 0x1000000 + 200 * PAGE_SIZE - 1) = 9;
    expect_identity();
    *fake_at(CR3, SOURCE + 0x1000000 + 200 * PAGE_SIZE - 1) = 9;
    assert_int_equal(reg(), TV_OK);
    assert_true(all_are(fake_at(CR3, SOURCE + 0x1000000 + 199 * PAGE_SIZE), PAGE_SIZE, 0));
    CALL(0, 1, 2);
    assert_int_equal(*pal_at(AT_DATA + 200 * PAGE_SIZE - 1), 9);
    assert_true(all_are(pal_at(AT_DATA + 999 * PAGE_SIZE), PAGE_SIZE, 0));
    pal_returns(&v, 0);
    expect_gone();
}

#define MANY       17u
#define FAR(i, n)  (0x7f3000000000ULL + ((i) * 32 + (n)) * PAGE_SIZE)
#define FAR_STUBS(n) FAR(XMHF_IMAGE_SECTIONS, n)

/* Number `n` of those with the longest lists: their sources are in between each other's. */
static void layout_far(unsigned n)
{
    layout_largest();
    d.sections = 0;
    d.stacks = 1;
    for (unsigned i = 0; i < XMHF_IMAGE_SECTIONS - 2; i++) {
        section(i == 0 ? TV_SECTION_CODE : TV_SECTION_DATA, 1, AT_CODE + 2 * i * PAGE_SIZE,
                FAR(i, n));
    }
    section(TV_SECTION_STACK, 1, AT_CODE + 2 * d.sections * PAGE_SIZE, 0);
    section(TV_SECTION_PARAM, 1, AT_CODE + 2 * d.sections * PAGE_SIZE, 0);
    d.stubs = FAR_STUBS(n);
    d.size = (uint32_t)XMHF_IMAGE_SIZE(d.sections, d.params, d.entries);
}

static uint64_t reg_far(void)
{
    for (size_t i = 0; i < d.sections; i++) {
        if (sections[i].source != 0) {
            fake_map_new(CR3, sections[i].source, 1, FAKE_RW);
        }
    }
    fake_map_new(CR3, d.stubs, 1, FAKE_RWX);
    encode_to(ARGS);
    return command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, d.stubs);
}

/* Beside others with as long lists comparing takes an exit of its own: it is linked by then. */
static void test_long_lists(void **state)
{
    struct tv_slot *s;
    bool busy;

    (void)state;
    for (unsigned n = 0; n < MANY; n++) {
        layout_far(n);
        assert_int_equal(reg_far(), TV_OK);
    }
    layout_far(MANY);
    sections[5].source = FAR(9, 3);
    fake_map_new(CR3, FAR_STUBS(MANY), 1, FAKE_RWX);
    encode_to(ARGS);
    process_poison(&v);
    v.regs.gpr[GPR_RCX] = ARGS;
    v.regs.gpr[GPR_RDI] = d.stubs;
    v.regs.gpr[GPR_RAX] = XMHF_HC_IMAGE_REGISTER;
    assert_int_equal(hypapp.hypercall(&v, XMHF_HC_IMAGE_REGISTER), HC_AGAIN);
    s = registry_get_idle(CR3 >> PAGE_SHIFT, d.stubs, &busy);
    assert_non_null(s);
    assert_false(s->pal->reg.judged);
    registry_put(s);
    assert_int_equal(hypapp.hypercall(&v, XMHF_HC_IMAGE_REGISTER), HC_DONE);
    assert_int_equal(v.regs.gpr[GPR_RAX], TV_OVERLAP);
    assert_int_equal(v.regs.gpr[GPR_RDX], 0x1111111111111111ULL * GPR_RDX + 5);
    d.stubs = FAR_STUBS(2);
    encode_to(ARGS);
    assert_int_equal(command(XMHF_HC_IMAGE_REGISTER, ARGS, 0, d.stubs), TV_EXISTS);
    for (unsigned n = 0; n < MANY; n++) {
        assert_int_equal(command(XMHF_HC_IMAGE_UNREGISTER, FAR_STUBS(n), 0, 0), TV_OK);
    }
    assert_int_equal(fake.pool_free, pool_at_rest);
}

/* Whichever allocation fails, the guest tries again or nothing was changed, and nothing is left. */
static void test_no_memory(void **state)
{
    unsigned refused = 0, n = 0;

    (void)state;
    do {
        uint64_t answer;
        fake.pool_allocs = 0;
        fake.pool_fail_at = ++n;
        answer = reg();
        fake.pool_fail_at = 0;
        refused += answer == TV_NO_MEMORY;
        if (answer == TV_OK) {
            CALL(0, 1, 2);
            assert_int_equal(*pal_at(AT_CODE), 1);
            pal_returns(&v, 0);
            expect_gone();
            fill_sources();
        }
        assert_int_equal(fake.pool_free, pool_at_rest);
        assert_int_equal(*fake_at(CR3, SOURCE), 1);
    } while (fake.pool_allocs >= n);
    assert_true(n > 20 && refused > 5);
}

/* A fault at any access of the guest's changes nothing. */
static void test_faults(void **state)
{
    unsigned faults = 0, n = 0;
    bool all;

    (void)state;
    do {
        uint64_t answer;
        fake.guest_accesses = 0;
        fake.fault_at = ++n;
        answer = reg();
        all = fake.guest_accesses < n;
        fake.fault_at = 0;
        if (answer == ~0ULL) {
            assert_int_equal(*fake_at(CR3, SOURCE), 1);
            faults++;
            machine.tsc += TV_STALE_TICKS; /* what was left over is no obstacle */
            answer = reg();
        }
        assert_int_equal(answer, TV_OK);
        expect_gone();
        fill_sources();
    } while (!all);
    assert_true(faults > 10);
}

/* The page of stubs went away, or is another process's: as with any PAL. */
static void test_owner(void **state)
{
    (void)state;
    assert_int_equal(reg(), TV_OK);
    fake_absent(CR3, STUBS);
    assert_int_equal(unreg(), ~0ULL); /* a page fault for it */
    assert_int_equal(info_pals(), 1);
    fake_map_new(CR3, STUBS, 1, FAKE_RWX);
    assert_int_equal(unreg(), TV_OK);
    assert_int_equal(fake.pool_free, pool_at_rest);
    fill_sources();
    assert_int_equal(reg(), TV_OK);
    fake.caller.paging.cr3 = CR3 + 0x10000; /* a child: it has none */
    memcpy(fake_ram(fake_map_new(CR3 + 0x10000, TEXT, 1, FAKE_RX)), "\x0f\x01\xd9", 3);
    assert_int_equal(unreg(), TV_NOT_FOUND);
    fake.caller.paging.cr3 = CR3;
    expect_gone();
}

static void test_limits(void **state)
{
    struct xmhf_pal_limits l;

    (void)state;
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, sizeof(l), 0), TV_OK);
    memcpy(&l, fake_at(CR3, BUFS), sizeof(l));
    assert_true(l.features & XMHF_FEATURE_IMAGE);
    assert_int_equal(l.image_area, XMHF_IMAGE_AREA);
    memset(fake_at(CR3, BUFS), 0x55, sizeof(l)); /* programs that don't know it ask for less */
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, XMHF_PAL_LIMITS_SHORT, 0), TV_OK);
    assert_int_equal(*fake_at(CR3, BUFS + XMHF_PAL_LIMITS_SHORT), 0x55);
    assert_memory_equal(fake_at(CR3, BUFS), &l, XMHF_PAL_LIMITS_SHORT);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, sizeof(l) - 1, 0), TV_BAD_STRUCT);
    assert_int_equal(reg(), TV_OK);
    assert_int_equal(command(XMHF_HC_PAL_LIMITS, BUFS, sizeof(l), 0), TV_OK);
    memcpy(&l, fake_at(CR3, BUFS), sizeof(l));
    assert_int_equal(l.own_pals, 1);
    assert_int_equal(l.own_pages, pool_at_rest - fake.pool_free); /* each page is charged */
    expect_gone();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_errors_of_head, setup),
        cmocka_unit_test_setup(test_errors_of_sections, setup),
        cmocka_unit_test_setup(test_errors_of_entries, setup),
        cmocka_unit_test_setup(test_end_of_memory, setup),
        cmocka_unit_test_setup(test_identity, setup),
        cmocka_unit_test_setup(test_identity_vector, setup),
        cmocka_unit_test_setup(test_space, setup),
        cmocka_unit_test_setup(test_return_page, setup),
        cmocka_unit_test_setup(test_stubs, setup),
        cmocka_unit_test_setup(test_two, setup),
        cmocka_unit_test_setup(test_duplicates, setup),
        cmocka_unit_test_setup(test_counted, setup),
        cmocka_unit_test_setup(test_counts_at_the_ends, setup),
        cmocka_unit_test_setup(test_bad_counts, setup),
        cmocka_unit_test_setup(test_count_is_kept, setup),
        cmocka_unit_test_setup(test_32_parameters, setup),
        cmocka_unit_test_setup(test_death_address, setup),
        cmocka_unit_test_setup(test_stub_of_the_dead, setup),
        cmocka_unit_test_setup(test_large, setup),
        cmocka_unit_test_setup(test_long_lists, setup),
        cmocka_unit_test_setup(test_no_memory, setup),
        cmocka_unit_test_setup(test_faults, setup),
        cmocka_unit_test_setup(test_owner, setup),
        cmocka_unit_test_setup(test_limits, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
