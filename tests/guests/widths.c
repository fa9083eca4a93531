/* SPDX-License-Identifier: MIT */
/*
 * PALs of another width than their caller, on a real CPU: each kind of caller (32-bit kernels
 * without and with PAE paging, compatibility mode, 64-bit code) calls PALs of each mode, with
 * interrupts on, `calls` times each. A PAL writes to every register that it can. Arguments of each
 * width arrive, results come back, and each call has been made once. The state of the CPU, as ring
 * 0 sees it before and after, is compared field by field; the tables of segments and, on Intel, of
 * PDPTEs are gone by then, so that only what the CPU has loaded counts. Then a death is told.
 */
#include <x86/cpuid.h>
#include <x86/msr.h>
#include <util/fmt.h>
#include <xmhf/image.h>
#include <xmhf/measurement.h>
#include "guest.h"
#include "tests/programs/width_code.h"
#include "widths.h"

#define PAGE 4096u
#define FS_BASE 0x1234u             /* of ring 3; the word there is the base's own number */
#define GS_BASE 0x2340u
#define PERIOD 30000u               /* ticks of the APIC's timer */
#define ACROSS_MOST 150u            /* instructions that another width may cost */

struct state {
    uint32_t word[STATE_WORDS];
    uint8_t fpu[512];
};
struct legacy {
    uint32_t cr3, cr4, patch, eax, ecx, edx, ebx, esi, edi, ebp, eip, esp, vector, error, eflags,
        ticks;
    struct state before, after;
};
struct job {
    uint64_t stub, a, b, c, p, d, result, count, segments, fs, gs, gib1, gib2, start, least;
};
_Static_assert(offsetof(struct legacy, eip) == LEGACY_EIP
               && offsetof(struct legacy, ticks) == LEGACY_TICKS
               && offsetof(struct legacy, before) == LEGACY_BEFORE
               && offsetof(struct legacy, after) == LEGACY_AFTER
               && offsetof(struct state, fpu) == STATE_FXSAVE
               && offsetof(struct job, segments) == JOB_SEGMENTS
               && offsetof(struct job, least) == JOB_LEAST, "widths.h");

void widths_enter(struct legacy *l);
extern struct job job;
extern uint64_t widths_idt[256];
extern uint32_t widths_gdt;
extern struct { uint64_t r[8]; uint8_t xmm[128]; } widths_high;
extern const uint8_t widths_loop32[], widths_loop64[], widths_segments[],
    widths_null32[], widths_null64[], widths_traps[],
    widths_timer[], widths_stack_top[], widths_xmm[];
extern const uint32_t widths_msrs[], widths_msrs_end[];

/* --- the PALs ------------------------------------------------------------------------- */

/* Where DIE has its access, by the PAL's width. */
static const struct called {
    const char *name;
    unsigned bits;
    uint32_t convention;
    uint64_t link, nowhere;         /* where it is linked; an address that it has nothing at */
    const uint8_t *code;
    uint32_t die_offset, vector, result;
} pals[] = {
    { "64-bit", 64, XMHF_SYSV, 0x712300000000, 0x123456789abc, width64, WIDTH_DIE_AT, EXC_PF, 8 },
    { "32-bit", 32, XMHF_CDECL, 0xe0000000, 0xd2345678, width32, WIDTH_DIE_AT + 4, EXC_PF, 8 },
    { "16-bit", 16, XMHF_CDECL16, 0x10000, 0, width16, WIDTH_DIE_AT, EXC_GP, 4 },
};

enum kind { TWO_LEVEL, PAE, COMPATIBILITY, LONG };
static const struct caller { const char *name; unsigned bits; } callers[] = {
    [TWO_LEVEL] = { "non-PAE", 32 }, [PAE] = { "PAE", 32 },
    [COMPATIBILITY] = { "compatibility mode", 32 }, [LONG] = { "64-bit", 64 },
};

/* --- tables of the 32-bit kernels --------------------------------------------------------- */

static uint64_t pdpt[4] __attribute__((aligned(32)));
static uint32_t two_level[1024] __attribute__((aligned(PAGE)));
static uint32_t tss32[26] __attribute__((aligned(128)));
static struct legacy legacy __attribute__((aligned(16)));
static uint8_t stubs[PAGE] __attribute__((aligned(PAGE)));
static uint8_t source[PAGE] __attribute__((aligned(PAGE)));
static uint64_t sum;                /* what calls add up */

