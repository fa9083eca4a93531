/* SPDX-License-Identifier: MIT */
/*
 * Ocalls on a real CPU: ring 3, in 64-bit and in 32-bit code, registers an image that asks it
 * things, answers, calls in between, forges tokens, answers too much, and unregisters it meanwhile.
 * The image is a debug PAL, so its memory and its registers are looked at while it waits; and it
 * draws random bytes.
 */
#include <x86/cpuid.h>
#include <xmhf/measurement.h>
#include "image_caller.h"

#define AT_CODE  0x10000000u
#define AT_DATA  0x10002000u    /* two pages */
#define AT_STACK 0x10100000u
#define STACKS   2u
#define BUFFER   (AT_DATA + PAGE - 4) /* the PAL's, on two pages */
#define MOST     64u            /* bytes that the caller's buffer holds */
#define REGISTERS 0x1234567u    /* in a register of the PAL while it asks */

enum { ASK, PLAIN, DRAW, ENTRIES };

/* ASK(where, n): asks n times, i = n ... 1, function i with i as the request; sums up the answers,
 * of four bytes. PLAIN(n): n + 1. DRAW(n): n random bytes to the begin of DATA. Hypercalls are of
 * either vendor: load() puts their last byte in. */
__asm__(
    ".pushsection .rodata\n"
    ".balign 64\n"
    "ocall64:\n"
    "    mov %esi, %ebx\n"
    "    xor %r13d, %r13d\n"
    "    mov $0x1234567, %ebp\n"
    "1:  test %ebx, %ebx\n"
    "    jz 2f\n"
    "    mov %ebx, 0x10002ffc\n"
    "    mov $0x108, %eax\n"
    "    mov %ebx, %ecx\n"
    "    mov $0x10002ffc, %edx\n"
    "    mov $4, %esi\n"
    "    mov $32, %edi\n"
    "    .byte 0x0f, 0x01, 0xff\n"
    "    test %rax, %rax\n"
    "    js 3f\n"
    "    add 0x10002ffc, %r13d\n"
    "    dec %ebx\n"
    "    jmp 1b\n"
    "2:  mov %r13d, %eax\n"
    "3:  ret\n"
    ".balign 128\n"
    "    lea 1(%rdi), %eax\n"
    "    ret\n"
    ".balign 128\n"
    "    mov $0x109, %eax\n"
    "    mov $0x10002000, %ecx\n"
    "    mov %edi, %edx\n"
    "    .byte 0x0f, 0x01, 0xff\n"
    "    ret\n"
    ".balign 128\n"
    ".code32\n"
    "ocall32:\n"
    "    mov 8(%esp), %ebx\n"
    "    pushl $0\n"
    "    mov $0x1234567, %ebp\n"
    "1:  test %ebx, %ebx\n"
    "    jz 2f\n"
    "    mov %ebx, 0x10002ffc\n"
    "    mov $0x108, %eax\n"
    "    mov %ebx, %ecx\n"
    "    mov $0x10002ffc, %edx\n"
    "    mov $4, %esi\n"
    "    mov $32, %edi\n"
    "    .byte 0x0f, 0x01, 0xff\n"
    "    test %eax, %eax\n"
    "    js 3f\n"
    "    mov 0x10002ffc, %eax\n"
    "    add %eax, (%esp)\n"
    "    dec %ebx\n"
    "    jmp 1b\n"
    "2:  mov (%esp), %eax\n"
    "3:  add $4, %esp\n"
    "    ret\n"
    ".balign 128\n"
    "    mov 4(%esp), %eax\n"
    "    inc %eax\n"
    "    ret\n"
    ".balign 128\n"
    "    mov $0x109, %eax\n"
    "    mov $0x10002000, %ecx\n"
    "    mov 4(%esp), %edx\n"
    "    .byte 0x0f, 0x01, 0xff\n"
    "    ret\n"
    ".code64\n"
    ".balign 128\n"
    "ocall_end:\n"
    ".popsection\n");
