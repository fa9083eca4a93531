/* SPDX-License-Identifier: MIT */
/*
 * PALs of 64, 32 and 16 bits, called by a program of either width (pal_widths, pal_widths32):
 * random arguments of declared widths, from several threads at once, while signals come and
 * registers of the FPU hold something; their identities; deaths above 4 GiB; and what is refused.
 *
 * usage: pal_widths [CALLS]
 */
#define _GNU_SOURCE
#include "tap.h"
#include "width_code.h"
#include <pal/module.h>
#include <pthread.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>
#include <xmhf/types.h>

#define STACKS  2u
#define THREADS 3u

static const struct called {
    const char *name;
    uint32_t mode, convention;
    uint64_t link, nowhere;
    const uint8_t *code;
    uint32_t die_offset, vector, result;
} pals[] = {
    { "64-bit", PAL_ID_MODE_64, XMHF_SYSV, 0x712300000000, 0x123456789abc, width64,
      WIDTH_DIE_AT, 14, 8 },
    { "32-bit", PAL_ID_MODE_32, XMHF_CDECL, 0x10000000, 0xd2345678, width32,
      WIDTH_DIE_AT + 4, 14, 8 },
    { "16-bit", PAL_ID_MODE_16, XMHF_CDECL16, 0x10000, 0, width16, WIDTH_DIE_AT, 13, 4 },
};

typedef PAL_ABI uint64_t (*width_fn)(uint32_t a, uint64_t b, int16_t c, uint64_t *p, uint64_t d);

static const struct called *called;  /* the one that is registered */
static uint8_t *stubs, *code;
static struct {
    struct xmhf_image image;
    struct xmhf_image_section section[1 + 2 * STACKS];
    struct xmhf_image_param param[2 * WIDTH_PARAMS];
    struct xmhf_image_entry entry[2];
} d;

/* --- registering ------------------------------------------------------------------------ */

static void describe(const struct called *p)
{
    memset(&d, 0, sizeof(d));
    memset(code, 0xcc, PAL_PAGE);
    memcpy(code, p->code, WIDTH_CODE);
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = p->mode,
        .convention = p->convention, .flags = XMHF_IMAGE_DEBUG, .stacks = STACKS,
        .sections = 1 + 2 * STACKS, .params = 2 * WIDTH_PARAMS, .entries = 2,
        .stubs = (uintptr_t)stubs,
    };
    d.section[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, p->link, (uintptr_t)code };
    for (unsigned k = 0; k < STACKS; k++) {
        const uint64_t at = p->link + 0x10000 * (k + 1);
        d.section[1 + 2 * k] = (struct xmhf_image_section){ TV_SECTION_STACK, 1, at, 0 };
        d.section[2 + 2 * k] = (struct xmhf_image_section){ TV_SECTION_PARAM, 1, at + 0x8000, 0 };
    }
    memcpy(d.param, width_params, sizeof(width_params));
    memcpy(d.param + WIDTH_PARAMS, width_params, sizeof(width_params));
    d.entry[0] = (struct xmhf_image_entry){ p->link, WIDTH_PARAMS, p->result };
    d.entry[1] = (struct xmhf_image_entry){ p->link + WIDTH_DIE_AT, WIDTH_PARAMS, p->result };
}

static uint64_t reg(void)
{
    return pal_hypercall(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, 0, 0, (uintptr_t)stubs);
}

static uint64_t unreg(void)
{
    return pal_hypercall(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0, 0, 0);
}

static width_fn entry(unsigned i)
{
    return (width_fn)(uintptr_t)(stubs + i * XMHF_IMAGE_STUB_SIZE);
}

/* --- calls ------------------------------------------------------------------------------- */

struct work {
    pthread_t thread;
    uint64_t seed;
    unsigned calls, bad;
};

/* A call with XMM0 to XMM7 and the settings of both FPUs as they can only be if they are kept: the
 * convention would let a function change the registers, and a PAL has no way to them. */
static bool call_keeps(uint64_t *seed)
{
    const uint32_t a = (uint32_t)tap_random(seed), mxcsr = 0x1f80 | (uint32_t)(*seed & 3) << 13;
    const uint64_t b = tap_random(seed), e = tap_random(seed), first = tap_random(seed);
    const int16_t c = (int16_t)tap_random(seed);
    const uint64_t whole = width_result(a, b, c, e);
    uint64_t sum = first, kept[2] = { tap_random(seed), tap_random(seed) }, after[2], r;
    uint32_t mxcsr_after;
    uint16_t cw = 0x27f, cw_after;

    __asm__ volatile("ldmxcsr %0; fldcw %1; movdqu %2, %%xmm7"
                     :: "m"(mxcsr), "m"(cw), "m"(kept));
    r = entry(0)(a, b, c, &sum, e);
    __asm__ volatile("movdqu %%xmm7, %0; stmxcsr %1; fnstcw %2"
                     : "=m"(after), "=m"(mxcsr_after), "=m"(cw_after));
    return r == (called->result == 8 ? whole : (uint32_t)whole) && sum == first + whole
        && mxcsr_after == mxcsr
        && cw_after == cw && memcmp(kept, after, sizeof(kept)) == 0;
}