static void prepare(void)
{
    const uint64_t tss = (uintptr_t)tss32;

    for (unsigned i = 0; i < 256; i++) {
        uint64_t at = (uintptr_t)(i == TIMER ? widths_timer : widths_traps + 16 * i);
        widths_idt[i] = (at & 0xffff) | SEL_CODE32 << 16
            | (i == VECTOR_DONE ? 0xeeULL : 0x8eULL) << 40 | at >> 16 << 48;
    }
    tss32[1] = (uint32_t)(uintptr_t)widths_stack_top;
    tss32[2] = SEL_DATA;
    tss32[25] = sizeof(tss32) << 16; /* no I/O permission map */
    widths_gdt = (uint32_t)(uintptr_t)this_cpu()->gdt;
    this_cpu()->gdt[SEL_TSS32 / 8] = (sizeof(tss32) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40
        | (tss >> 24 & 0xff) << 56;
    *(uint32_t *)(uintptr_t)FS_BASE = FS_BASE;
    *(uint32_t *)(uintptr_t)GS_BASE = GS_BASE;
    wrmsr(MSR_IA32_SYSENTER_CS, 0x77);
    wrmsr(MSR_IA32_SYSENTER_ESP, 0x12345670);
    wrmsr(MSR_IA32_SYSENTER_EIP, 0x76543210);
    wrmsr(MSR_LSTAR, 0x7fff12345678);
    wrmsr(MSR_CSTAR, 0x6fff12345678);
    wrmsr(MSR_STAR, 0x0013000800000000);
    wrmsr(MSR_SFMASK, 0x47700);
    wrmsr(MSR_KERNEL_GS_BASE, 0x123456780);
}

/* The tables as they are while the kernel loads them. The second and third GiB are the first. */
static void tables(enum kind kind)
{
    uint64_t *gdt = this_cpu()->gdt;

    for (unsigned i = 0; i < 4; i++) {
        pdpt[i] = (uintptr_t)page_pd[i == 3 ? 3 : 0] | PTE_P;
    }
    for (unsigned i = 0; i < 1024; i++) {
        two_level[i] = (i < 768 ? i % 256 : i) << 22 | 0x87;
    }
    gdt[SEL_FS / 8] = FS_LIMIT | (uint64_t)FS_BASE << 16 | 0xf3ULL << 40 | 0x40ULL << 48;
    gdt[SEL_GS / 8] = 0xfff | (uint64_t)GS_BASE << 16 | 0xf3ULL << 40 | 0x40ULL << 48;
    gdt[SEL_TSS32 / 8] &= ~(2ULL << 40); /* not busy */
    legacy.cr3 = (uint32_t)(uintptr_t)(kind == PAE ? (void *)pdpt : (void *)two_level);
    legacy.cr4 = (uint32_t)read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    legacy.cr4 = kind == PAE ? legacy.cr4 | CR4_PAE : (legacy.cr4 & ~(uint32_t)CR4_PAE) | CR4_PSE;
}

static void run_legacy(enum kind kind, const uint8_t *eip)
{
    tables(kind);
    legacy.eip = (uint32_t)(uintptr_t)eip;
    legacy.esp = (uint32_t)(uintptr_t)this_cpu() + BLOCK_EXEC_TOP - 1024;
    widths_enter(&legacy);
    this_cpu()->gdt[SEL_TSS / 8] &= ~(2ULL << 40);
    __asm__ volatile("ltr %w0" :: "r"(SEL_TSS) : "memory");
}

/* --- state -------------------------------------------------------------------------------- */

static const char *const names[STATE_WORDS] = {
    "CR0", "CR3", "CR4", "DR0", "DR6", "DR7", "CS", "SS", "DS", "ES", "FS", "GS", "LDTR", "TR",
    "GDTR's limit", "GDTR", "IDTR's limit", "IDTR", "EFER", "EFER, high", "SYSENTER_CS",
    "SYSENTER_CS, high", "SYSENTER_ESP", "SYSENTER_ESP, high", "SYSENTER_EIP",
    "SYSENTER_EIP, high", "PAT", "PAT, high", "STAR", "STAR, high", "LSTAR", "LSTAR, high",
    "CSTAR", "CSTAR, high", "SFMASK", "SFMASK, high", "FS base", "FS base, high", "GS base",
    "GS base, high", "KERNEL_GS_BASE", "KERNEL_GS_BASE, high", "XCR0",
};

/* As the assembly's dump, in 64-bit mode. */
static void dump(struct state *s)
{
    uint32_t *w = s->word;
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) g, i;

    memset(s, 0, sizeof(*s));
    *w++ = (uint32_t)read_cr0();
    *w++ = (uint32_t)read_cr3();
    *w++ = (uint32_t)read_cr4();
#define STORE(insn) do { \
        uint64_t v_; \
        __asm__ volatile(insn : "=r"(v_)); \
        *w++ = (uint32_t)v_; \
    } while (0)
    STORE("mov %%dr0, %0");
    STORE("mov %%dr6, %0");
    STORE("mov %%dr7, %0");
    STORE("mov %%cs, %0");
    STORE("mov %%ss, %0");
    STORE("mov %%ds, %0");
    STORE("mov %%es, %0");
    STORE("mov %%fs, %0");
    STORE("mov %%gs, %0");
    STORE("sldt %0");
    STORE("str %0");
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(g), "=m"(i));
    *w++ = g.limit;
    *w++ = (uint32_t)g.base;
    *w++ = i.limit;
    *w++ = (uint32_t)i.base;
    for (const uint32_t *m = widths_msrs; m < widths_msrs_end; m++) {
        const uint64_t value = rdmsr(*m);
        *w++ = (uint32_t)value;
        *w++ = (uint32_t)(value >> 32);
    }
    if (read_cr4() & CR4_OSXSAVE) {
        __asm__ volatile("xgetbv" : "=a"(*w) : "c"(0) : "edx");
    }
    __asm__ volatile("fxsave64 %0" : "=m"(s->fpu));
}

