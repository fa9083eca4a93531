/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Only its token resumes an interrupted call, once", "Another
 * process, a child, a process with a recycled CR3 can't call it" and "Nor ring 0, other modes",
 * against an OS with PAE paging.
 *
 * With PAE the CPU may use page-directory-pointer entries that memory no longer has, and CR3 is
 * aligned to 32 bytes only. Ring 0 changes both before a call, while the PAL is interrupted, and
 * before it returns; and virtual-8086 code executes hypercalls, also at the PAL's stubs. Each time
 * there is a fault or an error's name, and once all is right the call ends well.
 */
#include "guest.h"
#include <xmhf/trustvisor.h>
#include <x86/cpuid.h>
#include "legacy.h"

struct legacy {
    uint32_t cr3, patch;
    uint64_t value;
    uint32_t eax, ecx, edx, ebx, ebp, esi, edi, eip, cs, eflags, esp, ss, ds, vector, error, cr2;
};
_Static_assert(offsetof(struct legacy, eax) == LEGACY_EAX
               && offsetof(struct legacy, eip) == LEGACY_EIP
               && offsetof(struct legacy, ds) == LEGACY_DS
               && offsetof(struct legacy, cr2) == LEGACY_CR2
               && offsetof(struct legacy, value) == LEGACY_VALUE, "legacy.h");

void legacy_enter(struct legacy *l);
extern uint64_t legacy_idt[256];
extern const uint8_t legacy_traps[], legacy_stack_top[];

#define PAGE 4096u
#define TIMER 0x50
#define VM (1u << 17)
#define ONE_GIB (1u << 30)
#define LOW 0xa000u                 /* CODE, PARAM, 2 STACK: virtual-8086 code reaches it */
#define WORK 0xe000u                /* code under test, descriptors, stack */
#define BACK (WORK + 0x100)         /* where calls return to */
#define BUFFER 0x4000000u           /* the PAL's pointer; a large page of its own */
#define NOWHERE 0x0000000800000000ULL /* no RAM there */

/* CR3 leads to the first four of them, or to others. */
static uint64_t pdpt[12] __attribute__((aligned(64)));
static uint64_t other_pd[512] __attribute__((aligned(PAGE)));
static uint32_t tss32[26] __attribute__((aligned(128)));
static uint32_t base;               /* where the PAL is, in the process's view: this and LOW */
static volatile uint64_t *const buffer = (volatile uint64_t *)(uintptr_t)BUFFER;

static void *low(uint32_t at) { return (void *)(uintptr_t)at; }
static uint32_t entry(void) { return base + LOW; }
static uint32_t space(unsigned i) { return (uint32_t)(uintptr_t)&pdpt[4 * i]; }

static void prepare(void)
{
    struct cpu *c = this_cpu();
    const uint64_t tss = (uintptr_t)tss32;

    for (unsigned i = 0; i < ARRAY_SIZE(pdpt); i++) {
        /* The second and third GiB are the first one again. */
        pdpt[i] = (uintptr_t)page_pd[i % 4 == 3 ? 3 : 0] | PTE_P;
    }
    memcpy(other_pd, page_pd[0], sizeof(other_pd));
    other_pd[0] += 0x2000000;       /* other memory where the PAL is */
    for (unsigned i = 0; i < 256; i++) {
        uint64_t at = (uintptr_t)legacy_traps + 16 * i;
        legacy_idt[i] = (at & 0xffff) | SEL_CODE32 << 16
            | (i == VECTOR_DONE ? 0xeeULL : 0x8eULL) << 40 | at >> 16 << 48;
    }
    tss32[1] = (uint32_t)(uintptr_t)legacy_stack_top;
    tss32[2] = SEL_DATA;
    tss32[25] = sizeof(tss32) << 16; /* no I/O permission map */
    c->gdt[SEL_TSS32 / 8] = (sizeof(tss32) - 1) | (tss & 0xffffff) << 16 | 0x89ULL << 40 |
                            (tss >> 24 & 0xff) << 56;
}

/* Until the first trap. */
static void run(struct legacy *l)
{
    struct cpu *c = this_cpu();

    c->gdt[SEL_TSS32 / 8] &= ~(2ULL << 40); /* not busy */
    legacy_enter(l);
    c->gdt[SEL_TSS / 8] &= ~(2ULL << 40);
    __asm__ volatile("ltr %w0" :: "r"(SEL_TSS) : "memory");
    l->patch = 0;
    if (l->vector == TIMER) {
        apic_write(0xb0, 0);
    }
}

