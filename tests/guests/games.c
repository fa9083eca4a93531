/* SPDX-License-Identifier: MIT */
/*
 * Defends in notes/threat-model.md: "Only its token resumes an interrupted call, once" and "Another
 * process, a child, a process with a recycled CR3 can't call it", against ring 0.
 *
 * A timer interrupts a PAL. Then ring 0 plays with CR3, page tables, mode, ring and token at the
 * resume stub, and with stack and return address at calls; each time there must be a fault and
 * nothing else, so that the call still ends well when all is right.
 */
#include <x86/cpuid.h>
#include <xmhf/trustvisor.h>
#include "guest.h"

#define PAGE 4096
#define TIMER 0x50
#define BUFFER 0x4000000u   /* a large page of its own: entry 32 of page_pd[0] */
#define NOWHERE 0x8000000000000000ULL

static uint8_t pages[4][PAGE] __attribute__((aligned(PAGE))); /* code, parameters, 2 stack */
static uint64_t other_space[512] __attribute__((aligned(PAGE)));
static const uint8_t done[] = { 0xcd, VECTOR_DONE }; /* INT 80h: where calls return to */
static volatile uint64_t stopped_at;
static volatile uint64_t *const buffer = (volatile uint64_t *)(uintptr_t)BUFFER;

static uint64_t entry(void) { return (uintptr_t)pages[0]; }
static uint64_t back(void) { return (uintptr_t)done; }

/* Counts down from its first argument, then increments the word of its second. */
static void register_pal(void)
{
    static const struct tv_pal_params params = { .num_params = 2, .params = {
        { .type = TV_PARAM_INTEGER, .size = 1 }, { .type = TV_PARAM_POINTER, .size = 1 },
    } };
    struct tv_pal_sections s = { .num_sections = 3, .sections = {
        { TV_SECTION_CODE, 1, entry() }, { TV_SECTION_PARAM, 1, (uintptr_t)pages[1] },
        { TV_SECTION_STACK, 2, (uintptr_t)pages[2] },
    } };

    /* mov %rdi, %rcx; 1: dec %rcx; jnz 1b; incq (%rsi); mov $42, %eax; ret */
    memcpy(pages[0], "\x48\x89\xf9\x48\xff\xc9\x75\xfb\x48\xff\x06\xb8\x2a\0\0\0\xc3", 17);
    uint64_t error = hypercall_done(TV_HC_REG, (uintptr_t)&s, (uintptr_t)&params, entry());
    CHECK(error == TV_OK, "TV_HC_REG gave %llu", (unsigned long long)error);
}

/* Ends what it has interrupted, if that was the PAL: its thread runs INT 80h instead. */
static void on_timer(struct trap_frame *f)
{
    apic_write(0xb0, 0);
    if ((f->cs & 3) == 3 && f->rip - entry() < PAGE && f->rip != entry()) {
        stopped_at = f->rip;
        f->rip = back();
    } else {
        apic_write(0x380, 20000);
    }
}

static struct exec caller(uint64_t rounds)
{
    struct exec x = exec_for(3, 64);

    x.rsp -= 128;
    *(uint64_t *)(uintptr_t)x.rsp = back();
    x.rflags |= RFLAGS_IF;
    x.gpr[RDI] = rounds;
    x.gpr[RSI] = BUFFER;
    x.rip = entry();
    return x;
}

/* A call that a timer interrupts: the thread's registers at the resume stub. */
static struct exec interrupted(void)
{
    struct exec x;

    for (uint64_t rounds = 1 << 16; rounds < 1ULL << 32; rounds *= 4) {
        x = caller(rounds);
        stopped_at = 0;
        apic_write(0x3e0, 0xb);     /* divide by 1 */
        apic_write(0x320, TIMER);
        apic_write(0x380, 20000);
        exec_at(&x);
        apic_write(0x380, 0);
        if (stopped_at != 0) {
            break;
        }
        CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 42, "a call: vector %llu, RAX %llu",
              (unsigned long long)x.vector, (unsigned long long)x.gpr[RAX]);
    }
    CHECK(stopped_at != 0, "the timer never met the PAL");
    x.rip = stopped_at;
    x.cs = SEL_USER64;
    return x;
}

/* The right way: until it is done. */
static void finish(struct exec x, const char *after)
{
    uint64_t count = *buffer;

    exec_at(&x);
    CHECK(x.vector == VECTOR_DONE && x.gpr[RAX] == 42 && *buffer == count + 1,
          "after %s: vector %llu, RAX 0x%llx, %llu increments", after, (unsigned long long)x.vector,
          (unsigned long long)x.gpr[RAX], (unsigned long long)(*buffer - count));
}

static void refused(struct exec x, unsigned vector, const char *what)
{
    uint64_t count = *buffer, rip = x.rip;

    exec_at(&x);
    CHECK(x.vector == vector && x.rip == rip && *buffer == count,
          "%s: vector %llu at 0x%llx, expected %u at 0x%llx", what, (unsigned long long)x.vector,
          (unsigned long long)x.rip, vector, (unsigned long long)rip);
}

/* --- at the resume stub -------------------------------------------------------------- */