static void compare(const char *pair, const struct state *before, const struct state *after)
{
    for (unsigned i = 0; i < STATE_WORDS; i++) {
        CHECK(before->word[i] == after->word[i], "%s: %s was 0x%x and is 0x%x", pair,
              names[i] ? names[i] : "?", before->word[i], after->word[i]);
    }
    for (unsigned i = 0; i < sizeof(before->fpu); i++) {
        CHECK(before->fpu[i] == after->fpu[i], "%s: byte %u of FXSAVE was 0x%x and is 0x%x", pair,
              i, before->fpu[i], after->fpu[i]);
    }
}

/* What 32-bit code can't see, and its PAL has written. */
static void compare_high(const char *pair)
{
    for (unsigned n = 0; n < 8; n++) {
        CHECK(widths_high.r[n] == 0x0123456789abcdeULL * (n + 8), "%s: R%u is 0x%llx", pair, n + 8,
              (unsigned long long)widths_high.r[n]);
    }
    CHECK(memcmp(widths_high.xmm, widths_xmm, sizeof(widths_high.xmm)) == 0,
          "%s: XMM8 to XMM15 have changed", pair);
}

/* --- ring 3 ------------------------------------------------------------------------------- */

/* A hypercall; EAX or RAX. */
static uint64_t command(enum kind kind, uint32_t eax, const void *rcx, uint32_t rsi,
                        const void *rdi)
{
    const uint8_t code[] = { 0x0f, 0x01, hypercall_byte(), 0xcd, VECTOR_DONE };
    uint8_t *at = (uint8_t *)this_cpu() + BLOCK_CODE;
    struct exec x;

    memcpy(at, code, sizeof(code));
    if (kind == TWO_LEVEL || kind == PAE) {
        legacy.eax = eax;
        legacy.ecx = (uint32_t)(uintptr_t)rcx;
        legacy.esi = rsi;
        legacy.edi = (uint32_t)(uintptr_t)rdi;
        legacy.patch = 0;
        run_legacy(kind, at);
        CHECK(legacy.vector == VECTOR_DONE, "%s: hypercall 0x%x: vector %u at 0x%x",
              callers[kind].name, eax, legacy.vector, legacy.eip);
        return legacy.eax;
    }
    x = exec_for(3, callers[kind].bits);
    x.gpr[RAX] = eax;
    x.gpr[RCX] = (uintptr_t)rcx;
    x.gpr[RSI] = rsi;
    x.gpr[RDI] = (uintptr_t)rdi;
    x.rip = (uintptr_t)at;
    CHECK(exec_at(&x) == VECTOR_DONE, "%s: hypercall 0x%x: vector %llu", callers[kind].name, eax,
          (unsigned long long)x.vector);
    return x.gpr[RAX];
}

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[3];
    union {
        struct {
            struct xmhf_image_param params[2 * WIDTH_PARAMS];
            struct xmhf_image_entry entries[2];
        };
        struct {
            struct xmhf_image_param null_param;
            struct xmhf_image_entry null_entry;
        };
    };
} d;

