/* SPDX-License-Identifier: MIT */
/*
 * Images, on a real CPU: ring 3 registers one in 64-bit and in 32-bit code and calls its entries,
 * with 32 parameters, with counted pointers, with counts that say too much; it dies where its gaps
 * are, and tells which page it touched. With the argument `sha`, where a tick is an instruction and
 * the CPU has SHA extensions, an image of 120 pages must be registered in LARGE_TICKS.
 */
#include <x86/cpuid.h>
#include <xmhf/measurement.h>
#include "image_caller.h"

/* Where the image is linked; nothing of the guest's is there. */
#define AT_CODE   0x10000000u
#define AT_RODATA 0x10002000u
#define AT_DATA   0x10004000u
#define AT_BSS    0x10006000u   /* two pages, or as many as there are left for the large image */
#define AT_STACK  0x10100000u   /* two pages */
#define AT_PARAM  0x10200000u   /* two pages */

enum { SUM, COUNTED, TOUCH, GLOBALS, DEEP, ENTRIES };

#define LARGE_DATA 37u          /* with CODE and RODATA, and the stubs, 40 pages of the caller's */
#define LARGE_TICKS 1500000u
#define LARGE_BSS  (120u - LARGE_DATA - 2 - 4)

static uint8_t sources[2 + LARGE_DATA][PAGE] __attribute__((aligned(PAGE)));
static uint8_t buffers[3 * PAGE] __attribute__((aligned(PAGE)));

/* The PAL's code: its entries at multiples of 64 bytes. The same twice, by the conventions of both
 * modes. */
__asm__(
    ".pushsection .rodata\n"
    ".balign 64\n"
    "pal64:\n"                          /* SUM: of 32 integers */
    "    lea (%rdi, %rsi), %rax\n"
    "    add %rdx, %rax\n"
    "    add %rcx, %rax\n"
    "    add %r8, %rax\n"
    "    add %r9, %rax\n"
    "    mov $26, %ecx\n"
    "1:  add (%rsp, %rcx, 8), %rax\n"
    "    loop 1b\n"
    "    ret\n"
    ".balign 64\n"                      /* COUNTED(inout, n, out): adds 1 to n words, fills */
    "    mov (%rdi, %rsi, 8), %rax\n"   /* `out`; returns the word behind them */
    "1:  test %rsi, %rsi\n"
    "    jz 2f\n"
    "    dec %rsi\n"
    "    incq (%rdi, %rsi, 8)\n"
    "    jmp 1b\n"
    "2:  mov %rdx, %rdi\n"
    "    mov $2048, %ecx\n"
    "    mov %rax, %rdx\n"
    "    mov $0x5a, %eax\n"
    "    rep stosb\n"
    "    mov %rdx, %rax\n"
    "    ret\n"
    ".balign 64\n"                      /* TOUCH(address) */
    "    mov (%rdi), %al\n"
    "    ret\n"
    ".balign 64\n"                      /* GLOBALS: RODATA + DATA + BSS, which counts */
    "    mov 0x10002010, %rax\n"
    "    add 0x10004010, %rax\n"
    "    incq 0x10007ff8\n"
    "    add 0x10007ff8, %rax\n"
    "    ret\n"
    ".balign 64\n"                      /* DEEP(n): a byte n bytes below the stack pointer */
    "    neg %rdi\n"
    "    mov %dil, (%rsp, %rdi)\n"
    "    mov $7, %eax\n"
    "    ret\n"
    ".balign 64\n"
    ".code32\n"
    "pal32:\n"
    "    mov 4(%esp), %eax\n"
    "    mov $31, %ecx\n"
    "1:  add 4(%esp, %ecx, 4), %eax\n"
    "    loop 1b\n"
    "    ret\n"
    ".balign 64\n"
    "    push %edi\n"
    "    mov 8(%esp), %edi\n"
    "    mov 12(%esp), %ecx\n"
    "    mov (%edi, %ecx, 8), %edx\n"
    "1:  jecxz 2f\n"
    "    dec %ecx\n"
    "    addl $1, (%edi, %ecx, 8)\n"
    "    adcl $0, 4(%edi, %ecx, 8)\n"
    "    jmp 1b\n"
    "2:  mov 16(%esp), %edi\n"
    "    mov $2048, %ecx\n"
    "    mov $0x5a, %eax\n"
    "    rep stosb\n"
    "    mov %edx, %eax\n"
    "    pop %edi\n"
    "    ret\n"
    ".balign 64\n"
    "    mov 4(%esp), %ecx\n"
    "    mov (%ecx), %al\n"
    "    ret\n"
    ".balign 64\n"
    "    mov 0x10002010, %eax\n"
    "    add 0x10004010, %eax\n"
    "    incl 0x10007ff8\n"
    "    add 0x10007ff8, %eax\n"
    "    ret\n"
    ".balign 64\n"
    "    mov 4(%esp), %ecx\n"
    "    neg %ecx\n"
    "    mov %cl, (%esp, %ecx)\n"
    "    mov $7, %eax\n"
    "    ret\n"
    ".code64\n"
    ".balign 64\n"
    "pal_end:\n"
    ".popsection\n");