extern const uint8_t ocall64[], ocall32[], ocall_end[];

static uint8_t sources[3][PAGE] __attribute__((aligned(PAGE)));
static uint8_t buffers[2 * PAGE] __attribute__((aligned(PAGE)));
static uint8_t looked[PAGE];

/* The caller's buffer, on two pages. */
#define ASKED ((struct xmhf_ocall *)(void *)(buffers + PAGE - sizeof(struct xmhf_ocall) - 4))

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[2 + STACKS];
    struct xmhf_image_param params[4];
    struct xmhf_image_entry entries[ENTRIES];
} d;

static void describe(uint32_t flags)
{
    const uint64_t at = (uintptr_t)sources;

    memset(&d, 0, sizeof(d));
    d.image = (struct xmhf_image){
        .size = sizeof(d), .version = XMHF_IMAGE_VERSION, .mode = bits,
        .convention = bits == 64 ? XMHF_SYSV : XMHF_CDECL, .flags = flags, .stacks = STACKS,
        .sections = 2 + STACKS, .params = 4, .entries = ENTRIES, .stubs = (uintptr_t)stubs,
    };
    d.sections[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, AT_CODE, at };
    d.sections[1] = (struct xmhf_image_section){ TV_SECTION_DATA, 2, AT_DATA, at + PAGE };
    for (unsigned k = 0; k < STACKS; k++) {
        d.sections[2 + k] = (struct xmhf_image_section){
            TV_SECTION_STACK, 1, AT_STACK + 2 * k * PAGE, 0,
        };
    }
    d.params[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, MOST, 0, 0 };
    for (unsigned i = 1; i < 4; i++) {
        d.params[i] = (struct xmhf_image_param){ TV_PARAM_INTEGER, XMHF_IN, 0, 0, 0 };
    }
    for (unsigned i = 0; i < ENTRIES; i++) {
        d.entries[i] = (struct xmhf_image_entry){ AT_CODE + 128 * i, i == ASK ? 2 : 1, 0 };
    }
}

/* The program's loader; and the instruction of this CPU's vendor. */
static void load(void)
{
    size_t n;

    memset(sources, 0, sizeof(sources));
    n = load_code(sources[0], ocall64, ocall32, ocall_end);
    for (size_t i = 0; i + 2 < n; i++) {
        if (memcmp(sources[0] + i, "\x0f\x01\xff", 3) == 0) {
            sources[0][i + 2] = hypercall_byte();
        }
    }
}

static void registered(uint32_t flags)
{
    load();
    describe(flags);
    image_registered(&d.image);
}

/* Code that calls an address, with two arguments on the stack or in registers. */
static struct exec caller(uint64_t to, uint64_t a, uint64_t b)
{
    uint8_t *back;
    struct exec x = image_caller(&back);

    if (bits == 64) {
        *(uint64_t *)(uintptr_t)x.rsp = (uintptr_t)back;
        x.gpr[RDI] = a;
        x.gpr[RSI] = b;
    } else {
        uint32_t *sp = (uint32_t *)(uintptr_t)x.rsp;
        sp[0] = (uint32_t)(uintptr_t)back;
        sp[1] = (uint32_t)a;
        sp[2] = (uint32_t)b;
    }
    x.rflags |= RFLAGS_IF;
    x.rip = to;
    return x;
}

static struct exec call(unsigned entry, uint64_t a, uint64_t b)
{
    struct exec x = caller(XMHF_IMAGE_STUB((uintptr_t)stubs, entry), a, b);

    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE, "%u bits, entry %u: vector %llu, error 0x%llx", bits, entry,
          (unsigned long long)x.vector, (unsigned long long)x.error);
    return x;
}

static void expect(const struct exec *x, uint64_t rax, uint64_t rcx, const char *what)
{
    CHECK(x->gpr[RAX] == rax && x->gpr[RCX] == rcx && x->gpr[RDX] == 0,
          "%u bits, %s: RAX 0x%llx, RCX 0x%llx, RDX 0x%llx", bits, what,
          (unsigned long long)x->gpr[RAX], (unsigned long long)x->gpr[RCX],
          (unsigned long long)x->gpr[RDX]);
}