static struct legacy ring3(uint32_t eip)
{
    return (struct legacy){
        .cr3 = space(0), .eip = eip, .cs = SEL_USER32, .ss = SEL_USER_DATA, .esp = WORK + 0xf00,
        .eflags = RFLAGS_ONE | RFLAGS_IF,
    };
}

/* A hypercall, then INT 80h. */
static struct legacy command(uint32_t eax, uint32_t ecx, uint32_t esi, uint32_t edi)
{
    struct legacy l = ring3(WORK);

    memcpy(low(WORK), "\x0f\x01\x00\xcd\x80", 5);
    ((uint8_t *)low(WORK))[2] = hypercall_byte();
    l.eax = eax;
    l.ecx = ecx;
    l.esi = esi;
    l.edi = edi;
    run(&l);
    CHECK(l.vector == VECTOR_DONE, "hypercall %u: vector %u at 0x%x", eax, l.vector, l.eip);
    return l;
}

/* Counts down from its first argument, then increments the word of its second. */
static void register_pal(uint32_t at)
{
    struct tv_pal_params *params = low(WORK + 0x200);
    struct tv_pal_sections *s = low(WORK + 0x400);

    base = at;
    memset(low(LOW), 0, 4 * PAGE);
    memcpy(low(LOW), "\x8b\x4c\x24\x04\x49\x75\xfd\x8b\x54\x24\x08\xff\x02\xb8\x2a\0\0\0\xc3", 19);
    *params = (struct tv_pal_params){ .num_params = 2, .params = {
        { .type = TV_PARAM_INTEGER, .size = 1 }, { .type = TV_PARAM_POINTER, .size = 1 },
    } };
    *s = (struct tv_pal_sections){ .num_sections = 3, .sections = {
        { TV_SECTION_CODE, 1, entry() }, { TV_SECTION_PARAM, 1, entry() + PAGE },
        { TV_SECTION_STACK, 2, entry() + 2 * PAGE },
    } };
    struct legacy l = command(TV_HC_REG, WORK + 0x400, WORK + 0x200, entry());
    CHECK(l.eax == TV_OK, "TV_HC_REG with PAE gave %u", l.eax);
}

static void unregister_pal(void)
{
    struct legacy l = command(TV_HC_UNREG, entry(), 0, 0);

    CHECK(l.eax == TV_OK, "TV_HC_UNREG with PAE gave %u", l.eax);
}

/* At the PAL's entry; it returns to an INT 80h. The buffer is in the third GiB. */
static struct legacy caller(uint32_t rounds)
{
    struct legacy l = ring3(entry());
    uint32_t *stack = low(l.esp -= 64);

    memcpy(low(BACK), "\xcd\x80", 2);
    stack[0] = BACK;
    stack[1] = rounds;
    stack[2] = 2 * ONE_GIB + BUFFER;
    return l;
}

/* A call that a timer interrupts, at the resume stub. */
static struct legacy interrupted(void)
{
    for (unsigned k = 0; k < 14; k++) {
        struct legacy l = caller(0x10000u << k);
        apic_write(0x3e0, 0xb);     /* divide by 1 */
        apic_write(0x320, TIMER);
        apic_write(0x380, 20000u << k);
        run(&l);
        apic_write(0x380, 0);
        /* too soon, or too late */
        while (l.vector == TIMER && (l.eip == entry() || l.eip == BACK)) {
            run(&l);
        }
        if (l.vector == TIMER) {
            return l;
        }
        CHECK(l.vector == VECTOR_DONE && l.eax == 42, "a call: vector %u, EAX %u", l.vector, l.eax);
    }
    fail("the timer never met the PAL");
}

/* The right way: until it is done. */
static void finish(struct legacy l, const char *after)
{
    const uint64_t count = *buffer;

    run(&l);
    CHECK(l.vector == VECTOR_DONE && l.eax == 42 && *buffer == count + 1,
          "after %s: vector %u, EAX 0x%x, %llu increments", after, l.vector, l.eax,
          (unsigned long long)(*buffer - count));
}

/* A fault there, and nothing else. */
static struct legacy refused(struct legacy l, unsigned vector, const char *what)
{
    const uint64_t count = *buffer;
    const uint32_t eip = l.eip;

    run(&l);
    CHECK(l.vector == vector && l.eip == eip && *buffer == count,
          "%s: vector %u at 0x%x, expected %u at 0x%x; %llu increments", what, l.vector, l.eip,
          vector, eip, (unsigned long long)(*buffer - count));
    return l;
}

/* With this in the memory of a PDPTE that the CPU has loaded as it was. */
static struct legacy with(struct legacy l, unsigned which, uint64_t value)
{
    l.patch = (uint32_t)(uintptr_t)&pdpt[which];
    l.value = value;
    return l;
}

