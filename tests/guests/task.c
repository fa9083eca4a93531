/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches, which Intel's CPUs leave to the hypervisor: by JMP, CALL, IRET and by
 * events through task gates, of 32 and 16 bits, to another address space, to virtual-8086 code;
 * with error codes, busy bits, links and NT; and the faults of SDM vol. 3, table 8-1. All as on the
 * bare CPU.
 */
#include "guest.h"
#include "legacy.h"

struct legacy {
    uint32_t cr3, patch;
    uint64_t value;
    uint32_t eax, ecx, edx, ebx, ebp, esi, edi, eip, cs, eflags, esp, ss, ds, vector, error, cr2;
};
_Static_assert(offsetof(struct legacy, eax) == LEGACY_EAX
               && offsetof(struct legacy, cr2) == LEGACY_CR2, "legacy.h");

void legacy_enter(struct legacy *l);
extern uint64_t legacy_idt[256];
extern const uint8_t legacy_traps[], legacy_stack_top[];

struct tss {
    uint32_t link, esp0, ss0, other[4], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, iomap;
};
_Static_assert(sizeof(struct tss) == 104, "SDM vol. 3, 8.2.1");

#define SEL_TASK  0x68u             /* the other task */
#define SEL_GATE  0x70u             /* a gate to it */
#define NMI       2u
#define WORK      0xe000u           /* code of ring 3; its stack */
#define THERE     (WORK + 0x400)    /* code of the other task; its stack */
#define THERE_TOP (WORK + 0x800)
#define ABSENT    0x3e00000u        /* a page that is away */
#define TSS32_P   0x89u
#define TSS16_P   0x81u
#define DPL3      0x60u

static uint64_t pdpt[8] __attribute__((aligned(64)));  /* two address spaces */
static uint64_t other_pd[512] __attribute__((aligned(4096)));
static struct tss old __attribute__((aligned(128))), new __attribute__((aligned(128)));

static void *low(uint32_t at) { return (void *)(uintptr_t)at; }
static uint32_t address(const void *p) { return (uint32_t)(uintptr_t)p; }
/* Arithmetic flags are the instructions' business; RF not every emulator's. */
static uint32_t kept(uint32_t flags)
{
    return flags & (uint32_t)(RFLAGS_TF | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_VM);
}

static bool anywhere;                /* the old task was left at an instruction that isn't known */

static void system_segment(unsigned selector, const void *at, uint32_t limit, uint32_t attr)
{
    uint64_t base = (uintptr_t)at;

    this_cpu()->gdt[selector / 8] = limit | (base & 0xffffff) << 16 | (uint64_t)attr << 40
        | (base >> 24 & 0xff) << 56;
}

static uint64_t gate32(unsigned vector)
{
    uint64_t at = (uintptr_t)legacy_traps + 16 * vector;

    return (at & 0xffff) | SEL_CODE32 << 16 | (vector == VECTOR_DONE ? 0xeeULL : 0x8eULL) << 40
        | at >> 16 << 48;
}

static void task_gate(unsigned vector, unsigned dpl)
{
    legacy_idt[vector] = SEL_TASK << 16 | (0x85ULL | dpl << 5) << 40;
}

/* Both tasks in ring 3, the second with other numbers in its registers and in another space. */
static void prepare(void)
{
    for (unsigned i = 0; i < 8; i++) {
        pdpt[i] = (i % 4 == 0 && i ? (uintptr_t)other_pd : (uintptr_t)page_pd[i % 4]) | PTE_P;
    }
    memcpy(other_pd, page_pd[0], sizeof(other_pd));
    page_pd[0][ABSENT >> 21] &= ~1ULL;
    for (unsigned i = 0; i < 256; i++) {
        legacy_idt[i] = gate32(i);
    }
    old = (struct tss){ .esp0 = address(legacy_stack_top), .ss0 = SEL_DATA, .cr3 = address(pdpt),
                        .iomap = 104 };
    new = old;
    new.cr3 = address(pdpt + 4);
    new.eip = THERE;
    new.eflags = RFLAGS_ONE;
    new.eax = 0xa0a0a0a0; new.ecx = 0xa1a1a1a1; new.edx = 0xa2a2a2a2; new.ebx = 0xa3a3a3a3;
    new.esp = THERE_TOP; new.ebp = 0xa5a5a5a5; new.esi = 0xa6a6a6a6; new.edi = 0xa7a7a7a7;
    new.cs = SEL_USER32;
    new.ss = new.ds = new.es = new.fs = new.gs = SEL_USER_DATA;
    system_segment(SEL_TASK, &new, 103, TSS32_P | DPL3);
    this_cpu()->gdt[SEL_GATE / 8] = SEL_TASK << 16 | 0xe5ULL << 40;
}

