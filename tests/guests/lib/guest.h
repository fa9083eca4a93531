/* SPDX-License-Identifier: MIT */
/*
 * The runtime of the tiny guests. A guest defines guest_main(), which runs in 64-bit mode,
 * ring 0, all of the first 4 GiB mapped one to one and open to ring 3, interrupts off, and
 * which ends by pass(), fail() or skip(). Its lines on COM1 that start with "GUEST" are for
 * tests/guests/run.py.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stddef.h>
#include <util/string.h>
#include <x86/cpu.h>
#include <xmhf/hypercall.h>
#include <xmhf/types.h>

#include "insn.h"
#include "layout.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* --- verdict and words ---------------------------------------------------------- */

#define PRINTF(n) __attribute__((format(printf, n, n + 1)))

void say(const char *fmt, ...) PRINTF(1);             /* a line for people */
/* A line that must be the same in the bare run, where guests.cfg asks for it. */
void same(const char *fmt, ...) PRINTF(1);
_Noreturn void pass(const char *fmt, ...) PRINTF(1);
_Noreturn void fail(const char *fmt, ...) PRINTF(1);
_Noreturn void skip(const char *fmt, ...) PRINTF(1);
#define CHECK(cond, ...) do { if (!(cond)) { fail(__VA_ARGS__); } } while (0)

void guest_main(void);

/* --- facts ------------------------------------------------------------------------ */

extern const uint8_t *boot_params;
extern bool hypervisor;                               /* false in the bare control run */
bool word(const char *name);                          /* is there such a word in the arguments? */
uint64_t number(const char *name, uint64_t otherwise);/* of NAME=NUMBER in the arguments */

struct e820 { uint64_t start, size; uint32_t type; } __attribute__((packed));
unsigned e820_count(void);
struct e820 e820_get(unsigned i);

/* --- running code under test --------------------------------------------------------- */

/* Registers in and out of a piece of code, and how it ended. */
struct exec {
    uint64_t gpr[16];                                 /* [RSP] is not used: see rsp */
    uint64_t rip, cs, rflags, rsp, ss;                /* out: of the trap */
    uint64_t vector, error, cr2;                      /* of the trap; VECTOR_DONE: ran through */
    uint64_t start;                                   /* where the code began */
};
_Static_assert(offsetof(struct exec, rip) == EXEC_RIP && offsetof(struct exec, cs) == EXEC_CS
               && offsetof(struct exec, rflags) == EXEC_RFLAGS
               && offsetof(struct exec, rsp) == EXEC_RSP
               && offsetof(struct exec, ss) == EXEC_SS, "layout.h");

/* Ring 0 or 3, 64-, 32- or 16-bit code, all registers zero, a stack of its own. */
struct exec exec_for(unsigned ring, unsigned bits);
/* Run these bytes, then INT 80h; returns the vector that ended it, VECTOR_DONE if none of
 * the bytes trapped. Traps of vectors that have a handler don't end it. */
unsigned exec_bytes(struct exec *x, const void *code, size_t len);
/* The same for code at x->rip, which must end in a trap by itself. */
unsigned exec_at(struct exec *x);
/* The trap was at the first byte of the code (a fault that was not skipped). */
static inline bool at_start(const struct exec *x) { return x->rip == x->start; }

#define EXEC(x, ...) \
    exec_bytes(x, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Fault-safe single accesses: the vector, or VECTOR_DONE. */
unsigned try_rdmsr(uint32_t msr, uint64_t *value);
unsigned try_wrmsr(uint32_t msr, uint64_t value);
unsigned try_read64(uint64_t addr, uint64_t *value);
unsigned try_write64(uint64_t addr, uint64_t value);
unsigned try_write_cr(unsigned cr, uint64_t value);
unsigned try_xsetbv(uint32_t index, uint64_t value);
/* A hypercall from 64-bit code of ring 0 or 3: the registers behind it, and how it ended. */
struct exec hypercall_in(unsigned ring, uint64_t rax, uint64_t rcx, uint64_t rdx, uint64_t rsi,
                         uint64_t rdi);
/* One from ring 3 that must end without a fault, or the test fails: RAX. */
uint64_t hypercall_done(uint64_t rax, uint64_t rcx, uint64_t rsi, uint64_t rdi);
/* One from ring 0; *rax is EAX in and RAX out. The vector. */
unsigned hypercall(uint64_t *rax, uint64_t rcx, uint64_t rdx, uint64_t rsi, uint64_t rdi);
/* XMHF_HC_INFO; fails the test if it is refused. */
uint64_t info(uint64_t which);

struct trap_frame {
    uint64_t r8_15[8], gpr[8];                        /* gpr[RSP] is not set */
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
/* Handlers return to the interrupted code. Shared by all CPUs. */
extern void (*volatile handlers[256])(struct trap_frame *f);

/* --- CPUs and APIC ------------------------------------------------------------------- */

struct cpu {
    uint64_t gdt[GDT_ENTRIES];
    struct {
        uint32_t reserved0;
        uint64_t rsp[3], reserved1, ist[7], reserved2;
        uint16_t r3, iomap;
    }
        __attribute__((packed)) tss;
    struct exec *exec;
    uint64_t exec_rsp;
    unsigned index;
    volatile uint64_t count[4];                       /* for the test */
    volatile unsigned started;                        /* times that ap_start ran */
};

struct gate { uint16_t low, selector; uint8_t ist, type; uint16_t mid; uint32_t high, reserved; };
extern struct gate idt[256];
void set_gate(unsigned vector, uint64_t entry, unsigned ist, unsigned dpl);
extern const uint8_t trap_entries[];

extern uint8_t cpu_blocks[CPU_LIMIT][BLOCK_SIZE];
struct cpu *cpu_of(unsigned index);
struct cpu *this_cpu(void);
unsigned cpu_total(void);                             /* that the machine has (argument cpus=) */

static inline uint32_t apic_read(unsigned reg)
{
    return *(volatile uint32_t *)(uintptr_t)(0xfee00000u + reg);
}
static inline void apic_write(unsigned reg, uint32_t v)
{
    __asm__ volatile("movl %0, (%1)" :: "r"(v), "r"((uint64_t)0xfee00000u + reg) : "memory");
}
extern bool x2apic;                                   /* a guest sets it that enters the mode */
void ipi(uint32_t dest, uint32_t command);            /* waits for its delivery */

/* What a started AP does after its tables are loaded; then it halts. */
extern void (*volatile ap_main)(struct cpu *c);
void ap_trampoline(void);                             /* put it at TRAMPOLINE */
/* INIT-SIPI-SIPI to one CPU (argument no-init: without INIT, so once only); true if it started
 * within about a second. */
bool ap_run(unsigned index, void (*main)(struct cpu *c));
void delay_us(unsigned us);                           /* by the PIT's channel 2 */

extern uint64_t page_pml4[512], page_pdpt[512], page_pd[4][512];

#endif