extern const uint8_t pal64[], pal32[], pal_end[];
/* Where in TOUCH and DEEP the access is. */
#define TOUCH_AT(bits) (TOUCH * 64u + ((bits) == 64 ? 0 : 4))
#define DEEP_AT(bits)  (DEEP * 64u + ((bits) == 64 ? 3 : 6))

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[6];
    struct xmhf_image_param params[37];
    struct xmhf_image_entry entries[ENTRIES];
} d;

static void param(uint32_t type, uint32_t direction, uint32_t size, uint16_t by, uint16_t unit)
{
    d.params[d.image.params++] = (struct xmhf_image_param){ type, direction, size, by, unit };
}

static void describe(uint32_t flags, uint32_t data, uint32_t bss)
{
    const uint64_t at = (uintptr_t)sources;
    static const uint32_t params[ENTRIES] = { 32, 3, 1, 0, 1 };

    memset(&d, 0, sizeof(d));
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = bits,
        .convention = bits == 64 ? XMHF_SYSV : XMHF_CDECL, .flags = flags, .stacks = 1,
        .sections = 6, .entries = ENTRIES, .stubs = (uintptr_t)stubs,
    };
    d.sections[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, AT_CODE, at };
    d.sections[1] = (struct xmhf_image_section){ XMHF_SECTION_RODATA, 1, AT_RODATA, at + PAGE };
    d.sections[2] = (struct xmhf_image_section){ TV_SECTION_DATA, data, AT_DATA, at + 2 * PAGE };
    d.sections[3] = (struct xmhf_image_section){
        XMHF_SECTION_BSS, bss, AT_BSS + (data - 1) * PAGE, 0,
    };
    d.sections[4] = (struct xmhf_image_section){ TV_SECTION_STACK, 2, AT_STACK, 0 };
    d.sections[5] = (struct xmhf_image_section){ TV_SECTION_PARAM, 2, AT_PARAM, 0 };
    for (unsigned i = 0; i < 32; i++) {
        param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    }
    param(TV_PARAM_POINTER, XMHF_INOUT, 4000, 2, 8);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(TV_PARAM_POINTER, XMHF_OUT, 2048, 2, 4);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    param(TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0);
    for (unsigned i = 0; i < ENTRIES; i++) {
        d.entries[i] = (struct xmhf_image_entry){ AT_CODE + 64 * i, params[i], 0 };
    }
}

/* What the loader of a program would have put there. */
static void load(void)
{
    memset(sources, 0x11, sizeof(sources));
    load_code(sources[0], pal64, pal32, pal_end);
    *(uint64_t *)(void *)(sources[1] + 16) = 1000;
    *(uint64_t *)(void *)(sources[2] + 16) = 200;
}

static void expect_registered(uint32_t flags)
{
    load();
    describe(flags, 1, 2);
    image_registered(&d.image);
    for (unsigned i = 0; i < 3 * PAGE; i++) {
        CHECK(((const uint8_t *)sources)[i] == 0, "byte %u of the sources stayed", i);
    }
}

static struct exec call(unsigned entry, const uint64_t *args, unsigned n)
{
    static const unsigned sysv[] = { RDI, RSI, RDX, RCX, R8, R9 };
    uint8_t *back;
    struct exec x = image_caller(&back);

    if (bits == 64) {
        uint64_t *sp = (uint64_t *)(uintptr_t)x.rsp;
        sp[0] = (uintptr_t)back;
        for (unsigned i = 0; i < n; i++) {
            *(i < 6 ? &x.gpr[sysv[i]] : &sp[1 + i - 6]) = args[i];
        }
    } else {
        uint32_t *sp = (uint32_t *)(uintptr_t)x.rsp;
        sp[0] = (uint32_t)(uintptr_t)back;
        for (unsigned i = 0; i < n; i++) {
            sp[1 + i] = (uint32_t)args[i];
        }
    }
    x.rflags |= RFLAGS_IF;
    x.rip = XMHF_IMAGE_STUB((uintptr_t)stubs, entry);
    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE, "%u bits, entry %u: vector %llu, error 0x%llx", bits, entry,
          (unsigned long long)x.vector, (unsigned long long)x.error);
    return x;
}