static void code(uint32_t at, const char *bytes, size_t n) { memcpy(low(at), bytes, n); }
#define CODE(at, bytes) code(at, bytes, sizeof(bytes) - 1)

/* From WORK in ring 3 to the first trap that isn't through a task gate. */
static struct legacy run(const char *what)
{
    struct legacy l = { .cr3 = address(pdpt), .eip = WORK, .cs = SEL_USER32, .ss = SEL_USER_DATA,
                        .esp = WORK + 0x3f0, .eflags = RFLAGS_ONE, .eax = 0x50505050,
                        .ecx = 0x51515151,
                        .edx = 0x52525252, .ebx = 0x53535353, .ebp = 0x55555555, .esi = 0x56565656,
                        .edi = 0x57575757 };

    system_segment(SEL_TSS32, &old, 103, TSS32_P);
    write_cr0(read_cr0() & ~CR0_TS);
    legacy_enter(&l);
    bool ts = read_cr0() & CR0_TS;
    write_cr0(read_cr0() & ~CR0_TS);
    uint64_t busy = this_cpu()->gdt[SEL_TASK / 8], first = this_cpu()->gdt[SEL_TSS32 / 8];
    this_cpu()->gdt[SEL_TSS / 8] &= ~(2ULL << 40);
    __asm__ volatile("ltr %w0" :: "r"(SEL_TSS) : "memory");
    same("%s: vector %u, error %x, eip %x, cs %x, eax %x, esi %x, flags %x, TS %u", what, l.vector,
         l.error & 0xffff, l.eip, l.cs & 0xffff, l.eax, l.esi, kept(l.eflags), ts);
    same("  old: busy %u, eip %x, flags %x, esp %x, cs %x, ds %x; new: busy %u, link %x, "
         "eip %x, flags %x",
         (unsigned)(first >> 41 & 1), anywhere ? 0 : old.eip, kept(old.eflags), old.esp,
         old.cs & 0xffff, old.ds & 0xffff, (unsigned)(busy >> 41 & 1), new.link & 0xffff, new.eip,
         kept(new.eflags));
    return l;
}

static struct legacy there(const char *what, const char *jump, size_t n)
{
    code(WORK, jump, n);
    CODE(THERE, "\xcd\x80");
    return run(what);
}

#define JMP_TASK  "\xea\0\0\0\0\x68\0"
#define CALL_TASK "\x9a\0\0\0\0\x68\0"
#define THERE_BY(what, bytes) there(what, bytes, sizeof(bytes) - 1)

static void by_instructions(void)
{
    static const char *const names[] = { "CALL and IRET", "CALL by a gate and IRET",
                                         "INT n and IRET" };
    static const struct { char bytes[8]; size_t n; } calls[] = {
        { CALL_TASK, 7 }, { "\x9a\0\0\0\0\x70\0", 7 }, { "\xcd\x81", 2 },
    };

    prepare();
    struct legacy l = THERE_BY("JMP", JMP_TASK);
    CHECK(l.vector == VECTOR_DONE && l.eip == THERE + 2 && l.eax == 0xa0a0a0a0,
          "JMP: vector %u, error 0x%x at 0x%x",
          l.vector, l.error, l.eip);
    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        prepare();
        task_gate(0x81, 3);
        code(WORK, calls[i].bytes, calls[i].n);
        CODE(WORK + (uint32_t)calls[i].n, "\xcd\x80");
        CODE(THERE, "\x40\xcf"); /* inc %eax; iret */
        l = run(names[i]);
        CHECK(l.vector == VECTOR_DONE && l.eip == WORK + calls[i].n + 2 && l.eax == 0x50505050
              && new.eax == 0xa0a0a0a1,
              "%s: vector %u at 0x%x", names[i], l.vector, l.eip);
    }
}

/* The handler of faults, in ring 0: error code to EDX if there is one, two bytes on, back. Twice:
 * the second time it goes on behind its IRET. */