static void describe(const struct called *p)
{
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = p->bits,
        .convention = p->convention, .flags = XMHF_IMAGE_DEBUG, .stacks = 1, .sections = 3,
        .params = 2 * WIDTH_PARAMS, .entries = 2, .stubs = (uintptr_t)stubs,
    };
    d.sections[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, p->link, (uintptr_t)source };
    d.sections[1] = (struct xmhf_image_section){ TV_SECTION_STACK, 2, p->link + 0x10000, 0 };
    d.sections[2] = (struct xmhf_image_section){ TV_SECTION_PARAM, 1, p->link + 0x20000, 0 };
    memcpy(d.params, width_params, sizeof(width_params));
    memcpy(d.params + WIDTH_PARAMS, width_params, sizeof(width_params));
    d.entries[0] = (struct xmhf_image_entry){ p->link, WIDTH_PARAMS, p->result };
    d.entries[1] = (struct xmhf_image_entry){ p->link + WIDTH_DIE_AT, WIDTH_PARAMS, p->result };
    memcpy(source, p->code, WIDTH_CODE);
}

static void timer(struct trap_frame *f)
{
    (void)f;
    legacy.ticks++;
    apic_write(0xb0, 0);
}

static void timer_runs(bool on)
{
    apic_write(0x3e0, 0xb);             /* divide by 1 */
    apic_write(0x320, TIMER | 1u << 17); /* again and again */
    apic_write(0x380, on ? PERIOD : 0);
}

static const uint8_t *loop(enum kind kind)
{
    return kind == LONG ? widths_loop64 : widths_loop32;
}

/* The job until it is done, or something isn't as it must be. EDX:EAX and ECX in *rdx, *rax, *rcx,
 * and how it ended. */
static unsigned work(enum kind kind, const char *pair, const uint8_t *code, uint64_t out[3])
{
    struct exec x;

    if (kind == TWO_LEVEL || kind == PAE) {
        const bool intel = hypercall_byte() == 0xc1;

        /* An AMD CPU with nested paging reads PDPTEs from memory when it needs them (APM vol. 2,
         * 15.25.10). */
        legacy.patch = kind == PAE && intel ? (uint32_t)(uintptr_t)pdpt : 0;
        legacy.ebx = 0x13579bdf;
        legacy.esi = 0x2468ace0;
        legacy.edi = 0x11223344;
        legacy.ebp = 0x55667788;
        run_legacy(kind, code);
        compare(pair, &legacy.before, &legacy.after);
        compare_high(pair);
        CHECK(legacy.ebx == 0x13579bdf && legacy.esi == 0x2468ace0 && legacy.edi == 0x11223344
              && legacy.ebp == 0x55667788, "%s: EBX 0x%x, ESI 0x%x, EDI 0x%x, EBP 0x%x", pair,
              legacy.ebx, legacy.esi, legacy.edi, legacy.ebp);
        out[0] = legacy.eax;
        out[1] = legacy.ecx;
        out[2] = legacy.edx;
        return legacy.vector;
    }
    x = exec_for(3, callers[kind].bits);
    for (unsigned i = 0; i < 16; i++) {
        x.gpr[i] = 0x0123456789abcdeULL * (i + 1);
    }
    x.rip = (uintptr_t)code;
    x.rflags |= RFLAGS_IF;
    x.rsp -= 1024;
    dump(&legacy.before);
    exec_at(&x);
    dump(&legacy.after);
    compare(pair, &legacy.before, &legacy.after);
    for (unsigned i = RBX; i < 16; i++) {
        const bool kept = i == RBX || i == RBP || i >= R12
            || (kind == COMPATIBILITY && i != RSP);
        CHECK(!kept || x.gpr[i] == 0x0123456789abcdeULL * (i + 1), "%s: register %u is 0x%llx",
              pair, i, (unsigned long long)x.gpr[i]);
    }
    out[0] = x.gpr[RAX];
    out[1] = x.gpr[RCX];
    out[2] = x.gpr[RDX];
    return (unsigned)x.vector;
}

