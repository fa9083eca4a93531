/* SPDX-License-Identifier: MIT */
/*
 * PALs of 16-bit code, on a real CPU, called by 64-bit and by 32-bit code of ring 3: near cdecl and
 * pascal frames, far pointers into several segments, blocks of more than 64 KiB, gcc -m16's frames
 * in one segment, interrupts while segment registers hold what the code has loaded; and what ends
 * such a PAL, and it alone.
 */
#include <xmhf/measurement.h>
#include "image_caller.h"

#define TIMER    0x40
#define AT_CODE  0x00020000u
#define AT_DATA  0x00040000u
#define AT_BIG   0x00100000u   /* 20 pages: two selectors */
#define AT_STACK 0x00300000u   /* two pages */
#define AT_PARAM 0x0ff00000u   /* 34 pages: three selectors */
#define BIG      20u
#define AREA     34u

enum { CODE, DATA, LARGE, STACK, PARAM, SECTIONS };
/* Selectors by the rule of include/xmhf/image.h. */
#define SEL_BIG2 "0x27"

enum { CRC, SUM, GLOBALS, LOAD, DEEP, LOOP, COPY, RANDOM, FAR_WRITE, RUN_OFF, HUGE, ENTRIES };

static uint8_t sources[2 + BIG][PAGE] __attribute__((aligned(PAGE)));
static uint8_t buffers[AREA][PAGE] __attribute__((aligned(PAGE)));