/* The call has returned to be asked function `i`. */
static void expect_asked(const struct exec *x, uint32_t i)
{
    uint32_t word;

    expect(x, 0, XMHF_STATUS_OCALL, "an ocall");
    memcpy(&word, ASKED + 1, 4);
    CHECK(ASKED->function == i && ASKED->bytes == 4 && word == i,
          "%u bits: asked function %u, %u bytes, 0x%x; not %u", bits, ASKED->function,
          ASKED->bytes, word, i);
}

/* Calls the resume stub. */
static struct exec come(const uint64_t token[2])
{
    struct exec x = caller((uintptr_t)stubs + PAGE - 32, 0, 0);

    x.gpr[RAX] = bits == 64 ? token[0] : (uint32_t)token[0];
    x.gpr[RDX] = bits == 64 ? token[1] : token[0] >> 32;
    if (bits == 32) {
        x.gpr[RCX] = (uint32_t)token[1];
        x.gpr[RBX] = token[1] >> 32;
    }
    exec_at(&x);
    return x;
}

static struct exec answer(uint32_t word, uint32_t bytes)
{
    const uint64_t token[2] = { ASKED->token[0], ASKED->token[1] };
    struct exec x;

    memcpy(ASKED + 1, &word, 4);
    ASKED->bytes = bytes;
    x = come(token);
    CHECK(x.vector == VECTOR_DONE, "%u bits, an answer: vector %llu, error 0x%llx", bits,
          (unsigned long long)x.vector, (unsigned long long)x.error);
    return x;
}

static struct exec ask(uint64_t n)
{
    struct exec x = call(ASK, (uintptr_t)ASKED, n);

    if (n != 0) {
        expect_asked(&x, (uint32_t)n);
    }
    return x;
}

static void ping_pong(void)
{
    struct exec x = ask(5);
    uint32_t sum = 0;

    for (unsigned i = 5; i > 0; i--) {
        sum += 1000 * i + 7;
        x = answer(1000 * i + 7, 4);
        if (i > 1) {
            expect_asked(&x, i - 1);
        }
    }
    expect(&x, sum, 0, "a sum of answers");
    x = ask(0);
    expect(&x, 0, 0, "nothing to ask");
}

static void expect_gp(const uint64_t token[2], const char *what)
{
    struct exec x = come(token);

    CHECK(x.vector == 13 && x.error == 0, "%u bits, %s: vector %llu", bits, what,
          (unsigned long long)x.vector);
}

/* In the middle of an ocall: it isn't called again, and nobody goes on without the token. */
static void attacks(void)
{
    struct exec x = ask(2);
    const uint64_t token[2] = { ASKED->token[0], ASKED->token[1] };
    const uint64_t none[2] = { 0, 0 }, one[2] = { token[0] ^ 1, token[1] };
    const uint64_t other[2] = { token[0], token[1] ^ 1ULL << 63 };

    x = call(PLAIN, 3, 0);
    expect(&x, 0, XMHF_STATUS_BUSY, "a call while it asks");
    x = call(ASK, (uintptr_t)ASKED, 1);
    expect(&x, 0, XMHF_STATUS_BUSY, "another one");
    expect_gp(none, "no token");
    expect_gp(one, "a wrong token");
    expect_gp(other, "another wrong one");
    x = answer(1, 4);
    expect_asked(&x, 1);
    expect_gp(token, "a token of before");
    x = answer(2, 33); /* the PAL has room for 32 */
    expect(&x, bits == 64 ? 0 - (uint64_t)TV_TOO_LONG : (uint32_t)(0 - TV_TOO_LONG), 0,
           "an answer that is too long");
    expect_gp(token, "a token when nobody is asked");
    x = call(PLAIN, 3, 0);
    expect(&x, 4, 0, "a call afterwards");
}