/* The CPU uses what it has, or what memory has: then the call is right, or there is a fault and the
 * call goes on once all is right. Where the OS has put no RAM under the caller's buffer the result
 * is lost by a #GP. The PAL lives on, unless the CPU got to its entry where, by the memory, the
 * process has no RAM: then its owner counts as gone. */
static void either(struct legacy l, const char *what)
{
    const uint64_t count = *buffer, whole = pdpt[0];
    const uint32_t patch = l.patch, eip = l.eip;
    const bool stubs_gone = patch == (uintptr_t)&pdpt[1] && l.value != 0 && eip == entry();
    unsigned vector;

    run(&l);
    *(uint64_t *)(uintptr_t)patch = whole;
    vector = l.vector;
    if (stubs_gone && vector == EXC_UD) {
        CHECK(*buffer == count && l.eip == eip
              && command(TV_HC_UNREG, entry(), 0, 0).eax == TV_NOT_FOUND,
              "%s: #UD at 0x%x", what, l.eip);
        register_pal(base);
        return;
    }
    if (vector != VECTOR_DONE) {
        CHECK((vector == EXC_PF || vector == EXC_GP) && *buffer == count
              && (l.eip == eip || l.eip - entry() < PAGE),
              "%s: vector %u at 0x%x", what, vector, l.eip);
        run(&l);
    }
    CHECK((l.vector == VECTOR_DONE && l.eax == 42 && *buffer == count + 1)
          || (vector == EXC_GP && l.vector == EXC_GP && *buffer == count),
          "%s: first vector %u, then %u at 0x%x, EAX 0x%x, %llu increments", what, vector, l.vector,
          l.eip, l.eax, (unsigned long long)(*buffer - count));
    finish(caller(1), what);
}

static const struct { uint64_t value; const char *what; } bad[] = {
    { 0, "a PDPTE that is gone" },
    { NOWHERE | PTE_P, "a PDPTE that leads out of RAM" },
    { 0x1e7, "a PDPTE with reserved bits" },
    { 1ULL << 63 | PTE_P, "a PDPTE with bit 63" },
};

/* --- PDPTEs and CR3 ------------------------------------------------------------------- */

static void check_pdptes(uint64_t protected_at)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        either(with(caller(1), 1, bad[i].value), bad[i].what);
        either(with(caller(1), 2, bad[i].value), bad[i].what);
        either(with(interrupted(), 1, bad[i].value), bad[i].what);
        either(with(interrupted(), 2, bad[i].value), bad[i].what);
    }
    either(with(caller(1), 2, protected_at | PTE_P), "a PDPTE that leads to the hypervisor");
    either(with(interrupted(), 2, protected_at | PTE_P), "the same while it is interrupted");
}

/* Loaded by MOV to CR3, so that CPU and memory agree. */
static void check_reloaded(void)
{
    struct legacy l = interrupted();

    pdpt[2] = 0;
    l = refused(l, EXC_PF, "a buffer's GiB that is gone while the PAL is interrupted");
    CHECK(l.cr2 == 2 * ONE_GIB + BUFFER, "the fault is for 0x%x", l.cr2);
    pdpt[2] = pdpt[0];
    finish(l, "that GiB is there again");
    l = interrupted();
    pdpt[1] = 0;
    refused(l, EXC_PF, "the PAL's own GiB gone meanwhile");
    pdpt[1] = pdpt[0];
    l.cr3 = space(1);
    refused(l, EXC_UD, "the right token under a CR3 that is 32 bytes further");
    l.cr3 = space(0) | 0x18; /* PWT and PCD: no part of the address */
    finish(l, "another CR3");
    l.cr3 = space(0);
    refused(l, EXC_GP, "a token used twice");
    l = caller(1);
    l.cr3 = space(2);
    refused(l, EXC_UD, "a call under a CR3 that is 64 bytes further");
    finish(caller(1), "calls under other CR3s");
}

/* Other memory where the stubs are: the token is enough to go on, but there is no owner to call. */
static void check_replaced(void)
{
    struct legacy l = interrupted();
    uint8_t *there = low(LOW + 0x2000000);

    memcpy(there, low(LOW), PAGE);
    memset(there + (l.eip & (PAGE - 1)) + 16, 0, 16); /* the nonce */
    pdpt[1] = (uintptr_t)other_pd | PTE_P;
    finish(l, "a token where the nonce isn't");
    refused(caller(1), EXC_UD, "a call where the nonce isn't");
    pdpt[1] = pdpt[0];
    refused(caller(1), EXC_UD, "a call of the PAL that died of it");
}

/* --- virtual-8086 code ---------------------------------------------------------------------- */