static void *work(void *arg)
{
    struct work *w = arg;

    for (unsigned i = 0; i < w->calls; i++) {
        w->bad += !call_keeps(&w->seed);
    }
    return NULL;
}

/* More threads than stacks. */
static void random_calls(const char *name, unsigned calls)
{
    struct work w[THREADS];
    struct xmhf_pal_stats st;
    unsigned bad = 0;

    tap_ticker(1000);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct work){ .seed = 0x9e3779b97f4a7c15 + i, .calls = calls };
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        bad += w[i].bad;
    }
    tap_ticker(0);
    ok(bad == 0, "%u calls of a %s PAL by %u-bit code, under signals: %u wrong",
       THREADS * calls, name, (unsigned)(8 * sizeof(void *)), bad);
    ok(pal_stats(stubs, &st) == TV_OK && st.calls == THREADS * calls,
       "each was made once: %llu, %llu of them interrupted", (unsigned long long)st.calls,
       (unsigned long long)st.interruptions);
}

/* --- deaths -------------------------------------------------------------------------------- */

static void death(const struct called *p)
{
    struct xmhf_pal_stats st = { 0 };
    uint64_t sum = 0;

    entry(1)(1, p->nowhere, 1, &sum, 1);
    ok(pal_stats(stubs, &st) == TV_OK && st.death == TV_DEATH_EXCEPTION && st.vector == p->vector
       && st.section == 0 && st.address == p->nowhere,
       "a %s PAL's death: vector %u, section %u, offset 0x%x, address 0x%llx", p->name, st.vector,
       st.section, st.offset, (unsigned long long)st.address);
    ok(st.offset == p->die_offset, "where it was");
    ok(unreg() == TV_NOT_FOUND, "and it is gone");
}

/* --- refusals ------------------------------------------------------------------------------ */

static void refused(const struct called *p, uint64_t error, const char *what)
{
    const uint64_t r = reg();

    ok(r == error, "%s, %s PAL: %s", what, p->name, pal_error_name(r));
    describe(p);
}

static void refusals(const struct called *p)
{
    const bool is_64 = p->mode == PAL_ID_MODE_64;

    describe(p);
    d.image.mode = 48;
    refused(p, TV_BAD_MODE, "48 bits");
    d.image.convention = is_64 ? XMHF_CDECL : XMHF_SYSV;
    refused(p, TV_BAD_CONVENTION, "a convention of the other width");
    d.image.caller = sizeof(void *) == 8 ? XMHF_CDECL : XMHF_MICROSOFT;
    refused(p, TV_BAD_CONVENTION, "a caller of the other width");
    d.section[0].address = 0x800000000000;
    refused(p, TV_BAD_SIZE, "an address that isn't canonical");
    d.section[2 * STACKS].address = -(uint64_t)PAL_PAGE;
    refused(p, TV_BAD_SIZE, "an address that wraps");
    d.entry[1].address = p->link + PAL_PAGE;
    refused(p, TV_IMAGE_ENTRIES, "an entry outside CODE");
    d.entry[1].result = 3;
    refused(p, TV_BAD_INTEGER, "a result of 3 bytes");
    d.param[3].size = 2 * PAL_PAGE;
    refused(p, TV_PARAMS_TOO_BIG, "data that doesn't fit");
}

int main(int argc, char **argv)
{
    const unsigned calls = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 500;
    uint8_t identity[ARRAY_SIZE(pals)][PAL_ID_SIZE];
    struct xmhf_pal_stats st;
    uint64_t free;

    tap_need_hypervisor();
    stubs = tap_pages(1);
    code = tap_pages(1);
    free = pal_info(XMHF_INFO_POOL_FREE);
    for (unsigned i = 0; i < ARRAY_SIZE(pals); i++) {
        called = &pals[i];
        refusals(called);
        if (!tap_no_error(reg(), pals[i].name)) {
            break;
        }
        ok(pal_stats(stubs, &st) == TV_OK, "its identity");
        memcpy(identity[i], st.identity, PAL_ID_SIZE);
        random_calls(pals[i].name, calls);
        death(&pals[i]);
    }
    ok(memcmp(identity[0], identity[1], PAL_ID_SIZE) != 0
       && memcmp(identity[1], identity[2], PAL_ID_SIZE) != 0, "another mode, another identity");
    ok(tap_no_leak(&free), "no memory is lost");
    return tap_end();
}