/* Entries at multiples of 128 bytes. */
__asm__(
    ".pushsection .rodata\n"
    ".balign 128\n"
    ".code16\n"
    "cdecl16:\n"                        /* CRC(far pointer, n): CRC-32, in DX:AX */
    "    push %bp\n"
    "    mov %sp, %bp\n"
    "    push %ds\n"
    "    lds 4(%bp), %si\n"
    "    mov 8(%bp), %cx\n"
    "    movl $-1, %eax\n"
    "    jcxz 4f\n"
    "1:  xorb (%si), %al\n"
    "    inc %si\n"
    "    mov $8, %dx\n"
    "2:  shrl $1, %eax\n"
    "    jnc 3f\n"
    "    xorl $0xedb88320, %eax\n"
    "3:  dec %dx\n"
    "    jnz 2b\n"
    "    loop 1b\n"
    "4:  notl %eax\n"
    "    movl %eax, %edx\n"
    "    shrl $16, %edx\n"
    "    pop %ds\n"
    "    pop %bp\n"
    "    ret\n"
    ".balign 128\n"                     /* SUM(word, long, signed word) */
    "    mov %sp, %bp\n"
    "    movswl 8(%bp), %eax\n"
    "    addl 4(%bp), %eax\n"
    "    movzwl 2(%bp), %ecx\n"
    "    addl %ecx, %eax\n"
    "    movl %eax, %edx\n"
    "    shrl $16, %edx\n"
    "    ret\n"
    ".balign 128\n"                     /* GLOBALS: of DS, which counts, and LARGE */
    "    mov $" SEL_BIG2 ", %ax\n"
    "    mov %ax, %es\n"
    "    mov %es:0x3ffe, %ax\n"
    "    incw 0x10\n"
    "    add 0x10, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* LOAD(selector) */
    "    mov %sp, %bp\n"
    "    mov 2(%bp), %ax\n"
    "    mov %ax, %es\n"
    "    mov $1, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* DEEP(n): a byte n bytes below the stack pointer */
    "    mov %sp, %bp\n"
    "    mov 2(%bp), %ax\n"
    "    sub %ax, %bp\n"
    "    mov %al, (%bp)\n"
    "    mov $7, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* LOOP(n): how often a segment was wrong */
    "    mov %sp, %bp\n"
    "    movl 2(%bp), %ecx\n"
    "    mov $" SEL_BIG2 ", %ax\n"
    "    mov %ax, %es\n"
    "    mov %ds, %ax\n"
    "    mov %ax, %fs\n"
    "    xor %ax, %ax\n"
    "    mov %ax, %ds\n"
    "    mov %ss, %ax\n"
    "    mov %ax, %gs\n"
    "    xor %si, %si\n"
    "    movl $0x12345678, %edi\n"
    "1:  cmpw $0x2222, %es:0x3ffe\n"
    "    jne 2f\n"
    "    cmpw $0x1111, %fs:0x20\n"
    "    jne 2f\n"
    "    movw %gs:2(%bp), %bx\n"
    "    cmpw 2(%bp), %bx\n"
    "    jne 2f\n"
    "    mov %ds, %bx\n"
    "    test %bx, %bx\n"
    "    jnz 2f\n"
    "    cmpl $0x12345678, %edi\n"
    "    je 3f\n"
    "2:  inc %si\n"
    "3:  decl %ecx\n"
    "    jnz 1b\n"
    "    mov %si, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* COPY(in, out, n): between two segments */
    "    mov %sp, %bp\n"
    "    mov %ds, %dx\n"
    "    lds 2(%bp), %si\n"
    "    les 6(%bp), %di\n"
    "    mov 10(%bp), %cx\n"
    "    cld\n"
    "    rep movsb\n"
    "    mov %ds, %ax\n"
    "    mov %dx, %ds\n"
    "    mov %es, %dx\n"
    "    ret\n"
    ".balign 128\n"                     /* RANDOM: 16 bytes to DS:30h, by the hypervisor; then */
    "    movl $0x109, %eax\n"           /* such ones that aren't its to write */
    "    mov %ds, %cx\n"
    "    shll $16, %ecx\n"
    "    mov $0x30, %cx\n"
    "    movl $16, %edx\n"
    "random_call:\n"
    "    vmmcall\n"
    "    test %ax, %ax\n"
    "    jnz 1f\n"
    "    movl $0x109, %eax\n"
    "    mov $0xfff8, %cx\n"
    "random_call2:\n"
    "    vmmcall\n"
    "    ret\n"
    "1:  mov $-1, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* FAR_WRITE(linear address' selector, offset) */
    "    mov %sp, %bp\n"
    "    les 2(%bp), %di\n"
    "    movb $1, %es:(%di)\n"
    "    mov $7, %ax\n"
    "    ret\n"
    ".balign 128\n"                     /* RUN_OFF: behind CODE */
    "    mov $0x1000, %ax\n"
    "    jmp *%ax\n"
    ".balign 128\n"                     /* HUGE(70,000 bytes): a byte of each 64 KiB */
    "    mov %sp, %bp\n"
    "    les 2(%bp), %bx\n"
    "    movzbw %es:(%bx), %ax\n"
    "    mov %es, %cx\n"
    "    add $8, %cx\n"
    "    mov %cx, %es\n"
    "    movzbw %es:4463(%bx), %cx\n"
    "    add %cx, %ax\n"
    "    ret\n"
    ".balign 128\n"
    "pascal16:\n"                       /* (word a, long b, pointer to word p): a - b + *p */
    "    push %bp\n"
    "    mov %sp, %bp\n"
    "    les 4(%bp), %bx\n"
    "    movzwl 12(%bp), %eax\n"
    "    subl 8(%bp), %eax\n"
    "    movzwl %es:(%bx), %ecx\n"
    "    addl %ecx, %eax\n"
    "    movl %eax, %edx\n"
    "    shrl $16, %edx\n"
    "    pop %bp\n"
    "    ret $10\n"
    ".balign 128\n"
    "one16:\n"                          /* as gcc -m16: (int a, unsigned *p, long long c) */
    "    pushl %ebp\n"
    "    movl %esp, %ebp\n"
    "    movl 12(%ebp), %ecx\n"
    "    movl (%ecx), %eax\n"
    "    addl 8(%ebp), %eax\n"
    "    incl (%ecx)\n"
    "    xorl %edx, %edx\n"
    "    addl 16(%ebp), %eax\n"
    "    adcl 20(%ebp), %edx\n"
    "    movl %ebp, %esp\n"
    "    popl %ebp\n"
    "    retl\n"
    ".code64\n"
    ".balign 128\n"
    "end16:\n"
    ".popsection\n");
extern const uint8_t cdecl16[], pascal16[], one16[], end16[];
extern const uint8_t random_call[], random_call2[];

static struct {
    struct xmhf_image image;
    struct xmhf_image_section sections[SECTIONS];
    struct xmhf_image_param params[17];
    struct xmhf_image_entry entries[ENTRIES];
} d;

static void param(uint32_t type, uint32_t direction, uint32_t size, uint16_t by)
{
    d.params[d.image.params++] = (struct xmhf_image_param){ type, direction, size, by, by != 0 };
}

static void integer(uint32_t size) { param(TV_PARAM_INTEGER, XMHF_IN, size, 0); }