static uint64_t look(uint32_t what, uint64_t address, uint32_t n)
{
    static struct xmhf_pal_read q;

    q = (struct xmhf_pal_read){
        sizeof(q), what, (uintptr_t)stubs, address, (uintptr_t)looked, n, 0,
    };
    return command(XMHF_HC_PAL_READ, (uintptr_t)&q, 0);
}

static void debug(void)
{
    struct xmhf_pal_registers r;
    uint32_t word;
    struct exec x;

    ask(9);
    CHECK(look(XMHF_READ_MEMORY, BUFFER, 4) == TV_OK, "%u bits: memory can't be read", bits);
    memcpy(&word, looked, 4);
    CHECK(word == 9, "%u bits: the PAL has %u", bits, word);
    CHECK(look(XMHF_READ_MEMORY, AT_DATA + PAGE, PAGE + 1) == TV_TOO_LONG, "so much is read");
    CHECK(look(XMHF_READ_MEMORY, AT_DATA + PAGE, PAGE) == TV_OK, "no page is read");
    CHECK(look(XMHF_READ_MEMORY, AT_DATA + 2 * PAGE - 1, 2) == TV_BAD_ADDRESS, "a gap is read");
    CHECK(look(XMHF_READ_REGISTERS, 0, sizeof(r)) == TV_OK, "registers can't be read");
    memcpy(&r, looked, sizeof(r));
    CHECK(r.state == XMHF_CALL_OCALL && (uint32_t)r.gpr[RBP] == REGISTERS
          && (uint32_t)r.gpr[RBX] == 9 && r.rip > AT_CODE && r.rip < AT_CODE + 128,
          "%u bits: state %u, RBP 0x%llx, RIP 0x%llx", bits, r.state,
          (unsigned long long)r.gpr[RBP], (unsigned long long)r.rip);
    x = answer(0, 33);
    CHECK(look(XMHF_READ_REGISTERS, 0, sizeof(r)) == TV_OK, "registers can't be read");
    memcpy(&r, looked, sizeof(r));
    CHECK(r.state == XMHF_CALL_NONE && r.gpr[RBP] == 0, "state %u after the call", r.state);
    (void)x;
}

/* Two draws differ, and each is of the length that was asked for. */
static void random(void)
{
    uint8_t first[64];
    struct exec x = call(DRAW, 63, 0);

    expect(&x, TV_OK, 0, "random bytes");
    CHECK(look(XMHF_READ_MEMORY, AT_DATA, 64) == TV_OK && looked[63] == 0, "63 bytes aren't 63");
    memcpy(first, looked, 64);
    x = call(DRAW, 64, 0);
    CHECK(look(XMHF_READ_MEMORY, AT_DATA, 64) == TV_OK, "no second look");
    CHECK(memcmp(first, looked, 32) != 0 && memcmp(first + 32, looked + 32, 31) != 0,
          "the same bytes twice");
    x = call(DRAW, XMHF_RANDOM_MAX + 1, 0);
    expect(&x, TV_TOO_LONG, 0, "too many random bytes");
    /* until the CPU's key is old: drawing a new one is in an exit too (lib/guest.c:check_exits) */
    for (unsigned i = 0; i < 224 * 1024 / XMHF_RANDOM_MAX + 2; i++) {
        x = call(DRAW, XMHF_RANDOM_MAX, 0);
        expect(&x, TV_OK, 0, "many random bytes");
    }
}

static void in_mode(unsigned n)
{
    uint64_t before = info(XMHF_INFO_POOL_FREE);
    uint64_t token[2];
    struct exec x;

    bits = n;
    registered(XMHF_IMAGE_DEBUG);
    ping_pong();
    attacks();
    debug();
    random();
    ask(1);
    token[0] = ASKED->token[0];
    token[1] = ASKED->token[1];
    image_unregistered(TV_OK);
    x = come(token);
    /* INT3, which this guest's IDT doesn't let ring 3 do; QEMU 7.2 takes the vector by 16 */
    CHECK(x.vector == 13 && (x.error == 3 * 8 + 2 || x.error == 3 * 16 + 2),
          "%u bits: the stub that was: vector %llu, 0x%llx", bits, (unsigned long long)x.vector,
          (unsigned long long)x.error);
    registered(0);
    CHECK(look(XMHF_READ_MEMORY, AT_DATA, 4) == TV_NOT_DEBUG, "another PAL is read");
    expect_gp(token, "a token of the PAL before");
    ping_pong();
    image_unregistered(TV_OK);
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
}