static void by_events(void)
{
    uint8_t handler[] = { 0x5a, 0x83, 0x05, 0, 0, 0, 0, 2, 0xcf, 0xeb, 0xf5 };
    uint32_t at = address(&old.eip);

    for (unsigned pf = 0; pf < 2; pf++) {
        prepare();
        new.cs = SEL_CODE32;
        new.ss = new.ds = new.es = new.fs = new.gs = SEL_DATA;
        task_gate(pf ? EXC_PF : EXC_UD, 0);
        memcpy(handler + 3, &at, 4);
        handler[0] = pf ? 0x5a : 0x90; /* pop %edx; addl $2, old.eip; iret; jmp */
        memcpy(low(THERE), handler, sizeof(handler));
        /* mov $ABSENT, %esi; ud2; ud2; int $0x80 */
        CODE(WORK, "\xbe\0\0\xe0\x03\x0f\x0b\x0f\x0b\xcd\x80");
        if (pf) {
            CODE(WORK + 5, "\x89\x06\x89\x06"); /* mov %eax, (%esi), twice */
        }
        struct legacy l = run(pf ? "#PF" : "#UD");
        CHECK(l.vector == VECTOR_DONE && l.eip == WORK + 11, "%s: vector %u, error 0x%x at 0x%x",
              pf ? "#PF" : "#UD", l.vector, l.error, l.eip);
        CHECK(new.edx == (pf ? 6u : 0xa2a2a2a2u) && new.esp == THERE_TOP,
              "its error code: 0x%x, esp 0x%x",
              new.edx, new.esp);
        page_pd[0][ABSENT >> 21] |= 1;
    }
}

/* An NMI's handler is a task: after its IRET the next comes, and nothing of the hypervisor is in
 * its flags. */
static void by_nmi(void)
{
    prepare();
    new.cs = SEL_CODE32;
    new.ss = new.ds = new.es = new.fs = new.gs = SEL_DATA;
    task_gate(NMI, 0);
    CODE(THERE, "\x40\xcf\xeb\xfc"); /* inc %eax; iret; jmp */
    uint8_t send[] = { 0xb9, 0, 0x40, 0, 0, /* mov $0x4000, %ecx: wait so long */
                       0xc7, 0x05, 0, 3, 0xe0, 0xfe, 0, 0x44, 0, 0, /* NMI to itself: ICR */
                       0x49, 0x75, 0xfd };                        /* dec %ecx; jnz */
    apic_write(0x310, 0);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(low(WORK + i * sizeof(send)), send, sizeof(send));
    }
    CODE(WORK + 3 * sizeof(send), "\xcd\x80");
    anywhere = true;
    struct legacy l = run("NMI");
    anywhere = false;
    CHECK(l.vector == VECTOR_DONE && new.eax == 0xa0a0a0a3, "NMI: vector %u at 0x%x, %u NMIs",
          l.vector, l.eip, new.eax - 0xa0a0a0a0);
    CHECK(!(new.eflags & RFLAGS_TF) && !(old.eflags & RFLAGS_TF), "flags 0x%x, 0x%x", new.eflags,
          old.eflags);
}

static void of_16_bits(void)
{
    uint16_t *t = (uint16_t *)&new;

    prepare();
    memset(&new, 0, sizeof(new));
    t[7] = THERE;
    t[8] = RFLAGS_ONE;
    t[9] = 0x1234;
    t[13] = THERE_TOP;
    t[17] = t[19] = t[20] = SEL_USER_DATA;
    t[18] = SEL_USER32;
    t[19] = SEL_USER_DATA;
    system_segment(SEL_TASK, &new, 43, TSS16_P | DPL3);
    CODE(WORK, CALL_TASK "\xcd\x80");
    CODE(THERE, "\x66\x40\xcf"); /* inc %ax; iret */
    struct legacy l = run("16 bits");
    CHECK(l.vector == VECTOR_DONE && l.eip == WORK + 9 && l.eax == 0x50505050 && t[9] == 0x1235,
          "16 bits: vector %u, error 0x%x at 0x%x, ax 0x%x", l.vector, l.error, l.eip, t[9]);
}