static void entry(uint32_t params, uint32_t result)
{
    d.entries[d.image.entries] = (struct xmhf_image_entry){
        d.sections[CODE].address + 128u * d.image.entries, params, result,
    };
    d.image.entries++;
}

static void begin(uint32_t convention, uint32_t flags)
{
    memset(&d, 0, sizeof(d));
    d.image = (struct xmhf_image){
        .version = XMHF_IMAGE_VERSION, .mode = PAL_ID_MODE_16, .convention = convention,
        .flags = flags, .stacks = 1, .sections = SECTIONS, .stubs = (uintptr_t)stubs,
    };
    d.sections[CODE] = (struct xmhf_image_section){
        TV_SECTION_CODE, 1, AT_CODE, (uintptr_t)sources[0],
    };
    d.sections[DATA] = (struct xmhf_image_section){
        TV_SECTION_DATA, 1, AT_DATA, (uintptr_t)sources[1],
    };
    d.sections[LARGE] = (struct xmhf_image_section){
        TV_SECTION_DATA, BIG, AT_BIG, (uintptr_t)sources[2],
    };
    d.sections[STACK] = (struct xmhf_image_section){ TV_SECTION_STACK, 2, AT_STACK, 0 };
    d.sections[PARAM] = (struct xmhf_image_section){ TV_SECTION_PARAM, AREA, AT_PARAM, 0 };
}

/* What the loader of a program would have put there. */
static void load(const uint8_t *code, const uint8_t *end)
{
    memset(sources, 0, sizeof(sources));
    memcpy(sources[0], code, (size_t)(end - code));
    if (code == cdecl16) { /* this CPU's hypercall */
        sources[0][random_call - cdecl16 + 2] = hypercall_byte();
        sources[0][random_call2 - cdecl16 + 2] = hypercall_byte();
    }
    *(uint16_t *)(void *)(sources[1] + 0x10) = 100;
    *(uint16_t *)(void *)(sources[1] + 0x20) = 0x1111;
    *(uint16_t *)(void *)(sources[2] + 0x13ffe) = 0x2222;
}

static void pack(void);

static void cdecl_image(uint32_t flags)
{
    load(cdecl16, pascal16);
    begin(XMHF_CDECL16, XMHF_IMAGE_TILED | flags);
    entry(2, 4);                               /* CRC */
    param(TV_PARAM_POINTER, XMHF_IN, 60000, 2);
    integer(2);
    entry(3, 4);                               /* SUM */
    integer(0);
    integer(4);
    integer(2 | XMHF_INTEGER_SIGNED);
    entry(0, 0);                               /* GLOBALS */
    entry(1, 0);                               /* LOAD */
    integer(0);
    entry(1, 0);                               /* DEEP */
    integer(0);
    entry(1, 0);                               /* LOOP */
    integer(4);
    entry(3, 4);                               /* COPY: the second goes to a segment of its own */
    param(TV_PARAM_POINTER, XMHF_IN, 60000, 3);
    param(TV_PARAM_POINTER, XMHF_OUT, 60000, 3);
    integer(0);
    entry(0, 0);                               /* RANDOM */
    entry(1, 0);                               /* FAR_WRITE */
    integer(4);
    entry(0, 0);                               /* RUN_OFF */
    entry(1, 0);                               /* HUGE */
    param(TV_PARAM_POINTER, XMHF_IN, 70000, 0);
    pack();
}

/* The lists follow each other without gaps. */
static struct {
    struct xmhf_image image;
    uint8_t lists[sizeof(d.sections) + sizeof(d.params) + sizeof(d.entries)];
} packed;

static void pack(void)
{
    uint8_t *to = packed.lists;

    memcpy(to, d.sections, d.image.sections * sizeof(d.sections[0]));
    to += d.image.sections * sizeof(d.sections[0]);
    memcpy(to, d.params, d.image.params * sizeof(d.params[0]));
    to += d.image.params * sizeof(d.params[0]);
    memcpy(to, d.entries, d.image.entries * sizeof(d.entries[0]));
    d.image.size = XMHF_IMAGE_SIZE(d.image.sections, d.image.params, d.image.entries);
    packed.image = d.image;
}

/* --- calls ------------------------------------------------------------------------ */

static struct exec call(unsigned n, const uint64_t *args, unsigned words)
{
    static const unsigned sysv[] = { RDI, RSI, RDX, RCX };
    uint8_t *back;
    struct exec x = image_caller(&back);