/* LARGE(where, data): asks with the longest request, from a page's middle, and has room for as much
 * as an answer. With each page of the PAL's crossing two of the program's, and the data too, the
 * longest exit must stay below what tests/guests/run.py allows. */
__asm__(
    ".pushsection .rodata\n"
    ".balign 64\n"
    "large_pal:\n"
    "    mov $0x108, %eax\n"
    "    xor %ecx, %ecx\n"
    "    mov $0x10010800, %edx\n"
    "    mov $0x40000, %esi\n"
    "    mov $0x40000, %edi\n"
    "    .byte 0x0f, 0x01, 0xff\n"
    "    ret\n"
    ".popsection\n");
extern const uint8_t large_pal[];

#define LARGE XMHF_IMAGE_AREA

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[4];
    struct xmhf_image_param params[2];
    struct xmhf_image_entry entry;
} l;

__attribute__((unused)) static void large(void)
{
    static uint8_t asked[LARGE + 2 * PAGE] __attribute__((aligned(PAGE)));
    static uint8_t data[LARGE + 2 * PAGE] __attribute__((aligned(PAGE)));
    struct xmhf_ocall *o = (struct xmhf_ocall *)(void *)asked;
    uint64_t token[2];
    struct exec x;

    bits = 64;
    memcpy(sources[0], large_pal, 64);
    for (unsigned i = 0; i < 62; i++) {
        if (memcmp(sources[0] + i, "\x0f\x01\xff", 3) == 0) {
            sources[0][i + 2] = hypercall_byte();
        }
    }
    l.image = (struct xmhf_image){
        .size = sizeof(l), .version = XMHF_IMAGE_VERSION, .mode = 64, .convention = XMHF_SYSV,
        .stacks = 1, .sections = 4, .params = 2, .entries = 1, .stubs = (uintptr_t)stubs,
    };
    l.sections[0] = (struct xmhf_image_section){ TV_SECTION_CODE, 1, AT_CODE, (uintptr_t)sources };
    l.sections[1] = (struct xmhf_image_section){ XMHF_SECTION_BSS, 66, 0x10010000, 0 };
    l.sections[2] = (struct xmhf_image_section){ TV_SECTION_STACK, 1, AT_STACK, 0 };
    l.sections[3] = (struct xmhf_image_section){ TV_SECTION_PARAM, LARGE / PAGE, 0x10200000, 0 };
    l.params[0] = (struct xmhf_image_param){ XMHF_PARAM_OCALL, XMHF_INOUT, LARGE, 0, 0 };
    l.params[1] = (struct xmhf_image_param){ TV_PARAM_POINTER, XMHF_INOUT, LARGE, 0, 0 };
    l.entry = (struct xmhf_image_entry){ AT_CODE, 2, 0 };
    CHECK(command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&l, (uintptr_t)stubs) == TV_OK,
          "the large buffers were refused");
    memset(data, 0x77, sizeof(data));
    x = call(0, (uintptr_t)o, (uintptr_t)data + 24);
    expect(&x, 0, XMHF_STATUS_OCALL, "a long ocall");
    memcpy(token, o->token, sizeof(token));
    x = come(token);
    expect(&x, LARGE, 0, "a long answer");
    for (unsigned i = 0; i < sizeof(data); i++) {
        CHECK(data[i] == 0x77, "byte %u of the data is 0x%x", i, data[i]);
    }
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
    pass("PALs asked, and were answered, in both modes");
}