/* At CS:IP; what is in the general registers stays. */
static struct legacy virtual86(struct legacy l, uint32_t cs, uint32_t ip)
{
    l.cr3 = space(0);
    l.cs = cs;
    l.eip = ip;
    l.ds = l.ss = 0;
    l.esp = WORK + 0xf00;
    l.eflags = RFLAGS_ONE | RFLAGS_IF | VM;
    run(&l);
    return l;
}

static struct legacy virtual86_command(uint32_t eax, uint32_t ecx, uint32_t esi, uint32_t edi)
{
    struct legacy l = { .eax = eax, .ecx = ecx, .esi = esi, .edi = edi };

    memcpy(low(WORK), "\x0f\x01\x00\x0f\x0b", 5); /* ... UD2 */
    ((uint8_t *)low(WORK))[2] = hypercall_byte();
    l = virtual86(l, 0, WORK);
    CHECK(l.vector == EXC_UD && l.eip == WORK + 3 && (l.eflags & VM),
          "hypercall %u from virtual-8086 code: vector %u at 0x%x", eax, l.vector, l.eip);
    return l;
}

static void check_virtual86(void)
{
    static const struct { uint32_t command, answer; } commands[] = {
        { XMHF_HC_INFO, XMHF_VERSION }, { TV_HC_TEST, TV_OK }, { TV_HC_REG, TV_BAD_CALLER },
        { TV_HC_UNREG, TV_BAD_CALLER }, { XMHF_HC_MODULE_REGISTER, TV_BAD_CALLER },
        { XMHF_HC_MODULE_UNREGISTER, TV_BAD_CALLER }, { XMHF_HC_PAL_LIMITS, TV_BAD_CALLER },
        { XMHF_HC_PAL_STATS, TV_BAD_CALLER }, { 0x6fff, TV_UNKNOWN_COMMAND },
    };
    struct legacy token = interrupted(), l;
    const uint64_t count = *buffer;

    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        uint32_t ecx = commands[i].command == XMHF_HC_INFO ? XMHF_INFO_VERSION : entry();
        l = virtual86_command(commands[i].command, ecx, 0, entry());
        CHECK(l.eax == commands[i].answer, "hypercall 0x%x from virtual-8086 code gave 0x%x",
              commands[i].command, l.eax);
    }
    /* The PAL's entry, as an offset and as a segment; then the resume stub with the right token. */
    for (unsigned i = 0; i < 2; i++) {
        l = (struct legacy){ .eax = TV_HC_UNREG, .ecx = entry() };
        l = virtual86(l, i == 0 ? 0 : entry() >> 4, i == 0 ? entry() : 0);
        CHECK(l.vector != VECTOR_DONE && l.eax == TV_BAD_CALLER && (l.eflags & VM),
              "virtual-8086 code at the entry: vector %u, EAX 0x%x", l.vector, l.eax);
    }
    l = virtual86(token, 0, token.eip);
    CHECK(l.vector != VECTOR_DONE && l.eax == TV_UNKNOWN_COMMAND && (l.eflags & VM),
          "virtual-8086 code with the token: vector %u, EAX 0x%x", l.vector, l.eax);
    l = virtual86(token, token.eip >> 4, token.eip & 15);
    CHECK(l.vector != VECTOR_DONE && l.eax == TV_UNKNOWN_COMMAND,
          "the same in another segment: EAX 0x%x", l.eax);
    CHECK(*buffer == count, "virtual-8086 code made %llu calls",
          (unsigned long long)(*buffer - count));
    finish(token, "virtual-8086 code");
}

static uint64_t protected_start(void)
{
    const uint64_t size = info(XMHF_INFO_PROTECTED_SIZE);

    for (unsigned i = 0; i < e820_count(); i++) {
        struct e820 e = e820_get(i);
        if (e.type == 2 && e.size == size) {
            return e.start;
        }
    }
    fail("no hole in the map");
}

void guest_main(void)
{
    uint64_t before, protected_at;

    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    before = info(XMHF_INFO_POOL_FREE);
    protected_at = protected_start();
    apic_write(0xf0, 0x1ff);
    prepare();
    register_pal(0);
    finish(caller(1), "registering");
    check_virtual86();
    unregister_pal();
    register_pal(ONE_GIB);
    finish(caller(1), "registering");
    check_pdptes(protected_at);
    check_reloaded();
    unregister_pal();
    register_pal(ONE_GIB);
    check_replaced();
    register_pal(0);
    unregister_pal();
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool lacks %llu pages",
          (unsigned long long)(before - info(XMHF_INFO_POOL_FREE)));
    pass("PAE: each wrong PDPTE and CR3 was a fault; virtual-8086 code got errors and ran no PAL");
}