static void to_v86(void)
{
    prepare();
    new.eflags = RFLAGS_ONE | (unsigned)RFLAGS_VM | (unsigned)RFLAGS_IOPL;
    new.cs = THERE >> 4;
    new.ss = new.ds = new.es = new.fs = new.gs = WORK >> 4;
    new.eip = 0;
    new.esp = 0x300;
    struct legacy l = THERE_BY("virtual-8086", JMP_TASK);
    CHECK(l.vector == VECTOR_DONE && l.eip == 2 && (l.eflags & RFLAGS_VM),
          "virtual-8086: vector %u at 0x%x",
          l.vector, l.eip);
}

static void the_debug_trap(void)
{
    prepare();
    new.trap = 1;
    struct legacy l = THERE_BY("T flag", JMP_TASK);
    if (word("bench=svm") && l.vector == VECTOR_DONE) {
        return; /* QEMU doesn't know it */
    }
    CHECK(l.vector == EXC_DB && l.eip == THERE, "T flag: vector %u at 0x%x", l.vector, l.eip);
    uint64_t dr6;
    __asm__ volatile("mov %%dr6, %0\n mov %1, %%dr6" : "=r"(dr6) : "r"((uint64_t)DR6_AT_INIT));
    CHECK(dr6 & DR6_BT, "DR6 is 0x%llx", (unsigned long long)dr6);
}

/* One thing wrong with the new task. */
static void faults(void)
{
    static const struct {
        const char *what;
        uint32_t *field, value;
        uint8_t attr, limit;
    } cases[] = {
        { "busy", NULL, 0, TSS32_P | DPL3 | 2, 103 }, { "absent", NULL, 0, 9 | DPL3, 103 },
        { "short", NULL, 0, TSS32_P | DPL3, 102 }, { "an LDT", NULL, 0, 0x82 | DPL3, 103 },
        { "ring 0's", NULL, 0, TSS32_P, 103 },
        { "LDT is code", &new.ldt, SEL_CODE32, 0, 0 },
        { "CS is data", &new.cs, SEL_USER_DATA, 0, 0 }, { "SS is null", &new.ss, 0, 0, 0 },
        { "SS of ring 0", &new.ss, SEL_DATA, 0, 0 }, { "DS of ring 0", &new.ds, SEL_DATA, 0, 0 },
        { "GS beyond", &new.gs, 0xfff8 | 3, 0, 0 }, { "DS is a TSS", &new.ds, SEL_TSS32 | 3, 0, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        prepare();
        if (cases[i].field) {
            *cases[i].field = cases[i].value;
        } else {
            system_segment(SEL_TASK, &new, cases[i].limit, cases[i].attr);
        }
        struct legacy l = THERE_BY(cases[i].what, JMP_TASK);
        CHECK(l.vector >= EXC_TS && l.vector <= EXC_GP, "%s: vector %u at 0x%x", cases[i].what,
              l.vector, l.eip);
        if (word("bench=svm")) {
            continue; /* QEMU tells the place of the old task */
        }
        CHECK(cases[i].field ? l.eip == THERE : l.eip == WORK, "%s: a fault at 0x%x", cases[i].what,
              l.eip);
    }
    prepare(); /* an IRET to a task that isn't busy */
    old.link = SEL_TASK;
    CODE(WORK, "\x9c\x81\x0c\x24\0\x40\0\0\x9d\xcf"); /* pushf; orl $NT, (%esp); popf; iret */
    struct legacy l = run("IRET, not busy");
    CHECK(l.vector == EXC_TS && l.eip == WORK + 9, "IRET: vector %u at 0x%x", l.vector, l.eip);
    prepare(); /* a double fault: #PF by a gate to a task that is absent */
    task_gate(EXC_PF, 0);
    system_segment(SEL_TASK, &new, 103, 9);
    CODE(WORK, "\xbe\0\0\xe0\x03\x89\x06"); /* mov $ABSENT, %esi; mov %eax, (%esi) */
    l = run("#PF, absent");
    CHECK(l.vector == EXC_DF, "#PF by a gate to an absent task: vector %u", l.vector);
}

void guest_main(void)
{
    by_instructions();
    by_events();
    by_nmi();
    of_16_bits();
    to_v86();
    the_debug_trap();
    faults();
    pass("tasks by JMP, CALL, INT n, faults with and without error code, NMI; of 16 bits, "
         "virtual-8086, with faults");
}