static struct xmhf_pal_stats stats(enum kind kind)
{
    static struct xmhf_pal_stats st;
    const uint64_t r = command(kind, XMHF_HC_PAL_STATS, &st, sizeof(st), stubs);

    CHECK(r == TV_OK, "XMHF_HC_PAL_STATS gave %llu", (unsigned long long)r);
    return st;
}

/* What ring 3 saw by what the CPU has loaded. */
static void check_segments(const char *pair)
{
    CHECK(job.fs == FS_BASE && job.gs == GS_BASE, "%s: FS has base 0x%llx, GS 0x%llx", pair,
          (unsigned long long)job.fs, (unsigned long long)job.gs);
    CHECK(job.gib1 == (uint32_t)job.d && job.gib2 == (uint32_t)job.d,
          "%s: the upper GiBs have 0x%llx and 0x%llx", pair, (unsigned long long)job.gib1,
          (unsigned long long)job.gib2);
    job.fs = job.gs = job.gib1 = job.gib2 = 0;
}

/* `calls` of them, and what the CPU has loaded at their end. */
static void calls_of(enum kind kind, const struct called *p, const char *pair, uint64_t calls)
{
    const uint64_t first = sum;
    uint64_t whole;
    uint64_t out[3];
    unsigned vector;
    uint32_t eip;

    job = (struct job){
        .stub = (uintptr_t)stubs, .a = 0xf0000001, .b = 0x8765432187654321, .c = 0x8002,
        .p = (uintptr_t)&sum, .d = 0x1122334455667788, .count = calls,
        .segments = kind == TWO_LEVEL || kind == PAE,
    };
    whole = width_result((uint32_t)job.a, job.b, (int16_t)job.c, job.d);
    job.result = p->result == 8 ? whole : (uint32_t)whole;
    legacy.ticks = 0;
    timer_runs(true);
    vector = work(kind, pair, loop(kind), out);
    timer_runs(false);
    CHECK(job.count == 0, "%s: with %llu calls to go RAX is 0x%llx, RCX 0x%llx, RDX 0x%llx; "
          "vector %u", pair, (unsigned long long)job.count, (unsigned long long)out[0],
          (unsigned long long)out[1], (unsigned long long)out[2], vector);
    CHECK(sum == first + calls * whole, "%s: the calls add up to 0x%llx", pair,
          (unsigned long long)(sum - first));
    if (!job.segments) {
        CHECK(vector == VECTOR_DONE, "%s: vector %u", pair, vector);
        return;
    }
    check_segments(pair);
    eip = legacy.eip;
    run_legacy(kind, widths_segments); /* the control: without a call */
    check_segments("no call");
    CHECK(vector == legacy.vector && eip == legacy.eip, "%s: vector %u at 0x%x where FS ends, "
          "without calls %u at 0x%x", pair, vector, eip, legacy.vector, legacy.eip);
}

/* Dead: section, offset, and an address as wide as the PAL's. */
static void death(enum kind kind, const struct called *p, const char *pair)
{
    struct xmhf_pal_stats st;
    uint64_t out[3];

    job = (struct job){ .stub = XMHF_IMAGE_STUB((uintptr_t)stubs, 1), .b = p->nowhere,
                        .p = (uintptr_t)&sum, .count = 1 };
    work(kind, pair, loop(kind), out);
    CHECK(out[0] == (kind == LONG ? p->nowhere : (uint32_t)p->nowhere)
          && out[1] == (TV_DEATH_EXCEPTION | p->vector << 8) && out[2] == p->die_offset,
          "%s: a death is RAX 0x%llx, RCX 0x%llx, RDX 0x%llx", pair, (unsigned long long)out[0],
          (unsigned long long)out[1], (unsigned long long)out[2]);
    st = stats(kind);
    CHECK(st.address == p->nowhere && st.offset == p->die_offset && st.section == 0,
          "%s: the statistics have 0x%llx, section %u, 0x%x", pair,
          (unsigned long long)st.address, st.section, st.offset);
}