    if (bits == 64) {
        *(uint64_t *)(uintptr_t)x.rsp = (uintptr_t)back;
    } else {
        *(uint32_t *)(uintptr_t)x.rsp = (uint32_t)(uintptr_t)back;
    }
    for (unsigned i = 0; i < words; i++) {
        if (bits == 64) {
            x.gpr[sysv[i]] = args[i];
        } else {
            ((uint32_t *)(uintptr_t)x.rsp)[1 + i] = (uint32_t)args[i];
        }
    }
    x.rflags |= RFLAGS_IF;
    x.rip = XMHF_IMAGE_STUB((uintptr_t)stubs, n);
    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE, "%u bits, entry %u: vector %llu, error 0x%llx", bits, n,
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

#define CALL(n, ...) call(n, (const uint64_t[]){ __VA_ARGS__ }, \
                          sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static uint32_t crc32(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;

    while (n-- > 0) {
        crc ^= *p++;
        for (unsigned i = 0; i < 8; i++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

static void fill_buffers(void)
{
    for (unsigned i = 0; i < sizeof(buffers); i++) {
        ((uint8_t *)buffers)[i] = (uint8_t)(i * 7 + (i >> 8));
    }
}

static void values(void)
{
    const uint64_t at = (uintptr_t)buffers;
    struct exec x;

    fill_buffers();
    x = CALL(CRC, at + 5, 1000);
    expect(&x, crc32((const uint8_t *)buffers + 5, 1000), 0, 0, "a CRC");
    x = CALL(CRC, at, 0);
    expect(&x, 0, 0, 0, "a CRC of nothing");
    x = CALL(CRC, at, 60001);
    expect(&x, 0, XMHF_STATUS_BAD_COUNT, 0, "a CRC of too much");
    x = CALL(SUM, 0xffff, 0x12345678, (uint16_t)-3);
    expect(&x, 0x12345678 + 0xffff - 3, 0, 0, "three integers");
    x = CALL(SUM, 0x10000, 0, 0);
    expect(&x, 0, XMHF_STATUS_BAD_VALUE, 0, "an integer that doesn't fit");
    for (unsigned i = 1; i <= 3; i++) {
        x = call(GLOBALS, NULL, 0);
        expect(&x, 0x2222 + 100 + i, 0, 0, "two segments");
    }
    x = CALL(DEEP, PAGE + 100);
    expect(&x, 7, 0, 0, "the stack's other page");
    x = CALL(LOAD, 0x1f);
    expect(&x, 1, 0, 0, "a selector of its own");
    x = CALL(LOAD, 3);
    expect(&x, 1, 0, 0, "a null selector");
    x = call(RANDOM, NULL, 0);
    expect(&x, TV_BAD_ADDRESS, 0, 0, "random bytes by far pointers");
}

/* In LARGE and PARAM are four selectors before the second pointer's segment: DX:AX has both. */
static void far_pointers(void)
{
    const uint64_t at = (uintptr_t)buffers;
    struct exec x;

    fill_buffers();
    x = CALL(COPY, at, at + 60001, 59999);
    expect(&x, 0x003f0037, 0, 0, "the selectors of two pointers");
    CHECK(memcmp(buffers, (const uint8_t *)buffers + 60001, 59999) == 0, "%u bits: the copy", bits);
    x = CALL(HUGE, at);
    expect(&x, ((const uint8_t *)buffers)[0] + ((const uint8_t *)buffers)[65536 + 4463], 0, 0,
           "a block of more than 64 KiB");
}

static volatile unsigned ticks;

static void on_timer(struct trap_frame *f)
{
    (void)f;
    ticks++;
    apic_write(0xb0, 0);
    apic_write(0x380, 20000);
}

/* The thread comes back by its token each time, and another one's selectors were loaded meanwhile:
 * the OS's. */
static void interrupts(void)
{
    struct exec x;

    ticks = 0;
    apic_write(0x3e0, 0xb);
    apic_write(0x320, TIMER);
    apic_write(0x380, 20000);
    x = CALL(LOOP, 300000);
    apic_write(0x380, 0);
    expect(&x, 0, 0, 0, "segments across interrupts");
    CHECK(ticks > 2, "%u bits: %u interrupts only", bits, ticks);
    say("%u bits: %u interrupts in a call", bits, ticks);
}

/* --- deaths and refusals ---------------------------------------------------------- */

static void dies(unsigned n, uint64_t arg, unsigned vector, uint64_t rax, uint64_t at)
{
    struct exec x;
    uint64_t r;

    cdecl_image(XMHF_IMAGE_DEBUG);
    image_registered(&packed.image);
    x = call(n, &arg, 1);
    expect(&x, rax, TV_DEATH_EXCEPTION | vector << 8
           | (at == ~0ULL ? (uint64_t)XMHF_NO_SECTION << 16 : 0), at == ~0ULL ? 0 : at, "a death");
    r = command(XMHF_HC_IMAGE_UNREGISTER, (uintptr_t)stubs, 0);
    CHECK(r == TV_NOT_FOUND, "unregistering the dead gave %llu", (unsigned long long)r);
}

/* By a segment's limit or type, which QEMU doesn't look at: there a page isn't there, or can't be
 * written. */
static void dies_by_segment(unsigned n, uint64_t arg, unsigned vector, uint64_t linear, uint64_t at)
{
    if (word("bench=svm")) {
        dies(n, arg, EXC_PF, linear, at);
    } else {
        dies(n, arg, vector, 0, at);
    }
}

static void deaths(void)
{
    dies(LOAD, 0x23, EXC_GP, 0, 128 * LOAD + 5);      /* of the GDT, which is empty */
    dies(LOAD, 0x4f, EXC_GP, 0, 128 * LOAD + 5);      /* behind the last one that is present */
    dies(LOAD, 0x17 - 4, EXC_GP, 0, 128 * LOAD + 5);
    /* Below the stack, where the offset wraps; beyond DATA; to CODE; by a null selector. */
    dies_by_segment(DEEP, 0x2000, EXC_SS, AT_STACK + 0x10000 - 16 - 18, 128 * DEEP + 7);
    dies_by_segment(FAR_WRITE, 0x00171000, EXC_GP, AT_DATA + PAGE, 128 * FAR_WRITE + 5);
    dies_by_segment(FAR_WRITE, 0x000f0000, EXC_GP, AT_CODE, 128 * FAR_WRITE + 5);
    dies_by_segment(FAR_WRITE, 0x00000000, EXC_GP, 0, 128 * FAR_WRITE + 5);
    dies(RUN_OFF, 0, EXC_PF, AT_CODE + PAGE, ~0ULL);
}

static void refused(uint64_t expected, const char *what)
{
    uint64_t r;

    pack();
    r = command(XMHF_HC_IMAGE_REGISTER, (uintptr_t)&packed, (uintptr_t)stubs);
    CHECK(r == expected, "%u bits, %s: %llu, not %llu", bits, what, (unsigned long long)r,
          (unsigned long long)expected);
}

static void refusals(void)
{
    cdecl_image(0);
    d.image.flags = 0;
    refused(TV_SEGMENT_SIZE, "a section over 64 KiB without tiles");
    cdecl_image(0);
    d.sections[CODE].pages = 16;
    d.sections[CODE].source = (uintptr_t)buffers;
    refused(TV_SEGMENT_SIZE, "64 KiB of CODE");
    cdecl_image(0);
    d.sections[STACK].pages = 16;
    refused(TV_SEGMENT_SIZE, "64 KiB of STACK");
    cdecl_image(0);
    d.sections[DATA].address = AT_CODE + 0xf000;
    refused(TV_NO_GAP, "a section in CODE's 64 KiB");
    cdecl_image(0);
    d.sections[PARAM].address = 1ULL << 32;
    refused(TV_BAD_SIZE, "a section above 4 GiB");
    cdecl_image(0);
    d.entries[1].address = AT_CODE + PAGE;
    refused(TV_IMAGE_ENTRIES, "an entry behind CODE");
    cdecl_image(0);
    d.entries[1].address = AT_DATA;
    refused(TV_IMAGE_ENTRIES, "an entry in DATA");
    cdecl_image(0);
    d.params[d.image.params - 1].size = AREA * PAGE + 1;
    refused(TV_PARAMS_TOO_BIG, "more data than PARAM has");
    cdecl_image(0);
    d.image.convention = XMHF_SYSV;
    refused(TV_BAD_CONVENTION, "another mode's convention");
    cdecl_image(0);
    d.entries[0].result = 8;
    refused(TV_BAD_INTEGER, "a result of 8 bytes");
}

/* --- other conventions ------------------------------------------------------------ */

static void pascal(void)
{
    struct exec x;

    load(pascal16, one16);
    begin(XMHF_PASCAL16, XMHF_IMAGE_TILED);
    entry(3, 4 | XMHF_INTEGER_SIGNED);
    integer(2);
    integer(4);
    param(TV_PARAM_POINTER, XMHF_IN, 2, 0);
    pack();
    image_registered(&packed.image);
    buffers[0][0] = 0x34;
    buffers[0][1] = 0x12;
    x = CALL(0, 0xfffe, 0x20000, (uintptr_t)buffers);
    expect(&x, bits == 64 ? (uint64_t)-(0x20000 - 0xfffe - 0x1234)
                          : (uint32_t)-(0x20000 - 0xfffe - 0x1234), 0,
           bits == 64 ? 0 : 0xffffffff, "pascal");
    image_unregistered(TV_OK);
}

/* All in one segment below 60 KiB. */
static void one_segment(void)
{
    static const uint64_t at[SECTIONS] = { 0x1000, 0x3000, 0x5000, 0x8000, 0xc000 };
    const uint64_t c = 0x300000004ULL;
    struct exec x;

    load(one16, end16);
    begin(XMHF_CDECL, 0);
    for (unsigned i = 0; i < SECTIONS; i++) {
        d.sections[i].address = at[i];
        d.sections[i].pages = 1;
    }
    entry(3, 8);
    integer(4 | XMHF_INTEGER_SIGNED);
    param(TV_PARAM_POINTER, XMHF_INOUT, 4, 0);
    integer(8);
    pack();
    image_registered(&packed.image);
    *(uint32_t *)(void *)buffers = 0x1000;
    if (bits == 64) {
        x = CALL(0, (uint64_t)5, (uintptr_t)buffers, c);
    } else {
        x = CALL(0, 5, (uintptr_t)buffers, (uint32_t)c, c >> 32);
    }
    expect(&x, bits == 64 ? c + 0x1005 : (uint32_t)(c + 0x1005), 0, bits == 64 ? 0 : 3,
           "one segment");
    CHECK(*(uint32_t *)(void *)buffers == 0x1001, "%u bits: data out", bits);
    image_unregistered(TV_OK);
    d.sections[PARAM].address = 0xf000;
    refused(TV_SEGMENT_SIZE, "one segment beyond 60 KiB");
}

/* Ticks of a call that takes one word and does nothing. RET is one byte in any mode. */
static uint64_t cost(uint32_t mode, uint32_t convention)
{
    uint64_t least = ~0ULL;

    memset(sources, 0xc3, sizeof(sources[0]));
    begin(convention, 0);
    d.image.mode = mode;
    d.image.sections = 2;
    d.sections[CODE].address = 0x1000;
    d.sections[1] = d.sections[STACK];
    d.sections[1].address = convention == XMHF_CDECL ? 0x8000 : AT_STACK;
    entry(1, 0);
    integer(0);
    pack();
    image_registered(&packed.image);
    for (unsigned i = 0; i < 20; i++) {
        const uint64_t start = rdtsc();
        uint64_t t;
        CALL(0, 1);
        t = rdtsc() - start;
        least = t < least ? t : least;
    }
    image_unregistered(TV_OK);
    return least;
}

/* Where a tick is an instruction: what 16-bit code costs more than code of the caller's width. */
static void costs(void)
{
    const uint64_t same = cost(bits, bits == 64 ? XMHF_SYSV : XMHF_CDECL);
    const uint64_t far = cost(PAL_ID_MODE_16, XMHF_CDECL16), one = cost(PAL_ID_MODE_16, XMHF_CDECL);

    say("%u bits: a call takes %llu ticks, of 16-bit code %llu, in one segment %llu", bits,
        (unsigned long long)same, (unsigned long long)far, (unsigned long long)one);
}

static void by(unsigned n)
{
    uint64_t before = info(XMHF_INFO_POOL_FREE);

    bits = n;
    refusals();
    cdecl_image(0);
    image_registered(&packed.image);
    values();
    far_pointers();
    interrupts();
    image_unregistered(TV_OK);
    costs();
    deaths();
    pascal();
    one_segment();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "%u bits: the pool has not all pages back", bits);
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    handlers[TIMER] = on_timer;
    apic_write(0xf0, 0x1ff);
    by(64);
    by(32);
    pass("16-bit PALs were called, and died, by 64-bit and by 32-bit code");
}