static void expect(const struct exec *x, uint64_t rax, uint64_t rcx, uint64_t rdx,
                   const char *what)
{
    CHECK(x->gpr[RAX] == rax && x->gpr[RCX] == rcx && x->gpr[RDX] == rdx,
          "%u bits, %s: RAX 0x%llx, RCX 0x%llx, RDX 0x%llx", bits, what,
          (unsigned long long)x->gpr[RAX], (unsigned long long)x->gpr[RCX],
          (unsigned long long)x->gpr[RDX]);
}

static void parameters(void)
{
    uint64_t args[32];
    struct exec x;

    for (unsigned i = 0; i < 32; i++) {
        args[i] = 1u << (i % 20);
    }
    x = call(SUM, args, 32);
    expect(&x, (1u << 20) - 1 + (1u << 12) - 1, 0, 0, "32 parameters");
    for (unsigned i = 1; i <= 3; i++) {
        x = call(GLOBALS, NULL, 0);
        expect(&x, 1200 + i, 0, 0, "globals");
    }
}

static void expect_bytes(unsigned from, unsigned to, uint8_t byte)
{
    for (unsigned i = from; i < to; i++) {
        CHECK(buffers[i] == byte, "%u bits: byte %u is 0x%x", bits, i, buffers[i]);
    }
}

/* The first buffer ends with a page, of which only so much may be touched. */
static void counted(void)
{
    const uint64_t in = (uintptr_t)buffers + PAGE - 80, out = (uintptr_t)buffers + PAGE;
    const uint64_t most[] = { (uintptr_t)buffers, 500, out };
    const uint64_t args[] = { in, 10, out };
    struct exec x;

    memset(buffers, 0x33, sizeof(buffers));
    x = call(COUNTED, most, 3);
    expect(&x, 0, 0, 0, "the greatest count");
    memset(buffers, 0x33, sizeof(buffers));
    x = call(COUNTED, args, 3); /* behind the counted words aren't those of the call before */
    expect(&x, 0, 0, 0, "a count");
    expect_bytes(0, PAGE - 80, 0x33);
    for (unsigned i = PAGE - 80; i < PAGE; i++) {
        CHECK(buffers[i] == (i % 8 ? 0x33 : 0x34), "byte %u is 0x%x", i, buffers[i]);
    }
    expect_bytes(PAGE, PAGE + 40, 0x5a);
    expect_bytes(PAGE + 40, 3 * PAGE, 0x33);
    for (unsigned i = 0; i < (bits == 64 ? 4u : 2u); i++) {
        static const uint64_t bad[] = { 501, 0xffffffff, 1ULL << 32, ~0ULL };
        const uint64_t call_bad[] = { 0, bad[i], 0 };
        x = call(COUNTED, call_bad, 3);
        expect(&x, 0, XMHF_STATUS_BAD_COUNT, 0, "a bad count");
    }
    expect_bytes(PAGE + 40, 3 * PAGE, 0x33);
}

/* An access outside the sections, or below the stack, is a death that tells its page. */
static void dies_at(uint32_t flags, unsigned entry, uint64_t arg, uint64_t touched, uint64_t at)
{
    struct exec x;

    expect_registered(flags);
    x = call(entry, &arg, 1);
    expect(&x, flags & XMHF_IMAGE_DEBUG ? touched : touched & ~(uint64_t)(PAGE - 1),
           TV_DEATH_EXCEPTION | 14 << 8, at, "a death");
    image_unregistered(TV_NOT_FOUND);
}

static void deaths(void)
{
    /* The PAL's stack pointer at DEEP's access. */
    const uint64_t sp = AT_STACK + 2 * PAGE - 16 - (bits == 64 ? 8 : 16 + 4);

    for (unsigned i = 0; i < 6; i++) {
        const uint64_t address = d.sections[i].address;
        dies_at(0, TOUCH, address - 1, address - 1, TOUCH_AT(bits));
        dies_at(XMHF_IMAGE_DEBUG, TOUCH, address + d.sections[i].pages * PAGE,
                address + d.sections[i].pages * PAGE, TOUCH_AT(bits));
    }
    dies_at(XMHF_IMAGE_DEBUG, TOUCH, 8, 8, TOUCH_AT(bits));
    dies_at(XMHF_IMAGE_DEBUG, TOUCH, (uintptr_t)sources, (uintptr_t)sources, TOUCH_AT(bits));
    dies_at(XMHF_IMAGE_DEBUG, TOUCH, (uintptr_t)stubs, (uintptr_t)stubs, TOUCH_AT(bits));
    dies_at(XMHF_IMAGE_DEBUG, DEEP, 2 * PAGE, sp - 2 * PAGE, DEEP_AT(bits));
}