/* What a call costs that takes one word and does nothing. */
static uint64_t cost(enum kind kind, const struct called *p, const char *pair)
{
    uint64_t r, out[3];

    describe(p);
    memset(source, 0xc3, sizeof(source)); /* RET, in any mode */
    d.image.params = d.image.entries = 1;
    d.image.size = (uint32_t)XMHF_IMAGE_SIZE(3, 1, 1);
    d.null_param = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
    d.null_entry = (struct xmhf_image_entry){ p->link, 1, 0 };
    r = command(kind, XMHF_HC_IMAGE_REGISTER, &d, 0, stubs);
    CHECK(r == TV_OK, "%s: registering a PAL that does nothing gave %llu", pair,
          (unsigned long long)r);
    job = (struct job){ .stub = (uintptr_t)stubs, .count = 20, .least = UINT32_MAX };
    work(kind, pair, kind == LONG ? widths_null64 : widths_null32, out);
    CHECK(job.count == 0, "%s: %llu calls that do nothing weren't made", pair,
          (unsigned long long)job.count);
    r = command(kind, XMHF_HC_IMAGE_UNREGISTER, stubs, 0, 0);
    CHECK(r == TV_OK, "%s: unregistering gave %llu", pair, (unsigned long long)r);
    return job.least;
}

/* Where a tick is an instruction, as run.py says: what another width costs. */
static void compare_costs(enum kind kind)
{
    uint64_t same = 0, costs[ARRAY_SIZE(pals)];

    for (unsigned p = 0; p < ARRAY_SIZE(pals); p++) {
        costs[p] = cost(kind, &pals[p], callers[kind].name);
        same = pals[p].bits == callers[kind].bits ? costs[p] : same;
    }
    for (unsigned p = 0; p < ARRAY_SIZE(pals); p++) {
        say("%s caller, %s PAL: %llu ticks a call", callers[kind].name, pals[p].name,
            (unsigned long long)costs[p]);
        CHECK(number("longest", 0) == 0 || pals[p].bits == 16 || costs[p] <= same + ACROSS_MOST,
              "%s caller: a call of a %s PAL takes %llu instructions, one of its own width %llu",
              callers[kind].name, pals[p].name, (unsigned long long)costs[p],
              (unsigned long long)same);
    }
}

static void run_pair(enum kind kind, const struct called *p, uint64_t calls)
{
    char pair[64];
    uint64_t r, interrupted;

    fmt_snprintf(pair, sizeof(pair), "%s caller, %s PAL", callers[kind].name, p->name);
    describe(p);
    d.image.mode = 48;
    r = command(kind, XMHF_HC_IMAGE_REGISTER, &d, 0, stubs);
    CHECK(r == TV_BAD_MODE, "%s: 48 bits gave %llu", pair, (unsigned long long)r);
    describe(p);
    r = command(kind, XMHF_HC_IMAGE_REGISTER, &d, 0, stubs);
    CHECK(r == TV_OK, "%s: the registration gave %llu", pair, (unsigned long long)r);
    calls_of(kind, p, pair, calls);
    interrupted = stats(kind).interruptions;
    CHECK(interrupted > 0 && legacy.ticks >= interrupted, "%s: %llu interruptions in %u ticks",
          pair, (unsigned long long)interrupted, legacy.ticks);
    death(kind, p, pair);
    say("%s: %llu calls, %llu of them interrupted in the PAL", pair, (unsigned long long)calls,
        (unsigned long long)interrupted);
}

void guest_main(void)
{
    const uint64_t calls = number("calls", 1000);
    uint64_t before;

    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    before = info(XMHF_INFO_POOL_FREE);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    apic_write(0xf0, 0x1ff);
    handlers[TIMER] = timer;
    prepare();
    for (unsigned k = 0; k < ARRAY_SIZE(callers); k++) { /* before anybody writes to the log */
        compare_costs(k);
    }
    for (unsigned k = 0; k < ARRAY_SIZE(callers); k++) {
        for (unsigned p = 0; p < ARRAY_SIZE(pals); p++) {
            run_pair(k, &pals[p], calls);
        }
    }
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool lacks %llu pages",
          (unsigned long long)(before - info(XMHF_INFO_POOL_FREE)));
    pass("%u kinds of callers called PALs of %u modes, %llu times each, and got their state back",
         (unsigned)ARRAY_SIZE(callers), (unsigned)ARRAY_SIZE(pals), (unsigned long long)calls);
}