static void check_resume(void)
{
    struct exec x = interrupted(), y = x;
    uint64_t cr3 = read_cr3(), pde = page_pd[0][BUFFER >> 21];

    write_cr3((uintptr_t)other_space);
    refused(x, EXC_UD, "the right token under another CR3");
    write_cr3(cr3);
    y.gpr[RAX] ^= 1;
    refused(y, EXC_GP, "one bit of the token wrong");
    y = x;
    y.gpr[RDX] ^= 1ULL << 63;
    refused(y, EXC_GP, "its last bit wrong");
    y = x;
    y.gpr[RAX] = y.gpr[RDX] = 0;
    refused(y, EXC_GP, "no token");
    y = x;
    y.rflags &= ~(uint64_t)RFLAGS_IF;
    refused(y, EXC_GP, "interrupts off");
    y = x;
    y.cs = SEL_USER32;
    exec_at(&y);
    CHECK(y.vector != VECTOR_DONE, "32-bit code at the stub of a 64-bit PAL went on");
    y = x;
    y.cs = SEL_CODE64;
    y.ss = SEL_DATA;
    exec_at(&y);
    CHECK(y.vector != VECTOR_DONE && y.gpr[RAX] == TV_UNKNOWN_COMMAND,
          "ring 0: vector %llu, RAX 0x%llx",
          (unsigned long long)y.vector, (unsigned long long)y.gpr[RAX]);
    /* The buffer isn't there when the PAL returns; then it is. */
    page_pd[0][BUFFER >> 21] = 0;
    write_cr3(cr3);
    y = x;
    exec_at(&y);
    CHECK(y.vector == EXC_PF && y.cr2 == BUFFER && y.rip == stopped_at,
          "a buffer that is gone: vector %llu for 0x%llx", (unsigned long long)y.vector,
          (unsigned long long)y.cr2);
    page_pd[0][BUFFER >> 21] = pde;
    write_cr3(cr3 | 0x18); /* PWT and PCD: no part of the address */
    refused(x, EXC_GP, "the token before that one");
    finish(y, "all that at the resume stub");
    write_cr3(cr3);
    refused(y, EXC_GP, "a token used twice");
}

/* The PAL's page is another one while it is interrupted: its owner isn't there. */
static void check_replaced(void)
{
    struct exec x = interrupted();

    write_cr3((uintptr_t)other_space);
    uint64_t error = hypercall_done(TV_HC_UNREG, entry(), 0, 0);
    write_cr3((uintptr_t)page_pml4);
    CHECK(error == TV_NOT_FOUND, "under another CR3 TV_HC_UNREG gave %llu",
          (unsigned long long)error);
    finish(x, "another process's TV_HC_UNREG");
}

/* --- at calls ------------------------------------------------------------------------ */

static void check_calls(void)
{
    struct exec x = caller(1);

    *(uint64_t *)(uintptr_t)x.rsp = NOWHERE;
    refused(x, EXC_GP, "a return address that isn't canonical");
    *(uint64_t *)(uintptr_t)x.rsp = 0x800000000000ULL;
    refused(x, EXC_GP, "the first one that isn't");
    x = caller(1);
    x.gpr[RSI] = NOWHERE - 8;
    exec_at(&x);
    CHECK(x.vector == EXC_GP || x.vector == EXC_PF, "a pointer to nowhere: vector %llu",
          (unsigned long long)x.vector);
    x = caller(1);
    write_cr3((uintptr_t)other_space);
    refused(x, EXC_UD, "a call under another CR3");
    write_cr3((uintptr_t)page_pml4);
    x = caller(1);
    x.rflags &= ~(uint64_t)RFLAGS_IF;
    refused(x, EXC_GP, "a call with interrupts off");
    x = caller(1);
    x.cs = SEL_CODE64;
    x.ss = SEL_DATA;
    x.gpr[RAX] = TV_HC_UNREG;
    x.gpr[RCX] = entry();
    exec_at(&x);
    CHECK(x.vector != VECTOR_DONE && x.gpr[RAX] == TV_BAD_CALLER,
          "a call from ring 0: vector %llu, RAX %llu",
          (unsigned long long)x.vector, (unsigned long long)x.gpr[RAX]);
    finish(caller(1), "all these calls");
}

void guest_main(void)
{
    if (cpuid(TV_CPUID_LEAF, 0).eax != TV_CPUID_REPLY_EAX) {
        skip("no TrustVisor here");
    }
    uint64_t before = info(XMHF_INFO_POOL_FREE);
    memcpy(other_space, page_pml4, sizeof(other_space));
    handlers[TIMER] = on_timer;
    apic_write(0xf0, 0x1ff);
    register_pal();
    check_calls();
    check_resume();
    check_replaced();
    check_calls();
    uint64_t error = hypercall_done(TV_HC_UNREG, entry(), 0, 0);
    CHECK(error == TV_OK, "TV_HC_UNREG gave %llu", (unsigned long long)error);
    CHECK(info(XMHF_INFO_POOL_FREE) == before, "the pool has not all pages back");
    pass("each wrong CR3, token, ring, mode, buffer and return address was a fault, and no more");
}