static void refusals(void)
{
    const uint64_t at = (uintptr_t)stubs;
    uint64_t r;

    load();
    describe(0, 1, 2);
    d.image.mode = 48;
    r = command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, at);
    CHECK(r == TV_BAD_MODE, "another mode gave %llu", (unsigned long long)r);
    describe(0, 1, 2);
    d.sections[1].address = AT_CODE + PAGE;
    r = command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, at);
    CHECK(r == TV_NO_GAP, "no gap gave %llu", (unsigned long long)r);
    CHECK(memcmp(sources[0], bits == 64 ? pal64 : pal32, 64) == 0, "a refusal changed something");
}

static void in_mode(unsigned n)
{
    uint64_t before = info(XMHF_INFO_POOL_FREE), arg = PAGE;
    struct exec x;

    bits = n;
    refusals();
    expect_registered(0);
    parameters();
    counted();
    x = call(DEEP, &arg, 1);
    expect(&x, 7, 0, 0, "the stack's other page");
    image_unregistered(TV_OK);
    CHECK(stubs[0] == 0xcc && stubs[PAGE - 1] == 0xcc, "stubs are left");
    image_unregistered(TV_NOT_FOUND);
    deaths();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
}

static void large(void)
{
    uint64_t start, ticks, hashing;

    bits = 64;
    load();
    describe(0, LARGE_DATA, LARGE_BSS);
    hashing = info(XMHF_INFO_HASH_TICKS);
    start = rdtsc();
    CHECK(command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&d, (uintptr_t)stubs) == TV_OK,
          "the large image was refused");
    ticks = rdtsc() - start;
    say("an image of 120 pages: %llu ticks, %llu of them hashing", (unsigned long long)ticks,
        (unsigned long long)(info(XMHF_INFO_HASH_TICKS) - hashing));
    CHECK(!word("sha") || ticks <= LARGE_TICKS, "120 pages took %llu ticks",
          (unsigned long long)ticks);
    image_unregistered(TV_OK);
}

/* The lists as long as they may be, and nothing in the order in which it would be found soonest:
 * tests/guests/run.py sees how long the longest exit took. */
static void largest(void)
{
    static struct {
        struct xmhf_image image;
        struct xmhf_image_section sections[XMHF_IMAGE_SECTIONS];
        struct xmhf_image_param params[XMHF_IMAGE_PARAMS];
        struct xmhf_image_entry entries[XMHF_IMAGE_ENTRIES];
    } l;
    static uint8_t pages[XMHF_IMAGE_SECTIONS - 2][PAGE] __attribute__((aligned(PAGE)));
    const unsigned taken = XMHF_IMAGE_SECTIONS - 2; /* all but STACK and PARAM, sources falling */
    uint64_t r;

    l.image = d.image;
    l.image.size = sizeof(l);
    l.image.sections = XMHF_IMAGE_SECTIONS;
    l.image.params = XMHF_IMAGE_PARAMS;
    l.image.entries = XMHF_IMAGE_ENTRIES;
    for (unsigned i = 0; i < XMHF_IMAGE_SECTIONS; i++) {
        l.sections[i] = (struct xmhf_image_section){
            i < taken ? TV_SECTION_CODE : i == taken ? TV_SECTION_STACK : TV_SECTION_PARAM, 1,
            AT_CODE + 2 * PAGE * i, i < taken ? (uintptr_t)pages[taken - 1 - i] : 0,
        };
        l.entries[i] = (struct xmhf_image_entry){ AT_CODE + 2 * PAGE * (taken - 1), 4, 0 };
        l.params[4 * i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
        for (unsigned k = 1; k < 4; k++) {
            l.params[4 * i + k] = (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_IN, 64, 1, 4 };
        }
    }
    r = command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&l, (uintptr_t)stubs);
    CHECK(r == TV_OK, "the largest lists gave %llu", (unsigned long long)r);
    image_unregistered(TV_OK);
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    in_mode(64);
    in_mode(32);
    large();
    largest();
    pass("images were called, and died, in both modes");
}
